"""A study's table and its gains as text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from frivolous.text.tables import as_fraction, mean_sd, plain_table

if TYPE_CHECKING:
    import pandas as pd

    from frivolous.studies.result import StudyResult


FIRST = ("accuracy", "prunable", "redundant")
"""Measures that a study's table shows if it has any of them; otherwise it shows all."""

WORDS = {
    "accuracy": "test accuracy",
    "train_accuracy": "training accuracy",
    "non_prunable": "non-prunable",
    "non_redundant": "non-redundant",
    "mean_abs_r": "mean |r|",
    "mean_abs_r_conv2": "mean |r|",
    "num_parameters": "parameters",
}
SHARES = ("prunable", "redundant", "non_prunable", "non_redundant", "effective")


def study_text(result: StudyResult) -> str:
    """Return a study's table: one line per curve and size factor, mean ± SD over replicates."""
    table = result.table
    there = list(dict.fromkeys(table["measure"]))
    names = [name for name in FIRST if name in there] or there
    shown = table[table["measure"].isin(names)]
    # A curve that several panels show has the same values in each.
    shown = shown.drop_duplicates(["curve", "site", "size_factor", "replicate", "measure"])
    layered = shown["site"].nunique() > 1 and not (shown["curve"] == shown["site"]).all()
    rows = []
    for (curve, site, size), here in shown.groupby(["curve", "site", "size_factor"], sort=False):
        cells = [_cell(name, list(here[here["measure"] == name]["value"])) for name in names]
        label = f"{curve}, {site}" if layered and site not in ("all", curve) else curve
        rows.append((label, as_fraction(size), *cells))
    head = ("curve", "size factor", *(WORDS.get(name, name) for name in names))
    text = plain_table(_title(result, names), head, rows)
    shrinks = result.study.shrinks(result.scale)
    return f"{text}\n\nscale {result.scale}: {shrinks}" if shrinks else text


def _title(result: StudyResult, names: Sequence[str]) -> str:
    scale = "" if result.scale == "paper" else f", scale {result.scale}"
    if result.study.kind == "parameters":
        return f"{result.study.name}: exact counts at the paper's scale"
    several = f"mean ± SD over {result.replicates} replicates"
    counted = [WORDS.get(name, name) for name in names if name in SHARES]
    shares = f"; {' and '.join(counted)} units as shares of the largest network" if counted else ""
    words = several if result.replicates > 1 else "one replicate"
    return f"{result.study.name}{scale}: {words}{shares}"


def _cell(measure: str, values: list[float]) -> str:
    if measure == "num_parameters":
        return f"{values[0]:,.0f}" if values else "-"
    return mean_sd(values)


def gain_lines(result: StudyResult) -> list[str]:
    """Return one line per panel: measured gains with the published g_min and g_max."""
    lines = []
    for (panel, measure), rows in result.gains.groupby(["panel", "measure"], sort=False):
        printed, known = rows.iloc[0], rows[rows["gain"].notna()]
        if known.empty:
            skips = result.study.skips_first_doubling(measure)
            but = " (the first one does not count)" if skips else ""
            lines.append(f"panel {panel}, {measure}: no doubling to take a gain of{but}")
            continue
        least, most = known.loc[known["gain"].idxmin()], known.loc[known["gain"].idxmax()]
        beside = (
            "nothing published"
            if math.isnan(printed["published_min"])
            else f"published {printed['published_min']:.2f} to {printed['published_max']:.2f}"
        )
        gains = f"{_gain(least)} to {_gain(most)}"
        if result.study.kind == "counts":  # a panel is one network
            gains, beside = _gain(least), beside.partition(" to ")[0]
        lines.append(f"panel {panel}, {measure}: gain per doubling {gains}; {beside}")
    return lines


def _gain(row: pd.Series) -> str:
    if math.isnan(row["low"]):
        return f"{row['gain']:.2f} (one replicate: no interval)"
    return f"{row['gain']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"
