"""Every family answers the same questions: it scales, is read as a graph and is measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import frivolous as fv
from frivolous.families import FAMILIES, INITIALISERS, initialise, parameter_count
from frivolous.network import Network
from frivolous.seeds import generator

FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
EXAMPLES = 24
CLASSES = 3

# Family -> arguments besides the size factor and the outputs, and the shape of one input.
ARGUMENTS: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "mlp": ({"inputs": 10}, (10,)),
}

families = pytest.mark.parametrize("name", FAMILIES)


def made(name: str, factor: float) -> tuple[nn.Module, Tensor]:
    """A member of the family with weights from a generator, and inputs for it."""
    options, shape = ARGUMENTS[name]
    model = FAMILIES[name].build(factor, classes=CLASSES, **options)
    initialise(model, "he-normal", generator("weights", name, factor), bias=0.1)
    inputs = torch.randn(EXAMPLES, *shape, generator=generator("inputs", name))
    return model.eval(), inputs


def traced(name: str, factor: float) -> tuple[Network, nn.Module, Tensor]:
    model, inputs = made(name, factor)
    return fv.trace(model, inputs[:2]), model, inputs


def test_every_family_is_asked() -> None:
    """A new family needs its line in ``ARGUMENTS``."""
    assert set(ARGUMENTS) == set(FAMILIES)


@families
def test_every_hidden_layer_scales_with_the_size_factor(name: str) -> None:
    networks = {factor: traced(name, factor)[0] for factor in FACTORS}
    base = networks[1.0].sites
    assert base
    for factor, network in networks.items():
        assert [site.name for site in network.sites] == [site.name for site in base]
        assert [site.width for site in network.sites] == [int(s.width * factor) for s in base]
        assert [site.positions for site in network.sites] == [site.positions for site in base]
        assert network.skipped == ()


@families
def test_parameters_grow_with_the_size_factor(name: str) -> None:
    counts = [parameter_count(made(name, factor)[0]) for factor in FACTORS]
    assert counts == sorted(set(counts))


@families
@pytest.mark.parametrize("factor", FACTORS)
def test_graph_and_split_agree_with_the_model(name: str, factor: float) -> None:
    """Bit for bit: the same kernels run on the same numbers."""
    network, model, inputs = traced(name, factor)
    with torch.no_grad():
        scores = model(inputs)
    assert scores.shape == (EXAMPLES, CLASSES)
    assert torch.equal(network(inputs), scores)
    for site in network.sites:
        alive = network.until(site.name, inputs)
        assert alive.value.shape == (EXAMPLES, *site.shape)
        assert torch.equal(network.onward(site.name, alive), scores)


@families
def test_every_unit_of_a_site_is_written_and_read(name: str) -> None:
    """The writers' first axis is the site's units, and all weights named are the model's."""
    network, model, _ = traced(name, 1.0)
    weights = model.state_dict()
    for site in network.sites:
        assert site.writers
        assert site.readers
        assert set(site.writers) | set(site.readers) <= set(weights)
        assert all(weights[writer].shape[0] == site.width for writer in site.writers)


@families
@pytest.mark.parametrize("factor", FACTORS)
def test_it_is_measured(name: str, factor: float) -> None:
    model, inputs = made(name, factor)
    found = fv.measure(model, inputs)
    assert found.table.value.notna().all()
    assert (found.table.value >= 0).all()
    counts = found.table[found.table.measure.isin(["prunable", "redundant", "silent", "constant"])]
    assert (counts.value <= counts.width).all()


@families
def test_size_factor_that_leaves_no_unit_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="`size_factor`"):
        made(name, 1e-6)


@families
@pytest.mark.parametrize("initialiser", INITIALISERS)
def test_initialisers_draw_from_their_generator_alone(name: str, initialiser: str) -> None:
    def weights(seed: int) -> dict[str, Tensor]:
        model, _ = made(name, 0.25)
        initialise(model, initialiser, generator(seed))
        return model.state_dict()

    one, same, other = weights(0), weights(0), weights(1)
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


@families
def test_it_learns(name: str) -> None:
    """Gradients reach every parameter."""
    model, inputs = made(name, 0.5)
    model.train()
    loss: Callable[..., Tensor] = nn.functional.cross_entropy
    loss(model(inputs), torch.arange(EXAMPLES) % CLASSES).backward()
    assert all(bool(parameter.grad.any()) for parameter in model.parameters())  # type: ignore[union-attr]
