"""Bars of prunable and redundant units per site, and the names of the sites beside them."""

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

from frivolous.figures import text as lettering
from frivolous.figures.style import INK, SMALL

_PRUNABLE, _REDUNDANT, _WIDTH = "#5b82cc", "#ecbd4e", "#ededed"
_MEASURES = (("prunable", -0.18, _PRUNABLE), ("redundant", 0.18, _REDUNDANT))
_LONGEST = 1.5  # inches that a site's name may take


def bars(axes: Axes, table: pd.DataFrame, styles: dict[str, dict[str, str]]) -> list[str]:
    """Draw the bars of every site; return the notes written beside them."""
    names, notes = list(styles), ["0"]
    for place, site in enumerate(names):
        part = table[table["site"].eq(site)]
        if not len(part):
            continue
        axes.barh(place, 1.0, height=0.78, color=_WIDTH, zorder=1)
        counts: list[str] = []
        widths: list[str] = []
        for measure, shift, colour in _MEASURES:
            row = part[part["measure"].eq(measure)]
            value = float(row["value"].iloc[0]) if len(row) else float("nan")
            width = float(row["width"].iloc[0] if len(row) else part["width"].iloc[0])
            widths.append(f"{width:,.0f}")
            counts.append(f"{value:,.0f}" if np.isfinite(value) else "–")
            if np.isfinite(value):
                axes.barh(place + shift, value / width, height=0.3, color=colour, zorder=2)
                ends = row[["low", "high"]].iloc[0].to_numpy(float) / width
                axes.plot(ends, [place + shift] * 2, color=INK, lw=0.9, zorder=3)
                axes.plot(ends, [place + shift] * 2, "|", color=INK, ms=3.2, mew=0.8, zorder=3)
        first = f" of {widths[0]}" if widths[0] != widths[1] else ""
        notes.append(f"{counts[0]}{first}, {counts[1]} of {widths[1]}")
        axes.annotate(
            notes[-1],
            (1.0, place),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            fontsize=SMALL,
            va="center",
        )
    axes.set_ylim(len(names) - 0.45, -0.55)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xticks([0, 0.5, 1.0])
    axes.set_xlabel("share of the site's units")
    axes.set_title("Frivolous units by site", loc="left", pad=5)
    axes.spines["left"].set_visible(False)
    _bar_legend(axes)
    return notes


def _bar_legend(axes: Axes) -> None:
    figure = axes.figure
    colours = {"prunable": _PRUNABLE, "redundant": _REDUNDANT, "width": _WIDTH}
    below = mpl.transforms.ScaledTranslation(0, -0.42, figure.dpi_scale_trans)
    axes.legend(
        handles=[Patch(color=colour, label=name) for name, colour in colours.items()],
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        bbox_transform=axes.transAxes + below,
        ncols=3,
        frameon=False,
        borderpad=0,
        borderaxespad=0,
        handlelength=1.2,
        columnspacing=1.2,
    )


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
