"""Pruning criteria: in which order the units of a group go, and what each removal should cost.

Intuition. A unit can go for one of two reasons: hardly anything depends on it (its outgoing weights
are small), or other units say the same (it can be predicted from those that stay). A criterion that
leaves the readers as they are sees the first reason only. One that re-fits the readers by least
squares after each removal sees both, and what it removes first depends on what is already gone.

Worked example. Three units of variance 1; units 0 and 1 correlate by 0.9, unit 2 is independent.
Each is read with weight 1 by an output of its own.

- Readers as they are: each unit costs its own 1^2 x 1 = 1, and nothing tells them apart.
- Re-fitted: unit 0 costs only what unit 1 does not explain, 1 - 0.9^2 = 0.19, and goes first. Its
  reader now reads 0.9 of unit 1, whose outgoing weights have become (0.9, 1), of squared length
  1.81. So unit 2 goes next, for 1, and unit 1, once as cheap as unit 0, goes last.

>>> from frivolous.measures.elimination import eliminate
>>> covariance = np.array([[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 1.0]])
>>> eliminated([Part(covariance, np.eye(3), per_unit=1)], np.zeros(3))
array([0, 2, 1])
>>> eliminate(covariance, np.eye(3)).error_U.round(2).tolist()  # 0.19, + 1, + 1.81
[0.19, 1.19, 3.0]

Formulas. Costs are mean squared errors of what the readers compute, in the metric of
:class:`~frivolous.compression.criteria.calibration.ReaderStatistics`: M = W G W' of the readers'
weights, E second moments about zero, C covariances; K are the units kept and D those removed.

    readers as they are    tr(M_DD E_DD)
    re-fitted              tr(M_DD S),    S = C_DD - C_DK C_KK^-1 C_KD

S is the covariance of the removed units that a linear function of the kept ones leaves unexplained.

Sources. ``joint``: the saliency of Hassibi and Stork (1993, optimal brain surgeon), of units and
their readers in place of weights, see :mod:`frivolous.measures.elimination`. ``refactor`` and
``prune``: Casper et al. (2021), appendix C. ``interpolative``: Chee et al. (2022, "Model preserving
compression for neural networks"). The frame potential is that of Benedetto and Fickus (2003).
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
    """A pruning method: how it orders units, and what it does to the layers that read them.

    ``order`` gives the units in the order in which they go. ``refits`` is "affine" where readers
    are re-fitted with a constant term, "linear" without one, "none" where they stay as they are;
    ``fine`` says whether they are fitted once more, layer by layer, to what they read in the
    thinner network (:mod:`frivolous.compression.reconstruction.layerwise`). ``what`` describes it.
    """

    order: Callable[[Sequence[ReaderStatistics], Numbers, torch.Generator], Indices]
    refits: str
    fine: bool
    what: str


@dataclass(frozen=True, eq=False)
class Ranking:
    """The units of a pruning group, first to go first; ``cost_K[k]``: expected with k units kept.

    The last ``least`` never go, so that no layer is left without a unit.
    """

    order_U: Indices
    cost_K: Numbers
    least: int = 1

    def kept(self, units: int) -> Indices:
        """The units that stay, ascending."""
        return np.sort(self.order_U[len(self.order_U) - units :])


def rank_units(
    method: Criterion,
    statistics: Sequence[ReaderStatistics],
    writers_UF: Numbers,
    random: torch.Generator,
    parts: Sequence[NDArray[np.bool_]] = (),
    least: int = 1,
) -> Ranking:
    """The order in which a method removes units, with the expected costs.

    ``writers_UF`` holds the weights that write each unit, one row for each. Of each of ``parts``,
    sets of units as flags (U,), at least one unit stays, and at least ``least`` of all.
    """
    order = method.order(statistics, writers_UF, random)
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
    # Fewer units never cost less: errors that cancel by chance are not counted on.
    cost = np.maximum.accumulate(expected(order, statistics, method.refits)[::-1])[::-1]
    return Ranking(order, cost, len(stays))


def expected(order_U: Indices, statistics: Sequence[ReaderStatistics], refits: str) -> Numbers:
    """The expected cost with k = 0 .. U units kept, summed over readers: shape (U + 1,)."""
    total = np.zeros(len(order_U) + 1)
    for one in statistics:
        how = refits if one.read.refits else "none"
        total += _refitted(order_U, one, how) if how != "none" else _excised(order_U, one)
    return total


def _excised(order_U: Indices, one: ReaderStatistics) -> Numbers:
    """The cost where the reader stays as it is: tr(M_DD E_DD), for every number of units kept.

    With the units in order of removal that is the sum over the leading block of M * E.
    """
    terms = one.by_unit(one.products_FF * one.second_FF)[np.ix_(order_U, order_U)]
    gone = np.cumsum(np.cumsum(terms, 0), 1).diagonal()
    return np.concatenate([[0.0], np.maximum(gone, 0.0)])[::-1]


def _refitted(order_U: Indices, one: ReaderStatistics, how: str) -> Numbers:
    """The cost where the reader is re-fitted: tr(M S), for every number of units kept at once.

    Let C = L L' with the units in order of keeping, the last to go first. What the first k leave
    unexplained of the others is S = sum over j >= k of l_j l_j', with l_j column j of L. So one
    factor serves every k: tr(M S) is a sum of l_j' M l_j from the end.
    """
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
    """The features of units, one unit after another.

    >>> features_of(np.array([2, 0]), per_unit=3)
    array([6, 7, 8, 0, 1, 2])
    """
    return (units[:, None] * per_unit + np.arange(per_unit)).ravel()


def _joint(
    statistics: Sequence[ReaderStatistics], writers: Numbers, random: torch.Generator
) -> Indices:
    """Remove what costs least after the re-fit, again and again, for all readers together."""
    parts = [
        Part(one.fitted_FF, one.products_FF, one.per_unit) for one in statistics if one.read.refits
    ]
    return eliminated(parts, _excised_alone([e for e in statistics if not e.read.refits], writers))


def _excised_alone(statistics: Sequence[ReaderStatistics], writers: Numbers) -> Numbers:
    """What removing each unit alone costs readers that stay as they are: shape (U,)."""
    costs = [one.by_unit(one.products_FF * one.second_FF).diagonal() for one in statistics]
    return np.asarray(np.sum([np.zeros(len(writers)), *costs], axis=0))


class Part(NamedTuple):
    """Covariance C and products M of the features that one reader reads, ``per_unit`` per unit."""

    covariance_FF: Numbers
    products_FF: Numbers
    per_unit: int


def eliminated(parts: Sequence[Part], excised_U: Numbers) -> Indices:
    """Remove the cheapest unit again and again, readers of every part re-fitted each time.

    ``excised_U`` is what a unit costs readers that are not fitted. With B a unit's features, P the
    inverse covariance of the features left and M the products, its removal costs
    tr(M_BB P_BB^-1): P_BB^-1 is the covariance of B that the other features leave unexplained. Of
    one feature this is |w|^2 / P_bb, and with one part that is
    :func:`frivolous.measures.elimination.eliminate`.
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
    """Inverse covariance P and products M of the features of the units that are left."""

    def __init__(self, part: Part) -> None:
        self.per_unit = part.per_unit
        self.units = np.arange(len(part.covariance_FF) // part.per_unit)
        self.alive = np.ones(len(self.units), dtype=bool)
        varies = varying(part.covariance_FF)
        # A constant feature counts as one without readers: the constant term takes its place.
        # All others are scaled to variance 1, and M inversely, which changes no cost.
        scale = np.where(varies, np.sqrt(np.diagonal(part.covariance_FF)), 1.0)
        correlation = part.covariance_FF / scale[:, None] / scale
        correlation[~varies] = correlation[:, ~varies] = 0.0
        found, _ = lapack.dpotri(cholesky(correlation), lower=1, overwrite_c=1)
        self.inverse = np.asfortranarray(np.tril(found) + np.tril(found, -1).T)
        self.products = np.asfortranarray(part.products_FF * scale[:, None] * scale)
        self.products[~varies] = self.products[:, ~varies] = 0.0

    def costs(self) -> tuple[Indices, Numbers]:
        """The units that are left, and what removing each of them costs."""
        solved = np.linalg.solve(self._blocks(self.inverse), self._blocks(self.products))
        costs = np.maximum(np.einsum("uii->u", solved), 0.0)
        return self.units[self.alive], costs[self.alive]

    def _blocks(self, matrix: Numbers) -> Numbers:
        """The diagonal blocks of a matrix, one for each unit: shape (U, t, t)."""
        count, t = len(self.units), self.per_unit
        shaped = matrix.reshape(count, t, count, t)
        return np.asarray(shaped[np.arange(count), :, np.arange(count)])

    def remove(self, unit: int) -> None:
        """Take a unit out and re-fit the readers of the others.

        With B the unit's features and A = P_:B P_BB^-1 (``share``), the others predict B by -A, so
        their readers' weights become W - A W_B. Hence

            P  <-  P - A P_B:
            M  <-  (I - A at B) M (I - A at B)'  =  M - A H' - H A',   H = M_:B - A M_BB / 2

        and rows and columns of B are zero from then on.
        """
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
        self.inverse[own, own] = np.eye(t)  # can be inverted, with products of zero
        self.alive[place] = False
        if self.alive.sum() <= _COMPACT * len(self.alive):
            rest = features_of(np.flatnonzero(self.alive), t)
            inner = np.ix_(rest, rest)
            self.inverse = np.asfortranarray(self.inverse[inner])
            self.products = np.asfortranarray(self.products[inner])
            self.units, self.alive = self.units[self.alive], self.alive[self.alive]


def _refactor(
    statistics: Sequence[ReaderStatistics], writers: Numbers, random: torch.Generator
) -> Indices:
    """Keep a basis: remove what the others explain best, whatever reads it.

    M is the identity, divided by the total variance so that readers of other groups' units count
    alike.
    """
    parts = []
    for one in statistics:
        covariance = one.moments.covariance_UU
        identity = np.eye(len(covariance)) / max(float(np.trace(covariance)), 1e-30)
        parts.append(Part(covariance, identity, one.per_unit))
    return eliminated(parts, np.zeros(len(writers)))


def _prune(
    statistics: Sequence[ReaderStatistics], writers: Numbers, random: torch.Generator
) -> Indices:
    """Excise again and again what adds least to the error of those that are gone.

    After a set D, unit u adds T_uu + 2 (sum over d in D of T_ud), with T = M * E summed by unit.
    """
    terms = np.zeros((len(writers), len(writers)))
    for one in statistics:
        terms += one.by_unit(one.products_FF * one.second_FF)
    cost, order = np.diagonal(terms).copy(), []
    for _ in range(len(writers)):
        unit = int(cost.argmin())
        order.append(unit)
        cost += 2 * terms[unit]
        cost[order] = np.inf
    return np.array(order, dtype=np.int64)


def _magnitude(
    statistics: Sequence[ReaderStatistics], writers: Numbers, random: torch.Generator
) -> Indices:
    """The unit with the shortest incoming weight vector first."""
    return np.argsort((writers**2).sum(axis=1), kind="stable")


def _frame(
    statistics: Sequence[ReaderStatistics], writers: Numbers, random: torch.Generator
) -> Indices:
    """First the units whose weight vectors add most to the frame potential of the rest."""
    return _by_frame_potential(writers, most=True)


def _frame_least(
    statistics: Sequence[ReaderStatistics], writers: Numbers, random: torch.Generator
) -> Indices:
    return _by_frame_potential(writers, most=False)


def _by_frame_potential(writers_UF: Numbers, *, most: bool) -> Indices:
    """Greedily by a unit's part in the frame potential of those left, FP = sum_ij <w_i, w_j>^2.

    The w are the units' incoming weights, scaled to length 1.
    """
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
    statistics: Sequence[ReaderStatistics], writers: Numbers, random: torch.Generator
) -> Indices:
    return torch.randperm(len(writers), generator=random).numpy()


def _interpolative(
    statistics: Sequence[ReaderStatistics], writers: Numbers, random: torch.Generator
) -> Indices:
    """Keep the pivots of a QR decomposition of the activity A, by a pivoted Cholesky of A'A.

    Each pivot is the unit with the most second moment that earlier pivots leave unexplained.
    """
    second = np.sum([one.unit_second_UU for one in statistics], axis=0)
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
    """The method of that name; the error for an unknown name suggests the nearest."""
    return look_up(METHODS, name, "method")


def random_of(seed: int, cut: str) -> torch.Generator:
    """The random generator of a pruning group's order."""
    return generator(seed, "order", cut)
