"""Models of 16-bit numbers: measured as they are, with a word on what rounding changes."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import frivolous as fv
from frivolous.ablation.label_agreement import ablate
from frivolous.network import trace

pytestmark = pytest.mark.rounding

RANDOM = torch.Generator().manual_seed(0)


def network(spread: float) -> nn.Sequential:
    """A small network whose scores lie ``spread`` apart."""
    model = nn.Sequential(
        nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 12), nn.GELU(), nn.Linear(12, 3)
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=RANDOM) / 2)
        model[4].weight *= spread
    return model


INPUTS = torch.randn(400, 6, generator=RANDOM)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_labels_that_rounding_changes_are_counted_and_warned_of(dtype):
    close = network(0.01)
    with torch.no_grad():
        close[4].bias.copy_(torch.tensor([1.0, 1.0, 1.0]))  # next to which the rest is small
    close = close.to(dtype)
    inputs = INPUTS.to(dtype)
    # The same weights in float32, by hand.
    with torch.no_grad():
        ours = close(inputs).argmax(1)
        exact = copy.deepcopy(close).float()(inputs.float()).argmax(1)
    changed = int((ours != exact).sum())
    assert 0 < changed < 400
    name = str(dtype).removeprefix("torch.")
    with pytest.warns(
        UserWarning, match=f"computes in {name}: rounding alone changes {changed} of 400"
    ):
        found = fv.measure(close, inputs, joint_tolerance=None, unit_examples=None)
    assert found.facts["rounding"] == {"dtype": name, "changed": changed, "labels": 400}
    assert f"{name}: rounding alone changes {changed} of 400 labels" in " ".join(
        found.summary().split()
    )


def test_bfloat16_gives_what_float32_gives_but_for_rounding():
    model = network(1.0).bfloat16()
    inputs = INPUTS.bfloat16()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        found = fv.measure(model, inputs, unit_examples=200)
    finer = fv.measure(copy.deepcopy(model).float(), inputs.float(), unit_examples=200)
    assert "rounding" not in finer.facts
    assert list(found.table.measure) == list(finer.table.measure)
    for measure, within in (
        ("redundant", 1),
        ("effective", 3),
        ("similarity", 0.3),
        ("area", 0.03),
    ):
        assert found.value(measure) == pytest.approx(finer.value(measure), abs=within)
    np.testing.assert_allclose(found.units["sd"], finer.units["sd"], rtol=0.02)
    np.testing.assert_allclose(found.units["outgoing"], finer.units["outgoing"], rtol=1e-6)


def test_ablation_in_bfloat16_is_what_a_mask_in_bfloat16_gives():
    model = network(1.0).bfloat16()
    inputs = INPUTS.bfloat16()
    traced = trace(model, inputs[:2])
    with torch.no_grad():
        hidden = model[1](model[0](inputs))
        hidden[:, [1, 5]] = 0
        by_hand = model[4](model[3](model[2](hidden)))
    found = ablate(traced, inputs, {"0": [1, 5]})
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, by_hand)
