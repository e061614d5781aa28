"""Values that grow with the batch by themselves, and values whose examples are not side by side.

Tables, masks and weights repeated for every example are not carried from one part of a computation
to the other. Each test silences units by hooks on the model itself, with plain loops.
"""

from __future__ import annotations

import copy
import math
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import frivolous as fv
from frivolous.ablation.curves import FRACTIONS, permutation
from frivolous.network import Network, trace

EXAMPLES, PLACES = 60, 6


class Table(nn.Module):
    """Places of all examples along one axis, and a table repeated for every example."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.out = nn.Linear(8, 10), nn.Linear(10, 7), nn.Linear(7, 3)
        self.act, self.last = nn.ReLU(), nn.ReLU()
        self.table = nn.Parameter(torch.randn(PLACES, 7))

    def forward(self, x: Tensor) -> Tensor:
        n, places, d = x.shape
        h = self.b(self.act(self.a(x.reshape(n * places, d)))) + self.table.repeat(n, 1)
        return self.out(self.last(h).view(n, places, -1).mean(1))


class Queries(nn.Module):
    """A weight repeated for every example and read by a product of batches."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.out, self.act = nn.Linear(8, 10), nn.Linear(5, 3), nn.ReLU()
        self.w = nn.Parameter(torch.randn(1, 10, 5))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.w.expand(x.shape[0], -1, -1)
        return self.out(torch.bmm(self.act(self.a(x)), weight).relu().mean(1))


