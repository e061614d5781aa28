"""Joint elimination: in which order units can go if the readers of the rest are re-fitted.

A unit alone can seem essential while any half of its site would do. So units are removed one after
another, each time the one that costs least, and after each removal the weights that read the rest
are re-fitted by least squares on the activity. With activity a of covariance C and readers W (row j
reads unit j), the expected squared error of what the readers compute grows by exactly

    |w_j|^2 / [C^-1]_jj

when unit j goes. The numerator is small for units that nothing reads (prunable); 1 / [C^-1]_jj is
the variance of unit j that the others leave unexplained, small for redundant ones. Example: of two
units of variance 1 that correlate by 0.9, each leaves 1 - 0.81 = 0.19 of the other unexplained, so
removing one that is read with weight 1 costs 0.19 in place of 1.

Both C^-1 and W change by a term of rank one with each removal. The same formula prunes weights in
Hassibi and Stork (1993, "Second order derivatives for network pruning: optimal brain surgeon"),
where C is the Hessian of a layer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import blas, lapack

from frivolous.errors import BadArgument
from frivolous.measures import validation
from frivolous.measures.reconstruction import factored
from frivolous.measures.similarity import varying

Numbers = NDArray[np.float64]

_BLOCK = 64  # removals between two updates of the whole matrices
_COMPACT = 0.75  # share of units left at which the matrices shrink


@dataclass(frozen=True, eq=False)
class Elimination:
    """The units of a site in the order in which they go, and what is lost with each.

    ``order_U`` holds unit numbers, the first to go first. ``error_U[k]`` is the expected squared
    error, summed over the readers, once ``order_U[: k + 1]`` are gone and the readers of the rest
    re-fitted, constant term included; ``total`` is the variance of what the readers compute, the
    error when all units are gone. The least error of any readers on those units; another set of as
    many units may do with less, since each step looks one unit ahead.
    """

    order_U: NDArray[np.int64]
    error_U: Numbers
    total: float

    def kept(self, units: int) -> NDArray[np.int64]:
        """The last ``units`` units to go, the one that goes last first."""
        if not 0 <= units <= self.order_U.size:
            raise BadArgument(f"`units` is 0 to {self.order_U.size}; got {units}.")
        return self.order_U[::-1][:units]

    @property
    def share_U(self) -> Numbers:
        """``error_U`` as shares of ``total``, in [0, 1]; 0 where the readers compute a constant."""
        return self.error_U / self.total if self.total > 0 else np.zeros_like(self.error_U)

    def error(self, units: int) -> float:
        """The share of ``total`` that is lost with all but ``units`` units: in [0, 1]."""
        gone = self.order_U.size - self.kept(units).size
        return float(self.share_U[gone - 1]) if gone else 0.0


def eliminate(covariance_UU: ArrayLike, products_UU: ArrayLike) -> Elimination:
    """Order all units by removing the cheapest of those left, readers re-fitted each time.

    ``covariance_UU`` of the activity; ``products_UU`` is W W' of the weights that read it, row j of
    W (U, R) holding all weights on unit j, such as :meth:`Network.reader_products` gives. Of
    convolutions these are the weights of all taps, and the error is that of taps whose positions
    are independent of each other.

    Units without variance go first: a constant is folded into the readers' constant term. The order
    does not change when a unit is scaled and its readers inversely. Equal costs: the lower number
    first. Takes O(U^3) operations and 16 U^2 bytes besides the arguments.

    Raises :class:`BadArgument` for a matrix that is no covariance, or products of other units, and
    :class:`NotFinite`.

    >>> twins = [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    >>> readers = np.array([[1.0], [1.0], [0.5]])
    >>> found = eliminate(twins, readers @ readers.T)
    >>> found.order_U.tolist(), found.error_U.round(6).tolist(), found.total
    ([0, 2, 1], [0.0, 0.25, 4.25], 4.25)
    """
    covariance = validation.covariance(covariance_UU)
    products = validation.finite("products", products_UU)
    if products.shape != covariance.shape:
        raise BadArgument(
            f"`products` holds the products of the {len(covariance)} units' rows of weights, shape "
            f"{covariance.shape}; got {products.shape}. Pass W @ W.T, units along the rows of W."
        )
    square_U = np.diagonal(products)
    if square_U.min() < 0:
        raise BadArgument(
            f"`products` holds squared norms on its diagonal, 0 or above; got {square_U.min():g}. "
            "Pass W @ W.T, units along the rows of W."
        )
    varies_U = varying(covariance)
    still, moving = np.flatnonzero(~varies_U), np.flatnonzero(varies_U)
    still = still[np.argsort(square_U[still], kind="stable")]
    inner = np.ix_(moving, moving)
    order, cost_U = _eliminated(covariance[inner], products[inner])
    total = float(np.vdot(products, covariance))
    error_U = np.minimum(np.cumsum(np.concatenate([np.zeros(still.size), cost_U])), total)
    return Elimination(np.concatenate([still, moving[order]]), error_U, total)


def _eliminated(covariance: Numbers, products: Numbers) -> tuple[NDArray[np.int64], Numbers]:
    """Order and costs for units that all vary, computed on correlations.

    Holds two matrices up to date, block by block: the inverse P of the correlations and the
    products M of the readers' rows. Removing unit j, with c = P_:j / P_jj:

        P -= c c' P_jj        M -= c h' + h c',  h = M_:j - c M_jj / 2

    so that rows of readers become w_i - c_i w_j. Within a block only the diagonals and the column
    that is needed are brought up to date; matrix products do the rest at its end. Only the lower
    triangles hold numbers.
    """
    width = len(covariance)
    order = np.empty(width, dtype=np.int64)
    costs = np.empty(width)
    if not width:
        return order, costs
    factor, deviation = factored(covariance)
    inverse, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)
    products = np.asfortranarray(products * deviation[:, None] * deviation[None, :])
    names = np.arange(width)
    alive = np.ones(width, dtype=bool)
    gone = 0
    while gone < width:
        removed, paid = _block(inverse, products, alive, min(_BLOCK, width - gone))
        order[gone : gone + len(removed)] = names[removed]
        costs[gone : gone + len(removed)] = paid
        gone += len(removed)
        if alive.sum() <= _COMPACT * alive.size:
            rest = np.ix_(alive, alive)
            inverse, products = np.asfortranarray(inverse[rest]), np.asfortranarray(products[rest])
            names, alive = names[alive], alive[alive]
    return order, costs


def _block(
    inverse: Numbers, products: Numbers, alive: NDArray[np.bool_], count: int
) -> tuple[list[int], list[float]]:
    """Remove ``count`` units; change the two matrices and ``alive`` in place."""
    size = len(inverse)
    root_UB = np.zeros((size, count), order="F")  # c * sqrt(P_jj): the inverse loses its square
    share_UB = np.zeros((size, count), order="F")  # c
    half_UB = np.zeros((size, count), order="F")  # h
    inverse_U, products_U = np.diagonal(inverse).copy(), np.diagonal(products).copy()
    removed, paid = [], []
    for step in range(count):
        cost_U = np.full(size, np.inf)
        np.divide(products_U, inverse_U, out=cost_U, where=alive)
        unit = int(cost_U.argmin())
        before = slice(0, step)
        column = _column(inverse, unit) - root_UB[:, before] @ root_UB[unit, before]
        read = _column(products, unit) - share_UB[:, before] @ half_UB[unit, before]
        read -= half_UB[:, before] @ share_UB[unit, before]
        column[~alive] = 0.0
        own = inverse_U[unit]
        column[unit] = own
        share = column / own
        half = read - share * (products_U[unit] / 2)
        root_UB[:, step], share_UB[:, step], half_UB[:, step] = column / np.sqrt(own), share, half
        inverse_U -= column * share
        products_U -= 2 * share * half
        np.maximum(products_U, 0.0, out=products_U)  # a square; below 0 by rounding alone
        alive[unit] = False
        removed.append(unit)
        paid.append(float(cost_U[unit]))
    blas.dsyrk(-1.0, root_UB, beta=1.0, c=inverse, lower=1, overwrite_c=1)
    blas.dsyr2k(-1.0, share_UB, half_UB, beta=1.0, c=products, lower=1, overwrite_c=1)
    return removed, paid


def _column(lower: Numbers, unit: int) -> Numbers:
    """One column of a symmetric matrix whose lower triangle is kept."""
    return np.concatenate([lower[unit, :unit], lower[unit:, unit]])
