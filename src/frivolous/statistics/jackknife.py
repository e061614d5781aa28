"""The measures of a site, each with a jackknife interval over examples."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from frivolous.measures import Protocol, redundancy, similarity, unit_kinds
from frivolous.measures.curve import Interval
from frivolous.statistics.streaming import Activity, Moments

COUNTS = ("redundant", "silent", "constant")
ORDER = ("redundant", "similarity", "compressibility", "silent", "constant")


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
            for name in ORDER
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
    """Measure one site: redundant, silent and constant units, similarity, compressibility.

    The mean over the samplings of positions, where there are several. With a group left out,
    redundant units are counted without steps (``redundancy.redundant_level``): a count that no
    group happens to change is not thereby certain. A group of examples is left out of the first
    sampling only: samplings differ far less than examples do.
    """
    per_sampling = [
        _measures(activity.moments(s), protocol) for s in range(len(activity.samplings))
    ]
    values = {name: float(np.mean([one[name] for one in per_sampling])) for name in ORDER}
    left_out = _without_each_group(
        activity, lambda moments: _measures(moments, protocol, smooth=True)
    )
    width = float(activity.width)
    most = dict.fromkeys(COUNTS, width) | {"similarity": width - 1, "compressibility": 1.0}
    return SiteStatistics(
        values, {name: tuple(one[name] for one in left_out) for name in ORDER}, most
    )


def _without_each_group(
    activity: Activity, measured: Callable[[Moments], dict[str, float]]
) -> list[dict[str, float]]:
    groups = [g for g, moments in enumerate(activity.samplings[0]) if moments.count > 0]
    if len(groups) < 2:
        return []
    return [measured(activity.without(g)) for g in groups]


def _measures(moments: Moments, protocol: Protocol, *, smooth: bool = False) -> dict[str, float]:
    covariance = np.asarray(moments.covariance_UU)
    mean, active = np.asarray(moments.mean_U), np.asarray(moments.active_U)
    spectrum = redundancy.spectrum(covariance)
    redundant: float
    if smooth:
        # A constant more or less, as `count_crossing` adds, does not change a spread.
        redundant = redundancy.redundant_level(spectrum, protocol.unexplained)
    else:
        redundant = redundancy.redundant_units(
            spectrum, protocol.unexplained, count_crossing=protocol.count_crossing
        )
    rate = active / moments.count
    return {
        "redundant": float(redundant),
        "similarity": similarity.similarity(covariance, protocol.similar),
        "compressibility": redundant / len(spectrum),
        "silent": float(unit_kinds.silent_units(rate).sum()),
        "constant": float(unit_kinds.constant_units(mean, np.diagonal(covariance), rate).sum()),
    }


def of_all_sites(sites: Sequence[SiteStatistics]) -> SiteStatistics:
    """Combine sites: counts add up; similarity and compressibility are means of equal weight.

    Where sites have different numbers of groups no common group can be left out, and the whole has
    no interval.
    """
    groups = {len(one.left_out["redundant"]) for one in sites}

    def combined(name: str, parts: Sequence[float]) -> float:
        return float(sum(parts) if name in COUNTS else np.mean(parts))

    values = {name: combined(name, [one.values[name] for one in sites]) for name in ORDER}
    most = {name: combined(name, [one.most[name] for one in sites]) for name in ORDER}
    left_out: dict[str, tuple[float, ...]] = {}
    for name in ORDER:
        columns = [one.left_out[name] for one in sites] if len(groups) == 1 else []
        left_out[name] = tuple(combined(name, row) for row in zip(*columns, strict=True))
    return SiteStatistics(values, left_out, most)
