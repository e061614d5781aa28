"""Which sites of a network are measured, and the table with a row per site and measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from frivolous.ablation.curves import AblationCurve
from frivolous.errors import BadArgument
from frivolous.measurement.effective_width import EffectiveWidth
from frivolous.measurement.result import ALL
from frivolous.measurement.rows import COLUMNS, curve_rows, statistic_rows
from frivolous.measurement.unit_table import effective_rows
from frivolous.measures import Protocol
from frivolous.measures.curve import Method
from frivolous.network import Network, Site
from frivolous.statistics.jackknife import of_all_sites, of_site
from frivolous.statistics.streaming import Activity


def ablated_of(names: Sequence[str], chosen: Sequence[str] | None) -> list[str]:
    """The sites that get an ablation curve, in order of depth."""
    if chosen is None:
        return list(names)
    wanted = [chosen] if isinstance(chosen, str) else list(chosen)
    unknown = [name for name in wanted if name not in names]
    if unknown or not wanted:
        raise BadArgument(
            f"`ablated_sites` names {unknown[0] if unknown else 'no site'}; it names at least one "
            f"of the sites measured: {', '.join(names)}. Add it to `sites`, or pass None for all."
        )
    return [name for name in names if name in wanted]


def with_all_sites(
    curves: Mapping[str, AblationCurve], names: Sequence[str], protocol: Protocol
) -> dict[str, AblationCurve]:
    """The sites' own curves and that of site "all", where the protocol has one."""
    single = {name: curves[name] for name in names}
    first = single[names[0]]
    if len(single) == 1:  # ablating every site together is ablating it; so is the mean
        return single | {ALL: replace(first, site=ALL)}
    if protocol.sites == "one site":
        return single
    if protocol.sites == "mean of single sites":
        if ALL in curves:  # averaged example by example already
            return single | {ALL: curves[ALL]}
        mean = np.mean([found.unchanged for found in single.values()], axis=0)
        units = sum(found.units for found in single.values())
        return single | {ALL: replace(first, site=ALL, units=units, unchanged=mean)}
    together = next(name for name in curves if name not in single)
    return single | {ALL: replace(curves[together], site=ALL)}


def table_of(
    sites: Sequence[Site],
    curves: Mapping[str, AblationCurve],
    activity: Mapping[str, Activity],
    widths: Mapping[str, EffectiveWidth],
    protocol: Protocol,
    examples: int,
    method: Method,
) -> pd.DataFrame:
    """A row per site and measure, the whole network's last."""
    statistics = [of_site(activity[site.name], protocol) for site in sites]
    depths = {site.name: site.depth for site in sites}
    effective = {row["site"]: row for row in effective_rows(widths, depths, ALL)}
    if len(widths) < len(sites):  # stopped on the way: the sum would be of some
        effective.pop(ALL, None)
    rows: list[dict[str, Any]] = []
    for site, found in zip(sites, statistics, strict=True):
        if site.name in curves:
            rows += curve_rows(curves[site.name], site.depth, protocol, method)
        rows += statistic_rows(found, site.name, site.depth, site.width, examples)
        rows += [effective[site.name]] if site.name in effective else []
    if ALL in curves:
        rows += curve_rows(curves[ALL], -1, protocol, method)
    width = sum(site.width for site in sites)
    rows += statistic_rows(of_all_sites(statistics), ALL, -1, width, examples)
    rows += [effective[ALL]] if ALL in effective else []
    return pd.DataFrame(rows, columns=list(COLUMNS))


def sites_of(network: Network, sites: Sequence[str] | None) -> list[Site]:
    """The sites to measure, in order of depth."""
    known = {site.name for site in network.sites}
    if not known:
        why = "".join(f"; {layer}: {reason}" for layer, reason in network.skipped)
        raise BadArgument(
            f"`model` has no site: no hidden layer is read by another layer{why}. Measure a model "
            "with a hidden layer."
        )
    if ALL in known:
        raise BadArgument(
            f"`model` has a layer called '{ALL}', which stands for all sites together; rename it."
        )
    names = known if sites is None else [sites] if isinstance(sites, str) else sites
    if not names:
        raise BadArgument("`sites` is empty; name at least one site, or pass None for all.")
    return sorted({network.site(name) for name in names}, key=lambda site: site.depth)
