"""Effective width, on networks that are known to need so many units."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from frivolous.constructions import more_of_both, only_more_prunable, only_more_redundant
from frivolous.errors import BadArgument
from frivolous.families import MLP, fixed, initialise
from frivolous.measurement.effective_width import EffectiveWidth, effective_width
from frivolous.network import Network, trace
from frivolous.statistics.streaming import collect

NARROW = (6, 5)


@pytest.fixture(scope="module")
def narrow() -> MLP:
    network = MLP(8, NARROW, 3).double()
    initialise(network, fixed(1.0, "normal"), torch.Generator().manual_seed(4), bias=0.1)
    return network


@pytest.fixture(scope="module")
def x() -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(400, 8, generator=generator, dtype=torch.float64)


def widths(model: nn.Module, x: Tensor, tolerance: float = 0.0) -> list[EffectiveWidth]:
    return widths_of(trace(model, x[:2]), x, tolerance)


def widths_of(network: Network, x: Tensor, tolerance: float) -> list[EffectiveWidth]:
    batches = x.split(150)
    activity = collect(network, batches, examples=len(x))
    return [
        effective_width(network, batches, activity[site.name], tolerance=tolerance)
        for site in network.sites
    ]


@pytest.fixture(scope="module", params=["copies", "silent", "shared", "redundant", "prunable"])
def pair(
    request: pytest.FixtureRequest, narrow: MLP, x: Tensor
) -> tuple[tuple[Network, Tensor], tuple[Network, Tensor]]:
    """A narrow network and a wide one made of it, each with its inputs."""
    if request.param == "prunable":
        made = only_more_prunable(narrow, x)
    elif request.param == "redundant":
        made = only_more_redundant(narrow, x, balance=1024.0)
    else:
        made = more_of_both(narrow, x, how=request.param)
    both = (made.narrow, made.narrow_inputs), (made.wide, made.inputs)
    first, second = ((trace(model, inputs[:2]), inputs) for model, inputs in both)
    return first, second


@pytest.mark.parametrize("tolerance", [0.0, 0.05, 0.2])
def test_a_wide_network_needs_as_many_units_as_the_narrow_one(
    pair: tuple[tuple[Network, Tensor], tuple[Network, Tensor]], tolerance: float
) -> None:
    wanted, wide = (widths_of(network, inputs, tolerance) for network, inputs in pair)
    for found, own in zip(wide, wanted, strict=True):
        assert found.width > own.width
        assert found.units == own.units <= own.width
        assert found.apart


def test_all_units_where_none_can_go_and_none_where_one_label_is_all() -> None:
    apart = nn.Sequential(nn.Linear(4, 4), nn.Identity(), nn.ReLU(), nn.Linear(4, 4)).double()
    for layer in (apart[0], apart[3]):
        layer.weight.data.copy_(torch.eye(4))
        layer.bias.data.zero_()
    x = torch.eye(4, dtype=torch.float64).repeat(50, 1)
    x += 0.01 * torch.rand(x.shape, generator=torch.Generator().manual_seed(0))
    # The sum of the four units hardly varies: three predict the fourth.
    (found,) = widths(apart, x)
    assert (found.units, found.unchanged_K[found.tried_K == 3]) == (3, 200)
    apart[3].bias.data[2] = 100.0
    (found,) = widths(apart, x)
    assert (found.units, found.low, found.high) == (0, 0, 4)
    assert found.tried_K.tolist() == [0, 1, 2, 3, 4]
    assert found.unchanged_K.tolist() == [200] * 5


def test_numbers_tried_their_labels_and_bounds(narrow: MLP, x: Tensor) -> None:
    found = widths(more_of_both(narrow, x).wide, x, 0.05)[0]
    assert found.tried_K[0] == 0
    assert found.tried_K[-1] == found.width == 12
    assert found.unchanged_K[-1] == found.examples == 400
    least = 0.95 * 400
    below = found.tried_K == found.units - 1
    assert found.unchanged_K[found.tried_K == found.units] >= least
    assert found.unchanged_K[below] < least
    assert found.low <= found.units <= found.high
    wider = dataclasses.replace(found, examples=40, unchanged_K=found.unchanged_K // 10)
    assert wider.low <= found.low
    assert wider.high >= found.high


def test_examples_are_predicted_by_fits_to_others() -> None:
    # More units than examples, each its own noise: fitted to themselves they would predict all.
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(60, 60), nn.ReLU(), nn.Linear(60, 4)).double()
    x = torch.randn(48, 60, generator=generator, dtype=torch.float64)
    (found,) = widths(model, x, 0.02)
    assert found.units > 48


def test_permuted_and_rescaled_units(narrow: MLP, x: Tensor) -> None:
    before = widths(narrow, x, 0.1)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    scale = 2.0 ** torch.tensor([3, -2, 0, 5, -4, 1])
    other = MLP(8, NARROW, 3).double()
    state = narrow.state_dict()
    first, second = [name for name in state if name.endswith("weight")][:2]
    bias = first.replace("weight", "bias")
    state[first] = state[first][order] * scale[:, None]
    state[bias] = state[bias][order] * scale
    state[second] = state[second][:, order] / scale
    other.load_state_dict(state)
    after = widths(other, x, 0.1)
    assert [one.units for one in after] == [one.units for one in before]
    assert order[after[0].elimination.order_U].tolist() == before[0].elimination.order_U.tolist()
    np.testing.assert_array_equal(after[0].unchanged_K, before[0].unchanged_K)


def test_feature_maps(x: Tensor) -> None:
    images = x[:200].view(200, 1, 2, 4).repeat(1, 1, 4, 2).float()
    generator = torch.Generator().manual_seed(1)
    images += 0.3 * torch.randn(images.shape, generator=generator)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.ReLU(), nn.Flatten(),
        nn.Linear(4 * 36, 3),
    )  # fmt: skip
    model[0].weight.data[4:] = model[0].weight.data[:4]
    model[0].bias.data[4:] = model[0].bias.data[:4]
    first, _ = widths(model, images)
    assert first.units <= 4
    assert sorted(unit % 4 for unit in first.elimination.kept(4)) == [0, 1, 2, 3]


def test_matrices_in_parts_give_the_same(
    narrow: MLP, x: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = widths(narrow, x, 0.1)
    monkeypatch.setattr("frivolous.measurement.effective_width.MATRIX_BYTES", 2000)
    for one, other in zip(whole, widths(narrow, x, 0.1), strict=True):
        assert one.units == other.units
        np.testing.assert_array_equal(one.unchanged_K, other.unchanged_K)


def test_wrong_arguments(narrow: MLP, x: Tensor) -> None:
    with pytest.raises(BadArgument, match=r"`tolerance` is a share in \[0, 1\); got 2"):
        widths(narrow, x, 2.0)
    network = trace(narrow, x[:2])
    activity = collect(network, [x], examples=len(x))
    with pytest.raises(BadArgument, match=r"`batches` holds no example"):
        effective_width(network, [], next(iter(activity.values())))
