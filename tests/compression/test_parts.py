"""Parts of an axis whose sizes a module works out from the whole: removed equals zeroed weights."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from removal import rounding_of
from torch import Tensor, nn

import frivolous as fv

pytestmark = pytest.mark.rounding

Parts = Callable[["Parted", Tensor], tuple[Tensor, ...]]


class Parted(nn.Module):
    """A convolution whose channels are read in two parts by two others, as in YOLOv8's blocks."""

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self.stem, self.one = nn.Conv2d(3, 16, 3), nn.Conv2d(8, 6, 1)
        self.two, self.out = nn.Conv2d(8, 6, 1), nn.Linear(6, 3)
        self.parts = parts

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.parts(self, self.stem(x).relu())
        return self.out((self.one(first) + self.two(second)).relu().mean((2, 3)))


def halves(h: Tensor) -> tuple[Tensor, ...]:
    half = h.shape[1] // 2
    return h[:, :half], h[:, half:]


def narrowed(h: Tensor) -> tuple[Tensor, ...]:
    half = h.shape[1] // 2
    return h.narrow(1, 0, half), h.narrow(1, half, half)


#: How a module takes its channels apart -> which units go together, as pairs (i, j); None: none.
PARTS: dict[str, tuple[Parts, Callable[[int], int] | None]] = {
    "chunk": (lambda m, h: h.chunk(2, 1), lambda unit: (unit + 8) % 16),
    "halves": (lambda m, h: halves(h), lambda unit: (unit + 8) % 16),
    "narrowed": (lambda m, h: narrowed(h), lambda unit: (unit + 8) % 16),
    "one size": (lambda m, h: h.split(m.one.in_channels, 1), lambda unit: (unit + 8) % 16),
    "own sizes": (lambda m, h: h.split([m.one.in_channels, m.two.in_channels], 1), None),
    "turns": (lambda m, h: (h[:, ::2], h[:, 1::2]), lambda unit: unit ^ 1),
}


def parted(parts: Parts) -> tuple[Parted, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Parted(parts).eval(), torch.randn(60, 3, 6, 6)


def zeroed(model: nn.Module, gone: dict[str, np.ndarray]) -> nn.Module:
    """A copy whose layers give zero for some units, by their own weights."""
    silent = copy.deepcopy(model)
    with torch.no_grad():
        for name, units in gone.items():
            layer = silent.get_submodule(name)
            for tensor in (layer.weight, layer.bias):
                tensor[torch.as_tensor(units)] = 0.0
    return silent


@pytest.mark.parametrize("units", [0.9, 0.7, 0.45, 0.2])
@pytest.mark.parametrize("name", PARTS)
def test_any_number_of_units_can_go(name: str, units: float) -> None:
    parts, partner = PARTS[name]
    model, x = parted(parts)
    thin = fv.compress(model, x, units=units, method="random")
    kept = thin.kept
    assert len(kept["stem"]) < 16
    assert not thin.report.sites.reason.any()
    if partner is not None:
        assert {partner(unit) for unit in kept["stem"]} == set(kept["stem"].tolist())
    else:
        assert 1 <= (kept["stem"] < 8).sum() < len(kept["stem"])
    gone = {
        site: np.setdiff1d(np.arange(size), kept[site]) for site, size in (("stem", 16), ("one", 6))
    }
    gone["two"] = gone["one"]  # both terms of the sum
    with torch.no_grad():
        wanted, given = zeroed(model, gone)(x), thin.model(x)
    assert float((wanted - given).abs().max()) <= 16 * rounding_of(model, x)


@pytest.mark.parametrize("amount", [0.1, 0.0])
@pytest.mark.parametrize("name", PARTS)
def test_a_tolerance_is_held(name: str, amount: float) -> None:
    model, x = parted(PARTS[name][0])
    thin = fv.compress(model, x, tolerance=amount, held_out=x)
    with torch.no_grad():
        changed = (thin.model(x).argmax(1) != model(x).argmax(1)).float().mean()
    assert float(changed) <= amount
    assert float(changed) == thin.report.facts["changed_share"]


def test_sizes_written_in_forward_leave_the_layer_with_its_reason() -> None:
    model, x = parted(lambda m, h: h.split((8, 8), 1))
    thin = fv.compress(model, x, units=0.8)
    reasons = thin.report.sites.set_index("site").reason
    assert reasons["stem"].startswith("the model does not compute with fewer units (RuntimeError")
    assert not reasons["one"]
    assert len(thin.kept["one"]) < 6


def test_parts_of_different_sizes_are_left_where_a_module_counts_them() -> None:
    class Sliced(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.out = nn.Linear(8, 24), nn.Linear(24, 16), nn.Linear(12, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(self.two(self.one(x).relu()).relu()[:, 2:14])

    torch.manual_seed(0)
    thin = fv.compress(Sliced(), torch.randn(60, 8), units=0.7)
    reasons = thin.report.sites.set_index("site").reason
    assert reasons["two"].startswith("its parts are not of one size")
    assert len(thin.kept["one"]) < 24


class Squeezed(nn.Module):
    """A network that drops every axis of size 1, that of the channels too where one is left."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.out = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 5, 3), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.two(self.one(x).relu()).relu()
        return self.out(nn.functional.adaptive_avg_pool2d(maps, 1).squeeze())


def test_two_units_stay_where_a_module_does_not_work_with_one() -> None:
    torch.manual_seed(0)
    model, x = Squeezed().eval(), torch.randn(80, 3, 8, 8)
    thin = fv.compress(model, x, keep={"one": 1, "two": 2}, method="random")
    gone = {
        site: np.setdiff1d(np.arange(n), thin.kept[site]) for site, n in (("one", 6), ("two", 5))
    }
    with torch.no_grad():
        wanted, given = zeroed(model, gone)(x), thin.model(x)
    assert float((wanted - given).abs().max()) <= 16 * rounding_of(model, x)
    with pytest.raises(fv.errors.BadArgument, match="it has 5, of which 2 or more stay"):
        fv.compress(model, x, keep={"two": 1})