class Windows(nn.Module):
    """Attention in shifted windows, its mask repeated for every example."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.a, self.b, self.out = (
            nn.Linear(*sizes) for sizes in ((8, 4), (8, 10), (10, 7), (7, 3))
        )
        self.act, self.last = nn.ReLU(), nn.ReLU()
        self.register_buffer("mask", torch.randn(3, 2, 2))

    def forward(self, x: Tensor) -> Tensor:
        n, x = x.shape[0], torch.roll(x, -1, 1)
        q, v = self.q(x).view(n * 3, 2, -1), self.a(x).view(n * 3, 2, -1)
        seen = (q @ q.transpose(1, 2) + self.mask.repeat(n, 1, 1)).softmax(-1) @ v
        h = torch.roll(self.last(self.b(self.act(seen))).view(n, PLACES, -1), 1, 1)
        return self.out(h.amax(1))


class Sideways(nn.Module):
    """Another value is alive at each site whose examples are the fastest to change."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.out, self.side = (
            nn.Linear(*sizes) for sizes in ((8, 10), (10, 7), (7, 3), (8, 3))
        )
        self.act, self.last = nn.ReLU(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        n, places, d = x.shape
        side = self.side(x.transpose(0, 1).reshape(places * n, d))
        h = self.last(self.b(self.act(self.a(x))))
        h = self.out(h.transpose(0, 1).reshape(places * n, -1)) + side
        return h.view(places, n, -1).mean(0)


MODELS = {kind.__name__.lower(): kind for kind in (Table, Queries, Windows, Sideways)}
#: Site -> the module that gives what is silenced.
HOOKED = {"a": "act", "b": "last"}
models = pytest.mark.parametrize("name", MODELS)


@cache
def case(name: str) -> tuple[nn.Module, Tensor, Network]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model, x = MODELS[name]().eval(), torch.randn(EXAMPLES, PLACES, 8)
    with torch.no_grad():
        model.out.bias -= model(x).mean(0)  # no class wins by itself
    return model, x, trace(model, x[:2])


@cache
def measured(name: str, **options: Any) -> fv.Measurement:
    model, x, _ = case(name)
    return fv.measure(model, x, **options)


def hooked(net: Network) -> list[str]:
    return [site.name for site in net.sites if site.name in HOOKED]


@torch.no_grad()
def by_hand(name: str, site: str, keep: Tensor, inputs: Tensor | None = None) -> Tensor:
    """The model's scores with what one module gives multiplied by ``keep``: (U,) or (L, U)."""
    model, x, _ = case(name)
    hook = model.get_submodule(HOOKED[site]).register_forward_hook(
        lambda _module, _args, value: (value.view(-1, PLACES, value.shape[-1]) * keep).view_as(
            value
        )
    )
    try:
        return model(x if inputs is None else inputs)
    finally:
        hook.remove()


@models
def test_parts_are_the_model_for_any_batch(name: str) -> None:
    model, x, net = case(name)
    assert hooked(net) == (["a"] if name == "queries" else ["a", "b"])
    for examples in (1, 3, 5):
        with torch.no_grad():
            whole = model(x[:examples])
        for site in net.sites:
            alive = net.until(site.name, x[:examples])
            torch.testing.assert_close(net.onward(site.name, alive), whole)


@models
def test_a_value_of_the_batch_alone_does_not_keep_copies_apart(name: str) -> None:
    _, x, net = case(name)
    for site in net.sites:
        alive = net.until(site.name, x[:4])
        assert alive.stackable == (name != "sideways")
        if not alive.stackable:
            with pytest.raises(LookupError):
                alive.stacked(2)
            continue
        halves = torch.cat([alive.value, alive.value * 0.5])
        first, second = net.onward(site.name, alive.stacked(2, {site.name: halves})).chunk(2)
        torch.testing.assert_close(first, net(x[:4]))
        torch.testing.assert_close(second, net.run(x[:4], {site.name: lambda v: v * 0.5}))
        rows = torch.tensor([3, 0, 3, 1, 2])
        picked = net.onward(site.name, alive.taken(rows, {site.name: alive.value[rows] * 0.5}))
        torch.testing.assert_close(picked, second[rows])


@models
def test_each_unit_alone_changes_the_labels_that_it_changes_by_hand(name: str) -> None:
    _, _, net = case(name)
    units = measured(name).units
    for site in hooked(net):
        width = net.site(site).width
        intact = by_hand(name, site, torch.ones(width)).argmax(1)
        expected = [
            float((by_hand(name, site, 1 - torch.eye(width)[unit]).argmax(1) != intact).sum())
            for unit in range(width)
        ]
        found = units[units.site == site]
        assert (found.changed * found.examples).round().tolist() == expected
        assert sum(expected) > 0


@models
@pytest.mark.parametrize("grain", ["channel", "position"])
def test_curves_are_those_of_masks_by_hand(name: str, grain: str) -> None:
    _, _, net = case(name)
    options = {"joint_tolerance": None, "unit_examples": None} if grain == "position" else {}
    curves = measured(name, grain=grain, **options).curves
    for site in hooked(net):
        known = net.site(site)
        shape = (PLACES, known.width) if grain == "position" else (known.width,)
        intact = by_hand(name, site, torch.ones(shape)).argmax(1)
        own = curves[curves.site == site]
        assert len(own) == 3 * len(FRACTIONS)
        for draw, fraction, found in zip(own.draw, own.fraction, own.unchanged, strict=True):
            order = permutation(math.prod(shape), 0, draw, known.depth)
            keep = torch.ones(len(order)).index_fill(0, order[: int(fraction * len(order))], 0)
            labels = by_hand(name, site, keep.view(shape)).argmax(1)
            assert found == float((labels == intact).double().mean())


@models
def test_a_measurement_to_a_precision_lies_within_its_bounds(name: str) -> None:
    whole, close = (measured(name, precision=p) for p in (None, 0.05))
    for site in hooked(case(name)[2]):
        row = close.table[(close.table.site == site) & (close.table.measure == "prunable")].iloc[0]
        assert row.low <= whole.value("prunable", site) <= row.high


@models
def test_units_go_one_by_one_until_none_is_left(name: str) -> None:
    """The error grows from nothing to all that readers get from the units' variation."""
    found = measured(name)
    for site in case(name)[2].sites:
        joint = found.joint[found.joint.site == site.name]
        assert joint.kept.tolist() == list(range(site.width))[::-1]
        assert joint.error.is_monotonic_increasing
        assert float(joint.error.iloc[-1]) == pytest.approx(1)
        assert 0 <= found.value("effective", site.name) <= site.width


def test_products_of_a_repeated_weight_are_those_of_the_weight_itself() -> None:
    """Once, not once per example."""
    model, _, net = case("queries")
    w = model.w[0].detach().double()
    torch.testing.assert_close(net.reader_products("a"), w @ w.T)


def test_a_repeated_table_follows_the_weights() -> None:
    """Other weights than those traced: what is made of the batch follows them."""
    model, x, net = case("table")
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.table.mul_(-2)
        expected = other(x)
    renewed = net.with_weights(other.state_dict())
    alive = renewed.until("b", x)
    torch.testing.assert_close(renewed.onward("b", alive), expected)
    assert not torch.allclose(expected, net(x))
