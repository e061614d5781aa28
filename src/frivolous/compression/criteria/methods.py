"""In which order the units of a cut go, by every method, and what each step is expected to cost.

The expected cost is the mean square of the error that removal makes in what the readers compute, in
the metric of :class:`~frivolous.compression.criteria.calibration.ReaderStatistics`: with C the
covariance of the units and M the products of the readers' rows, removing a set G costs tr(M_GG
E_GG) where readers stay as they are, E being second moments, and tr(M S) where they are fitted
anew, S being the covariance that the units kept leave unexplained.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import blas, lapack

from frivolous.compression.criteria.calibration import ReaderStatistics
from frivolous.errors import look_up
from frivolous.measures.elimination import eliminate
from frivolous.measures.reconstruction import RIDGE, cholesky
from frivolous.measures.similarity import varying
from frivolous.rng import generator

Numbers = NDArray[np.float64]
Indices = NDArray[np.int64]

_COMPACT = 0.75  # share of units left at which the matrices shrink


@dataclass(frozen=True)
class Criterion:
    """How a method orders units and what it does to their readers.

    ``order`` gives the units in the order in which they go; ``refits`` is "affine" where readers
    are fitted anew with a constant term, "linear" without one, "none" where they stay as they are;
    ``fine`` where they are fitted once more to what they read in the thinner network.
    """

    order: Callable[[Sequence[ReaderStatistics], Numbers, torch.Generator], Indices]
    refits: str
    fine: bool
    what: str


@dataclass(frozen=True, eq=False)
class Ranking:
    """The units of a cut, the first to go first; ``cost_K[k]`` is expected with k units kept.

    The last ``least`` never go: no layer would be left without a unit.
    """

    order_U: Indices
    cost_K: Numbers
    least: int = 1

    def kept(self, units: int) -> Indices:
        """The units that stay, ascending."""
        return np.sort(self.order_U[len(self.order_U) - units :])


def rank_units(
    method: Criterion,
    evidence: Sequence[ReaderStatistics],
    writers_UF: Numbers,
    random: torch.Generator,
    parts: Sequence[NDArray[np.bool_]] = (),
    least: int = 1,
) -> Ranking:
    """The order of a method with its expected costs.

    ``writers_UF`` holds the weights that write each unit, one row for each; of each of ``parts``,
    sets of units (U,), the last one stays, and of all at least so many.
    """
    order = method.order(evidence, writers_UF, random)
    stays: list[int] = []
    for part in parts:
        if not part[stays].any():
            stays.append(int(order[part[order]][-1]))
    for unit in order[::-1].tolist():
        if len(stays) >= least:
            break
        if unit not in stays:
            stays.append(unit)
    order = np.concatenate([order[~np.isin(order, stays)], stays])
    cost = np.maximum.accumulate(expected(order, evidence, method.refits)[::-1])[::-1]
    return Ranking(order, cost, len(stays))


def expected(order_U: Indices, evidence: Sequence[ReaderStatistics], refits: str) -> Numbers:
    """The cost with k = 0 .. U units kept, summed over readers: shape (U + 1,)."""
    total = np.zeros(len(order_U) + 1)
    for one in evidence:
        how = refits if one.read.refits else "none"
        total += _refitted(order_U, one, how) if how != "none" else _excised(order_U, one)
    return total


def _excised(order_U: Indices, one: ReaderStatistics) -> Numbers:
    terms = one.by_unit(one.products_FF * one.second_FF)[np.ix_(order_U, order_U)]
    gone = np.cumsum(np.cumsum(terms, 0), 1).diagonal()
    return np.concatenate([[0.0], np.maximum(gone, 0.0)])[::-1]


def _refitted(order_U: Indices, one: ReaderStatistics, how: str) -> Numbers:
    """By the Cholesky factor of the units kept first: what is left lies in its last columns."""
    second = one.fitted_FF if how == "affine" else one.second_FF
    kept = features_of(order_U[::-1], one.per_unit)
    inner = np.ix_(kept, kept)
    matrix, varies = second[inner], np.diagonal(second)[kept] > 0
    scale = np.where(varies, np.sqrt(np.diagonal(matrix)), 1.0)
    correlation = matrix / scale[:, None] / scale
    correlation[~varies] = correlation[:, ~varies] = 0.0
    factor = np.tril(cholesky(correlation)) * np.where(varies, scale, 0.0)[:, None]
    lost = np.einsum("uk,uk->k", factor, one.products_FF[inner] @ factor)
    lost_U = np.maximum(lost, 0.0).reshape(-1, one.per_unit).sum(axis=1)
    return np.concatenate([np.cumsum(lost_U[::-1])[::-1], [0.0]])


def features_of(units: Indices, per_unit: int) -> Indices:
    """The features of units, one unit after another."""
    return (units[:, None] * per_unit + np.arange(per_unit)).ravel()


def _joint(
    evidence: Sequence[ReaderStatistics], writers: Numbers, random: torch.Generator
) -> Indices:
    parts = [
        Part(one.fitted_FF, one.products_FF, one.per_unit) for one in evidence if one.read.refits
    ]
    return eliminated(parts, _excised_alone([e for e in evidence if not e.read.refits], writers))


def _excised_alone(evidence: Sequence[ReaderStatistics], writers: Numbers) -> Numbers:
    """What each unit costs readers that stay as they are, when it alone goes: shape (U,)."""
    costs = [one.by_unit(one.products_FF * one.second_FF).diagonal() for one in evidence]
    return np.asarray(np.sum([np.zeros(len(writers)), *costs], axis=0))


class Part(NamedTuple):
    """Covariance and products of the features that one reader reads, ``per_unit`` of each unit."""

    covariance_FF: Numbers
    products_FF: Numbers
    per_unit: int


def eliminated(parts: Sequence[Part], excised_U: Numbers) -> Indices:
    """Remove the cheapest unit again and again, readers of every part fitted anew each time.

    ``excised_U`` is what a unit costs readers that are not fitted. With one part of one feature
    per unit it is :func:`frivolous.measures.elimination.eliminate`; with B a unit's features, P the
    inverse covariance and M the products, its removal costs tr(M_BB P_BB^-1).
    """
    if len(parts) == 1 and parts[0].per_unit == 1 and not excised_U.any():
        return eliminate(*parts[0][:2]).order_U
    left = [_Left(part) for part in parts]
    order = np.empty(len(excised_U), dtype=np.int64)
    alive = np.ones(len(excised_U), dtype=bool)
    for step in range(len(order)):
        cost = np.where(alive, excised_U, np.inf)
        for one in left:
            units, costs = one.costs()
            cost[units] += costs
        unit = int(cost.argmin())
        order[step], alive[unit] = unit, False
        for one in left:
            one.remove(unit)
    return order


class _Left:
    """Inverse covariance and products of the features of the units that are left."""

    def __init__(self, part: Part) -> None:
        self.per_unit = part.per_unit
        self.units = np.arange(len(part.covariance_FF) // part.per_unit)
        self.alive = np.ones(len(self.units), dtype=bool)
        varies = varying(part.covariance_FF)
        # A constant feature is as one without readers: what it gives goes into the constant term.
        scale = np.where(varies, np.sqrt(np.diagonal(part.covariance_FF)), 1.0)
        correlation = part.covariance_FF / scale[:, None] / scale
        correlation[~varies] = correlation[:, ~varies] = 0.0
        found, _ = lapack.dpotri(cholesky(correlation), lower=1, overwrite_c=1)
        self.inverse = np.asfortranarray(np.tril(found) + np.tril(found, -1).T)
        self.products = np.asfortranarray(part.products_FF * scale[:, None] * scale)
        self.products[~varies] = self.products[:, ~varies] = 0.0

    def costs(self) -> tuple[Indices, Numbers]:
        """The units that are left and what each of them costs."""
        solved = np.linalg.solve(self._blocks(self.inverse), self._blocks(self.products))
        costs = np.maximum(np.einsum("uii->u", solved), 0.0)
        return self.units[self.alive], costs[self.alive]

    def _blocks(self, matrix: Numbers) -> Numbers:
        count, t = len(self.units), self.per_unit
        shaped = matrix.reshape(count, t, count, t)
        return np.asarray(shaped[np.arange(count), :, np.arange(count)])

    def remove(self, unit: int) -> None:
        """Take a unit out and fit the readers of the others."""
        t = self.per_unit
        place = int(np.searchsorted(self.units, unit))
        own = slice(place * t, place * t + t)
        columns = self.inverse[:, own].copy(order="F")
        share = np.asfortranarray(np.linalg.solve(columns[own], columns.T).T)
        half = np.asfortranarray(self.products[:, own] - share @ self.products[own, own] / 2)
        for target, one, other in (
            (self.inverse, share, columns),
            (self.products, share, half),
            (self.products, half, share),
        ):
            blas.dgemm(-1.0, one, other, beta=1.0, c=target, trans_b=1, overwrite_c=1)
        for matrix in (self.inverse, self.products):
            matrix[own] = matrix[:, own] = 0.0
        self.inverse[own, own] = np.eye(t)
        self.alive[place] = False
        if self.alive.sum() <= _COMPACT * len(self.alive):
            rest = features_of(np.flatnonzero(self.alive), t)
            inner = np.ix_(rest, rest)
            self.inverse = np.asfortranarray(self.inverse[inner])
            self.products = np.asfortranarray(self.products[inner])
            self.units, self.alive = self.units[self.alive], self.alive[self.alive]


def _refactor(
    evidence: Sequence[ReaderStatistics], writers: Numbers, random: torch.Generator
) -> Indices:
    """Keep a basis: units that the others explain least, whatever reads them."""
    parts = []
    for one in evidence:
        covariance = one.moments.covariance_UU
        identity = np.eye(len(covariance)) / max(float(np.trace(covariance)), 1e-30)
        parts.append(Part(covariance, identity, one.per_unit))
    return eliminated(parts, np.zeros(len(writers)))


def _prune(
    evidence: Sequence[ReaderStatistics], writers: Numbers, random: torch.Generator
) -> Indices:
    """Excise again and again what adds least to the error of those that are gone."""
    terms = np.zeros((len(writers), len(writers)))
    for one in evidence:
        terms += one.by_unit(one.products_FF * one.second_FF)
    cost, order = np.diagonal(terms).copy(), []
    for _ in range(len(writers)):
        unit = int(cost.argmin())
        order.append(unit)
        cost += 2 * terms[unit]
        cost[order] = np.inf
    return np.array(order, dtype=np.int64)


def _magnitude(
    evidence: Sequence[ReaderStatistics], writers: Numbers, random: torch.Generator
) -> Indices:
    return np.argsort((writers**2).sum(axis=1), kind="stable")


def _frame(
    evidence: Sequence[ReaderStatistics], writers: Numbers, random: torch.Generator
) -> Indices:
    """First those whose weight vectors add most to the frame potential of the rest."""
    return _by_frame_potential(writers, most=True)


def _frame_least(
    evidence: Sequence[ReaderStatistics], writers: Numbers, random: torch.Generator
) -> Indices:
    return _by_frame_potential(writers, most=False)


def _by_frame_potential(writers_UF: Numbers, *, most: bool) -> Indices:
    """Greedily by a unit's part in FP = sum of <w_i, w_j>^2 over unit vectors of the rest."""
    length = np.linalg.norm(writers_UF, axis=1, keepdims=True)
    unit_UF = np.divide(writers_UF, length, out=np.zeros_like(writers_UF), where=length > 0)
    square = (unit_UF @ unit_UF.T) ** 2
    part = 2 * square.sum(axis=1) - np.diagonal(square)
    order, alive = [], np.ones(len(part), dtype=bool)
    for _ in range(len(part)):
        sign = part if most else -part
        unit = int(np.where(alive, sign, -np.inf).argmax())
        order.append(unit)
        alive[unit] = False
        part = part - 2 * square[unit]
    return np.array(order, dtype=np.int64)


