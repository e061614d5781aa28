"""The value that a panel shows of one run, from the rows of its measures and its facts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from frivolous.errors import BadArgument, look_up
from frivolous.measures.registry import MEASURES, Measure, measure_named

ALL = "all"
LARGEST = 4.0
"""Counts are shares of the units of the network of this size factor, as the papers plot them."""


@dataclass(frozen=True)
class RunNumbers:
    """The numbers of one run: value and width by site and measure, and its facts."""

    rows: Mapping[tuple[str, str], tuple[float, float]]
    facts: Mapping[str, Any]

    @classmethod
    def of(cls, measures: pd.DataFrame, facts: Mapping[str, Any]) -> RunNumbers:
        """Return them from a frame with columns ``site, measure, value, width``."""
        keys = zip(measures["site"], measures["measure"], strict=True)
        numbers = zip(measures["value"].astype(float), measures["width"].astype(float), strict=True)
        return cls(dict(zip(keys, numbers, strict=True)), facts)

    @property
    def sites(self) -> list[str]:
        """The single sites, in order."""
        return [site for site in dict.fromkeys(site for site, _ in self.rows) if site != ALL]

    def value(self, measure: str, site: str) -> float:
        """Return one value; an error names the sites there are."""
        if (site, measure) not in self.rows:
            if not self.sites:  # a network that was never measured has rows of the whole alone
                return math.nan
            known = dict.fromkeys([*self.sites, ALL])
            look_up(known, site, "site of this run")
            raise BadArgument(
                f"no {measure} is kept of site '{site}'. Make the run again in a new store."
            )
        return self.rows[site, measure][0]

    def fact(self, name: str) -> float:
        """Return a fact, NaN where the run has none."""
        value = self.facts.get(name)
        return math.nan if value is None else float(value)

    def mean_of_sites(self, measure: str, site: str) -> float:
        """Return a site's value; of all sites the mean of their own, where there are any."""
        ones = [one for one in self.sites if (one, measure) in self.rows]
        if site != ALL or not ones:
            return self.value(measure, site)
        return math.fsum(self.value(measure, one) for one in ones) / len(ones)

    def share(self, measure: str, site: str) -> float:
        """Return a count as a share of the site's units; a share as it is."""
        value = self.value(measure, site)
        if math.isnan(value) or measure_named(measure).unit == "share":
            return value
        return value / self.rows[site, measure][1]


def shown_in_panels() -> dict[str, Measure]:
    """Return the measures that a panel of runs can show, by name."""
    return {name: row for name, row in MEASURES.items() if row.scale.reading in READINGS}


def panel_value(measure: str, run: RunNumbers, site: str, size: float) -> float:
    """Return what a panel shows of one run at a site, as the measure's row says.

    ``size`` is the share of the largest network's units that the network has.
    """
    row = measure_named(measure)
    if row.scale.reading not in READINGS:
        raise BadArgument(
            f"no run has a value of {measure}, which follows from the network's sizes alone. Take "
            "a panel of another measure, or a study of kind 'parameters'."
        )
    return READINGS[row.scale.reading](run, row.reads, site, size)


READINGS: dict[str, Callable[[RunNumbers, str, str, float], float]] = {
    "fact": lambda run, name, site, size: run.fact(name),
    "value": lambda run, name, site, size: run.value(name, site),
    "area": lambda run, name, site, size: run.value(name, site),
    "mean": lambda run, name, site, size: run.mean_of_sites(name, site),
    "share": lambda run, name, site, size: run.share(name, site),
    "of largest": lambda run, name, site, size: run.share(name, site) * size,
    "rest": lambda run, name, site, size: size - run.share(name, site) * size,
}
"""What each reading of a :class:`frivolous.measures.registry.Scale` makes of a run's numbers."""


def table_name(measure: str) -> str:
    """Return the measure that a study's table holds for a panel: of whole curves the area."""
    row = measure_named(measure)
    return row.reads if row.scale.reading == "area" else row.name
