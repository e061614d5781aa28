"""Whatever small network and data come: a stated answer, or one line that says what is wrong."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import frivolous as fv
from frivolous.errors import FrivolousError
from frivolous.measures.unit_kinds import KINDS

UNITS = ("prunable", "redundant", "effective", "silent", "constant")
SHARES = ("area", "compressibility")


class Odd(nn.Module):
    """A dense or convolutional network with weights of some kind."""

    def __init__(self, kind: str, width: int, classes: int, images: bool, seed: int) -> None:
        super().__init__()
        first = nn.Conv2d(2, width, 3, padding=1) if images else nn.Linear(4, width)
        pooled = [nn.AdaptiveAvgPool2d(1), nn.Flatten()] if images else []
        self.body = nn.Sequential(first, nn.ReLU(), *pooled, nn.Linear(width, classes))
        random = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=random))
            if kind == "silent":
                first.weight.zero_()
                first.bias.fill_(-1)
            if kind == "constant":
                first.weight.zero_()
                first.bias.fill_(2)
            if kind == "copies":
                first.weight.copy_(first.weight[:1].expand_as(first.weight))
                first.bias.fill_(0.5)
            if kind == "blocked":
                self.body[-1].weight.zero_()
            if kind == "huge":
                first.weight.mul_(1e30)
                self.body[-1].weight.mul_(1e30)
            if kind == "tiny":
                first.weight.mul_(1e-30)
            if kind == "not a number":
                first.bias[0] = float("nan")

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


def examples(kind: str, count: int, images: bool, seed: int) -> Tensor:
    """Inputs of some kind."""
    shape = (count, 2, 3, 3) if images else (count, 4)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    if kind == "constant":
        x[:] = x[:1]
    if kind == "zero":
        x.zero_()
    if kind == "not a number":
        x.view(count, -1)[-1, 0] = float("nan")
    if kind == "infinite":
        x.view(count, -1)[0, 0] = float("inf")
    return x


# What fails is small as it is, and reading models anew takes long: it is not made smaller.
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(
    weights=st.sampled_from(
        ["drawn", "silent", "constant", "copies", "blocked", "huge", "tiny", "not a number"]
    ),
    inputs=st.sampled_from(["drawn", "constant", "zero", "not a number", "infinite"]),
    width=st.sampled_from([1, 2, 5]),
    classes=st.sampled_from([1, 2, 3]),
    count=st.sampled_from([1, 2, 3, 20]),
    images=st.booleans(),
    grain=st.sampled_from(["channel", "position"]),
    replacement=st.sampled_from(["zero", "mean"]),
    precision=st.sampled_from([None, 0.1]),
    intervals=st.sampled_from(["wilson", "exact"]),
    batch_size=st.sampled_from([1, 7, 256]),
    seed=st.integers(0, 3),
)
def test_measure_answers_or_says_what_is_wrong_in_one_line(
    weights, inputs, width, classes, count, images, grain, replacement, precision, intervals,
    batch_size, seed,
):  # fmt: skip
    model = Odd(weights, width, classes, images, seed)
    data = examples(inputs, count, images, seed)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            found = fv.measure(
                model,
                data,
                grain=grain,
                replacement=replacement,
                precision=precision,
                intervals=intervals,
                batch_size=batch_size,
                seed=seed,
            )
        except FrivolousError as refused:
            found, error = None, str(refused)
    if found is None:
        wrong = "not a number" in (weights, inputs) or inputs == "infinite" or weights == "huge"
        assert wrong or classes == 1, error
        assert "\n" not in error
        assert len(error) < 600
        return
    assert classes > 1
    assert inputs != "not a number"  # an infinite one may end at a ReLU
    assert weights != "not a number"
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    for _, row in found.table.iterrows():
        top = row.width if row.measure in UNITS else 1 if row.measure in SHARES else row.width
        assert 0 <= row.value <= top + 1e-9
        if not np.isnan(row.low):
            assert row.low - 1e-9 <= row.value <= row.high + 1e-9, row
        else:
            assert count == 1
    assert found.curves.unchanged.between(0, 1).all()
    assert len(found.units) == width
    assert set(found.units.kind) <= set(KINDS)
    if weights == "silent":
        assert (found.units.kind == "silent").all()
        assert found.value("effective") == 0
    assert found.joint.error.between(0, 1 + 1e-9).all()
    assert found.summary()


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    data=st.one_of(
        st.none(),
        st.integers(),
        st.text(max_size=3),
        st.lists(st.integers(), max_size=3),
        st.just(torch.zeros(0, 4)),
        st.just(torch.zeros(3)),
        st.just(torch.zeros(3, 5)),
        st.just(torch.zeros(3, 4, dtype=torch.int64)),
        st.just([torch.zeros(2, 4), torch.zeros(2, 3)]),
        st.just((torch.zeros(3, 4), torch.zeros(2, dtype=torch.int64))),
        st.just({"x": torch.zeros(3, 4), "y": torch.zeros(3, 4)}),
        st.just(np.zeros((3, 4))),
    )
)
def test_data_of_any_other_form_is_refused_in_one_line(data):
    model = Odd("drawn", 2, 2, images=False, seed=0)
    with pytest.raises(FrivolousError, match=r"^[^\n]*`data`[^\n]*$"):
        fv.measure(model, data)
