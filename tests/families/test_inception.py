"""Inception-v3 against the published parameter counts, its known grids and branches by hand."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from frivolous.errors import BadArgument
from frivolous.families import FAMILIES, parameter_count
from frivolous.families.inception import Inception, inception
from frivolous.families.inception_blocks import MODULES, Shift
from frivolous.families.initialisers import undrawn
from frivolous.published import values
from frivolous.rng import generator


@pytest.mark.parametrize(
    ("curve", "varied"), [("Inceptionv3", "all"), ("Inceptionv3-layer", "35x35x288b")]
)
def test_parameter_counts_are_the_published_ones(curve: str, varied: str) -> None:
    """To the precision to which the figure could be read: 3 in a million."""
    points = values("figE1", "c")
    published = points[points["curve"].eq(curve)].set_index("size_factor")["value"]
    assert len(published) in {3, 5}
    with torch.device("meta"):
        for factor, count in published.items():
            model = inception(float(factor), varied=varied, auxiliary=True)
            assert parameter_count(model) == pytest.approx(count, rel=3e-6)


def test_one_module_varies_alone() -> None:
    """Only that module's own filters, and what reads them."""
    with torch.device("meta"):
        one = inception(1).state_dict()
        four = inception(4, varied="35x35x288b").state_dict()
    written = {key for key in one if one[key].shape and one[key].shape[0] != four[key].shape[0]}
    assert {key.split(".")[1] for key in written} == {"35x35x288b"}
    read = {key for key in set(one) - written if one[key].shape != four[key].shape}
    assert {key.split(".")[1] for key in read} == {"17x17x768a", "17x17x768b"}


def test_grids_are_those_the_modules_are_named_for() -> None:
    with torch.device("meta"):
        model = inception(1)
        grids: dict[str, tuple[int, ...]] = {}
        for name, module in model.mixed.items():
            module.register_forward_hook(
                lambda _, __, maps, name=name: grids.__setitem__(name, tuple(maps.shape[1:]))
            )
        assert model(torch.empty(2, 3, 299, 299)).shape == (2, 1001)
    assert list(grids) == list(MODULES)
    for name, (maps, height, width) in grids.items():
        rows, columns, units = re.findall(r"\d+", name)
        expected = ("8", "8") if units == "1280" else (rows, columns)
        assert (str(maps), (str(height), str(width))) == (units, expected)


def by_hand(model: Inception, images: Tensor) -> Tensor:
    """Every branch with its own ReLU at its end, as the off-the-shelf network has it."""
    state = model.state_dict()

    def active(maps: Tensor, name: str, stride: int = 1, padding: Any = "same") -> Tensor:
        maps = F.conv2d(maps, state[f"{name}.conv.weight"], None, stride, padding)
        mean, variance = state[f"{name}.norm.running_mean"], state[f"{name}.norm.running_var"]
        shift = state[f"{name}.norm.bias"]
        return F.batch_norm(maps, mean, variance, None, shift, False, 0.0, 1e-3).relu()

    maps = active(images, "stem.conv0", 2, 0)
    maps = active(maps, "stem.conv1", 1, 0)
    maps = F.max_pool2d(active(maps, "stem.conv2"), 3, 2)
    maps = F.max_pool2d(active(active(maps, "stem.conv3"), "stem.conv4", 1, 0), 3, 2)
    for name in MODULES:
        narrowing = name in ("17x17x768a", "17x17x1280a")
        ends = []
        for branch in range(len(MODULES[name])):
            at, value = f"mixed.{name}.branches.{branch}", maps
            keys = [key for key in state if key.startswith(at) and key.endswith("conv.weight")]
            if not keys:
                value = F.max_pool2d(value, 3, 2)
                ends.append(value)
                continue
            if not narrowing and branch == len(MODULES[name]) - 1:
                value = F.pad(value, (1, 1, 1, 1)).unfold(2, 3, 1).unfold(3, 3, 1).sum((4, 5))
                ones = F.pad(torch.ones_like(maps), (1, 1, 1, 1))
                value = value / ones.unfold(2, 3, 1).unfold(3, 3, 1).sum((4, 5))
            inner = [key for key in keys if ".inner." in key]
            for key in inner:
                value = active(value, key.removesuffix(".conv.weight"))
            for key in sorted(set(keys) - set(inner)):
                layer = key.removesuffix(".conv.weight")
                ends.append(active(value, layer, 2, 0) if narrowing else active(value, layer))
        maps = torch.cat(ends, 1)
    return maps.mean((2, 3)) @ state["dense.weight"].T + state["dense.bias"]


