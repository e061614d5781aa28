"""The rows of a measurement: its table and its ablation curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from frivolous.ablation import AblationCurve
from frivolous.activity import Activity
from frivolous.measures import Protocol, curve, similarity
from frivolous.site_statistics import SiteStatistics

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
    """Return one row of the table: a measure of a site, with its interval."""
    bounds = (interval.value, interval.low, interval.high)
    return dict(zip(COLUMNS, (site, depth, grain, width, measure, *bounds, examples), strict=True))


def curve_rows(found: AblationCurve, depth: int, protocol: Protocol) -> list[dict[str, Any]]:
    """Return the rows of one ablation curve: prunable units and area."""
    prunable = curve.prunable_interval(
        found.fractions,
        found.unchanged,
        found.examples,
        found.units,
        tolerance=protocol.tolerance,
        draws=protocol.draw,
    )
    area = curve.area_interval(found.fractions, found.unchanged, found.examples)
    return [
        table_row(found.site, depth, found.grain, found.units, name, interval, found.examples)
        for name, interval in (("prunable", prunable), ("area", area))
    ]


def statistic_rows(
    found: SiteStatistics, site: str, depth: int, width: int, examples: int
) -> list[dict[str, Any]]:
    """Return the rows of one site's statistics."""
    return [
        table_row(site, depth, "channel", width, name, interval, examples)
        for name, interval in found.intervals().items()
    ]


def curve_frame(curves: list[AblationCurve]) -> pd.DataFrame:
    """Return the ablation curves, one row per site, draw and fraction, with Wilson intervals."""
    rows = []
    for found in curves:
        low, high = curve.wilson(found.unchanged, found.examples)
        for draw in range(found.unchanged.shape[0]):
            for at, fraction in enumerate(found.fractions):
                share = found.unchanged[draw, at] / found.examples
                # Nothing is ablated at fraction 0: unchanged by definition, not by sampling.
                bounds = (1.0, 1.0) if fraction == 0 else (low[draw, at], high[draw, at])
                rows.append(
                    (
                        found.site,
                        found.grain,
                        draw,
                        fraction,
                        int(fraction * found.units),
                        share,
                        *bounds,
                        found.examples,
                    )
                )
    return pd.DataFrame(rows, columns=list(CURVE_COLUMNS))


def correlation_frame(activity: Mapping[str, Activity], protocol: Protocol) -> pd.DataFrame:
    """Return how the absolute correlations of every site's pairs of units are distributed.

    Columns ``site, low, high, pairs, mean, undefined, copies``: ``pairs`` of units have an absolute
    Pearson correlation r in [low, high), the last bin with 1; 200 bins of equal width span [0, 1].
    The rest holds for the whole site and stands in each of its rows: the exact ``mean`` of the
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
