"""What cannot be asked: one line that says what came, the rule and the remedy."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import frivolous as fv
from frivolous.errors import BadArgument, FrivolousError, UnknownName


@pytest.fixture(scope="module")
def model() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))


@pytest.fixture(scope="module")
def x() -> Tensor:
    return torch.randn(100, 4, generator=torch.Generator().manual_seed(0))


SHARE = "is the share of {0} that may be left, in (0, 1]; got {1}"
WRONG: list[tuple[dict[str, Any], str]] = [
    (
        {"tolerance": 0.1, "units": 0.5},
        (
            "`tolerance`, `units` are 2 budgets; a compression has one. Pass the one that must "
            "hold, and read the others in the report."
        ),
    ),
    (
        {"keep": 3},
        "`keep` maps sites to how many of their units stay; got 3. Pass e.g. {'conv1': 40}.",
    ),
    ({"keep": {}}, "`keep` maps sites to how many of their units stay; got {}."),
    ({"units": "half"}, "`units` is a share, a number; got 'half'."),
    ({"tolerance": True}, "`tolerance` is a share, a number; got True."),
    ({"tolerance": 2}, "`tolerance` is a share in [0, 1); got 2. For 2 percent pass 0.02."),
    ({"tolerance": -0.1}, "`tolerance` is a share in [0, 1); got -0.1."),
    ({"tolerance": float("nan")}, "`tolerance` is a share in [0, 1); got nan."),
    ({"units": 0}, f"`units` {SHARE.format('units', '0')}."),
    ({"parameters": 40}, f"{SHARE.format('parameters', '40')}. For 40 percent pass 0.4."),
    ({"flops": 1.5}, f"`flops` {SHARE.format('flops', '1.5')}. For 1.5 percent pass 0.015."),
    ({"latency": -1}, f"`latency` {SHARE.format('latency', '-1')}."),
    ({"method": "jiont"}, "unknown method 'jiont'; did you mean 'joint'?"),
    ({"finetune": -1}, "`finetune` is a whole number of epochs, 0 or more; got -1."),
    ({"finetune": True}, "`finetune` is a whole number of epochs, 0 or more; got True."),
    ({"finetune": 1.5}, "`finetune` is a whole number of epochs, 0 or more; got 1.5."),
    ({"keep": {"2": 3}}, "unknown site '2'"),
    (
        {"keep": {"0": 7}},
        "`keep` has 7 units for '0'; it has 6, of which 1 or more stay.",
    ),
    ({"keep": {"0": 0}}, "`keep` has 0 units for '0'; it has 6"),
    ({"keep": {"0": True}}, "`keep` has True units for '0'; it has 6"),
    ({"keep": {"0": 2.5}}, "`keep` has 2.5 units for '0'; it has 6"),
    (
        {"parameters": 0.01},
        (
            "`parameters` is 0.01; the least that can be had is 0.216, with the fewest units "
            "left of every layer that can be cut. Allow more."
        ),
    ),
    (
        {"units": 0.1},
        "`units` is 0.1; the least that can be had is 0.167, with the fewest units left",
    ),
    (
        {"tolerance": 0.01},
        (
            "50 held-out examples cannot show that at most 0.01 of the labels change: even without "
            "one changed label 299 are needed. Pass 299 or more as `held_out` (or 598 as `data`), "
            "or a larger `tolerance`."
        ),
    ),
]


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_arguments(model: nn.Module, x: Tensor, options: dict[str, Any], message: str) -> None:
    with pytest.raises((BadArgument, UnknownName), match=re.escape(message)) as raised:
        fv.compress(model, x, **options)
    assert "\n" not in str(raised.value)


def test_no_module(x: Tensor) -> None:
    with pytest.raises(BadArgument, match=r"`model` is a torch\.nn\.Module; got function"):
        fv.compress(lambda x: x, x)  # type: ignore[arg-type]


def test_too_few_examples(model: nn.Module, x: Tensor) -> None:
    message = "`data` has 15 examples, and half of them are to certify; give 16 at least, or"
    with pytest.raises(BadArgument, match=message):
        fv.compress(model, x[:15], units=0.5)
    with pytest.raises(BadArgument, match=r"`data` has 7 examples to search with; 8 are the least"):
        fv.compress(model, x[:7], units=0.5, held_out=x)
    assert fv.compress(model, x[:8], units=0.5, held_out=x[8:9]).report.facts["held_out"] == 1


def test_examples_that_do_not_fit(model: nn.Module) -> None:
    with pytest.raises(BadArgument, match=r"`data` does not fit `model` \(Sequential\)"):
        fv.compress(model, torch.zeros(100, 5), units=0.5)


def test_a_site_that_cannot_be_cut() -> None:
    layers = nn.Linear(4, 6), nn.LayerNorm(6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU()
    model, x = nn.Sequential(*layers, nn.Linear(5, 3)), torch.zeros(100, 4)
    why = "`keep` names '0', which cannot be cut: 'layer_norm' works on all units together."
    with pytest.raises(BadArgument, match=re.escape(why)):
        fv.compress(model, x, keep={"0": 3})


def test_nothing_that_can_be_cut() -> None:
    model, x = nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, 3)), torch.zeros(100, 4)
    why = "no layer of `model` can be cut: 0 (1 layer): 'layer_norm' works on all units together"
    with pytest.raises(FrivolousError, match=re.escape(why)):
        fv.compress(model, x, units=0.5)
