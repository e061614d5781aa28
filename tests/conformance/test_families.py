"""Every family answers the same questions: it scales, is read as a graph and is measured."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import frivolous as fv
from frivolous.errors import BadArgument
from frivolous.families import FAMILIES, INITIALISERS, parameter_count
from frivolous.families.initialisers import undrawn
from frivolous.network import Network
from frivolous.rng import generator

FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
EXAMPLES = 6
CLASSES = 3

# Family -> options of a small member, and the shape of one input.
SMALL: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "mlp": ({"inputs": 10, "base": (16,)}, (10,)),
    "alexnet": ({"base": (8, 8, 12, 8)}, (3, 12, 12)),
    "resnet56": ({"base": (4, 4, 8, 12)}, (3, 8, 8)),
    "resnet18": ({"base": (4, 4, 8, 12, 16)}, (3, 32, 32)),
    "inception": ({"base": 0.125}, (3, 75, 75)),
    "lenet-300-100": ({"base": (12, 8)}, (1, 6, 6)),
    "conv-2": ({"base": (4, 4, 8, 8)}, (3, 8, 8)),
    "conv-4": ({"base": (4, 4, 8, 8, 8, 8)}, (3, 8, 8)),
    "conv-6": ({"base": (4, 4, 8, 8, 12, 12, 8, 8)}, (3, 8, 8)),
    "vgg19-bn": ({"base": (4, 4, 8, 8, 8, 8, 8)}, (3, 32, 32)),
}
# Those with so many layers that they are read at one size factor only.
DEEP = ("resnet56", "resnet18", "inception", "vgg19-bn")
# Those whose graph computes something by another kernel than the model: response normalisation.
OTHER_KERNELS = ("alexnet",)
# Layers that keep their width: see the family's docstring.
FIXED = {"inception": "mixed.17x17x768d.branches.3"}
# The last layer, whose units are the classes.
SCORES = {
    **{"mlp": "layers.1", "alexnet": "out", "resnet56": "dense", "resnet18": "dense"},
    **{"inception": "dense", "lenet-300-100": "fc3", "conv-2": "fc3", "conv-4": "fc3"},
    **{"conv-6": "fc3", "vgg19-bn": "fc3"},
}

families = pytest.mark.parametrize("name", FAMILIES)
read = pytest.mark.parametrize(
    ("name", "factor"),
    [(name, f) for name in FAMILIES for f in ((1.0,) if name in DEEP else (1.0, 4.0))],
)


def options(name: str) -> dict[str, Any]:
    given, shape = SMALL[name]
    free = {} if FAMILIES[name].image is None else {"image": shape}
    return {**given, **free, "classes": CLASSES}


def made(name: str, factor: float) -> nn.Module:
    """A small member of the family as the papers start it."""
    model = undrawn(lambda: FAMILIES[name].build(factor, **options(name)))
    FAMILIES[name].start(model, "he-normal", generator("weights", name, factor))
    return model


def inputs_for(name: str) -> Tensor:
    return torch.randn(EXAMPLES, *SMALL[name][1], generator=generator("inputs", name))


@cache
def traced(name: str, factor: float) -> tuple[Network, nn.Module]:
    model = made(name, factor).eval()
    return fv.trace(model, torch.zeros(2, *SMALL[name][1])), model


def on_paper(name: str, factor: float, **given: Any) -> nn.Module:
    """A member at the papers' scale, without memory for its weights."""
    free = {"inputs": 10} if name == "mlp" else {}
    with torch.device("meta"):
        return FAMILIES[name].build(factor, **free, **given)


def test_every_family_is_asked() -> None:
    """A new family needs its line in ``SMALL``."""
    assert set(SMALL) == set(FAMILIES)
    assert all(family.name == name for name, family in FAMILIES.items())


@families
def test_the_papers_layers_are_sites_in_order_of_depth(name: str) -> None:
    network, model = traced(name, 1.0)
    sites = [network.site(site) for site in FAMILIES[name].layers.values()]
    assert network.skipped == ()
    assert [site.depth for site in sites] == sorted({site.depth for site in sites})
    weights = model.state_dict()
    for site in sites:
        assert site.writers
        assert site.readers
        widths = {weights[writer].shape[0] for writer in site.writers}
        assert site.width in widths or name == "inception"


@families
def test_every_hidden_layer_scales_with_the_size_factor(name: str) -> None:
    """At the papers' widths: the first axis of a hidden layer's weights holds its units."""
    base = on_paper(name, 1.0).state_dict()
    for factor in FACTORS:
        scaled = on_paper(name, factor).state_dict()
        assert list(scaled) == list(base)
        for key, weight in base.items():
            layer, _, kind = key.rpartition(".")
            if kind == "num_batches_tracked":
                continue
            same = layer == SCORES[name] or layer.startswith(FIXED.get(name, " "))
            units = weight.shape[0] if same else int(weight.shape[0] * factor)
            assert scaled[key].shape[0] == units, key


