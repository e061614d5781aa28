"""A measurement's table as text."""

from __future__ import annotations

import math
import shutil
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from frivolous.measures.curve import crossing
from frivolous.measures.unit_kinds import KINDS
from frivolous.text.tables import plain_table

if TYPE_CHECKING:
    import pandas as pd

MEASURES = (
    "prunable",
    "redundant",
    "effective",
    "area",
    "similarity",
    "compressibility",
    "silent",
    "constant",
)
COUNTS = ("redundant", "effective", "silent", "constant")
SHARES = ("area", "compressibility")
NO_INTERVAL = "no interval"


def measurement_text(
    table: pd.DataFrame,
    facts: Mapping[str, Any],
    units: pd.DataFrame | None = None,
    curves: pd.DataFrame | None = None,
    *,
    width: int | None = None,
) -> str:
    """Return a measurement's table: one row per site, values with their 95% intervals below.

    Beneath prunable stands how far the random orders of ``curves`` (``Measurement.curves``) differ.
    Below the table stand the kinds of ``units`` (``Measurement.units``), how many of each.

    ``width`` is in characters; default that of the terminal (the variable COLUMNS, else 80 where
    there is no terminal). Measures that do not fit follow in a second table.
    """
    width = width or shutil.get_terminal_size().columns
    rows, shown = [], _shown(table)
    spread = {} if curves is None else _orders(curves, facts["tolerance"])
    for site, part in table.groupby("site", sort=False):
        by = {row["measure"]: row for _, row in part.iterrows()}
        count = f"{int(by['redundant']['width'])}"
        if "prunable" in by and by["prunable"]["grain"] == "position":
            count += f"\n({int(by['prunable']['width'])} positions)"
        cells = {name: _interval(by.get(name)) for name in shown}
        if site in spread and "prunable" in by:
            low, high = (share * by["prunable"]["width"] for share in spread[site])
            cells["prunable"] += f"\n{low:.1f} to {high:.1f}"
        rows.append((str(site), count, *cells.values()))
    above = _lines([_examples(table, facts)], width)
    text = plain_table(above, ("site", "width", *shown), rows, width=width)
    if units is not None and len(units):
        text = f"{text}\n\n{_kinds(units, facts, width)}"
    return f"{text}\n\n{_lines(_notes(table, facts, bool(spread)), width)}"


def _examples(table: pd.DataFrame, facts: Mapping[str, Any]) -> str:
    """Say how many examples there are, how many each number used, and what brackets mean."""
    examples = int(facts["examples"])
    several = f" with {facts['labels']} labels in all" if "labels" in facts else ""
    whole = f"{examples} example{'s' * (examples != 1)}{several}"
    curves = table[table["measure"] == "prunable"]
    if facts.get("precision") is None or curves.empty:
        return f"{whole}; in brackets 95% intervals over examples"
    least, most = int(curves["examples"].min()), int(curves["examples"].max())
    taken = f"{least}" if least == most else f"{least} to {most}"
    return (
        f"{whole}, of which each ablation curve took as many as it needed ({taken}) and all else "
        f"{facts['sampled_examples']}; in brackets 95% intervals over examples, those of prunable "
        "and area valid at every number of examples"
    )


def _orders(curves: pd.DataFrame, tolerance: float) -> dict[str, tuple[float, float]]:
    """Return the least and the largest crossing among each site's orders, as shares of units."""
    found = {}
    for site, part in curves.groupby("site", sort=False):
        orders = [order.sort_values("fraction") for _, order in part.groupby("draw")]
        crossings = [crossing(order.fraction, order.unchanged, tolerance) for order in orders]
        if len(crossings) > 1:
            found[str(site)] = (min(crossings), max(crossings))
    return found


def _shown(table: pd.DataFrame) -> list[str]:
    """Return the measures that the table has, in their order."""
    there = set(table["measure"])
    return [name for name in MEASURES if name in there or name != "effective"]


def _kinds(units: pd.DataFrame, facts: Mapping[str, Any], width: int) -> str:
    """Return how many units of each kind every site has, as text."""
    there = [kind for kind in KINDS if (units["kind"] == kind).any()]
    rows = []
    for site, part in [*units.groupby("site", sort=False), ("all", units)]:
        counts = part["kind"].value_counts()
        rows.append((str(site), *(str(int(counts.get(kind, 0))) for kind in there)))
    if units["site"].nunique() == 1:
        del rows[-1]
    limits = facts["thresholds"]
    above = (
        f"kinds of units, each silenced alone on {int(units['examples'].iloc[0])} examples; "
        f"silent: active on at most {limits['silent']:.3g} of samples; constant: variance at most "
        f"{limits['constant']:.3g} of the mean square; redundant: R squared on the others at "
        f"least {limits['redundant']:.3g}; blocked: changes at most {limits['changed']:.3g} of "
        f"labels, and scores by at most {limits['divergence']:.3g} nats; essential: none of these"
    )
    return plain_table(_lines([above], width), ("site", *there), rows, width=width)


