"""AlexNet against the published parameter counts and the layers written out."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import frivolous as fv
from frivolous.families import FAMILIES, parameter_count
from frivolous.families.alexnet import alexnet
from frivolous.families.initialisers import undrawn
from frivolous.rng import generator

ALEXNET = FAMILIES["alexnet"]
BASE = (8, 8, 12, 8)


@pytest.mark.parametrize(
    ("factor", "published"),
    [(0.25, 438_746), (0.5, 1_749_930), (1, 6_989_642), (2, 27_938_442), (4, 111_713_546)],
)
def test_parameter_counts_are_the_published_ones(factor: float, published: int) -> None:
    with torch.device("meta"):
        assert parameter_count(alexnet(factor)) == published


def normalised(maps: Tensor) -> Tensor:
    """One feature map after the other: two neighbours to each side."""
    squares = maps.square()
    sums = [squares[:, max(0, c - 2) : c + 3].sum(1) for c in range(maps.shape[1])]
    return maps / (1 + 2e-5 * torch.stack(sums, 1)) ** 0.75


def by_hand(state: dict[str, Tensor], images: Tensor) -> Tensor:
    value = images
    for name in ("conv1", "conv2"):
        value = F.pad(value, (2, 2, 2, 2))
        value = F.conv2d(value, state[f"{name}.weight"], state[f"{name}.bias"]).clamp(min=0)
        value = F.pad(value, (0, 1, 0, 1))  # what comes in is at least 0
        value = normalised(F.max_pool2d(value, 3, 2))
    value = value.flatten(1)
    for name in ("fc3", "fc4"):
        value = (value @ state[f"{name}.weight"].T + state[f"{name}.bias"]).clamp(min=0)
    return value @ state["out.weight"].T + state["out.bias"]


@pytest.mark.parametrize("training", [True, False])
def test_scores_are_those_by_hand(training: bool) -> None:
    model = alexnet(1, base=BASE, image=(3, 8, 12)).double().train(training)
    images = 50 * torch.randn(4, 3, 8, 12, generator=generator("images"), dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(model(images), by_hand(model.state_dict(), images))


def test_it_starts_as_the_original_code_does() -> None:
    """Biases layer by layer; truncated weights of Glorot's variance."""
    model = undrawn(lambda: alexnet(1, base=(96, 64, 96, 64)))
    ALEXNET.start(model, "default", generator("start"))
    state = model.state_dict()
    biases = {name: state[f"{name}.bias"] for name in ("conv1", "conv2", "fc3", "fc4", "out")}
    for bias, value in zip(biases.values(), (0.0, 0.1, 0.1, 0.1, 0.0), strict=True):
        assert torch.equal(bias, torch.full_like(bias, value))
    sigma = math.sqrt(2 / (25 * (96 + 64)))
    weight = state["conv2.weight"]
    assert weight.std().item() == pytest.approx(sigma, rel=0.02)
    assert weight.abs().max() <= 2 * sigma / 0.8796
    ALEXNET.start(model, "he-uniform", generator("start"))
    assert torch.equal(model.state_dict()["fc3.bias"], torch.full((96,), 0.1))


def test_dropout_acts_in_training_only() -> None:
    plain, dropping = (alexnet(1, base=BASE, dropout=share) for share in (0.0, 0.5))
    dropping.load_state_dict(plain.state_dict())
    images = torch.randn(3, 3, 32, 32, generator=generator("images"))
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        assert torch.equal(plain.eval()(images), dropping.eval()(images))
        assert not torch.equal(dropping.train()(images), dropping(images))


def test_sites_are_the_papers_four() -> None:
    """Read after ReLU and before pooling."""
    network = fv.trace(alexnet(1, base=BASE, image=(3, 9, 9)), torch.zeros(2, 3, 9, 9))
    sites = [(site.name, site.width, site.positions) for site in network.sites]
    assert sites == [("conv1", 8, (9, 9)), ("conv2", 8, (5, 5)), ("fc3", 12, ()), ("fc4", 8, ())]
    assert dict(ALEXNET.layers) == {name: name for name, _, _ in sites}
