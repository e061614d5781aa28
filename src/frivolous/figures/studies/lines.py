"""A measure along an axis of its own (share ablated, epochs), one line per size factor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator

from frivolous.figures.base.caption import measured_at, trained
from frivolous.figures.base.layout import Grid, head_of, lay_out
from frivolous.figures.base.legend import add_legend
from frivolous.figures.base.panel import Panel, clipped, rows_of
from frivolous.figures.base.scales import as_fraction, value_axis
from frivolous.figures.base.style import (
    COLUMN,
    GREY,
    LOOK,
    MARKERS,
    PAGE,
    PALE,
    REFERENCE,
    house_style,
    new_figure,
)
from frivolous.measures.registry import Scale

COLUMNS = ("panel", "measure", "curve", "size_factor", "x")


@dataclass(frozen=True)
class Along:
    """The axis that the lines run along: its label, its ticks, the factor on ``x`` as drawn.

    ``level``: ordinate of a dashed line with its words, or None.
    """

    label: str
    ticks: tuple[float, ...] | None = None
    factor: float = 1.0
    level: tuple[float, str] | None = None


def size_styles(sizes: Sequence[float]) -> dict[float, dict[str, str]]:
    """Return colour and marker of each size factor: the wider, the darker.

    >>> list(size_styles([4.0, 0.25]))
    [0.25, 4.0]

    """
    ordered = sorted(set(sizes))
    shades = mpl.colormaps["viridis"](np.linspace(0.82, 0.02, max(2, len(ordered))))
    return {
        size: {"color": to_hex(shade), "marker": MARKERS[rank % len(MARKERS)]}
        for rank, (size, shade) in enumerate(zip(ordered, shades, strict=False))
    }


def line_means(frame: pd.DataFrame) -> pd.DataFrame:
    """Return mean, sample SD (NaN for one) and n over replicates of every point of every line.

    ``frame`` has :data:`COLUMNS`, ``replicate`` and ``value``; not finite values are left out.
    """
    finite = frame[np.isfinite(frame["value"].astype(float))]
    grouped = finite.groupby(list(COLUMNS), sort=False)["value"]
    means = grouped.agg(mean="mean", sd="std", n="count").reset_index()
    return means.sort_values(["size_factor", "x"], kind="stable").reset_index(drop=True)


def draw_lines(
    axes: Axes,
    means: pd.DataFrame,
    told: pd.DataFrame,
    how: tuple[Scale, Along],
    styles: Mapping[float, Mapping[str, str]],
) -> int:
    """Draw a line per size factor and grey published points behind; return how many are below 0.

    ``means``, ``told``: columns ``size_factor, x, mean`` and, of ``means``, ``sd``.
    """
    scale, along = how
    half = means["sd"].fillna(0.0)
    low = means["mean"] - half
    if scale.logarithmic:  # a bar that reaches towards 0 leaves the axes
        low = low.where(low > means["mean"] / 2, means["mean"])
    ends = np.concatenate([low, means["mean"] + half, told["mean"]]).astype(float)
    value_axis(axes, scale, ends[np.isfinite(ends)] * scale.factor)
    if scale.kind == "percent" and along.level is not None:
        axes.set_ylim(0, 103)
    ticks = along.ticks or tuple(sorted({*means["x"], *told["x"]}))
    span = along.factor * (max(ticks) - min(ticks))
    axes.set_xlim(along.factor * min(ticks) - 0.04 * span, along.factor * max(ticks) + 0.04 * span)
    axes.xaxis.set_major_locator(FixedLocator([along.factor * tick for tick in ticks]))
    axes.set_xlabel(along.label)
    if along.level is not None:
        axes.axhline(along.level[0], color=REFERENCE, lw=0.7, ls=(0, (4, 3)), zorder=1)
    below = 0
    for size, style in styles.items():
        _published(axes, told[told["size_factor"].eq(size)], how, style)
        below += _line(axes, means[means["size_factor"].eq(size)], how, style)
    return below


def _published(
    axes: Axes, told: pd.DataFrame, how: tuple[Scale, Along], style: Mapping[str, str]
) -> None:
    if not len(told):
        return
    told = told.sort_values("x")
    axes.plot(
        told["x"].to_numpy() * how[1].factor,
        told["mean"].to_numpy() * how[0].factor,
        **{"color": PALE, "lw": 0.9, "marker": style["marker"], "zorder": 2.5, **GREY},
    )


def _line(
    axes: Axes, part: pd.DataFrame, how: tuple[Scale, Along], style: Mapping[str, str]
) -> int:
    scale, along = how
    x = part["x"].to_numpy(float) * along.factor
    y = part["mean"].to_numpy(float) * scale.factor
    sd = np.nan_to_num(part["sd"].to_numpy(float)) * scale.factor
    below = int((y <= 0).sum()) if scale.logarithmic else 0
    y = np.where((y <= 0) & scale.logarithmic, np.nan, y)
    shown = (sd > 0) & np.isfinite(y)
    if len(x):
        axes.plot(x, y, zorder=4, **{**LOOK, **style})
    if shown.any():
        low, high = clipped(axes, y, sd)
        axes.vlines(x[shown], low[shown], high[shown], color=style["color"], lw=0.8, zorder=3.5)
    return below


def line_figure(
    means: pd.DataFrame,
    told: pd.DataFrame,
    panels: Sequence[Panel],
    along: Along,
    words: tuple[str, str, str, str],
    width: float | None,
) -> Figure:
    """Draw a figure of such panels. ``words``: title, claim, source, scale."""
    sizes = sorted({*means["size_factor"], *told["size_factor"]})
    styles = size_styles(sizes)
    columns = min({2: 2, 4: 2}.get(len(panels), 3), len(panels))
    width = width or (COLUMN if columns == 1 else PAGE)
    with house_style():
        figure, grid = new_figure(width, 4.0), Grid(columns)
        below, lines_above, axes = 0, 1, []
        for place, panel in enumerate(panels):
            axes.append(figure.add_subplot(-(-len(panels) // columns), columns, 1 + place))
            mine, theirs = rows_of(means, panel), rows_of(told, panel)
            below += draw_lines(axes[-1], mine, theirs, (panel.scale, along), styles)
            inches = grid.wide(width)
            head = head_of(figure, axes[-1], (panel.letter, panel.heading), inches, panel.earlier)
            lines_above = max(lines_above, head)
        keys = size_legends(figure, styles, len(told) > 0, along, width)
        caption = " ".join(_caption(means, len(told) > 0, below, words[2], words[3]))
        texts = (words[0], words[1], caption)
        lay_out(figure, axes, grid.with_titles_of(lines_above), texts, keys)
    return figure


def size_legends(
    figure: Figure,
    styles: Mapping[float, Mapping[str, str]],
    published: bool,
    along: Along,
    width: float,
) -> list[Legend]:
    """Add the legend of the size factors and, below, of what is drawn in grey."""
    lines = [
        Line2D([], [], label=f"size {as_fraction(size)}", **{**LOOK, **style})
        for size, style in styles.items()
    ]
    grey: list[Any] = []
    if published:
        grey.append(Line2D([], [], color=PALE, lw=0.9, label="published", marker="o", **GREY))
    if along.level is not None:
        grey.append(Line2D([], [], color=REFERENCE, lw=0.7, ls=(0, (4, 3)), label=along.level[1]))
    return [add_legend(figure, handles, width - 0.2) for handles in (lines, grey) if handles]


def _caption(
    means: pd.DataFrame, published: bool, below: int, source: str, scale: str
) -> list[str]:
    said = [trained(means["n"], "line")]
    if published:
        said.append(f"Grey: {source}, without error bars.")
    said += measured_at(scale)
    if below:
        said.append(f"Left out: {below} mean{'s' * (below > 1)} at or below 0 on a log axis.")
    return said
