"""The residual networks against the published parameter counts and the layers written out."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from frivolous.families import FAMILIES, parameter_count
from frivolous.families.initialisers import undrawn
from frivolous.families.resnet import Projection, ResNet, resnet18, resnet56
from frivolous.rng import generator

PUBLISHED = {
    "resnet56": (54_518, 215_362, 856_058, 3_413_482, 13_632_458),
    "resnet18": (831_513, 3_057_225, 11_694_249, 45_710_697, 180_713_193),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameter_counts_are_the_published_ones(name: str) -> None:
    with torch.device("meta"):
        counts = [parameter_count(FAMILIES[name].build(f)) for f in (0.25, 0.5, 1, 2, 4)]
    assert counts == list(PUBLISHED[name])


def by_hand(state: dict[str, Tensor], images: Tensor, blocks: int, large: bool) -> Tensor:
    """The forward pass from the weights alone, with running statistics."""

    def normed(maps: Tensor, name: str) -> Tensor:
        mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        scale = state[f"{name}.weight"] / (variance + 1e-5).sqrt()
        shape = (1, -1, 1, 1)
        return (maps - mean.view(shape)) * scale.view(shape) + state[f"{name}.bias"].view(shape)

    def mixed(maps: Tensor, name: str, stride: int) -> Tensor:
        weight = state[f"{name}.weight"]
        return F.conv2d(maps, weight, None, stride, padding=weight.shape[-1] // 2)

    maps = normed(mixed(images, "conv", 2 if large else 1), "norm").relu()
    if large:
        maps = F.max_pool2d(F.pad(maps, (0, 1, 0, 1)), 3, 2)
    groups = 4 if large else 3
    for group in range(groups):
        for block in range(blocks):
            at, stride = f"groups.{group}.{block}", 2 if group > 0 and block == 0 else 1
            shortcut = maps
            if block == 0:
                shortcut = mixed(maps, f"{at}.projection", stride)
                shortcut = normed(shortcut, f"{at}.projection_norm")
            maps = normed(mixed(maps, f"{at}.first", stride), f"{at}.first_norm").relu()
            maps = normed(mixed(maps, f"{at}.second", 1), f"{at}.second_norm")
            maps = (maps + shortcut).relu()
    return maps.mean((2, 3)) @ state["dense.weight"].T + state["dense.bias"]


def stirred(model: ResNet) -> ResNet:
    """The model with statistics, scales and shifts that do something."""
    random = generator("stirred")
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.weight, module.bias, module.running_mean, module.running_var):
                assert values is not None
                values.data = torch.rand(values.shape, generator=random) + 0.5
    return model.double().eval()


@pytest.mark.parametrize(
    ("model", "blocks", "large"),
    [
        (resnet56(1, base=(3, 4, 5, 6), image=(1, 16, 16)), 9, False),
        (resnet18(1, base=(3, 4, 5, 6, 7), classes=4, image=(1, 40, 32)), 2, True),
    ],
)
def test_scores_are_those_by_hand(model: ResNet, blocks: int, large: bool) -> None:
    stirred(model)
    size = (40, 32) if large else (16, 16)
    images = torch.randn(3, 1, *size, generator=generator("images"), dtype=torch.float64)
    with torch.no_grad():
        found, expected = model(images), by_hand(model.state_dict(), images, blocks, large)
    torch.testing.assert_close(found, expected)


def test_normalisation_keeps_the_papers_share() -> None:
    norms = [m for m in resnet18(0.25).modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 1 + 2 * 8 + 4
    assert all(m.momentum == pytest.approx(0.003) and m.eps == 1e-5 for m in norms)
    quick = resnet56(0.25, norm_decay=0.9)
    assert quick.norm.momentum == pytest.approx(0.1)


def test_they_start_as_the_original_code_does() -> None:
    """Convolutions of variance 1 / fan_in, truncated; scores uniform after Glorot."""
    model = undrawn(lambda: resnet56(1))
    FAMILIES["resnet56"].start(model, "default", generator("start"))
    state = model.state_dict()
    weight, sigma = state["groups.2.4.first.weight"], math.sqrt(1 / (64 * 9))
    assert weight.std().item() == pytest.approx(sigma, rel=0.02)
    assert weight.abs().max() <= 2 * sigma / 0.8796
    limit = math.sqrt(6 / (64 + 10))
    assert 0.9 * limit < state["dense.weight"].abs().max().item() <= limit
    assert torch.equal(state["dense.bias"], torch.zeros(10))
    assert torch.equal(state["norm.weight"], torch.ones(16))
    assert torch.equal(state["norm.running_var"], torch.ones(16))
    assert torch.equal(state["groups.0.0.projection_norm.bias"], torch.zeros(16))


def test_the_papers_layers() -> None:
    assert list(FAMILIES["resnet56"].layers) == ["init-conv", "block-1", "block-2", "block-3"]
    assert FAMILIES["resnet18"].layers["block-4"] == "groups.3.1.second"


@pytest.mark.parametrize("read", [4, 8])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_projection_is_a_convolution_in_training_too(read: int, stride: int) -> None:
    """Of channels side by side, of which PyTorch's own corrupts memory where 4 are read by AVX2."""
    ours = Projection(read, 8, 1, stride, bias=False).double()
    state, images = ours.state_dict(), torch.randn(4, read, 7, 8, generator=generator("images"))
    theirs = nn.Conv2d(read, 8, 1, stride, bias=False).double()
    theirs.load_state_dict(state)
    found = []
    for convolution in (ours, theirs):
        maps = images.double().contiguous(memory_format=torch.channels_last).requires_grad_()
        given = convolution(maps)
        given.square().sum().backward()
        found.append((given, maps.grad, convolution.weight.grad))
    torch.testing.assert_close(*found)
    assert torch.equal(ours.eval()(images.double()), theirs(images.double()))
