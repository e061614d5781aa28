"""Mirrored units turned round where that is the same function, and only there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from removal import bench_of, rounding_of
from torch import Tensor, nn

import frivolous as fv
from frivolous.compression.criteria.methods import METHODS
from frivolous.compression.criteria.mirrored_relu import unmirror_relus
from frivolous.constructions import Construction, neither
from frivolous.families import MLP, fixed, initialise
from frivolous.inputs.batches import as_batches
from frivolous.network import Network

pytestmark = pytest.mark.rounding

NARROW = (6, 5)


def mirrored(shift: float = 1024.0) -> Construction:
    """A network twice as wide, each unit written as a shifted and a mirrored one."""
    model = MLP(8, NARROW, 3).double()
    initialise(model, fixed(1.0, "normal"), torch.Generator().manual_seed(4), bias=0.1)
    x = torch.randn(200, 8, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return neither(model, x, shift=shift)


def test_a_mirrored_network_without_a_changed_score_is_as_narrow_as_it_was() -> None:
    made = mirrored()
    before = {name: tensor.clone() for name, tensor in made.wide.state_dict().items()}
    assert made.wide.hidden == tuple(2 * units for units in NARROW)
    thin = fv.compress(made.wide, made.inputs, tolerance=0)
    assert tuple(len(kept) for kept in thin.kept.values()) == NARROW
    with torch.no_grad():
        ours, scores = thin.model(made.inputs), made.wide(made.inputs)
    assert torch.equal(ours.argmax(1), scores.argmax(1))
    torch.testing.assert_close(ours, scores, rtol=0, atol=1e-8)
    assert all(torch.equal(made.wide.state_dict()[name], own) for name, own in before.items())
    # Excision alone may not change what readers hold: it finds none of this.
    whole = fv.compress(made.wide, made.inputs, tolerance=0, method="prune")
    assert tuple(len(kept) for kept in whole.kept.values()) == made.wide.hidden


def test_in_float32_units_are_turned_round_to_the_rounding_of_the_network() -> None:
    made = mirrored()
    wide, x = made.wide.float(), made.inputs.float()
    with torch.no_grad():
        scores = wide(x)
    rounding = rounding_of(wide, x)
    assert rounding > 1e-4, "shifts of 1024 leave three digits less"
    thin = fv.compress(wide, x, tolerance=0)
    assert tuple(len(kept) for kept in thin.kept.values()) == NARROW
    with torch.no_grad():
        assert float((thin.model(x) - scores).abs().max()) <= 16 * rounding


def test_what_is_another_function_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(network: Network, *_: object) -> Network:
        state = {name: 1.001 * tensor for name, tensor in network.state.items()}
        return network.with_weights(state)

    made = mirrored()
    pruner = bench_of(made.wide, made.inputs[:2])
    monkeypatch.setattr("frivolous.compression.pruner.unmirror_relus", other)
    whole = pruner.network
    pruner.study(METHODS["joint"], as_batches(made.inputs), seed=0)
    assert pruner.network is whole


class Pair(nn.Module):
    """Two units of opposite weights, others beside them, and a reader."""

    def __init__(self, shift: float, act: nn.Module, norm: nn.Module, bias: bool = True) -> None:
        super().__init__()
        self.one, self.act, self.norm = nn.Linear(4, 5), act, norm
        self.out = nn.Linear(5, 3, bias=bias)
        with torch.no_grad():
            self.one.weight[1] = -2 * self.one.weight[0]
            self.one.bias[0] = shift
            self.one.bias[1] = 0.3
            # With what unit 1 would give the readers linearly, unit 0 is not needed.
            self.out.weight[:, 0] = 2 * self.out.weight[:, 1]

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.norm(self.act(self.one(x))))


def pair(
    shift: float = 4.0,
    act: Callable[[], nn.Module] = nn.ReLU,
    norm: Callable[[], nn.Module] = nn.Identity,
) -> tuple[Pair, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = Pair(shift, act(), norm()).double().eval()
        return model, torch.randn(300, 4, dtype=torch.float64)


def test_by_hand() -> None:
    model, x = pair()
    pruner = bench_of(model, x[:2])
    same = unmirror_relus(pruner.network, pruner.cuts, as_batches(x, batch_size=70))
    assert same is not pruner.network
    torch.testing.assert_close(same(x), pruner.network(x), rtol=0, atol=1e-12)
    one, out = model.one, model.out
    torch.testing.assert_close(same.state["one.weight"][1], -one.weight[1])
    assert float(same.state["one.bias"][1]) == pytest.approx(-0.3)
    others = [0, 2, 3, 4]
    assert torch.equal(same.state["one.weight"][others], one.weight[others])
    assert float(same.state["out.weight"][:, 0].abs().max()) < 1e-12
    assert torch.equal(same.state["out.weight"][:, 1:], out.weight[:, 1:])
    constant = (0.3 + 2 * 4.0) * out.weight[:, 1]
    torch.testing.assert_close(same.state["out.bias"], out.bias + constant)


def far(model: Pair) -> None:
    """The reader needs the unit that is on for other things too."""
    with torch.no_grad():
        model.out.weight[:, 0] *= -1


def aslant(model: Pair) -> None:
    with torch.no_grad():
        model.one.weight[1, 0] += 0.1


@pytest.mark.parametrize(
    ("given", "change"),
    [
        ({"shift": 0.5}, None),  # not always on
        ({"act": nn.GELU}, None),
        ({"norm": lambda: nn.BatchNorm1d(5)}, None),  # readers do not read just that
        ({}, far),
        ({}, aslant),
    ],
    ids=["not always on", "no ReLU", "normalised", "needed", "not opposite"],
)
def test_what_is_not_turned(
    given: dict[str, object], change: Callable[[Pair], None] | None
) -> None:
    model, x = pair(**given)  # type: ignore[arg-type]
    if change is not None:
        change(model)
    pruner = bench_of(model, x[:2])
    assert unmirror_relus(pruner.network, pruner.cuts, as_batches(x)) is pruner.network


def test_a_single_example_on_which_it_is_off_is_enough() -> None:
    model, x = pair()
    off = -model.one.weight[:1].detach() * 50
    pruner = bench_of(model, x[:2])
    assert (
        unmirror_relus(pruner.network, pruner.cuts, as_batches(torch.cat([x, off])))
        is pruner.network
    )


class Maps(nn.Module):
    """Convolutions: what is linear goes nowhere beyond a padded border."""

    def __init__(self, pooled: bool) -> None:
        super().__init__()
        self.one, self.pooled = nn.Conv2d(2, 4, 1), pooled
        self.two, self.out = nn.Conv2d(4, 3, 3, padding=1), nn.Linear(3 + pooled, 3)
        with torch.no_grad():
            self.one.weight[1], self.one.bias[0] = -self.one.weight[0], 20.0
            self.out.weight[:, 0] = self.out.weight[:, 1]
            self.two.weight[:, 0] = self.two.weight[:, 1]

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.one(x))
        return self.out((x if self.pooled else self.two(x)).mean((2, 3)))


@pytest.mark.parametrize("pooled", [True, False])
def test_convolutions_are_left_as_they_are(pooled: bool) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model, x = Maps(pooled).double().eval(), torch.randn(50, 2, 4, 4, dtype=torch.float64)
    pruner = bench_of(model, x[:2])
    assert unmirror_relus(pruner.network, pruner.cuts, as_batches(x)) is pruner.network


def test_two_readers_take_over_what_is_linear() -> None:
    class Two(Pair):
        def forward(self, x: Tensor) -> Tensor:
            x = self.act(self.one(x))
            return self.out(x) + self.norm(x)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = Two(4.0, nn.ReLU(), nn.Linear(5, 3)).double().eval()
        x = torch.randn(300, 4, dtype=torch.float64)
    with torch.no_grad():
        model.norm.weight[:, 0] = 2 * model.norm.weight[:, 1]
    pruner = bench_of(model, x[:2])
    same = unmirror_relus(pruner.network, pruner.cuts, as_batches(x))
    assert same is not pruner.network
    torch.testing.assert_close(same(x), pruner.network(x), rtol=0, atol=1e-12)


def test_a_unit_that_is_opposite_to_two_is_turned_once() -> None:
    model, x = pair()
    with torch.no_grad():
        model.one.weight[2], model.one.bias[2] = model.one.weight[0], model.one.bias[0]
        model.out.weight[:, 2] = model.out.weight[:, 0]
    pruner = bench_of(model, x[:2])
    same = unmirror_relus(pruner.network, pruner.cuts, as_batches(x))
    torch.testing.assert_close(same(x), pruner.network(x), rtol=0, atol=1e-12)
