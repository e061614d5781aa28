"""The dense networks against the published parameter counts and a computation by hand."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from frivolous.errors import BadArgument
from frivolous.families import FAMILIES, MLP, mlp, parameter_count

FACTORS = (0.25, 0.5, 1, 2, 4)


@pytest.mark.parametrize(
    ("inputs", "published"),
    [
        (10, (418, 834, 1_666, 3_330, 6_658)),
        (10_000, (320_098, 640_194, 1_280_386, 2_560_770, 5_121_538)),
    ],
)
def test_parameter_counts_are_the_published_ones(inputs: int, published: tuple[int, ...]) -> None:
    """Ends as published (figure E1); in between (inputs + 3) * units + 2."""
    counts = [parameter_count(mlp(inputs, factor)) for factor in FACTORS]
    assert counts == list(published)
    assert counts == [(inputs + 3) * n + 2 for n in (32, 64, 128, 256, 512)]


def test_frozen_and_shared_parameters() -> None:
    network = MLP(4, [4, 4], 2)
    network.layers[1].weight = network.layers[0].weight
    network.layers[2].bias.requires_grad_(False)
    assert parameter_count(network) == 16 + 4 + 4 + 8


@pytest.mark.parametrize("bias", [True, False])
def test_scores_are_those_of_numpy(bias: bool) -> None:
    network = MLP(3, [5, 4, 6], 2, bias=bias).double()
    inputs = torch.randn(7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    value = inputs.numpy()
    for i, layer in enumerate(network.layers):
        value = value @ layer.weight.detach().numpy().T
        value += layer.bias.detach().numpy() if bias else 0
        value = np.maximum(value, 0) if i < 3 else value
    np.testing.assert_allclose(network(inputs).detach().numpy(), value, rtol=1e-12)
    names = [f"layers.{i}.{kind}" for i in range(4) for kind in ("weight", "bias")[: 1 + bias]]
    assert list(network.state_dict()) == names


def test_widths_scale_by_whole_units() -> None:
    assert mlp(10, 0.5, base=(5, 3)).hidden == (2, 1)
    assert FAMILIES["mlp"].build(1 / 3, inputs=6, classes=4, base=(9,)).hidden == (3,)
    assert MLP(np.int64(2), [np.int64(3)], 1).hidden == (3,)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MLP(0, [3], 2), "`inputs` is a whole number of at least 1; got 0."),
        (lambda: MLP(2, [3, 0], 2), "`hidden[1]` is a whole number of at least 1; got 0."),
        (lambda: MLP(2, [3.0], 2), "`hidden[0]` is a whole number of at least 1; got 3.0."),
        (lambda: MLP(2, [3], True), "`outputs` is a whole number of at least 1; got True."),
        (lambda: MLP(2, [], 2), "at least one layer; got []."),
        (lambda: MLP(2, 128, 2), "got 128. For one layer of 128 units pass (128,)."),
        (lambda: mlp(2, 0), "`size_factor` is a positive number; got 0."),
        (lambda: mlp(2, float("nan")), "`size_factor` is a positive number; got nan."),
        (
            lambda: mlp(2, 0.25, base=(8, 2)),
            "a layer of 2 units without any; every layer keeps at least one. Pass 0.5 or more",
        ),
    ],
)
def test_errors_say_what_to_do(make: object, message: str) -> None:
    with pytest.raises(BadArgument, match=re.escape(message)):
        make()  # type: ignore[operator]
