"""One network: how its labels survive ablation, and how many units of each site are frivolous."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from frivolous.errors import BadArgument
from frivolous.figures import text as lettering
from frivolous.figures.bars import bars, short_names, site_names
from frivolous.figures.style import (
    MARKERS,
    PAGE,
    QUIET,
    REFERENCE,
    SMALL,
    house_style,
    new_figure,
)

_TABLE = ("site", "depth", "grain", "width", "measure", "value", "low", "high", "examples")
_CURVES = ("site", "grain", "draw", "fraction", "unchanged", "low", "high", "examples")


def measurement_figure(
    table: pd.DataFrame,
    curves: pd.DataFrame,
    *,
    title: str = "",
    claim: str = "",
    tolerance: float = 0.2,
    width: float = PAGE,
) -> Figure:
    """Draw ablation curves of every site on the left, counts of frivolous units on the right.

    Args:
        table: ``Measurement.table``: ``site, depth, grain, width, measure, value, low, high,
            examples``; of measures, ``prunable`` and ``redundant`` are drawn (units).
        curves: ``site, grain, draw, fraction, ablated, unchanged, low, high, examples``;
            ``unchanged`` and its interval are shares in [0, 1].
        title: in bold above; ``claim`` beneath it.
        claim: one short sentence.
        tolerance: share of labels that may change; drawn as the line at 1 - tolerance.
        width: inches.

    Rows of one site may differ in grain, and then in width: each count is a share of its own
    width. Left: the mean over draws with a band from the lowest ``low`` to the highest ``high``
    of the draws; site "all" in black. Right: per site, its width as the pale bar of length 100%,
    prunable and redundant units as shares of it with intervals, and the counts as numbers.

    Raises:
        BadArgument: a column is missing, ``unchanged`` holds counts, or a row comes twice.

    """
    _check("table", table, _TABLE)
    _check("curves", curves, _CURVES)
    sites = _sites(table, curves)
    with house_style():
        return _draw(table, curves, sites, (title, claim), tolerance, width)


def _draw(
    table: pd.DataFrame,
    curves: pd.DataFrame,
    sites: Sequence[str],
    words: tuple[str, str],
    tolerance: float,
    width: float,
) -> Figure:
    figure = new_figure(width, 4.0)
    left, right = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2)
    styles = _styles(sites)
    _ablation(left, curves, styles, tolerance)
    names = short_names(figure, list(styles))
    notes = bars(right, table, styles)
    site_names(figure, right, names, styles)
    heads = [
        (lettering.wrapped(figure, words[0], 9.5, width - 0.2, "bold"), 9.5, "bold"),
        (lettering.wrapped(figure, words[1], 8.0, width - 0.2), 8.0, "normal"),
    ]
    lines = lettering.wrapped(figure, _caption(table, curves, tolerance), SMALL, width - 0.2)
    head = sum(lettering.block_height(block, size) for block, size, _ in heads)
    foot = lettering.block_height(lines, SMALL)
    tall = max(2.2, 0.27 * len(sites) + 0.1)
    height = 0.08 + head + 0.30 + tall + 0.72 + foot + 0.08
    figure.set_size_inches(width, height)
    top = height - 0.08
    for block, size, weight in heads:
        top = lettering.write_block(figure, block, size, 0.1, top, weight=weight)
    base = foot + 0.80
    before = max(lettering.text_width(figure, name, 7.5, "bold") for name in names) + 0.3
    after = max(lettering.text_width(figure, note, SMALL) for note in notes) + 0.15
    half = min(0.38 * width, max(0.22 * width, width - 2.3 - before - after))
    left.set_position((0.64 / width, (base + tall - 2.2) / height, half / width, 2.2 / height))
    start = 0.64 + half + 0.45 + before
    span = width - start - after
    right.set_position((start / width, base / height, span / width, tall / height))
    lettering.write_block(figure, lines, SMALL, 0.1, foot + 0.08, color=QUIET)
    for axes, letter, back in ((left, "a", 0.44), (right, "b", before + 0.1)):
        axes.annotate(
            letter,
            (0, 1),
            xycoords="axes fraction",
            xytext=(-72 * back, 5),
            textcoords="offset points",
            fontsize=9.5,
            fontweight="bold",
        )
    return figure


def _sites(table: pd.DataFrame, curves: pd.DataFrame) -> list[str]:
    """Return the sites in order of depth with "all" last; check rows and range on the way."""
    twice = table.duplicated(["site", "measure"]).any()
    if twice or curves.duplicated(["site", "draw", "fraction"]).any():
        grains = ", ".join(sorted({*table["grain"].unique(), *curves["grain"].unique()}))
        raise BadArgument(
            f"`{'table' if twice else 'curves'}` has a site's row twice (grains: {grains}); one "
            "figure shows one measurement. Select the rows of one of them first."
        )
    if len(curves) and curves["unchanged"].max() > 1:
        raise BadArgument(
            f"`curves` has `unchanged` up to {curves['unchanged'].max():g}; it is a share in "
            "[0, 1]. Divide the counts by `examples`."
        )
    ordered = table.sort_values("depth", kind="stable")["site"]
    names = list(dict.fromkeys([*ordered, *curves["site"]]))
    return [name for name in names if name != "all"] + ["all"] * ("all" in names)


def _styles(sites: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return colour by depth (dark to light, never too light) and marker of each site."""
    single = [site for site in sites if site != "all"]
    shades = mpl.colormaps["viridis"](np.linspace(0.08, 0.86, max(1, len(single))))
    styles = {
        site: {"color": to_hex(shade), "marker": MARKERS[rank % len(MARKERS)]}
        for rank, (site, shade) in enumerate(zip(single, shades, strict=False))
    }
    if "all" in sites:
        styles["all"] = {"color": "#000000", "marker": "*"}
    return styles


