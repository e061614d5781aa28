"""The rows of a measurement: its table and its ablation curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from frivolous.ablation.curves import AblationCurve
from frivolous.measures import Protocol, curve, similarity
from frivolous.measures.confidence_sequence import sequence
from frivolous.statistics.jackknife import SiteStatistics
from frivolous.statistics.streaming import Activity

COLUMNS = ("site", "depth", "grain", "width", "measure", "value", "low", "high", "examples")
CURVE_COLUMNS = (
    "site",
    "grain",
    "draw",
    "fraction",
    "ablated",
    "unchanged",
    "low",
    "high",
    "examples",
    "spread",
)
CORRELATION_COLUMNS = ("site", "low", "high", "pairs", "mean", "undefined", "copies")


def table_row(
    site: str,
    depth: int,
    grain: str,
    width: int,
    measure: str,
    interval: curve.Interval,
    examples: int,
) -> dict[str, Any]:
    """One row of the table: a measure of a site, with its interval."""
    bounds = (interval.value, interval.low, interval.high)
    return dict(zip(COLUMNS, (site, depth, grain, width, measure, *bounds, examples), strict=True))


def curve_rows(
    found: AblationCurve, depth: int, protocol: Protocol, method: curve.Method = "wilson"
) -> list[dict[str, Any]]:
    """The rows of one ablation curve: prunable units and area."""
    at, units = found.fractions, found.units
    if found.crossing is None:
        prunable = curve.prunable_interval(
            at,
            found.unchanged,
            found.examples,
            units,
            tolerance=protocol.tolerance,
            draws=protocol.draw,
            method=method,
        )
    else:
        known = found.crossing
        prunable = curve.Interval(known.value * units, known.low * units, known.high * units)
    shares = (found.shares, *_bounds(found, method))
    area = curve.Interval(*(float(curve.area(at, share).mean()) for share in shares))
    return [
        table_row(found.site, depth, found.grain, units, name, interval, found.examples)
        for name, interval in (("prunable", prunable), ("area", area))
    ]


def _bounds(
    found: AblationCurve, method: curve.Method
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The bounds of every point of a curve, shape (draws, fractions)."""
    if found.seen is None:
        low, high = curve.proportion(found.unchanged, found.examples, method=method)
    else:
        low, high = sequence(found.unchanged, found.seen)
    # Nothing is ablated at fraction 0: unchanged by definition, not by sampling.
    low[:, np.equal(found.fractions, 0)] = high[:, np.equal(found.fractions, 0)] = 1.0
    return low, high


def statistic_rows(
    found: SiteStatistics, site: str, depth: int, width: int, examples: int
) -> list[dict[str, Any]]:
    """The rows of one site's statistics."""
    return [
        table_row(site, depth, "channel", width, name, interval, examples)
        for name, interval in found.intervals().items()
    ]


def curve_frame(curves: list[AblationCurve], method: curve.Method = "wilson") -> pd.DataFrame:
    """The ablation curves, one row per site, draw and fraction; :data:`CURVE_COLUMNS`.

    ``unchanged`` has the interval of ``method``, or of a confidence sequence where the curve was
    followed to a precision; ``spread`` is the standard deviation over draws of ``unchanged`` at
    that fraction, NaN for one draw.
    """
    rows = []
    for found in curves:
        low, high = _bounds(found, method)
        shares = found.shares
        spread = shares.std(axis=0, ddof=1) if len(shares) > 1 else np.full(shares.shape[1], np.nan)
        seen = np.full(shares.shape, found.examples) if found.seen is None else found.seen
        for draw in range(shares.shape[0]):
            for at, fraction in enumerate(found.fractions):
                rows.append(
                    (
                        found.site,
                        found.grain,
                        draw,
                        fraction,
                        int(fraction * found.units),
                        shares[draw, at],
                        low[draw, at],
                        high[draw, at],
                        int(seen[draw, at]),
                        spread[at],
                    )
                )
    return pd.DataFrame(rows, columns=list(CURVE_COLUMNS))


def correlation_frame(activity: Mapping[str, Activity], protocol: Protocol) -> pd.DataFrame:
    """The distribution of the absolute correlations of every site's pairs of units.

    Columns ``site, low, high, pairs, mean, undefined, copies``: ``pairs`` of units have an absolute
    Pearson correlation r in [low, high), the last bin with 1; 200 bins of equal width span [0, 1].
    The rest holds for the whole site and is repeated in each of its rows: the exact ``mean`` of the
    pairs in the bins (NaN where there is none), and how many pairs are in no bin: ``undefined``
    have a unit without variance, ``copies`` have an r of ``protocol.pairs_below`` or more.

    Of the first sampling of positions, as the published violins are (Casper et al. 2021, figure 2c
    and d): samplings differ far less than networks do.
    """
    frames = []
    for name, found in activity.items():
        spread = similarity.distribution(found.moments(0).covariance_UU, protocol.pairs_below)
        frame = pd.DataFrame(
            {
                "site": name,
                "low": spread.edges[:-1],
                "high": spread.edges[1:],
                "pairs": np.asarray(spread.pairs, dtype=np.int64),
                "mean": spread.mean,
                "undefined": spread.undefined,
                "copies": spread.copies,
            }
        )
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)[list(CORRELATION_COLUMNS)]
