"""LeNet-300-100, Conv-2/4/6 and VGG19 against known counts and the layers written out."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from frivolous.errors import BadArgument
from frivolous.families import FAMILIES, parameter_count
from frivolous.families.conv import conv
from frivolous.families.initialisers import undrawn
from frivolous.families.lenet import lenet
from frivolous.families.vgg import vgg19_bn
from frivolous.rng import generator


def convolution(read: int, written: int) -> int:
    return 9 * read * written + written


def dense(*sizes: int) -> int:
    return sum((a + 1) * b for a, b in pairwise(sizes))


VGG_MAPS = (64, 64, 128, 128, *[256] * 4, *[512] * 8)

COUNTS = {
    "lenet-300-100": dense(784, 300, 100, 10),
    "conv-2": convolution(3, 64) + convolution(64, 64) + dense(64 * 16 * 16, 256, 256, 10),
    "conv-4": convolution(3, 64)
    + convolution(64, 64)
    + convolution(64, 128)
    + convolution(128, 128)
    + dense(128 * 8 * 8, 256, 256, 10),
    "conv-6": convolution(3, 64)
    + convolution(64, 64)
    + convolution(64, 128)
    + convolution(128, 128)
    + convolution(128, 256)
    + convolution(256, 256)
    + dense(256 * 4 * 4, 256, 256, 10),
    "vgg19-bn": sum(map(convolution, (3, *VGG_MAPS), VGG_MAPS))
    + 2 * sum(VGG_MAPS)
    + dense(512, 512, 512, 10),
}


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts_by_hand(name: str) -> None:
    with torch.device("meta"):
        assert parameter_count(FAMILIES[name].build(1)) == COUNTS[name]


def test_the_counts_of_frankle_and_carbin() -> None:
    """Their table lists 266 thousand weights for LeNet, 4.3 and 2.4 million for Conv-2 and -4."""
    rounded = [round(COUNTS[name] / 1e5, 0) for name in ("lenet-300-100", "conv-2", "conv-4")]
    assert rounded == [3, 43, 24]


def plain(state: dict[str, Tensor], images: Tensor, pools: tuple[int, ...]) -> Tensor:
    """Convolutions until there are no more, pooling after those numbered, then dense layers."""
    value, number = images, 1
    while f"conv{number}.weight" in state:
        weight, bias = state[f"conv{number}.weight"], state[f"conv{number}.bias"]
        value = F.conv2d(F.pad(value, (1, 1, 1, 1)), weight, bias)
        if f"norm{number}.weight" in state:
            names = ("running_mean", "running_var", "weight", "bias")
            value = F.batch_norm(value, *(state[f"norm{number}.{name}"] for name in names))
        value = value.clamp(min=0)
        if number in pools:
            value = value.unfold(2, 2, 2).unfold(3, 2, 2).amax((4, 5))
        number += 1
    value = value.flatten(1)
    for name in ("fc1", "fc2"):
        value = (value @ state[f"{name}.weight"].T + state[f"{name}.bias"]).clamp(min=0)
    return value @ state["fc3.weight"].T + state["fc3.bias"]


@pytest.mark.parametrize(
    ("model", "image", "pools"),
    [
        (lenet(1, base=(6, 5), image=(2, 3, 4)), (2, 3, 4), ()),
        (conv(2, 1, base=(4, 5, 6, 7), image=(2, 4, 7)), (2, 4, 7), (2,)),
        (conv(6, 1, base=(2, 3, 4, 5, 6, 7, 8, 9), image=(1, 8, 9)), (1, 8, 9), (2, 4, 6)),
        (
            vgg19_bn(1, base=(2, 3, 4, 5, 6, 7, 8), image=(1, 32, 32)),
            (1, 32, 32),
            (2, 4, 8, 12, 16),
        ),
    ],
)
def test_scores_are_those_by_hand(
    model: nn.Module, image: tuple[int, ...], pools: tuple[int, ...]
) -> None:
    model.double().eval()
    images = torch.randn(3, *image, generator=generator("images"), dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(model(images), plain(model.state_dict(), images, pools))


def test_they_start_from_glorots_normal() -> None:
    model = undrawn(lambda: lenet(1))
    FAMILIES["lenet-300-100"].start(model, "default", generator("start"))
    weight, sigma = model.fc1.weight, math.sqrt(2 / (784 + 300))
    assert weight.std().item() == pytest.approx(sigma, rel=0.01)
    assert weight.abs().max() > 4 * sigma  # nothing is cut off
    assert not model.fc1.bias.any()


def test_layers_are_named_in_order() -> None:
    assert list(FAMILIES["conv-4"].layers) == ["conv1", "conv2", "conv3", "conv4", "fc1", "fc2"]
    assert list(FAMILIES["vgg19-bn"].layers)[14:] == ["conv15", "conv16", "fc1", "fc2"]


@pytest.mark.parametrize(
    ("name", "image", "smallest"), [("conv-6", (3, 7, 8), 8), ("vgg19-bn", (3, 31, 32), 32)]
)
def test_images_too_small_are_refused(
    name: str, image: tuple[int, int, int], smallest: int
) -> None:
    message = f"`image` is at least {smallest} pixels high and wide for this network; got"
    with pytest.raises(BadArgument, match=re.escape(message)):
        FAMILIES[name].build(1, image=image)