def _ablation(
    axes: Axes, curves: pd.DataFrame, styles: dict[str, dict[str, str]], tolerance: float
) -> None:
    faint = 0.13 if len(styles) <= 6 else 0.05
    for site, style in styles.items():
        part = curves[curves["site"].eq(site)]
        if not len(part):
            continue
        drawn = part.groupby("fraction").agg({"unchanged": "mean", "low": "min", "high": "max"})
        x, thick = drawn.index.to_numpy(float), 1.8 if site == "all" else 1.1
        band = (drawn["low"].to_numpy(float), drawn["high"].to_numpy(float))
        axes.fill_between(x, *band, color=style["color"], alpha=faint, linewidth=0)
        size = 6.5 if site == "all" else 4.0
        axes.plot(
            *(x, drawn["unchanged"]),
            color=style["color"],
            marker=style["marker"],
            markersize=size,
            markeredgecolor="white",
            markeredgewidth=0.4,
            linewidth=thick,
            zorder=4 if site == "all" else 3,
        )
    axes.axhline(1 - tolerance, color=REFERENCE, linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(0, 1.03)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel("units ablated")
    axes.set_ylabel("unchanged labels")
    axes.set_title("Ablation curves", loc="left", pad=5)


def _caption(table: pd.DataFrame, curves: pd.DataFrame, tolerance: float) -> str:
    said = []
    if len(curves):
        draws = int(curves["draw"].nunique())
        said.append(
            f"a: mean over {draws} random order{'s' * (draws > 1)} of ablation, band from the "
            f"lowest to the highest 95% limit; {_examples(curves)} examples; dashed: "
            f"{1 - tolerance:.0%} of labels unchanged."
        )
    said.append(
        f"b: numbers are prunable, redundant of width; whiskers: 95% interval; {_examples(table)} "
        "examples. Marks before the names are those of the curves."
    )
    return " ".join(said)


def _examples(frame: pd.DataFrame) -> str:
    low, high = int(frame["examples"].min()), int(frame["examples"].max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _check(name: str, frame: pd.DataFrame, needed: Sequence[str]) -> None:
    missing = [column for column in needed if column not in frame.columns]
    if missing:
        raise BadArgument(
            f"`{name}` lacks the columns {', '.join(missing)}; it has "
            f"{', '.join(map(str, frame.columns))}. Pass the frame of a Measurement."
        )