def test_one_relu_for_all_branches_is_one_for_each() -> None:
    model = undrawn(lambda: inception(1, base=0.125, classes=5, image=(3, 80, 75)))
    FAMILIES["inception"].start(model, "he-normal", generator("weights"))
    random = generator("shifts")
    for module in model.modules():
        if isinstance(module, Shift):
            module.bias.data = torch.randn(module.bias.shape, generator=random) / 4
    model.double().eval()
    images = torch.randn(2, 3, 80, 75, generator=generator("images"), dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(model(images), by_hand(model, images))


def test_normalisation_learns_a_shift_alone() -> None:
    model = inception(0.25, base=0.5, image=(3, 75, 75))
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all(m.eps == 1e-3 and m.momentum == pytest.approx(3e-4) for m in norms)
    assert all([name for name, _ in m.named_parameters()] == ["bias"] for m in norms)
    assert all(torch.equal(m.weight, torch.ones(m.num_features)) for m in norms)


def test_it_starts_as_published() -> None:
    model = undrawn(lambda: inception(1, base=0.25, image=(3, 107, 107), auxiliary=True))
    FAMILIES["inception"].start(model, "default", generator("start"))
    state = model.state_dict()
    sigmas = {
        "mixed.8x8x2048b.branches.0.last.0.conv": 0.1,
        "auxiliary.first.conv": 0.1,
        "auxiliary.second.conv": 0.01,
        "auxiliary.dense": 0.001,
        "dense": 0.01,
    }
    for layer, sigma in sigmas.items():
        weight = state[f"{layer}.weight"]
        assert weight.std().item() == pytest.approx(0.8796 * sigma, rel=0.05), layer
        assert weight.abs().max() <= 2 * sigma


def test_the_second_classifier_is_for_training_alone() -> None:
    model = inception(1, base=0.125, classes=4, image=(3, 107, 110), auxiliary=True, dropout=0.0)
    images = torch.randn(2, 3, 107, 110, generator=generator("images"))
    with torch.no_grad():
        scores, second = model.eval().both(images)
        assert torch.equal(scores, model(images))
    assert second.shape == (2, 4)
    assert not torch.equal(second, scores)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"varied": "35x35x288c"}, "unknown module '35x35x288c'; did you mean '35x35x288"),
        ({"image": (3, 75, 74)}, "`image` is at least 75 pixels high and wide for this network;"),
        (
            {"image": (3, 106, 107), "auxiliary": True},
            "`auxiliary` needs images of at least 107 pixels a side.",
        ),
        ({"base": 0.01}, "`base` 0.01 leaves a layer of 32 units without any;"),
        ({"base": 0.0}, "`base` is a positive number; got 0.0."),
        ({"dropout": 1.0}, "`dropout` is a share in [0, 1); got 1.0."),
        ({"norm_decay": 1.0}, "`norm_decay` is a share in [0, 1); got 1.0."),
    ],
)
def test_errors_say_what_to_do(given: dict[str, Any], message: str) -> None:
    with torch.device("meta"), pytest.raises(BadArgument, match=re.escape(message)):
        inception(1, **given)


def test_no_second_classifier_unless_asked_for() -> None:
    with torch.device("meta"):
        model = inception(0.25)
        with pytest.raises(BadArgument, match="Make it with auxiliary=True"):
            model.both(torch.empty(1, 3, 299, 299))
