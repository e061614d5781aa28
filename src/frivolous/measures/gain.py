"""Gain: by what factor a count of units grows, on average, when the network's width doubles.

Source: Casper et al. 2021 (AAAI), section 5; g > 2 outpaces the network as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from frivolous.errors import BadArgument
from frivolous.measures import validation

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Gain:
    """The mean ratio, the bounds of its interval and the ratios that it averages.

    ``ratios`` holds one ratio per doubling, NaN where it is not defined; ``left_out`` says which
    doublings (0 is the first) are not in ``value``, and why. ``low`` and ``high`` are NaN where
    there is a single replicate, or nothing to bound.
    """

    value: float
    low: float
    high: float
    ratios: tuple[float, ...]
    replicates: int
    left_out: tuple[tuple[int, str], ...] = ()


def gain(
    counts_RS: ArrayLike,
    skip_first: bool = False,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Gain:
    """Mean ratio of a count from one size to the next doubling, of the means over replicates.

    ``counts_RS``: one row per trained replicate, one column per size in successive doublings; NaN
    marks what was not trained. The interval resamples replicates (bootstrap, percentiles) and
    keeps the sizes; few replicates give a coarse one (three have ten different resamples). A
    ratio is not defined where a size is missing or the mean before the doubling is 0 units; it is
    left out and the record says so. ``skip_first`` leaves out the first doubling, as the published
    figures do for redundancy. Raises :class:`BadArgument` for counts that are negative or infinite.

    >>> gain([[1.0, 2.0, 6.0], [1.0, 4.0, 6.0]], resamples=100).ratios
    (3.0, 2.0)
    >>> gain([[0.0, 2.0, 6.0]]).left_out
    ((0, 'the mean count before this doubling is 0'),)
    """
    counts = _counts(counts_RS)
    ratios_T = _ratios(_mean(counts, axis=0))
    value = float(_mean_ratio(ratios_T, skip_first))
    low = high = float("nan")
    if len(counts) > 1:
        low, high = _bootstrap(counts, skip_first, resamples, seed, validation.confidence(level))
    return Gain(
        value=value,
        low=low,
        high=high,
        ratios=tuple(float(ratio) for ratio in ratios_T),
        replicates=len(counts),
        left_out=_left_out(counts, ratios_T, skip_first),
    )


def _counts(counts_RS: ArrayLike) -> Numbers:
    counts = np.atleast_2d(np.asarray(counts_RS, dtype=np.float64))
    if counts.ndim != 2 or not counts.size or counts.shape[1] < 2:
        raise BadArgument(
            "`counts_RS` has shape (replicates, sizes) with two or more sizes; "
            f"got {np.shape(counts_RS)}. Pass one row per replicate."
        )
    known = counts[~np.isnan(counts)]
    if known.size and (known.min() < 0 or np.isinf(known).any()):
        raise BadArgument(
            f"`counts_RS` are counts or shares of units, 0 or above and finite; got "
            f"{known.min():g} to {known.max():g}. Mark a missing size with NaN."
        )
    return counts


def _mean(values: Numbers, axis: int) -> Numbers:
    """Mean along ``axis`` of the entries that are not NaN; NaN if there are none."""
    known = ~np.isnan(values)
    number = known.sum(axis=axis)
    total = np.where(known, values, 0.0).sum(axis=axis)
    return np.asarray(np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0))


def _ratios(means: Numbers) -> Numbers:
    """Ratios of neighbours along the last axis; NaN where the first of the two is 0 or missing."""
    before, after = means[..., :-1], means[..., 1:]
    return np.divide(after, before, out=np.full(after.shape, np.nan), where=before > 0)


def _mean_ratio(ratios: Numbers, skip_first: bool) -> Numbers:
    return _mean(ratios[..., 1:] if skip_first else ratios, axis=-1)


def _bootstrap(
    counts_RS: Numbers, skip_first: bool, resamples: int, seed: int, level: float
) -> tuple[float, float]:
    if resamples < 1:
        raise BadArgument(f"`resamples` is 1 or more; got {resamples}. Pass 2000.")
    rng = np.random.default_rng(seed)
    rows_BR = rng.integers(len(counts_RS), size=(resamples, len(counts_RS)))
    gains_B = _mean_ratio(_ratios(_mean(counts_RS[rows_BR], axis=1)), skip_first)
    known = gains_B[~np.isnan(gains_B)]
    if not known.size:
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _left_out(
    counts_RS: Numbers, ratios_T: Numbers, skip_first: bool
) -> tuple[tuple[int, str], ...]:
    missing_S = np.isnan(_mean(counts_RS, axis=0))
    reasons = []
    for step, ratio in enumerate(ratios_T):
        if skip_first and step == 0:
            reasons.append((step, "the first doubling is left out by the protocol"))
        elif missing_S[step] or missing_S[step + 1]:
            reasons.append((step, "a size of this doubling is missing"))
        elif np.isnan(ratio):
            reasons.append((step, "the mean count before this doubling is 0"))
    return tuple(reasons)
