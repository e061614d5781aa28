"""Ablation curves: what share of labels stays unchanged as a growing fraction of units is ablated.

Arrays: ``fractions_F``, ascending from 0; ``shares_DF``, one row per draw, each share in [0, 1].
Sources: Casper et al. 2021 (AAAI), section 4, "Prunability"; the area is the *robustness* of the
2020 ICLR submission (section 2) and the *removability* of the 2019 preprint.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, ndtri

from frivolous.errors import BadArgument
from frivolous.measures import validation

Numbers = NDArray[np.float64]
Draws = Literal["best", "mean"]
Method = Literal["wilson", "exact"]


@dataclass(frozen=True)
class Interval:
    """A measured value with the bounds of its interval, in the unit of the measure."""

    value: float
    low: float
    high: float


def area(fractions: ArrayLike, shares_DF: ArrayLike) -> Numbers:
    """Area under each draw's curve by the trapezoid rule: shape (D,), each in [0, 1].

    ``fractions`` run from 0 to 1. One curve, shape (F,), counts as one draw. Raises
    :class:`BadArgument`, or :class:`NotFinite` for NaN.

    >>> area((0.0, 0.5, 1.0), [[1.0, 0.5, 0.0], [1.0, 1.0, 1.0]])
    array([0.5, 1. ])
    """
    at_F, curves_DF = _curves(fractions, shares_DF)
    if at_F[-1] != 1:
        raise BadArgument(
            f"`fractions` end at {at_F[-1]:g}; the area is taken from 0 to 1. "
            "Measure the curve to fraction 1."
        )
    return np.asarray((curves_DF[:, 1:] + curves_DF[:, :-1]) @ np.diff(at_F) / 2)


def crossing(fractions: ArrayLike, shares: ArrayLike, tolerance: float = 0.2) -> float:
    """Fraction of units that can be ablated with at most ``tolerance`` of the labels changed.

    The first r with ``y[r] >= 1 - tolerance`` and ``y[r + 1] < 1 - tolerance``, interpolated
    linearly in the fraction; the last fraction for a curve that never falls below. In
    [0, last fraction]. ``shares`` has shape (F,). Raises :class:`BadArgument` for a ``tolerance``
    outside [0, 1) and for a curve that starts below.

    >>> crossing((0.0, 0.25, 0.5, 0.75, 1.0), (1.0, 0.9, 0.875, 0.625, 0.1), tolerance=0.25)
    0.625
    >>> crossing((0.0, 1.0), (1.0, 0.8), tolerance=0.2)
    1.0
    """
    level = 1 - validation.share("tolerance", tolerance)
    at_F, curves_DF = _curves(fractions, shares)
    if len(curves_DF) != 1:
        raise BadArgument(
            f"`shares` is one curve, shape (F,); got {len(curves_DF)} draws. "
            "Use prunable_units for several."
        )
    y_F = curves_DF[0]
    if y_F[0] < level:
        raise BadArgument(
            f"`shares` starts at {y_F[0]:g}, below {level:g}, though nothing is ablated at "
            "fraction 0 and every label is unchanged there. Compare with the intact network's "
            "own labels."
        )
    below = np.flatnonzero(y_F < level)
    if not below.size:
        return float(at_F[-1])
    r = int(below[0]) - 1
    step = (y_F[r] - level) / (y_F[r] - y_F[r + 1])
    return float(at_F[r] + step * (at_F[r + 1] - at_F[r]))


def prunable_units(
    fractions: ArrayLike,
    shares_DF: ArrayLike,
    width: int,
    tolerance: float = 0.2,
    draws: Draws = "best",
) -> float:
    """How many of ``width`` units random ablation can silence within ``tolerance``.

    :func:`crossing` times ``width``, in [0, width], of the draw with the largest one (``"best"``,
    the papers' choice) or on average over draws (``"mean"``). Not rounded to whole units.

    >>> two_draws = [[1.0, 0.5], [1.0, 0.0]]
    >>> prunable_units((0.0, 1.0), two_draws, width=100, tolerance=0.25)
    50.0
    >>> prunable_units((0.0, 1.0), two_draws, width=100, tolerance=0.25, draws="mean")
    37.5
    """
    if draws not in get_args(Draws):
        raise BadArgument(f"`draws` is 'best' or 'mean'; got {draws!r}. The papers use 'best'.")
    if width < 1:
        raise BadArgument(f"`width` is the number of units, 1 or more; got {width}.")
    at_F, curves_DF = _curves(fractions, shares_DF)
    crossings_D = np.array([crossing(at_F, curve_F, tolerance) for curve_F in curves_DF])
    return float(width * (crossings_D.max() if draws == "best" else crossings_D.mean()))


def wilson(successes: ArrayLike, n: int, level: float = 0.95) -> tuple[Numbers, Numbers]:
    """Wilson's score interval of a proportion: (low, high), the shape of ``successes``, in [0, 1].

    Source: Wilson 1927. Independent trials are assumed.

    >>> low, high = wilson(8, 10)
    >>> round(float(low), 4), round(float(high), 4)
    (0.4902, 0.9433)
    """
    count = _successes(successes, n)
    z = float(ndtri((1 + validation.confidence(level)) / 2))
    share = count / n
    centre = share + z**2 / (2 * n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low = np.where(count == 0, 0.0, (centre - half) / (1 + z**2 / n))
    high = np.where(count == n, 1.0, (centre + half) / (1 + z**2 / n))
    return low, high


def exact(successes: ArrayLike, n: int, level: float = 0.95) -> tuple[Numbers, Numbers]:
    """The Clopper-Pearson interval of a proportion: never covers less than ``level``.

    Source: Clopper and Pearson 1934. (low, high), the shape of ``successes``, in [0, 1].

    >>> low, high = exact(8, 10)
    >>> round(float(low), 4), round(float(high), 4)
    (0.4439, 0.9748)
    """
    count = _successes(successes, n)
    tail = (1 - validation.confidence(level)) / 2
    # The incomplete beta function wants positive parameters; the ends are known without it.
    inner_low, inner_high = np.maximum(count, 1), np.minimum(count, n - 1)
    low = np.where(count == 0, 0.0, betaincinv(inner_low, n - inner_low + 1, tail))
    high = np.where(count == n, 1.0, betaincinv(inner_high + 1, n - inner_high, 1 - tail))
    return low, high


def proportion(
    successes: ArrayLike, n: int, level: float = 0.95, *, method: Method = "wilson"
) -> tuple[Numbers, Numbers]:
    """The interval of a proportion by either method: :func:`wilson` or :func:`exact`."""
    return (wilson if check_method(method) == "wilson" else exact)(successes, n, level)


def check_method(method: Method, name: str = "method") -> Method:
    """The name of an interval method; raises for an unknown one."""
    if method not in get_args(Method):
        raise BadArgument(f"`{name}` is 'wilson' or 'exact'; got {method!r}. Pass 'wilson'.")
    return method


def prunable_interval(
    fractions: ArrayLike,
    unchanged_DF: ArrayLike,
    examples: int,
    width: int,
    *,
    tolerance: float = 0.2,
    draws: Draws = "best",
    level: float = 0.95,
    method: Method = "wilson",
) -> Interval:
    """:func:`prunable_units` of counts of unchanged labels, with bounds over examples.

    The pointwise lower and upper bounds of each curve go through the same functional. Pointwise:
    each fraction has its own interval over examples, so the band as a whole covers less than
    ``level`` of curves; draws of units and trained replicates vary besides. At fraction 0 every
    label is unchanged by definition, so both bounds are 1 there.

    >>> found = prunable_interval((0.0, 1.0), [[100, 50]], examples=100, width=8, tolerance=0.25)
    >>> found.value, round(found.low, 2), round(found.high, 2)
    (4.0, 3.35, 4.95)
    """
    return _interval(
        lambda shares_DF: prunable_units(fractions, shares_DF, width, tolerance, draws),
        fractions,
        unchanged_DF,
        examples,
        level=level,
        method=method,
    )


def area_interval(
    fractions: ArrayLike,
    unchanged_DF: ArrayLike,
    examples: int,
    *,
    level: float = 0.95,
    method: Method = "wilson",
) -> Interval:
    """Mean of :func:`area` over draws, bounded as :func:`prunable_interval` bounds its count.

    >>> area_interval((0.0, 1.0), [[100, 50]], examples=100).value
    0.75
    """
    return _interval(
        lambda shares_DF: float(area(fractions, shares_DF).mean()),
        fractions,
        unchanged_DF,
        examples,
        level=level,
        method=method,
    )


def _interval(
    functional: Callable[[Numbers], float],
    fractions: ArrayLike,
    unchanged_DF: ArrayLike,
    examples: int,
    *,
    level: float,
    method: Method,
) -> Interval:
    counts_DF = np.atleast_2d(_successes(unchanged_DF, examples))
    low_DF, high_DF = proportion(counts_DF, examples, level, method=method)
    at_F, shares_DF = _curves(fractions, counts_DF / examples)
    low_DF[:, at_F == 0] = high_DF[:, at_F == 0] = 1.0
    return Interval(functional(shares_DF), functional(low_DF), functional(high_DF))


def _curves(fractions: ArrayLike, shares: ArrayLike) -> tuple[Numbers, Numbers]:
    at_F = validation.finite("fractions", fractions)
    ascending = at_F.ndim == 1 and at_F.size > 1 and bool((np.diff(at_F) > 0).all())
    if not ascending or at_F[0] != 0 or at_F[-1] > 1:
        raise BadArgument(
            f"`fractions` ascend from 0 to at most 1, two or more of them; got {at_F.tolist()}. "
            "Pass 0, 1/6, ..., 1."
        )
    curves_DF = np.atleast_2d(validation.finite("shares", shares))
    if curves_DF.ndim != 2 or not curves_DF.size or curves_DF.shape[1] != at_F.size:
        raise BadArgument(
            f"`shares` has shape (draws, {at_F.size}), one share per fraction; "
            f"got {np.shape(shares)}."
        )
    if curves_DF.min() < 0 or curves_DF.max() > 1:
        raise BadArgument(
            f"`shares` lie in [0, 1]; got {curves_DF.min():g} to {curves_DF.max():g}. "
            "Divide counts of unchanged labels by the number of examples."
        )
    return at_F, curves_DF


def _successes(successes: ArrayLike, n: int) -> Numbers:
    count = validation.finite("successes", successes)
    if n < 1:
        raise BadArgument(f"`n` is a number of examples, 1 or more; got {n}.")
    if count.size and (count.min() < 0 or count.max() > n):
        raise BadArgument(
            f"`successes` are counts from 0 to n = {n}; got {count.min():g} to {count.max():g}."
        )
    return count
