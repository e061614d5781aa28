"""Redundant units: width less the principal components that hold nearly all the variance.

Source: Casper et al. 2021 (AAAI), section 4, "Redundancy"; *compressibility* is the share of the
2020 ICLR submission, section 2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from frivolous.errors import BadArgument
from frivolous.measures import validation


def spectrum(covariance_UU: ArrayLike) -> NDArray[np.float64]:
    """Eigenvalues of a covariance, largest first: the variance along each principal component.

    Shape (U,), in squared units of the activity. What rounding leaves of a zero eigenvalue,
    anything up to ``U * eps * largest`` (eps of float64), is returned as exactly 0. Raises
    :class:`NotFinite` for NaN and :class:`BadArgument` for what is no covariance.

    >>> spectrum([[2.0, 2.0], [2.0, 2.0]])
    array([4., 0.])
    """
    values_U = np.asarray(
        np.linalg.eigvalsh(validation.covariance(covariance_UU))[::-1], dtype=np.float64
    )
    return np.where(values_U > _cut_off(values_U), values_U, 0.0)


def components_needed(covariance: ArrayLike, tolerance: float = 0.05) -> int:
    """Fewest principal components that leave at most ``tolerance`` of the variance unexplained.

    ``covariance`` is ``covariance_UU`` or, to save the decomposition, its :func:`spectrum`. In
    [0, U]; 0 only where no unit varies. ``tolerance`` 0 asks for the numerical rank: eigenvalues
    above ``U * eps * largest``; the same amount is allowed for rounding at any tolerance, so that
    an exact tie counts as explained.

    >>> components_needed([[96.0, 0.0], [0.0, 4.0]])
    1
    >>> components_needed([[96.0, 0.0], [0.0, 4.0]], tolerance=0)
    2
    """
    unexplained = validation.share("tolerance", tolerance)
    values_U = _spectrum(covariance)
    # The smallest eigenvalues are summed first, which loses the least to rounding.
    dropped_U = np.cumsum(values_U[::-1])
    allowed = unexplained * values_U.sum() + _cut_off(values_U)
    return values_U.size - int((dropped_U <= allowed).sum())


def redundant_units(
    covariance: ArrayLike, tolerance: float = 0.05, count_crossing: bool = False
) -> int:
    """Width less the components needed for all but ``tolerance`` of the variance: in [0, U].

    ``count_crossing`` is the convention of the published figures: the component whose variance
    crosses the tolerance counts as redundant too, which makes one more and at least 1. Where no
    unit varies, each one's activity is known without any component, so all U are redundant under
    both conventions. ``covariance`` may be a :func:`spectrum`, as in :func:`components_needed`.

    >>> redundant_units([[1.0, 1.0], [1.0, 1.0]])
    1
    >>> redundant_units([[1.0, 0.0], [0.0, 1.0]]), redundant_units(np.eye(2), count_crossing=True)
    (0, 1)
    """
    values_U = _spectrum(covariance)
    redundant = values_U.size - components_needed(values_U, tolerance)
    return min(redundant + count_crossing, values_U.size)


def redundant_level(covariance: ArrayLike, tolerance: float = 0.05) -> float:
    """:func:`redundant_units` without the steps from unit to unit: in [0, U].

    To the components dropped whole it adds the share of the next one's variance that ``tolerance``
    still allows. Its whole part is the count. A count jumps, or does not move at all, when the
    examples change a little; this does neither, so it is what intervals over examples rest on.

    >>> redundant_level([[96.0, 0.0], [0.0, 4.0]]), redundant_level([[92.0, 0.0], [0.0, 8.0]])
    (1.0104166666666667, 0.625)
    """
    unexplained = validation.share("tolerance", tolerance)
    values_U = _spectrum(covariance)
    dropped = values_U.size - components_needed(values_U, tolerance)
    if dropped == values_U.size:
        return float(dropped)
    smallest_U = values_U[::-1]
    left = unexplained * values_U.sum() - smallest_U[:dropped].sum()
    return dropped + float(np.clip(left / smallest_U[dropped], 0.0, 1.0))


def compressibility(
    covariance: ArrayLike, tolerance: float = 0.05, count_crossing: bool = False
) -> float:
    """:func:`redundant_units` as a share of the width, in [0, 1].

    >>> compressibility([[1.0, 1.0], [1.0, 1.0]])
    0.5
    """
    values_U = _spectrum(covariance)
    return redundant_units(values_U, tolerance, count_crossing) / values_U.size


def _spectrum(covariance: ArrayLike) -> NDArray[np.float64]:
    if np.ndim(covariance) != 1:
        return spectrum(covariance)
    values_U = validation.finite("spectrum", covariance)
    if not values_U.size or values_U.min() < 0 or (np.diff(values_U) > 0).any():
        raise BadArgument(
            "`covariance` of one axis is a spectrum: eigenvalues from the largest down, none "
            f"below 0; got {values_U[:4].tolist()}... Pass what spectrum() returns, or the matrix."
        )
    return values_U


def _cut_off(values_U: NDArray[np.float64]) -> float:
    return float(values_U.size * np.finfo(np.float64).eps * max(values_U.max(), 0.0))