def _random(
    evidence: Sequence[ReaderStatistics], writers: Numbers, random: torch.Generator
) -> Indices:
    return torch.randperm(len(writers), generator=random).numpy()


def _interpolative(
    evidence: Sequence[ReaderStatistics], writers: Numbers, random: torch.Generator
) -> Indices:
    """Keep the pivots of a QR decomposition of the activity (by a pivoted Cholesky of A'A)."""
    second = np.sum([one.unit_second_UU for one in evidence], axis=0)
    left, chosen = np.diagonal(second).copy(), []
    rows = np.zeros((0, len(second)))
    alive = np.ones(len(second), dtype=bool)
    for _ in range(len(second)):
        unit = int(np.where(alive, left, -np.inf).argmax())
        chosen.append(unit)
        alive[unit] = False
        if left[unit] > RIDGE * np.diagonal(second).max():
            row = (second[unit] - rows[:, unit] @ rows) / np.sqrt(left[unit])
            rows = np.vstack([rows, row])
            left = np.maximum(left - row**2, 0.0)
    return np.array(chosen[::-1], dtype=np.int64)


METHODS: dict[str, Criterion] = {
    "joint": Criterion(_joint, "affine", True, "ordered by cost after re-fit, readers re-fitted"),
    "refactor": Criterion(_refactor, "affine", True, "a basis of units, readers re-fitted"),
    "prune": Criterion(_prune, "none", False, "what adds least to its readers is excised"),
    "magnitude": Criterion(_magnitude, "none", False, "the shortest weight vectors are excised"),
    "frame-potential": Criterion(_frame, "none", False, "most frame potential excised first"),
    "frame-potential-least": Criterion(_frame_least, "none", False, "least frame potential first"),
    "random": Criterion(_random, "none", False, "excised at random"),
    "interpolative": Criterion(_interpolative, "linear", False, "pivots kept, readers corrected"),
}


def method_named(name: str) -> Criterion:
    """The method of that name; an unknown one is answered with the nearest."""
    return look_up(METHODS, name, "method")


def random_of(seed: int, cut: str) -> torch.Generator:
    """The generator of a cut's random order."""
    return generator(seed, "order", cut)