@families
def test_parameters_grow_with_the_size_factor(name: str) -> None:
    counts = [parameter_count(on_paper(name, factor)) for factor in FACTORS]
    assert counts == sorted(set(counts))


@families
def test_scores_at_the_papers_scale(name: str) -> None:
    """Shapes alone are computed."""
    shape = FAMILIES[name].image or (10,)
    scores = on_paper(name, 0.25, classes=7)(torch.empty(2, *shape, device="meta"))
    assert scores.shape == (2, 7)


@read
def test_graph_and_split_agree_with_the_model(name: str, factor: float) -> None:
    """Bit for bit where the same kernels run on the same numbers."""
    network, model = traced(name, factor)
    inputs = inputs_for(name)
    with torch.no_grad():
        scores = model(inputs)
    assert scores.shape == (EXAMPLES, CLASSES)
    found = network(inputs)
    if name in OTHER_KERNELS:
        torch.testing.assert_close(found, scores)
    else:
        assert torch.equal(found, scores)
    for site in FAMILIES[name].layers.values():
        alive = network.until(site, inputs)
        assert alive.value.shape == (EXAMPLES, *network.site(site).shape)
        assert torch.equal(network.onward(site, alive), found)


@pytest.mark.parametrize("name", [name for name in FAMILIES if name not in DEEP])
def test_it_is_measured(name: str) -> None:
    found = fv.measure(made(name, 1.0).eval(), inputs_for(name))
    assert found.table.value.notna().all()
    assert (found.table.value >= 0).all()
    counts = found.table[found.table.measure.isin(["prunable", "redundant", "silent", "constant"])]
    assert (counts.value <= counts.width).all()


@families
def test_a_start_sets_everything_from_its_generator_alone(name: str) -> None:
    """Also what was left unset, from memory filled with NaN here."""

    def state(scheme: str, seed: int) -> dict[str, Tensor]:
        model = undrawn(lambda: FAMILIES[name].build(0.5, **options(name)))
        for value in model.state_dict().values():
            value.fill_(float("nan") if value.is_floating_point() else 77)
        FAMILIES[name].start(model, scheme, generator(seed))
        return dict(model.state_dict())

    for scheme in ("default", *(INITIALISERS if name not in DEEP else ["he-truncated"])):
        one, same, other = state(scheme, 0), state(scheme, 0), state(scheme, 1)
        assert all(bool(value.isfinite().all()) for value in one.values())
        assert all(torch.equal(one[key], same[key]) for key in one)
        assert any(not torch.equal(one[key], other[key]) for key in one)
    assert set(FAMILIES[name].schemes) == {"default", *INITIALISERS}


@families
def test_it_learns(name: str) -> None:
    """Gradients reach every weight."""
    model, inputs = made(name, 1.0), inputs_for(name)
    assert model.training
    for module in model.modules():
        if isinstance(getattr(module, "dropout", None), float):
            module.dropout = 0.0
    nn.functional.cross_entropy(model(inputs), torch.arange(EXAMPLES) % CLASSES).backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert bool(parameter.grad.any()) or key.endswith("bias"), key


@families
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"size_factor": 1e-6}, "`size_factor` 1e-06 leaves a layer of "),
        ({"size_factor": -1.0}, "`size_factor` is a positive number; got -1.0. For a network"),
        ({"size_factor": "wide"}, "`size_factor` is a positive number; got wide."),
        ({"classes": 0}, "at least 1; got 0. Pass how many there are, such as 2."),
        ({"image": (32, 32)}, "`image` is (channels, height, width), three whole numbers; got"),
        ({"image": (3, 0, 32)}, "`image[1]` is a whole number of at least 1; got 0."),
        ({"base": "wide"}, "`base"),
    ],
)
def test_errors_say_what_to_do(name: str, given: dict[str, Any], message: str) -> None:
    if name == "mlp" and "image" in given:
        return
    arguments = {"size_factor": 1.0, **options(name), **given}
    with pytest.raises(BadArgument) as told:
        FAMILIES[name].build(arguments.pop("size_factor"), **arguments)
    assert message in str(told.value)
    assert "\n" not in str(told.value)


@families
def test_unknown_scheme(name: str) -> None:
    model = made(name, 1.0)
    message = "unknown scheme 'glorot-truncate'; did you mean 'glorot-truncated'?"
    with pytest.raises(ValueError, match=re.escape(message)):
        FAMILIES[name].start(model, "glorot-truncate", generator(0))
