"""Checks of the measures' arguments: shares, covariances and vectors of numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from frivolous.errors import BadArgument, NotFinite


def share(name: str, value: float) -> float:
    """``value`` if it is a share in [0, 1); the error says how to write a percentage as a share.

    >>> share("tolerance", 0.05)
    0.05
    >>> share("tolerance", 1.5)
    Traceback (most recent call last):
    ...
    frivolous.errors.BadArgument: `tolerance` is a share in [0, 1); got 1.5.
    For 1.5 percent pass 0.015.
    """
    number = float(value)
    if 0 <= number < 1:
        return number
    remedy = (
        f"For {number:g} percent pass {number / 100:g}."
        if 1 <= number < 100
        else "Pass a number such as 0.05."
    )
    raise BadArgument(f"`{name}` is a share in [0, 1); got {number:g}. {remedy}")


def finite(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """``values`` as float64 numbers; raises :class:`NotFinite` with how many are not finite."""
    numbers = np.asarray(values, dtype=np.float64)
    wrong = numbers.size - int(np.isfinite(numbers).sum())
    if wrong:
        raise NotFinite(
            f"`{name}` holds {wrong} of {numbers.size} values that are NaN or infinite; "
            "a measure needs numbers. Look for the site or batch they come from."
        )
    return numbers


def covariance(values: ArrayLike) -> NDArray[np.float64]:
    """A square, finite ``covariance_UU`` of at least one unit; raises for anything else."""
    numbers = finite("covariance", values)
    if numbers.ndim != 2 or numbers.shape[0] != numbers.shape[1] or not numbers.size:
        raise BadArgument(
            f"`covariance` is a square matrix (units, units); got shape {numbers.shape}. "
            "For one unit pass [[variance]]."
        )
    variances = np.diagonal(numbers)
    if variances.min() < 0:
        unit = int(variances.argmin())
        raise BadArgument(
            f"`covariance` holds variances on its diagonal, 0 or above; unit {unit} has "
            f"{variances[unit]:g}. Pass a covariance, computed from centred activities."
        )
    return numbers


def per_unit(name: str, values: ArrayLike, like: NDArray[Any] | None = None) -> NDArray[np.float64]:
    """One finite number per unit, of the same length as ``like``; raises for anything else."""
    numbers = finite(name, values)
    if numbers.ndim != 1:
        raise BadArgument(f"`{name}` holds one number per unit, shape (U,); got {numbers.shape}.")
    if like is not None and numbers.shape != like.shape:
        raise BadArgument(
            f"`{name}` holds one number per unit; got {numbers.size} for {like.size} units. "
            "Pass the numbers of one site."
        )
    return numbers


def confidence(level: float) -> float:
    """``level`` if it lies strictly between 0 and 1."""
    number = float(level)
    if not (0 < number < 1) or math.isnan(number):
        raise BadArgument(
            f"`level` is the coverage of an interval, in (0, 1); got {number:g}. Pass 0.95."
        )
    return number
