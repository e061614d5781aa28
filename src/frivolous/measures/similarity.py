"""Similar units: how many others of its site follow a unit, up to scale, sign and offset.

Source: Casper et al. 2019 (preprint), "Repeated units"; ICLR submission 2020, section 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from frivolous.errors import BadArgument
from frivolous.measures import validation

Numbers = NDArray[np.float64]

# A variance below this share of the site's largest is what float64 rounding leaves of a constant
# up to about a thousand times larger than the activity's spread: no variance to correlate.
NO_VARIANCE = 1e-24
# Least absolute correlation of twins: each explains 90 percent of the other's variance.
TWINS = 0.95
# Allowed below a threshold, so that a copy of a unit is similar to it at threshold 1.
ROUNDING = 1e-12


def varying(covariance_UU: Numbers) -> NDArray[np.bool_]:
    """Which units vary: those with more than ``NO_VARIANCE`` times the largest variance.

    >>> varying(np.diag([1.0, 0.0]))
    array([ True, False])
    """
    variance_U = np.diagonal(covariance_UU)
    return np.asarray(variance_U > NO_VARIANCE * variance_U.max())


def correlations(covariance_UU: ArrayLike) -> Numbers:
    """Pearson correlation of every pair of units: shape (U, U), in [-1, 1], 1 on the diagonal.

    Rows and columns of units without variance (at most ``NO_VARIANCE`` times the largest) are NaN:
    such a unit has no correlation. Raises :class:`NotFinite` and :class:`BadArgument`.

    >>> correlations([[4.0, -2.0, 0.0], [-2.0, 4.0, 0.0], [0.0, 0.0, 0.0]])
    array([[ 1. , -0.5,  nan],
           [-0.5,  1. ,  nan],
           [ nan,  nan,  nan]])
    """
    values_UU = validation.covariance(covariance_UU)
    varies_U = varying(values_UU)
    # The roots are multiplied, not the variances: their product could over- or underflow.
    scale_U = np.where(varies_U, np.sqrt(np.diagonal(values_UU)), 1.0)
    r_UU = np.clip(values_UU / scale_U[:, None] / scale_U[None, :], -1.0, 1.0)
    np.fill_diagonal(r_UU, 1.0)
    r_UU[~varies_U, :] = np.nan
    r_UU[:, ~varies_U] = np.nan
    return r_UU


def similar_counts(covariance_UU: ArrayLike, threshold: float = 0.5) -> NDArray[np.int64]:
    """For each unit, how many others have an absolute correlation of ``threshold`` or more.

    Shape (U,), in [0, U - 1]; 0 for a unit without variance. ``threshold`` is in (0, 1]; 1e-12 is
    allowed for rounding.

    >>> similar_counts([[1.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1.0]])
    array([1, 1, 0])
    """
    least = _correlation(threshold)
    r_UU = correlations(covariance_UU)
    np.fill_diagonal(r_UU, np.nan)
    # A comparison with NaN is false: no correlation, not similar.
    return np.asarray((np.abs(r_UU) >= least).sum(axis=1), dtype=np.int64)


def similarity(covariance_UU: ArrayLike, threshold: float = 0.5) -> float:
    """Mean over all units of the number of similar others: in [0, U - 1].

    A unit does not count itself. Units without variance are in the mean, with 0.

    >>> similarity([[1.0, 1.0], [1.0, 1.0]])
    1.0
    """
    return float(similar_counts(covariance_UU, threshold).mean())


def absolute_correlations(covariance_UU: ArrayLike, below: float | None = None) -> Numbers:
    """Absolute correlation of every pair of different units, each pair once: the violins' data.

    Shape (pairs,), in [0, 1]; pairs with a unit without variance are left out. ``below`` keeps
    only smaller values: the published violins leave out 0.99999 and above, that is, copies.

    >>> absolute_correlations([[4.0, -2.0, 0.0], [-2.0, 4.0, 0.0], [0.0, 0.0, 0.0]])
    array([0.5])
    >>> absolute_correlations([[1.0, 1.0], [1.0, 1.0]], below=0.99999)
    array([], dtype=float64)
    """
    r_UU = correlations(covariance_UU)
    pairs = np.abs(r_UU[np.triu_indices_from(r_UU, k=1)])
    keep = ~np.isnan(pairs) if below is None else pairs < below
    return np.asarray(pairs[keep])


def nearest_twins(covariance_UU: ArrayLike) -> tuple[NDArray[np.int64], Numbers]:
    """For each unit, the other with the largest absolute correlation, and that correlation.

    Both of shape (U,); -1 and NaN for a unit without variance or without another that varies. Of
    equals the lowest number.

    >>> unit, r = nearest_twins([[4.0, -2.0, 1.0], [-2.0, 4.0, 0.0], [1.0, 0.0, 4.0]])
    >>> unit.tolist(), r.tolist()
    ([1, 0, 0], [0.5, 0.5, 0.25])
    """
    r_UU = np.abs(correlations(covariance_UU))
    np.fill_diagonal(r_UU, np.nan)
    known_UU = np.where(np.isnan(r_UU), -1.0, r_UU)
    unit_U = known_UU.argmax(axis=1)
    largest_U = known_UU[np.arange(len(r_UU)), unit_U]
    has_U = largest_U >= 0
    return np.where(has_U, unit_U, -1), np.where(has_U, largest_U, np.nan)


def twin_groups(
    covariance_UU: ArrayLike, weight_U: ArrayLike, threshold: float = TWINS
) -> NDArray[np.int64]:
    """Groups of units that follow one of them, each named by that representative: shape (U,).

    The unit of the largest weight (its share in what readers compute, say) represents all units
    with an absolute correlation of ``threshold`` or more to it; then the next one that is left. A
    unit without twins represents itself alone, and so does one without variance.

    >>> covariance = [[1.0, 0.99, 0.0], [0.99, 1.0, 0.0], [0.0, 0.0, 1.0]]
    >>> twin_groups(covariance, [1.0, 2.0, 3.0]).tolist()
    [1, 1, 2]
    """
    least = _correlation(threshold)
    r_UU = np.abs(correlations(covariance_UU))
    weight = validation.per_unit("weight", weight_U, like=np.diagonal(r_UU))
    group_U = np.full(len(weight), -1, dtype=np.int64)
    for unit in np.argsort(-weight, kind="stable"):
        if group_U[unit] < 0:
            # A comparison with NaN is false: a unit without variance follows no other.
            group_U[(r_UU[unit] >= least) & (group_U < 0)] = unit
            group_U[unit] = unit
    return group_U


def _correlation(threshold: float) -> float:
    if not 0 < threshold <= 1:
        raise BadArgument(
            f"`threshold` is an absolute correlation in (0, 1]; got {threshold:g}. Pass 0.5."
        )
    return threshold - ROUNDING


@dataclass(frozen=True, eq=False)
class Distribution:
    """How many pairs of units have an absolute correlation in each bin: ``[edges[i], edges[i+1])``.

    The last bin holds 1 too. ``mean`` is that of the pairs in the bins, NaN of none. In no bin:
    ``undefined`` pairs have a unit without variance, ``copies`` are as large as ``below`` or more.
    """

    edges: Numbers
    pairs: NDArray[np.int64]
    mean: float
    undefined: int
    copies: int


def distribution(
    covariance_UU: ArrayLike, below: float | None = None, bins: int = 200
) -> Distribution:
    """Count :func:`absolute_correlations` in ``bins`` equal bins of [0, 1].

    >>> found = distribution([[4.0, -2.0, 0.0], [-2.0, 4.0, 0.0], [0.0, 0.0, 0.0]], bins=4)
    >>> found.pairs.tolist(), found.mean, found.undefined, found.copies
    ([0, 0, 1, 0], 0.5, 2, 0)
    """
    if bins < 1:
        raise BadArgument(f"`bins` is 1 or more; got {bins}. Pass 200.")
    r_UU = np.abs(correlations(covariance_UU))
    width = len(r_UU)
    pairs = np.zeros(bins, dtype=np.int64)
    total, undefined, copies = 0.0, 0, 0
    # Row by row, so that memory stays that of the matrix.
    for unit in range(width - 1):
        row = r_UU[unit, unit + 1 :]
        known = row[~np.isnan(row)]
        kept = known if below is None else known[known < below]
        undefined += len(row) - len(known)
        copies += len(known) - len(kept)
        total += float(kept.sum())
        pairs += np.bincount(np.minimum((kept * bins).astype(np.int64), bins - 1), minlength=bins)
    counted = int(pairs.sum())
    mean = total / counted if counted else math.nan
    return Distribution(np.linspace(0, 1, bins + 1), pairs, mean, undefined, copies)
