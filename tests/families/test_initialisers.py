"""Initial weights against the distributions of scipy, and fans against counting by hand."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import scipy.stats
import torch
from torch import nn

from frivolous.errors import BadArgument, UnknownName
from frivolous.families import INITIALISERS, MLP, Initialiser, draw, fixed, initialise
from frivolous.families.initialisers import DISTRIBUTIONS, TRUNCATED_SD, fans

TRUNCNORM = scipy.stats.truncnorm(-2, 2)
STANDARD = {
    "normal": scipy.stats.norm(),
    "truncated": scipy.stats.truncnorm(-2, 2, scale=1 / TRUNCNORM.std()),
    "truncated-raw": TRUNCNORM,
    "uniform": scipy.stats.uniform(-math.sqrt(3), 2 * math.sqrt(3)),
}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_truncated_sd_is_that_of_scipy() -> None:
    assert pytest.approx(TRUNCNORM.std(), rel=1e-12) == TRUNCATED_SD


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_draws_follow_the_distribution(distribution: str, dtype: torch.dtype) -> None:
    n = 200_000
    sample = draw((n,), fixed(1.0, distribution), seeded(), 1, 1, dtype=dtype)
    assert sample.dtype == dtype
    values = sample.double().numpy()
    expected = STANDARD[distribution]
    assert scipy.stats.kstest(values, expected.cdf).pvalue > 1e-3
    sd, kurtosis = expected.std(), expected.stats("k")
    assert abs(values.mean()) < 4 * sd / math.sqrt(n)
    assert abs(values.std() / sd - 1) < 4 * math.sqrt((kurtosis + 2) / 4 / n)
    low, high = expected.support()
    assert values.min() >= low * (1 + 1e-7)
    assert values.max() <= high * (1 + 1e-7)
    if distribution != "normal":
        assert values.max() > 0.999 * high


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("sigma", [1e-4, 0.3, 1e4])
def test_a_draw_scales_exactly(distribution: str, sigma: float) -> None:
    """The same numbers whatever the standard deviation, so that only the scale is compared."""
    one = draw((3, 501), fixed(1.0, distribution), seeded(5), 501, 3)
    assert torch.equal(draw((3, 501), fixed(sigma, distribution), seeded(5), 501, 3), one * sigma)


def test_nominal_scale_by_name() -> None:
    variances = {"glorot": 2 / (30 + 20), "he": 2 / 30, "lecun": 1 / 30}
    for name, initialiser in INITIALISERS.items():
        scale, distribution = name.split("-")
        assert initialiser == Initialiser(distribution, scale)
        assert initialiser.sigma(30, 20) ** 2 == pytest.approx(variances[scale], rel=1e-12)
        weights = draw((20, 30, 200), name, seeded(1), 30, 20)
        assert weights.var().item() == pytest.approx(variances[scale], rel=0.02)


def test_uniform_limits_are_those_of_glorot() -> None:
    """Glorot and Bengio 2010, equation 16: plus and minus sqrt(6) / sqrt(fan_in + fan_out)."""
    weights = draw((400, 600), "glorot-uniform", seeded(), 600, 400)
    limit = math.sqrt(6 / 1000)
    assert 0.999 * limit < weights.abs().max().item() <= limit * (1 + 1e-6)


def test_draws_depend_on_the_generator_alone() -> None:
    before = torch.get_rng_state()
    first, second = seeded(3), seeded(3)
    for name in INITIALISERS:
        assert torch.equal(draw((7, 9), name, first, 9, 7), draw((7, 9), name, second, 9, 7))
    assert torch.equal(before, torch.get_rng_state())
    assert not torch.equal(
        draw((9,), "he-normal", first, 9, 7), draw((9,), "he-normal", second.manual_seed(4), 9, 7)
    )


@pytest.mark.parametrize(
    "layer",
    [
        nn.Linear(7, 5),
        nn.Conv1d(4, 6, 3),
        nn.Conv2d(3, 16, (5, 2)),
        nn.Conv2d(8, 12, 3, groups=4),
        nn.Conv3d(2, 3, 2),
        nn.ConvTranspose2d(4, 6, 3, groups=2),
    ],
    ids=str,
)
def test_fans_are_the_counted_edges(layer: nn.Module) -> None:
    """With weights of 1: what a middle output reads, and what reads a middle input."""
    with torch.no_grad():
        layer.weight.fill_(1)
        layer.bias.fill_(0)
    side = () if isinstance(layer, nn.Linear) else (13,) * (layer.weight.ndim - 2)
    channels = getattr(layer, "in_channels", None) or layer.in_features
    inputs = torch.ones(1, channels, *side, requires_grad=True)
    outputs = layer(inputs)
    middle = (0, 0, *(s // 2 for s in outputs.shape[2:]))
    fan_in = round(outputs[middle].item())
    (slope,) = torch.autograd.grad(outputs.sum(), inputs)
    fan_out = round(slope[(0, 0, *(s // 2 for s in side))].item())
    assert fans(layer) == (fan_in, fan_out)
    if getattr(layer, "groups", 1) == 1 and not getattr(layer, "transposed", False):
        assert fans(layer) == nn.init._calculate_fan_in_and_fan_out(layer.weight)


def net() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(32, 10))


def test_initialise_draws_layer_by_layer() -> None:
    model = net()
    initialise(model, "lecun-truncated", seeded(2), bias=0.25)
    generator = seeded(2)
    assert torch.equal(model[0].weight, draw((8, 3, 3, 3), "lecun-truncated", generator, 27, 72))
    assert torch.equal(model[3].weight, draw((10, 32), "lecun-truncated", generator, 32, 10))
    assert all((model[i].bias == 0.25).all() for i in (0, 3))
    assert (model[1].weight == 1).all()
    assert (model[1].bias == 0).all()


def test_initialise_by_position_and_by_pattern() -> None:
    by_position, by_pattern, by_name = net(), net(), net()
    specs = ["lecun-truncated", fixed(1e-2)]
    initialise(by_position, specs, seeded(), bias=[0.0, 0.1])
    initialise(by_pattern, {"3": specs[1], "*": specs[0]}, seeded(), bias={"3": 0.1, "*": 0.0})
    initialise(by_name, {"0": specs[0], "3": specs[1]}, seeded(), bias={"0": 0.0, "[1-9]": 0.1})
    for name, value in by_position.state_dict().items():
        assert torch.equal(value, by_pattern.state_dict()[name])
        assert torch.equal(value, by_name.state_dict()[name])
    assert by_position[3].weight.abs().max() <= 2e-2
    assert (by_position[3].bias == np.float32(0.1)).all()


def test_initialise_other_precisions_and_no_bias() -> None:
    half, single = MLP(4, [3], 2, bias=False).bfloat16(), MLP(4, [3], 2, bias=False)
    initialise(half, "he-normal", seeded())
    initialise(single, "he-normal", seeded())
    assert torch.equal(half.layers[0].weight, single.layers[0].weight.bfloat16())
    assert half.layers[0].weight.requires_grad


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Initialiser("gaussian", "he"), UnknownName, "unknown distribution 'gaussian'"),
        (lambda: Initialiser("normal", "glorott"), UnknownName, "did you mean 'glorot'?"),
        (lambda: fixed(-1), BadArgument, "`sigma` is a standard deviation, a finite number of at"),
        (lambda: fixed(math.nan), BadArgument, "got nan."),
        (lambda: draw((2,), "he", seeded(), 1, 1), UnknownName, "unknown initialiser 'he'"),
        (
            lambda: draw((2,), "he-normal", 3, 1, 1),
            BadArgument,
            "`generator` is a torch.Generator; got 3.",
        ),
        (lambda: draw((2,), "he-normal", seeded(), 0, 1), BadArgument, "at least 1; got 0 and 1."),
        (
            lambda: initialise(nn.ReLU(), "he-normal", seeded()),
            BadArgument,
            "`model` has dense or convolutional layers; got ReLU without any.",
        ),
        (
            lambda: initialise(net(), ["he-normal"], seeded()),
            BadArgument,
            "`spec` has one entry for each layer; got 1 for 2 layers (0, 3).",
        ),
        (
            lambda: initialise(net(), {"fc": "he-normal"}, seeded()),
            BadArgument,
            "`spec` has a pattern that fits no layer: 'fc'. The layers are 0, 3.",
        ),
        (
            lambda: initialise(net(), "he-normal", seeded(), bias={"3": 0.0}),
            BadArgument,
            "`bias` gives nothing for layer '0'; every layer needs an entry. Add the pattern '*'",
        ),
    ],
)
def test_errors_say_what_to_do(make: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        make()  # type: ignore[operator]
