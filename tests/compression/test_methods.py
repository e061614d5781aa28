"""The order in which units go and what that is expected to cost, against plain least squares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import qr

from frivolous.compression.coupling.groups import GroupReader
from frivolous.compression.criteria.calibration import ReaderStatistics
from frivolous.compression.criteria.methods import (
    METHODS,
    Part,
    Ranking,
    eliminated,
    expected,
    method_named,
    rank_units,
)
from frivolous.errors import UnknownName
from frivolous.statistics.moments import moments

Numbers = np.ndarray[Any, np.dtype[np.float64]]
ROWS = 300


class Reader:
    """Raw rows that a reader reads, ``per_unit`` of each unit, and its weights on them."""

    def __init__(
        self, seed: int, units: int, per_unit: int = 1, outputs: int = 3, refits: bool = True
    ) -> None:
        random = np.random.default_rng(seed)
        features = units * per_unit
        shared = random.normal(size=(ROWS, features)) @ random.normal(size=(features, features))
        self.rows = np.maximum(shared, 0) + random.normal(size=features)
        self.weights = random.normal(size=(features, outputs))
        self.per_unit, self.units, self.refits = per_unit, units, refits

    def permuted(self, order: Numbers) -> Reader:
        other = object.__new__(Reader)
        features = self.of(order)
        other.__dict__ |= self.__dict__ | {
            "rows": self.rows[:, features],
            "weights": self.weights[features],
        }
        return other

    def of(self, units: Sequence[int] | Numbers) -> list[int]:
        return [u * self.per_unit + t for u in units for t in range(self.per_unit)]

    @property
    def statistics(self) -> ReaderStatistics:
        places = np.arange(self.units)[:, None]
        read = GroupReader(0, "linear", 1, -1, places, "weight", "bias", 1, self.refits)
        return ReaderStatistics(
            read, moments(self.rows), self.weights @ self.weights.T, self.per_unit
        )

    @property
    def part(self) -> Part:
        return Part(np.cov(self.rows.T), self.weights @ self.weights.T, self.per_unit)

    def left(self, kept: Sequence[int], how: str = "affine") -> float:
        """Mean square error of what it computes: fitted anew, or with units set to zero."""
        kept_F = self.of(kept)
        if how == "none":
            gone = np.setdiff1d(np.arange(self.rows.shape[1]), kept_F)
            return float(((self.rows[:, gone] @ self.weights[gone]) ** 2).sum() / ROWS)
        columns = self.rows[:, kept_F]
        if how == "affine":
            columns = np.column_stack([columns, np.ones(ROWS)])
        wanted = self.rows @ self.weights
        if columns.shape[1]:
            wanted = wanted - columns @ np.linalg.lstsq(columns, wanted, rcond=None)[0]
        return float((wanted**2).sum() / (ROWS - (how == "affine")))


@pytest.mark.parametrize("readers", [1, 2])
@pytest.mark.parametrize("per_unit", [1, 4])
def test_every_unit_that_goes_is_the_cheapest_by_least_squares(per_unit: int, readers: int) -> None:
    for seed in range(2):
        found = [Reader(seed + 10 * i, 7, per_unit) for i in range(readers)]
        order = eliminated([one.part for one in found], np.zeros(7)).tolist()
        left = list(range(7))
        for unit in order:
            costs = {u: sum(r.left([k for k in left if k != u]) for r in found) for u in left}
            assert unit == min(costs, key=lambda u: costs[u])
            left.remove(unit)


def test_readers_of_different_kinds_and_one_that_is_not_fitted() -> None:
    found = [Reader(1, 8, 1), Reader(2, 8, 3), Reader(3, 8, 1, refits=False)]
    order = (
        METHODS["joint"]
        .order([one.statistics for one in found], np.zeros((8, 0)), torch.Generator())
        .tolist()
    )
    alone = [found[2].left([k for k in range(8) if k != u], "none") for u in range(8)]
    left = list(range(8))
    for unit in order:
        # Where weights stay as they are, a unit counts for what it alone adds.
        costs = {
            u: alone[u] + sum(r.left([k for k in left if k != u]) for r in found[:2]) for u in left
        }
        assert unit == min(costs, key=lambda u: costs[u])
        left.remove(unit)


@pytest.mark.parametrize("how", ["affine", "linear", "none"])
@pytest.mark.parametrize("per_unit", [1, 4])
def test_expected_costs_are_what_least_squares_leaves(per_unit: int, how: str) -> None:
    found = [Reader(seed, 6, per_unit) for seed in (4, 5)]
    order = np.random.default_rng(0).permutation(6)
    costs = expected(order, [one.statistics for one in found], how)
    assert costs.shape == (7,)
    for kept in range(7):
        wanted = sum(one.left(order[6 - kept :].tolist(), how) for one in found)
        assert costs[kept] == pytest.approx(wanted, rel=1e-6, abs=1e-8 * costs[0])


def test_a_reader_that_is_not_fitted_costs_what_excision_costs() -> None:
    one, order = Reader(6, 5, refits=False), np.array([3, 0, 4, 1, 2])
    costs = expected(order, [one.statistics], "affine")
    wanted = [one.left(order[5 - kept :].tolist(), "none") for kept in range(6)]
    np.testing.assert_allclose(costs, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", sorted(set(METHODS) - {"random"}))
@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1000))
def test_the_order_follows_the_units(name: str, seed: int) -> None:
    found = [Reader(seed, 7), Reader(seed + 1, 7, 2)]
    writers = np.random.default_rng(seed).normal(size=(7, 4))
    shuffled = np.random.default_rng(seed + 2).permutation(7)
    one = rank_units(METHODS[name], [r.statistics for r in found], writers, torch.Generator())
    other = rank_units(
        METHODS[name],
        [r.permuted(shuffled).statistics for r in found],
        writers[shuffled],
        torch.Generator(),
    )
    last = 2 if "frame" in name else 0  # two vectors have equal parts in their potential
    assert shuffled[other.order_U].tolist()[: 7 - last] == one.order_U.tolist()[: 7 - last]
    first, second = one.cost_K[last:], other.cost_K[last:]
    np.testing.assert_allclose(second, first, rtol=1e-6, atol=1e-7 * one.cost_K[0])
    assert (np.diff(one.cost_K) <= 0).all()
    assert one.cost_K[-1] == 0
    assert sorted(one.kept(3)) == sorted(one.order_U[4:])


def flags(*units: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.isin(np.arange(6), units)


def test_of_every_part_the_last_to_go_stays() -> None:
    writers = np.diag([6.0, 5.0, 4.0, 3.0, 2.0, 1.0])  # 5 goes first

    def found(*parts: tuple[int, ...]) -> Ranking:
        given = [flags(*units) for units in parts]
        return rank_units(METHODS["magnitude"], [], writers, torch.Generator(), given)

    for parts, order, least in (
        ((), [5, 4, 3, 2, 1, 0], 1),
        ((range(6),), [5, 4, 3, 2, 1, 0], 1),
        (((0, 1), (2, 3, 4, 5)), [5, 4, 3, 1, 0, 2], 2),
        (((4, 5), (0, 1), (2, 3)), [5, 3, 1, 4, 0, 2], 3),
        (((4, 5), tuple(range(6)), (4,)), [5, 3, 2, 1, 0, 4], 1),  # one unit for all
    ):
        one = found(*(tuple(part) for part in parts))
        assert one.order_U.tolist() == order
        assert one.least == least
        for part in parts:
            assert flags(*part)[one.kept(one.least)].any()


def test_costs_are_of_the_order_in_which_something_stays() -> None:
    one, writers = Reader(1, 6), np.zeros((6, 0))
    free = rank_units(METHODS["joint"], [one.statistics], writers, torch.Generator())
    parts = [flags(int(free.order_U[0])), flags(*range(6))]
    held = rank_units(METHODS["joint"], [one.statistics], writers, torch.Generator(), parts)
    assert held.order_U[-1] == free.order_U[0]
    for kept in range(1, 7):
        wanted = one.left(held.kept(kept).tolist())
        assert held.cost_K[kept] == pytest.approx(wanted, rel=1e-6, abs=1e-8 * held.cost_K[0])


def potential(writers: Numbers) -> float:
    unit = writers / np.linalg.norm(writers, axis=1, keepdims=True)
    return float(((unit @ unit.T) ** 2).sum())


@pytest.mark.parametrize(("name", "sign"), [("frame-potential", 1), ("frame-potential-least", -1)])
@pytest.mark.parametrize("seed", range(3))
def test_frame_potential_by_direct_computation(name: str, sign: int, seed: int) -> None:
    writers = np.random.default_rng(seed).normal(size=(9, 4))
    order, left = METHODS[name].order([], writers, torch.Generator()).tolist(), list(range(9))
    for unit in order:
        rest = {u: sign * potential(writers[[k for k in left if k != u]]) for u in left}
        assert rest[unit] == pytest.approx(min(rest.values()), rel=1e-12)
        left.remove(unit)


def test_magnitude_and_what_adds_least() -> None:
    writers = np.diag([3.0, 1.0, 2.0])
    assert METHODS["magnitude"].order([], writers, torch.Generator()).tolist() == [1, 2, 0]
    one = Reader(8, 6)
    left, greedy = list(range(6)), []
    while left:
        best = min(left, key=lambda unit: one.left([k for k in left if k != unit], "none"))
        greedy.append(best)
        left.remove(best)
    order = METHODS["prune"].order([one.statistics], np.zeros((6, 0)), torch.Generator())
    assert order.tolist() == greedy


@pytest.mark.parametrize("seed", range(4))
def test_pivots_are_those_of_a_qr_decomposition(seed: int) -> None:
    one = Reader(seed, 10)
    pivots = qr(one.rows, mode="r", pivoting=True)[1]
    order = METHODS["interpolative"].order([one.statistics], np.zeros((10, 0)), torch.Generator())
    assert order[::-1].tolist() == pivots.tolist()


def test_a_basis_whatever_reads_it() -> None:
    one = Reader(3, 6)
    one.rows[:, 4] = one.rows[:, 1] + one.rows[:, 2]
    order = METHODS["refactor"].order([one.statistics], np.zeros((6, 0)), torch.Generator())
    assert order[0] in (1, 2, 4)
    one.weights[0] = 0  # nobody reads it, and still it is kept as long as any
    again = METHODS["refactor"].order([one.statistics], np.zeros((6, 0)), torch.Generator())
    assert again.tolist() == order.tolist()


def test_random_by_its_generator() -> None:
    random, writers = METHODS["random"], np.zeros((50, 1))
    one, same, other = (
        random.order([], writers, torch.Generator().manual_seed(seed)).tolist()
        for seed in (1, 1, 2)
    )
    assert one == same != other
    assert sorted(one) == list(range(50))


def test_copies_constants_and_unread_units_cost_nothing() -> None:
    one = Reader(2, 8)
    one.rows[:, 5], one.rows[:, 6] = one.rows[:, 1] * 3, 7.0
    one.weights[3] = 0
    found = rank_units(METHODS["joint"], [one.statistics], np.zeros((8, 0)), torch.Generator())
    assert {3, 6} <= set(found.order_U[:3].tolist()) <= {1, 3, 5, 6}
    assert found.cost_K[5] <= 1e-8 * found.cost_K[0]
    assert found.cost_K[4] > 1e-4 * found.cost_K[0]


def test_an_unknown_method() -> None:
    with pytest.raises(UnknownName, match="unknown method 'jiont'; did you mean 'joint'"):
        method_named("jiont")