def _interval(row: pd.Series | None) -> str:
    if row is None:  # a site without an ablation curve
        return "–"
    digits = 2 if row["measure"] in SHARES else 1

    def number(value: float) -> str:
        text = f"{value:.{digits}f}"
        # These are whole but for bounds and means over samplings.
        return text.removesuffix(".0") if row["measure"] in COUNTS else text

    value = number(row["value"])
    if math.isnan(row["low"]):
        return f"{value}\n{NO_INTERVAL}"
    return f"{value}\n[{number(row['low'])}, {number(row['high'])}]"


def _notes(table: pd.DataFrame, facts: Mapping[str, Any], ranges: bool) -> list[str]:
    """Return the notes below the table, one paragraph each."""
    ranging = ", whose least and largest stand below it" if ranges else ""
    meanings = (
        f"prunable: units to ablate with at most {facts['tolerance']:.3g} of labels "
        f"changed, the {facts['draw']} of {facts['draws']} random orders{ranging}; redundant: "
        f"those beyond {1 - facts['unexplained']:.3g} of the variance; area: under the "
        "ablation curve, 1 where no label changes; compressibility: redundant / width"
    )
    notes = [meanings]
    if (table["measure"] == "effective").any():
        notes.append(
            f"effective: the fewest units of a site by itself with which at most "
            f"{facts['joint_tolerance']:.3g} of labels change, the weights that read them re-fitted"
        )
    notes += _limits(table, facts)
    named = [site for site in table["site"].unique() if site != "all"]
    if len(named) > 1:
        whole = "all sites" if not facts.get("left_out") else f"the {len(named)} sites above"
        ablated = {
            "mean of single sites": f"the mean of {whole} ablated one at a time",
            "one site": f"{whole}, ablated one at a time",
        }.get(facts.get("sites", ""), f"{whole} ablated together")
        notes.append(f"all: {ablated}; counts are sums, similarity and compressibility means")
    if facts.get("left_out"):
        notes.append(f"not measured: {', '.join(facts['left_out'])}")
    if table["low"].isna().any():
        notes.append(
            f"{NO_INTERVAL}: one example alone has none"
            if facts["examples"] < 2
            else f"{NO_INTERVAL}: the examples of a site above 4,096 units, or of sites above and "
            "below 1,024 taken together, are not kept in groups that could be left out"
        )
    if "accuracy" in facts:
        notes.append(
            f"accuracy {facts['accuracy']:.3f} "
            f"[{facts['accuracy_low']:.3f}, {facts['accuracy_high']:.3f}]"
        )
    why: dict[str, list[str]] = {}
    for layer, reason in facts.get("skipped", []):
        why.setdefault(reason, []).append(layer)
    return notes + [f"no site for {', '.join(layers)}: {reason}" for reason, layers in why.items()]


def _limits(table: pd.DataFrame, facts: Mapping[str, Any]) -> list[str]:
    """Return the limits of the numbers: precision, unfinished stage, rounding, few examples."""
    notes = []
    if facts.get("precision") is not None and not facts.get("stopped"):
        rough = _rough(table, facts["precision"])
        notes.append(
            f"precision: bounds of prunable at most {facts['precision']:.3g} of the units from "
            "their middle" + (f"; not reached with all examples: {', '.join(rough)}" * bool(rough))
        )
    if facts.get("stopped"):
        notes.append(
            f"stopped during {facts['stopped']}: what came after is missing, and ablation curves "
            "may be of the first examples only, as the table's numbers of examples say"
        )
    if "rounding" in facts:
        rounding = facts["rounding"]
        notes.append(
            f"{rounding['dtype']}: rounding alone changes {rounding['changed']} of "
            f"{rounding['labels']} labels against the same weights in float32"
        )
    if facts.get("fitted_to_themselves"):
        notes.append(
            f"effective at {', '.join(facts['fitted_to_themselves'])}: re-fitted to the examples "
            "that it is tested on, which are too few, or the site too wide, to be kept apart"
        )
    return notes


def _rough(table: pd.DataFrame, precision: float) -> list[str]:
    """Return the sites whose prunable units are not known to the precision."""
    rows = table[table["measure"] == "prunable"]
    half = (rows["high"] - rows["low"]) / 2 / rows["width"]
    return [str(site) for site in rows["site"][half > precision * (1 + 1e-9)]]


def _lines(paragraphs: list[str], width: int) -> str:
    return "\n".join(
        textwrap.fill(
            text,
            max(width, 20),
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for text in paragraphs
    )
