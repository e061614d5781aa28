"""A study's table and its gains as text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from frivolous.terminal.tables import as_fraction, mean_sd, plain_table

if TYPE_CHECKING:
    import pandas as pd

    from frivolous.studies.result import StudyResult


def study_text(result: StudyResult) -> str:
    """Return a study's table: one line per curve and size factor, mean ± SD over replicates."""
    first: dict[str, str] = {}
    for panel in result.study.panels:
        first.setdefault(panel.measure, panel.name)
    names = ("accuracy", "prunable", "redundant")
    table = result.table
    rows = []
    for one in result.chosen:
        here = table[
            (table["curve"] == one.cell.curve) & (table["size_factor"] == one.cell.size_factor)
        ]
        cells = [
            mean_sd(list(here[(here["panel"] == first[name]) & (here["measure"] == name)]["value"]))
            for name in names
            if name in first
        ]
        rows.append((one.cell.curve, as_fraction(one.cell.size_factor), *cells))
    scale = "" if result.scale == "paper" else f", scale {result.scale}"
    several = f"mean ± SD over {result.replicates} replicates"
    title = (
        f"{result.study.name}{scale}: {several if result.replicates > 1 else 'one replicate'}; "
        "prunable and redundant units as shares of the largest network"
    )
    words = {"accuracy": "test accuracy"}
    head = ("curve", "size factor", *(words.get(name, name) for name in names if name in first))
    text = plain_table(title, head, rows)
    shrinks = result.study.shrinks(result.scale)
    return f"{text}\n\nscale {result.scale}: {shrinks}" if shrinks else text


def gain_lines(result: StudyResult) -> list[str]:
    """Return one line per panel: measured gains beside the published g_min and g_max."""
    lines = []
    for (panel, measure), rows in result.gains.groupby(["panel", "measure"], sort=False):
        printed, known = rows.iloc[0], rows[rows["gain"].notna()]
        if known.empty:
            lines.append(f"panel {panel}, {measure}: no doubling to take a gain of")
            continue
        least, most = known.loc[known["gain"].idxmin()], known.loc[known["gain"].idxmax()]
        beside = (
            "nothing published"
            if math.isnan(printed["published_min"])
            else f"published {printed['published_min']:.2f} to {printed['published_max']:.2f}"
        )
        lines.append(
            f"panel {panel}, {measure}: gain per doubling {_gain(least)} to {_gain(most)}; {beside}"
        )
    return lines


def _gain(row: pd.Series) -> str:
    if math.isnan(row["low"]):
        return f"{row['gain']:.2f} (one replicate: no interval)"
    return f"{row['gain']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"
