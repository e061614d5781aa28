"""The value that a panel shows of one run, from the rows of its measures and its facts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from frivolous.errors import BadArgument, look_up

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

    def share(self, measure: str, site: str) -> float:
        """Return a count as a share of the site's units."""
        value = self.value(measure, site)
        return value if math.isnan(value) else value / self.rows[site, measure][1]


Value = Callable[[RunNumbers, str, float], float]


def _fact(name: str) -> Value:
    def known(run: RunNumbers, site: str, size: float) -> float:
        value = run.facts.get(name)
        return math.nan if value is None else float(value)

    return known


def _share(name: str) -> Value:
    return lambda run, site, size: run.share(name, site)


def _plain(name: str) -> Value:
    return lambda run, site, size: run.value(name, site)


def _prunable(run: RunNumbers, site: str, size: float) -> float:
    return run.share("prunable", site) * size


def _redundant(run: RunNumbers, site: str, size: float) -> float:
    # The mean over sites of each one's share: every layer counts the same, whatever its width.
    return run.value("compressibility", site) * size


def _effective(run: RunNumbers, site: str, size: float) -> float:
    return run.share("effective", site) * size


def _area(run: RunNumbers, site: str, size: float) -> float:
    """Return the mean over layers of the areas under their own curves."""
    ablated = [one for one in run.sites if (one, "area") in run.rows]
    if site != ALL or not ablated:
        return run.value("area", site)
    return math.fsum(run.value("area", one) for one in ablated) / len(ablated)


VALUES: dict[str, Value] = {
    "accuracy": _fact("test_accuracy"),
    "train_accuracy": _fact("train_accuracy"),
    "prunable": _prunable,
    "redundant": _redundant,
    "non_prunable": lambda run, site, size: size - _prunable(run, site, size),
    "non_redundant": lambda run, site, size: size - _redundant(run, site, size),
    "effective": _effective,
    "area": _area,
    "unchanged_labels": _plain("area"),
    "similarity": _plain("similarity"),
    "compressibility": _plain("compressibility"),
    "mean_abs_r": _plain("mean_abs_r"),
    "mean_abs_r_conv2": _plain("mean_abs_r"),
    "silent": _share("silent"),
    "constant": _share("constant"),
}
"""A panel's value of one run at a site; the size is the share of the largest network's units that
the network has, so that counts are shares of that network."""

NAMED_SO = {"unchanged_labels": "area"}
"""Panels of whole curves are represented in a study's table by the area under them."""
