"""Which of a model's outputs a network computes."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from frivolous.errors import BadArgument, NotTraceable, UnknownName
from frivolous.network import trace

Pair = namedtuple("Pair", ["mean", "spread"])


@dataclass
class Record:
    scores: Tensor
    note: str
    loss: Tensor | None = None


class Unknown:
    """Something that no export knows how to give."""


FORMS = {
    "dict": lambda y, x: {"state": y + 1, "logits": y, "cache": Unknown()},
    "record": lambda y, x: Record(y, "text"),
    "pair": lambda y, x: Pair(y, y.exp()),
    "tuple": lambda y, x: (y, y.exp(), [y]),
    "list": lambda y, x: [y.argmax(1), y],
    "two": lambda y, x: {"mean": y, "spread": y.exp()},
    "none": lambda y, x: {"label": y.argmax(1), "cache": Unknown()},
}


class Giving(nn.Module):
    def __init__(self, form: str) -> None:
        super().__init__()
        self.one, self.two, self.form = nn.Linear(4, 5), nn.Linear(5, 3), form

    def forward(self, x: Tensor) -> Any:
        return FORMS[self.form](self.two(torch.relu(self.one(x))), x)


def scores(model: Giving, x: Tensor) -> Tensor:
    with torch.no_grad():
        return model.two(torch.relu(model.one(x)))


@pytest.mark.parametrize(
    ("form", "output", "change"),
    [
        ("dict", None, torch.clone),
        ("dict", "state", lambda y: y + 1),
        ("record", None, torch.clone),
        ("record", "scores", torch.clone),
        ("pair", "spread", torch.exp),
        ("tuple", 1, torch.exp),
        ("list", None, torch.clone),
    ],
)
def test_one_entry_is_chosen(form, output, change) -> None:
    model, x = Giving(form).eval(), torch.randn(6, 4)
    net = trace(model, x[:2], output=output)
    assert torch.equal(net(x), change(scores(model, x)))
    assert [site.name for site in net.sites] == ["one"]
    assert "forward" not in vars(model)


def message(form: str, output: str | int | None, kind: type[Exception]) -> str:
    model = Giving(form)
    with pytest.raises(kind) as told:
        trace(model, torch.zeros(2, 4), output=output)
    assert "forward" not in vars(model)
    assert "\n" not in str(told.value)
    return str(told.value)


def test_several_tensors_and_no_choice_are_listed() -> None:
    told = message("two", None, NotTraceable)
    assert told == (
        "`model` (Giving) returns dict with 2 tensors: mean (N, 3), spread (N, 3). A network is "
        "read up to one; name it, e.g. `output='mean'`."
    )
    assert "`output=0`" in message("tuple", None, NotTraceable)


def test_no_tensor_is_said_with_a_remedy() -> None:
    assert "returns dict without a floating-point tensor" in message("none", None, NotTraceable)


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    told = message("two", "spred", UnknownName)
    assert told == "unknown output 'spred'; did you mean 'spread'? Known: mean, spread."
    assert "Known: 0, 1, 2." in message("tuple", 7, UnknownName)


def test_an_entry_that_is_no_tensor_is_refused() -> None:
    told = message("tuple", 2, BadArgument)
    assert told.startswith("`output` names '2', which is of type list; a network is read up to one")


def test_a_name_for_a_single_tensor_is_refused() -> None:
    with pytest.raises(BadArgument, match="`output` is 'logits', but `model` .Linear. gives one"):
        trace(nn.Linear(4, 3), torch.zeros(2, 4), output="logits")
