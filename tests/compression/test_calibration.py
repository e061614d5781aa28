"""Gradients of the relative margin by finite differences, and their second moments by a loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from frivolous.compression.coupling.groups import GroupReader
from frivolous.compression.criteria import calibration
from frivolous.compression.criteria.calibration import (
    GradientCollector,
    collect_statistics,
    gradients_of,
    products_of,
)
from frivolous.compression.pruner import Pruner
from frivolous.inputs.batches import as_batches
from frivolous.network import Network, trace
from frivolous.network.program import Edit


class Net(nn.Module):
    """A convolution read by a convolution, that by a dense layer at every position."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv1d(2, 5, 2), nn.Conv1d(5, 4, 2)
        self.out = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.two(torch.tanh(self.one(x))))
        return self.out(x.transpose(1, 2)).mean(1)


def read(examples: int = 7) -> tuple[nn.Module, Network, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Net().double().eval()
        x = torch.randn(examples, 2, 5, dtype=torch.float64)
    return model, trace(model, x[:2]), x


def margin(scores: Tensor) -> Tensor:
    best = scores.sort(-1, descending=True).values
    return best[..., 0] - best[..., 1]


def relative(scores: Tensor) -> np.ndarray:
    """How much a change of the margin of each example counts."""
    square = margin(scores).square()
    return (1 / (square + 0.1 * square.mean()).sqrt()).numpy()


def shifted(place: tuple[int, ...], by: float) -> Edit:
    def edit(value: Tensor) -> Tensor:
        value = value.clone()
        value[(slice(None), *place)] += by
        return value

    return edit


@pytest.mark.parametrize("layer", ["one", "two"])
def test_gradients_are_differences_of_the_relative_margin(layer: str) -> None:
    model, network, x = read()
    convs = [step for step in network.program.steps if step.op == "conv1d"]
    step = convs[("one", "two").index(layer)].index
    seen, found = gradients_of(network, {step}, {step}, x)
    with torch.no_grad():
        hidden = model.one(x) if layer == "one" else model.two(torch.tanh(model.one(x)))
        torch.testing.assert_close(seen[step], hidden)
        weight = relative(model(x))
    assert found[step].shape == hidden.shape

    def scores_of(hidden: Tensor) -> Tensor:
        with torch.no_grad():
            value = model.two(torch.tanh(hidden)) if layer == "one" else hidden
            return model.out(torch.tanh(value).transpose(1, 2)).mean(1)

    for place in np.ndindex(*hidden.shape[1:]):
        ends = [margin(scores_of(shifted(place, by)(hidden))) for by in (1e-5, -1e-5)]
        difference = (ends[0] - ends[1]).numpy() / 2e-5 * weight
        given = found[step][(slice(None), *place)].numpy()
        np.testing.assert_allclose(given, difference, atol=1e-6)


def test_no_gradient_where_scores_do_not_depend_on_it() -> None:
    class Idle(Net):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + 0 * self.two(torch.tanh(self.one(x))).sum((1, 2))[:, None]

    model, _, x = read()
    idle = Idle().double().eval()
    idle.load_state_dict(model.state_dict())
    network = trace(idle, x[:2])
    last = [step.index for step in network.program.steps if step.op == "conv1d"][-1]
    _, found = gradients_of(network, set(), {last}, x)
    assert (found[last] == 0).all()


def plain_squares(gradient: Tensor) -> np.ndarray:
    """Sum over positions, mean over examples, of g g'; outputs are axis 1."""
    total = np.zeros((gradient.shape[1],) * 2)
    for example in gradient.numpy():
        for position in np.ndindex(*example.shape[1:]):
            g = example[(slice(None), *position)]
            total += np.outer(g, g)
    return total / len(gradient)


def test_squares_by_a_plain_loop_whatever_the_batches() -> None:
    _, network, x = read(11)
    convs = [step.index for step in network.program.steps if step.op == "conv1d"]
    (dense,) = (step.index for step in network.program.steps if step.op == "linear")
    _, slopes = gradients_of(network, set(), {*convs, dense}, x)
    for cuts in ([11], [4, 7], [1, 5, 5]):
        squares = GradientCollector(network, {*convs, dense})
        assert squares.mean(convs[0]) is None
        for part in zip(*(slopes[i].split(cuts) for i in slopes), strict=True):
            squares.add({}, dict(zip(slopes, part, strict=True)), len(part[0]))
        for step in convs:
            np.testing.assert_allclose(squares.mean(step), plain_squares(slopes[step]), atol=1e-12)
        last = plain_squares(slopes[dense].transpose(1, 2))
        np.testing.assert_allclose(squares.mean(dense), last, atol=1e-12)


def test_examples_without_gradients_do_not_count() -> None:
    _, network, x = read()
    step = next(step.index for step in network.program.steps if step.op == "conv1d")
    _, slopes = gradients_of(network, set(), {step}, x)
    squares = GradientCollector(network, {step})
    for part in (slopes, {}, {}):
        squares.add({}, part, len(x))
    np.testing.assert_allclose(squares.mean(step), plain_squares(slopes[step]), atol=1e-12)


@pytest.mark.parametrize("differentiated", [0, 5, 100])
def test_evidence_is_in_the_metric_of_the_first_examples(
    differentiated: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, network, x = read(12)
    monkeypatch.setattr(calibration, "GRADIENT_BATCH", 1000)
    pruner = Pruner(model, network, None)
    found = collect_statistics(
        pruner.network, pruner.cuts, as_batches(x), differentiated=differentiated
    )
    for cut in pruner.cuts:
        for one in found[cut.name]:
            step, weight = one.read.step, pruner.network.state[one.read.weight]
            flat = weight.movedim(one.read.inner, 0).movedim(1, -1).reshape(-1, len(weight))
            metric = np.eye(len(weight))
            if differentiated:
                _, slopes = gradients_of(pruner.network, set(), {step}, x[:differentiated])
                gradient = slopes[step] if one.read.convolves else slopes[step].transpose(1, 2)
                metric = plain_squares(gradient)
            wanted = flat.numpy() @ metric @ flat.numpy().T
            np.testing.assert_allclose(one.products_FF, wanted, atol=1e-12)
            # Moments are of all examples, with a gradient or without.
            assert one.moments.count > 5 * 3


def features(read: GroupReader, weight: Tensor) -> Callable[[Any], np.ndarray]:
    """Products by the definition, for a read in which a unit is one feature."""
    rows = weight.movedim(read.inner, 0).flatten(2).double().numpy()

    def products(metric: np.ndarray) -> np.ndarray:
        return np.asarray(np.einsum("urt,rs,vst->uv", rows, metric, rows))

    return products


def test_products_with_taps_together() -> None:
    _, network, _ = read()
    weight = network.state["two.weight"]
    one = GroupReader(0, "conv1d", 1, 1, np.arange(5)[:, None], "two.weight", "two.bias", 1, True)
    random = np.random.default_rng(0).normal(size=(4, 4))
    metric = random @ random.T
    found = products_of(one, weight, 1, torch.as_tensor(metric))
    np.testing.assert_allclose(found, features(one, weight)(metric), atol=1e-12)
    alike = products_of(one, weight, 1)
    np.testing.assert_allclose(alike, features(one, weight)(np.eye(4)), atol=1e-12)
