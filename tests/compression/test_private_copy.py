"""The user's own module is neither run, timed nor written; what runs are copies."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from generated import picture
from torch import Tensor, nn
from torch.nn.utils import spectral_norm

import frivolous as fv
from frivolous.compression.private_copy import private_copy
from frivolous.compression.profiling import Latency, latency_of

asking = importlib.import_module("frivolous.compression.selection")

X = torch.randn(120, 6, generator=torch.Generator().manual_seed(0))


class Watched(nn.Module):
    """A layer that counts its calls in a buffer, keeps a list of them and caches what it gave."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))
        self.register_buffer("last", torch.zeros(1), persistent=False)
        self.seen: list[int] = []
        self.cache: dict[str, Any] = {}

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.last = x.detach().mean()[None]
        self.seen.append(x.dim())
        self.cache["last"] = x.shape[1]
        return x


def watched() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = nn.Linear(6, 12), Watched(), nn.ReLU(), nn.Linear(12, 8), nn.ReLU()
        return nn.Sequential(*layers, nn.Linear(8, 3))


ASKED: dict[str, Callable[[nn.Module], Any]] = {
    "measure": lambda model: fv.measure(model, X),
    "tolerance": lambda model: fv.compress(model, X, tolerance=0.2),
    "exact": lambda model: fv.compress(model, X, tolerance=0),
    "units": lambda model: fv.compress(model, X, units=0.5),
    "parameters": lambda model: fv.compress(model, X, parameters=0.5),
    "flops": lambda model: fv.compress(model, X, flops=0.5),
    "latency": lambda model: fv.compress(model, X, latency=0.5),
    "keep": lambda model: fv.compress(model, X, keep={"0": 5}),
    "finetune": lambda model: fv.compress(model, X, units=0.5, finetune=2),
}


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules are run for their latency, and told to take as long as they have parameters."""

    def latency(before: nn.Module, after: nn.Module, inputs: Tensor) -> Latency:
        latency_of(before, after, inputs)
        ratio = sum(p.numel() for p in after.parameters()) / 200
        return Latency(1.0, ratio, ratio, ratio, ratio)

    monkeypatch.setattr(asking, "latency_of", latency)


@pytest.mark.parametrize("asked", [name for name in ASKED if name != "measure"])
def test_what_a_forward_writes_is_written_into_copies(asked: str) -> None:
    model = watched()
    before = picture(model)
    thin = ASKED[asked](model)
    assert picture(model) == before
    for layer in (model[1], thin.model[1]):
        assert int(layer.calls) == 0
        assert float(layer.last) == 0
        assert layer.seen == []
        assert layer.cache == {}


def test_measuring_leaves_buffers_alone() -> None:
    model = watched()
    fv.measure(model, X)
    assert int(model[1].calls) == 0


@pytest.mark.parametrize("asked", [name for name in ASKED if name != "measure"])
def test_hooks_and_loggers_see_nothing(asked: str, caplog: pytest.LogCaptureFixture) -> None:
    model, seen = watched(), []
    model[0].register_forward_hook(lambda *_: seen.append("forward"))
    model[3].register_forward_pre_hook(
        lambda *_: logging.getLogger("mine").warning("called"), with_kwargs=False
    )
    model[3].register_full_backward_hook(lambda *_: seen.append("backward"))
    with caplog.at_level(logging.WARNING, logger="mine"):
        thin = ASKED[asked](model)
    assert seen == []
    assert [line for line in caplog.records if line.name == "mine"] == []
    assert [len(part._forward_hooks) for part in model] == [1, 0, 0, 0, 0, 0], "they stay"
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in thin.model)
    assert thin.report.facts["hooks"] == ["0", "3"]
    assert "Hooks are not part of the network, and what they do is left out: on '0', '3'." in str(
        thin.report
    )
    model(X)
    assert seen == ["forward"]


def test_hooks_that_compute_weights_stay() -> None:
    layer = spectral_norm(nn.Linear(6, 12))
    model = nn.Sequential(layer, nn.ReLU(), nn.Linear(12, 3)).eval()
    own, silenced = private_copy(model)
    assert silenced == ()
    with torch.no_grad():
        layer.weight_orig *= 2
        own[0].weight_orig *= 2
        torch.testing.assert_close(own(X), model(X), rtol=0, atol=0)
