"""Bars of prunable and redundant units per site, with the sites' names."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from frivolous.figures.base import text as lettering
from frivolous.figures.base.style import INK, SMALL
from frivolous.figures.networks.ablation_draws import legend_beneath

_PRUNABLE, _REDUNDANT, _WIDTH = "#5b82cc", "#ecbd4e", "#ededed"
_MEASURES = (("prunable", -0.18, _PRUNABLE), ("redundant", 0.18, _REDUNDANT))
_LONGEST = 1.5  # inches that a site's name may take
SEEN = 0.02  # share of the bar's full length: narrower intervals have no whisker


def bars(axes: Axes, table: pd.DataFrame, styles: dict[str, dict[str, str]]) -> list[str]:
    """Draw the bars of every site, each with its number next to it; return the numbers."""
    notes = ["0"]
    for place, site in enumerate(styles):
        part = table[table["site"].eq(site)]
        if not len(part):
            continue
        axes.barh(place, 1.0, height=0.8, color=_WIDTH, zorder=1)
        for measure, shift, colour in _MEASURES:
            row = part[part["measure"].eq(measure)]
            notes.append(_bar(axes, row.iloc[0], place + shift, colour) if len(row) else "–")
            axes.annotate(
                notes[-1],
                (1.0, place + shift),
                xycoords=("axes fraction", "data"),
                xytext=(4, 0),
                textcoords="offset points",
                fontsize=SMALL,
                va="center_baseline",
            )
    axes.set_ylim(len(styles) - 0.45, -0.55)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    nouns = {measure: _noun(table, measure) for measure, _, _ in _MEASURES}
    same = len(set(nouns.values())) == 1
    axes.set_xlabel(f"share of the site's {nouns['prunable'] if same else 'positions or units'}")
    axes.set_title("Frivolous units by site", loc="left", pad=5)
    axes.spines["left"].set_visible(False)
    keys = [
        Patch(color=colour, label=name if same else f"{name} {nouns[name]}")
        for name, _, colour in _MEASURES
    ]
    legend_beneath(axes, [*keys, Patch(color=_WIDTH, label="whole site")], 3 if same else 2)
    return notes


def narrow(table: pd.DataFrame) -> bool:
    """Say whether an interval is too narrow to be seen as a whisker, though not of width 0."""
    drawn = table[table["measure"].isin([measure for measure, _, _ in _MEASURES])]
    spans = ((drawn["high"] - drawn["low"]) / drawn["width"]).to_numpy(float)
    return bool(((spans > 0) & (spans < SEEN)).any())


def _bar(axes: Axes, row: pd.Series, place: float, colour: str) -> str:
    """Draw one bar with its whisker; return its number, "8.5 of 16"."""
    value, width = float(row["value"]), float(row["width"])
    if not np.isfinite(value):
        return f"– of {width:,.0f}"
    axes.barh(place, value / width, height=0.3, color=colour, zorder=2)
    low, high = float(row["low"]) / width, float(row["high"]) / width
    if high - low >= SEEN:
        axes.plot([low, high], [place] * 2, color=INK, lw=0.9, zorder=3)
        axes.plot([low, high], [place] * 2, "|", color=INK, ms=3.6, mew=0.8, zorder=3)
    return f"{count_text(value)} of {width:,.0f}"


def count_text(value: float) -> str:
    """Return a count with one decimal, none where it is whole.

    >>> count_text(1024.0), count_text(8.52)
    ('1,024', '8.5')

    """
    return f"{value:,.1f}".removesuffix(".0")


def _noun(table: pd.DataFrame, measure: str) -> str:
    grains = table.loc[table["measure"].eq(measure), "grain"]
    return "positions" if len(grains) and grains.eq("position").all() else "units"


def site_names(
    figure: Figure, axes: Axes, names: Sequence[str], styles: dict[str, dict[str, str]]
) -> None:
    """Write each name with the line and marker its ablation curve has, so no legend is needed."""
    axes.set_yticks(range(len(names)), [""] * len(names))
    axes.tick_params(axis="y", length=0)
    shift = mpl.transforms.ScaledTranslation(-0.14, 0, figure.dpi_scale_trans)
    for place, (name, site) in enumerate(zip(names, styles, strict=True)):
        key = Line2D(
            *([0], [place]),
            transform=axes.get_yaxis_transform() + shift,
            color=styles[site]["color"],
            marker=styles[site]["marker"],
            markersize=6.5 if site == "all" else 4.5,
            markeredgewidth=0,
            clip_on=False,
        )
        axes.add_line(key)
        axes.annotate(
            name.replace("$", r"\$"),
            (0, place),
            xycoords=("axes fraction", "data"),
            xytext=(-17, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=7.5,
            fontweight="bold" if site == "all" else "normal",
        )


def short_names(figure: Figure, sites: Sequence[str]) -> list[str]:
    """Return names that fit: common first and last modules left out, then the middle."""
    single = [site.split(".") for site in sites if site != "all"]
    head, tail = _common(single), _common([parts[::-1] for parts in single])
    names = []
    for site in sites:
        name, parts = site, site.split(".")
        if site != "all" and lettering.text_width(figure, max(sites, key=len), 7.5) > _LONGEST:
            kept = ".".join(parts[head : len(parts) - tail])
            name = ("…" if head else "") + kept + ("…" if tail else "")
        full = name
        while len(name) > 4 and lettering.text_width(figure, name, 7.5) > _LONGEST:
            keep = (len(name) - 2) // 2
            name = f"{full[:keep]}…{full[-keep:]}"
        names.append(name)
    return names


def _common(paths: Sequence[Sequence[str]]) -> int:
    """Return how many leading parts all paths share, leaving each at least one of its own."""
    if len(paths) < 2:
        return 0
    shared = 0
    while all(len(path) > shared + 1 and path[shared] == paths[0][shared] for path in paths):
        shared += 1
    return shared
