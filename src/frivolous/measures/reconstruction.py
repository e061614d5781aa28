"""Reconstruction: predict every unit from those kept, by least squares.

Readers that are re-fitted to the units kept compute what the old ones compute from the best
linear prediction of all units; so one prediction serves every reader, whatever its weights (Casper
et al. 2021, appendix C, fits readers to activity in the same sense).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import lapack, solve_triangular

from frivolous.errors import BadArgument
from frivolous.measures import validation
from frivolous.measures.similarity import varying

Numbers = NDArray[np.float64]

RIDGE = 1e-10
"""Share of each unit's variance that is treated as noise of its own.

An exact copy then has an inverse, and is predicted to about 1e-10 of its variance. Only where
readers weigh copies by thousands against each other does that much show.
"""


@dataclass(frozen=True, eq=False)
class Reconstructor:
    """Best linear predictions of all units from those kept, for any number of units kept.

    ``factor_UU`` is the Cholesky factor of the correlations (with :data:`RIDGE`), units in the
    order ``kept_U``, the last to go first; it serves every number of units.
    """

    kept_U: NDArray[np.int64]
    mean_U: Numbers
    deviation_U: Numbers
    factor_UU: Numbers

    def prediction(self, units: int) -> tuple[Numbers, Numbers]:
        """A matrix (U, U) and a constant (U,): activity @ matrix + constant predicts the activity.

        Rows of units that are gone are zero; the ``units`` kept predict themselves exactly. Readers
        re-fitted by least squares on those kept compute what the old ones compute from this.
        """
        width = self.kept_U.size
        if not 0 <= units <= width:
            raise BadArgument(f"`units` is 0 to {width}; got {units}.")
        kept, gone = self.kept_U[:units], self.kept_U[units:]
        inner, below = self.factor_UU[:units, :units], self.factor_UU[units:, :units]
        weights_KG = solve_triangular(inner, below.T, trans="T", lower=True, check_finite=False)
        scale_K = np.divide(
            1.0, self.deviation_U[kept], out=np.zeros(units), where=self.deviation_U[kept] > 0
        )
        matrix = np.zeros((width, width))
        matrix[kept, kept] = 1.0
        matrix[np.ix_(kept, gone)] = scale_K[:, None] * weights_KG * self.deviation_U[gone]
        constant = np.zeros(width)
        constant[gone] = self.mean_U[gone] - self.mean_U[kept] @ matrix[np.ix_(kept, gone)]
        return matrix, constant


def reconstructor(
    mean_U: ArrayLike, covariance_UU: ArrayLike, order_U: NDArray[np.int64]
) -> Reconstructor:
    """Least-squares predictions of units from those that go later in an elimination.

    >>> found = reconstructor([0.0, 1.0], [[1.0, 2.0], [2.0, 4.0]], np.array([1, 0]))
    >>> matrix, constant = found.prediction(1)
    >>> (np.array([[3.0, 0.0]]) @ matrix + constant).round(6).tolist()
    [[3.0, 7.0]]
    """
    covariance = validation.covariance(covariance_UU)
    mean = validation.per_unit("mean", mean_U, like=np.diagonal(covariance))
    if sorted(order_U.tolist()) != list(range(len(covariance))):
        raise BadArgument(
            f"`order` holds each of the units 0 to {len(covariance) - 1} once; got "
            f"{order_U.tolist()[:8]}... Pass `Elimination.order_U` of the same site."
        )
    kept = order_U[::-1]
    varies_U = varying(covariance)
    deviation = np.where(varies_U, np.sqrt(np.diagonal(covariance)), 0.0)
    scale_U = np.where(varies_U, deviation, 1.0)
    correlation = (covariance / scale_U[:, None] / scale_U)[np.ix_(kept, kept)]
    correlation[~varies_U[kept], :] = 0.0
    correlation[:, ~varies_U[kept]] = 0.0
    return Reconstructor(kept, mean, deviation, cholesky(correlation))


def explained(
    covariance_UU: ArrayLike, elsewhere_UU: ArrayLike | None = None, *, ridge: float = RIDGE
) -> Numbers:
    """R squared of each unit's regression on all others of its site: shape (U,), at most 1.

    1 - 1 / [R^-1]_jj with R the correlations: the share of a unit's variance that a linear function
    of the others predicts on the samples it was fitted to; within :data:`RIDGE` of ordinary least
    squares, in [0, 1]. With hardly more samples than units everything seems explained: so
    ``elsewhere_UU`` is the covariance of other samples of the same units, and the share is that of
    their variance, predicted with the slopes of ``covariance_UU``; below 0 where a slope does
    harm. A larger ``ridge`` gives those of ridge regression (of units scaled to variance 1). NaN
    for a unit without variance in either.

    >>> explained([[1.0, 0.5], [0.5, 1.0]]).round(4).tolist()
    [0.25, 0.25]
    >>> explained([[1.0, 0.5], [0.5, 1.0]], np.eye(2)).round(4).tolist()
    [-0.25, -0.25]
    """
    covariance = validation.covariance(covariance_UU)
    test = covariance if elsewhere_UU is None else validation.covariance(elsewhere_UU)
    if test.shape != covariance.shape:
        raise BadArgument(
            f"`elsewhere` has shape {test.shape}, `covariance` {covariance.shape}; pass those of "
            "the same units."
        )
    varies_U, wanted_U = varying(covariance), np.diagonal(test)
    found_U = np.full(len(covariance), np.nan)
    if varies_U.any():
        inner = np.ix_(varies_U, varies_U)
        factor, deviation = factored(covariance[inner], ridge)
        inverse, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)
        own = np.diagonal(inverse).copy()
        if elsewhere_UU is None:
            left = np.where(own > 0, 1.0 / own, 0.0)
        else:
            slopes = np.tril(inverse) + np.tril(inverse, -1).T
            slopes /= own[:, None] * deviation  # of activities: 1 / deviation at the unit itself
            residual = np.einsum("uv,vw,uw->u", slopes, test[inner], slopes, optimize=True)
            scale = np.divide(
                1.0, wanted_U[varies_U], out=np.full(len(own), np.nan), where=wanted_U[varies_U] > 0
            )
            left = residual * deviation**2 * scale
        found_U[varies_U] = np.minimum(1.0 - left, 1.0)
    return found_U


def factored(covariance: Numbers, ridge: float = RIDGE) -> tuple[Numbers, Numbers]:
    """The Cholesky factor of the correlations of units that all vary, and their deviations."""
    deviation = np.sqrt(np.diagonal(covariance))
    return cholesky(covariance / deviation[:, None] / deviation, ridge), deviation


def cholesky(correlation: Numbers, ridge: float = RIDGE) -> Numbers:
    """The lower Cholesky factor of a correlation matrix with the ridge on its diagonal.

    Raises :class:`BadArgument` for a matrix with an eigenvalue below zero.
    """
    matrix = np.asfortranarray(correlation)
    np.fill_diagonal(matrix, 1.0 + ridge)
    factor, failed = lapack.dpotrf(matrix, lower=1, overwrite_a=1)
    if failed:
        raise BadArgument(
            "`covariance` has an eigenvalue below zero, which no covariance has. Compute it from "
            "centred activities in float64, as `Moments.covariance_UU` is."
        )
    return np.asarray(factor)
