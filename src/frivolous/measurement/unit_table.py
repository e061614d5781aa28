"""The frames of a measurement with a row per unit: its kind, and the order of joint removal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from frivolous.ablation.single_units import Effects
from frivolous.measurement.effective_width import EffectiveWidth, halves_of
from frivolous.measurement.rows import table_row
from frivolous.measures import curve, similarity
from frivolous.measures.reconstruction import RIDGE, explained
from frivolous.measures.unit_kinds import Thresholds, kinds
from frivolous.network import Network
from frivolous.statistics.streaming import Activity

UNIT_COLUMNS = (
    "site",
    "unit",
    "kind",
    "active",
    "mean",
    "sd",
    "twin",
    "twin_r",
    "group",
    "explained",
    "predicted",
    "changed",
    "changed_low",
    "changed_high",
    "divergence",
    "outgoing",
    "examples",
)
RIDGES = (RIDGE, 1e-4, 1e-3, 1e-2, 1e-1)
"""Ridge penalties of the regressions that predict units, as shares of their variance."""
MANY = 4
"""Samples per unit above which the smallest of them is used."""
JOINT_COLUMNS = ("site", "kept", "unit", "error", "unchanged", "low", "high", "examples")


def unit_frame(
    network: Network,
    activity: Mapping[str, Activity],
    effects: Mapping[str, Effects],
    thresholds: Thresholds,
    method: curve.Method = "wilson",
) -> pd.DataFrame:
    """One row per unit; columns :data:`UNIT_COLUMNS`.

    ``active`` (share of samples), ``mean`` and ``sd`` of the activity; ``twin``, the other unit of
    the site with the largest absolute correlation ``twin_r`` (-1 and NaN where there is none);
    ``group``, the unit that represents it (:func:`similarity.twin_groups`, those with the largest
    effect on the readers first); ``explained``, R squared on all others, and ``predicted``, the
    same for examples that the regression was not fitted to: two halves, each predicted from the
    other, with less than :data:`MANY` samples per unit by ridge regression of that strength among
    :data:`RIDGES` that predicts the site best (of a site too wide for groups of examples it is
    ``explained``). The kind goes by the latter. ``changed``, share of labels that change when it
    alone is silenced, with its 95% interval by ``method``, and ``divergence`` of the scores in
    nats, on this many ``examples``; ``outgoing``, norm of the weights that read it.
    """
    frames = []
    for name, found in effects.items():
        moments = activity[name].moments(0)
        covariance = moments.covariance_UU
        outgoing = network.reader_products(name).diagonal().clamp(min=0).sqrt().numpy()
        twin, twin_r = similarity.nearest_twins(covariance)
        deviation = np.sqrt(moments.variance_U)
        share = found.changed_U / found.examples
        low, high = curve.proportion(found.changed_U, found.examples, method=method)
        r_squared = explained(covariance)
        predicted = _predicted(activity[name], r_squared)
        columns: dict[str, Any] = {
            "site": name,
            "unit": np.arange(len(share)),
            "kind": kinds(
                active_rate=moments.active_rate_U,
                mean=moments.mean_U,
                variance=moments.variance_U,
                explained=predicted,
                changed=share,
                divergence=found.divergence_U,
                thresholds=thresholds,
            ),
            "active": moments.active_rate_U,
            "mean": moments.mean_U,
            "sd": deviation,
            "twin": twin,
            "twin_r": twin_r,
            "group": similarity.twin_groups(covariance, outgoing * deviation, thresholds.twins),
            "explained": r_squared,
            "predicted": predicted,
            "changed": share,
            "changed_low": low,
            "changed_high": high,
            "divergence": found.divergence_U,
            "outgoing": outgoing,
            "examples": found.examples,
        }
        frames.append(pd.DataFrame(columns)[list(UNIT_COLUMNS)])
    return pd.concat(frames, ignore_index=True) if frames else empty(UNIT_COLUMNS)


def _predicted(activity: Activity, otherwise: NDArray[np.float64]) -> NDArray[np.float64]:
    """R squared on the others for examples left out of the fit, as the mean of two halves."""
    halves = halves_of(activity)
    if halves is None:
        return otherwise
    one, other = (half.covariance_UU for half in halves)
    # With about as many samples as units, slopes are mostly noise unless they are shrunk.
    few = min(half.count for half in halves) < MANY * activity.width
    found = [
        (explained(one, other, ridge=ridge) + explained(other, one, ridge=ridge)) / 2
        for ridge in (RIDGES if few else RIDGES[:1])
    ]
    return max(found, key=lambda predicted_U: np.nansum(np.clip(predicted_U, 0, 1)))


def joint_frame(widths: Mapping[str, EffectiveWidth]) -> pd.DataFrame:
    """The order in which the units of every site can go; columns :data:`JOINT_COLUMNS`.

    One row per number of units ``kept``, from all but one down to none: the ``unit`` that goes
    last of those gone, ``error``, the share lost of the variance of what the readers compute, and
    the share of ``unchanged`` labels with its 95% interval where that number was tried,
    else NaN.
    """
    frames = []
    for name, found in widths.items():
        kept = np.arange(found.width - 1, -1, -1)
        frame = pd.DataFrame(
            {
                "site": name,
                "kept": kept,
                "unit": found.elimination.order_U,
                "error": found.elimination.share_U,
                "examples": found.examples,
            }
        )
        low, high = found.bounds
        tried = pd.DataFrame(
            {
                "kept": found.tried_K,
                "unchanged": found.unchanged_K / found.examples,
                "low": low,
                "high": high,
            }
        )
        frames.append(frame.merge(tried, on="kept", how="left")[list(JOINT_COLUMNS)])
    return pd.concat(frames, ignore_index=True) if frames else empty(JOINT_COLUMNS)


def empty(columns: tuple[str, ...]) -> pd.DataFrame:
    """A frame of these columns without rows."""
    return pd.DataFrame(columns=list(columns), dtype=float)


def effective_rows(
    widths: Mapping[str, EffectiveWidth], depths: Mapping[str, int], whole: str
) -> list[dict[str, Any]]:
    """The table's rows of measure ``effective``: each site's and their sum's."""
    rows = [
        table_row(
            name, depths[name], "channel", found.width, "effective", found.interval, found.examples
        )
        for name, found in widths.items()
    ]
    summed = {key: sum(row[key] for row in rows) for key in ("width", "value", "low", "high")}
    return [*rows, rows[0] | {"site": whole, "depth": -1} | summed] if rows else []
