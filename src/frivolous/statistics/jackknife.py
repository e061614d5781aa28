"""The measures of a site, each with a jackknife interval over examples."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from frivolous.measures import Protocol
from frivolous.measures.curve import Interval
from frivolous.measures.registry import MEASURES, statistics_from
from frivolous.measures.site_activity import SiteActivity
from frivolous.statistics.streaming import Activity, Moments

STATISTICS = statistics_from("activity")
ORDER = tuple(STATISTICS)


@dataclass(frozen=True)
class SiteStatistics:
    """The measures of one site, or of all: values, and values with each group left out.

    ``left_out`` holds one value per group, empty where there were too few examples; ``most`` is the
    largest value a measure can have.
    """

    values: Mapping[str, float]
    left_out: Mapping[str, tuple[float, ...]]
    most: Mapping[str, float]

    def intervals(self, level: float = 0.95) -> dict[str, Interval]:
        """Every value with the interval of the delete-a-group jackknife.

        With G groups and a value t_g without group g: se² = (G - 1) / G * Σ (t_g - mean)²; bounds
        are value ± Student's t with G - 1 degrees of freedom times se, within the measure's range.
        NaN where there are fewer than two groups.
        """
        return {
            name: _jackknife(self.values[name], self.left_out[name], self.most[name], level)
            for name in STATISTICS
        }


def _jackknife(value: float, left_out: Sequence[float], most: float, level: float) -> Interval:
    groups = len(left_out)
    if groups < 2:
        return Interval(value, math.nan, math.nan)
    spread = np.square(np.subtract(left_out, np.mean(left_out))).sum()
    error = math.sqrt((groups - 1) / groups * spread)
    reach = float(student.ppf((1 + level) / 2, groups - 1)) * error
    return Interval(value, max(0.0, value - reach), min(most, value + reach))


def of_site(activity: Activity, protocol: Protocol) -> SiteStatistics:
    """Measure one site: what the registry's rows compute of activity, such as redundant units.

    The mean over the samplings of positions, where there are several. With a group left out,
    redundant units are counted without steps (``redundancy.redundant_level``): a count that no
    group happens to change is not thereby certain. A group of examples is left out of the first
    sampling only: samplings differ far less than examples do.
    """
    per_sampling = [
        _measures(activity.moments(s), protocol) for s in range(len(activity.samplings))
    ]
    values = {name: float(np.mean([one[name] for one in per_sampling])) for name in STATISTICS}
    left_out = _without_each_group(
        activity, lambda moments: _measures(moments, protocol, smooth=True)
    )
    most = {name: MEASURES[name].largest(float(activity.width)) for name in STATISTICS}
    return SiteStatistics(
        values, {name: tuple(one[name] for one in left_out) for name in STATISTICS}, most
    )


def _without_each_group(
    activity: Activity, measured: Callable[[Moments], dict[str, float]]
) -> list[dict[str, float]]:
    groups = [g for g, moments in enumerate(activity.samplings[0]) if moments.count > 0]
    if len(groups) < 2:
        return []
    return [measured(activity.without(g)) for g in groups]


def _measures(moments: Moments, protocol: Protocol, *, smooth: bool = False) -> dict[str, float]:
    site = SiteActivity(
        covariance_UU=np.asarray(moments.covariance_UU),
        mean_U=np.asarray(moments.mean_U),
        active_rate_U=np.asarray(moments.active_U) / moments.count,
        protocol=protocol,
        smooth=smooth,
    )
    return {name: float(statistic(site)) for name, statistic in STATISTICS.items()}


def of_all_sites(sites: Sequence[SiteStatistics]) -> SiteStatistics:
    """Combine sites as each measure's row says: a sum, or a mean of equal weights.

    Where sites have different numbers of groups no common group can be left out, and the whole has
    no interval.
    """
    groups = {len(one.left_out["redundant"]) for one in sites}

    def combined(name: str, parts: Sequence[float]) -> float:
        return float(sum(parts) if MEASURES[name].over_sites == "sum" else np.mean(parts))

    values = {name: combined(name, [one.values[name] for one in sites]) for name in STATISTICS}
    most = {name: combined(name, [one.most[name] for one in sites]) for name in STATISTICS}
    left_out: dict[str, tuple[float, ...]] = {}
    for name in STATISTICS:
        columns = [one.left_out[name] for one in sites] if len(groups) == 1 else []
        left_out[name] = tuple(combined(name, row) for row in zip(*columns, strict=True))
    return SiteStatistics(values, left_out, most)
