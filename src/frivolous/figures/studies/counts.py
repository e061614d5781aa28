"""Several counts of units against the network's width, one panel per network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from frivolous.errors import BadArgument
from frivolous.figures.base.caption import gains_said, left_out, measured_at, trained
from frivolous.figures.base.layout import Grid, head_of, lay_out
from frivolous.figures.base.legend import add_legend
from frivolous.figures.base.scales import size_axis, value_axis
from frivolous.figures.base.style import (
    GREY,
    LOOK,
    PAGE,
    REFERENCE,
    curve_style,
    house_style,
    new_figure,
)
from frivolous.figures.base.text import place_note
from frivolous.figures.base.validation import checked, published_points
from frivolous.measures.registry import measure_named

TABLE = ("panel", "measure", "size_factor", "replicate", "value")
_KEYS = ["panel", "measure", "size_factor"]
Styles = Mapping[str, Mapping[str, Any]]


def counts_figure(
    table: pd.DataFrame,
    gains: pd.DataFrame | None = None,
    published: pd.DataFrame | None = None,
    published_gains: pd.DataFrame | None = None,
    *,
    title: str = "",
    claim: str = "",
    source: str = "Casper et al. 2021",
    scale: str = "",
    width: float = PAGE,
) -> Figure:
    """Draw counts of units as shares of the 4x network against size factor, a line per count.

    Points are means over replicates, bars from the least to the most. The thin line is all units
    that the network has. Grey marks are published. Each count's gain stands in a free corner in
    its colour, with its interval, and the published one next to it.

    Args:
        table: ``StudyResult.table``: a panel for each network, its measures counts of units.
        gains: ``StudyResult.gains``; panels without rows print none.
        published: columns of :func:`frivolous.published.values`, panels named as in ``table``.
        published_gains: columns of :func:`frivolous.published.curve_gains`, likewise.
        title: in bold above; ``claim`` beneath it.
        claim: one short sentence.
        source: what the caption calls the published points.
        scale: what the study was run at.
        width: inches.

    Counts of 0 have no place on the axis: they stand at the lower edge, open, and the caption says
    how many. Points without a finite value are left out and counted there.

    Raises:
        BadArgument: a column is missing, or there is no row.
        UnknownName: a measure that no axis is known for.

    """
    table = checked("table", table, TABLE[:2], TABLE[2:])
    if not len(table):
        raise BadArgument("`table` has no rows; a figure needs at least one run. Run the study.")
    for measure in table["measure"].unique():
        measure_named(measure)
    gains = checked("gains", gains, ("panel", "measure"), ("gain", "low", "high"))
    keys = ("panel", "measure")
    told_gains = checked("published_gains", published_gains, keys, ("gain_as_published",))
    points = published_points(published).assign(mean=lambda frame: frame["value"])
    gains = gains.merge(told_gains[[*keys, "gain_as_published"]], on=list(keys), how="left")
    with house_style():
        return _draw(table, gains, points, (title, claim, source, scale), width)


def _draw(
    table: pd.DataFrame,
    gains: pd.DataFrame,
    points: pd.DataFrame,
    words: tuple[str, str, str, str],
    width: float,
) -> Figure:
    title, claim, source, scale = words
    spans = spans_of(table)
    panels = list(table["panel"].unique())
    columns = 1 if len(panels) == 1 else 2 if len(panels) in (2, 4) else 3
    figure, grid = new_figure(width, 4.0), Grid(columns, tall=2.1)
    styles = {name: curve_style(rank) for rank, name in enumerate(table["measure"].unique())}
    axes, obstacles, lines_above = [], [], 1
    for place, panel in enumerate(panels):
        axes.append(figure.add_subplot(-(-len(panels) // columns), columns, 1 + place))
        told = points[points["panel"].eq(panel) & points["measure"].isin(list(styles))]
        obstacles.append(_panel(axes[-1], spans[spans["panel"].eq(panel)], told, styles))
        lines_above = max(lines_above, head_of(figure, axes[-1], ("", panel), grid.wide(width)))
    there = points["panel"].isin(panels) & points["measure"].isin(list(styles))
    legend = add_legend(figure, _handles(styles, bool(there.any())), width - 0.2)
    caption = _caption(table, spans, gains, source if there.any() else "", scale)
    words_ = (title, claim, caption)
    lay_out(figure, axes, grid.with_titles_of(lines_above), words_, (legend,))
    for panel, one, lines in zip(panels, axes, obstacles, strict=True):
        _gains(one, gains[gains["panel"].eq(panel)], styles, lines)
    return figure


def spans_of(table: pd.DataFrame) -> pd.DataFrame:
    """Return mean, least, most and n over replicates of every point; only finite values count."""
    finite = table.assign(value=table["value"].where(np.isfinite(table["value"])))
    grouped = finite.groupby(_KEYS, sort=False)["value"]
    spans = grouped.agg(mean="mean", low="min", high="max", n="count").reset_index()
    return spans.sort_values("size_factor", kind="stable").reset_index(drop=True)


def _panel(axes: Axes, spans: pd.DataFrame, told: pd.DataFrame, styles: Styles) -> list[np.ndarray]:
    """Draw one network's counts; return the lines that a note must not cover."""
    sizes = np.array(sorted({*spans["size_factor"], *told["size_factor"]}))
    seen = pd.concat([spans["mean"], spans["low"], spans["high"], told["mean"]])
    size_axis(axes, list(sizes))
    values = np.concatenate([seen.dropna().to_numpy(float), sizes / 4])
    value_axis(axes, measure_named(spans["measure"].iloc[0]).scale, values)
    everything = np.column_stack([sizes, sizes / 4])
    axes.plot(*everything.T, color=REFERENCE, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    lines = [everything]
    for measure, style in styles.items():
        grey = told[told["measure"].eq(measure)]
        marks = axes.plot(
            *(grey["size_factor"], grey["mean"]), ls="none", marker=style["marker"], **GREY
        )
        marks[0].set_zorder(2.5)
        lines += [np.array([point, point]) for point in marks[0].get_xydata()]  # type: ignore[union-attr]
    for measure, style in styles.items():
        lines += _count(axes, spans[spans["measure"].eq(measure)], style)
    return lines


def _count(axes: Axes, part: pd.DataFrame, style: Mapping[str, Any]) -> list[np.ndarray]:
    """Draw one count with its range; zeros stand open at the lower edge."""
    floor = axes.get_ylim()[0]
    x, mean, low, high = (part[name].to_numpy(float) for name in ("size_factor", *_SPAN))
    nothing = mean <= 0
    axes.plot(
        *(x[nothing], np.full(nothing.sum(), floor)),
        **{**style, "linestyle": "none"},
        markerfacecolor="white",
        clip_on=False,
        zorder=7,
    )
    shown = np.where(nothing, np.nan, mean)
    axes.plot(x, shown, zorder=4, **LOOK, **style)
    several = (high > low) & ~nothing
    bottom = np.maximum(low, floor)
    axes.vlines(
        *(x[several], bottom[several], high[several]), color=style["color"], lw=1.0, zorder=3.5
    )
    bars = zip(x[several], bottom[several], high[several], strict=True)
    return [np.column_stack([x, shown]), *(np.array([[a, b], [a, c]]) for a, b, c in bars)]


_SPAN = ("mean", "low", "high")


def _gains(axes: Axes, gains: pd.DataFrame, styles: Styles, obstacles: list[np.ndarray]) -> None:
    """Write each count's gain in its colour, the published one behind it."""
    lines = []
    for row in gains[np.isfinite(gains["gain"])].itertuples():
        interval = f" [{row.low:.2f}, {row.high:.2f}]" if np.isfinite(row.low) else ""
        told = row.gain_as_published
        paper = f"; paper {told:.2f}" if np.isfinite(told) else ""
        lines.append((f"$g$ = {row.gain:.2f}{interval}{paper}", styles[row.measure]["color"]))
    if lines:
        place_note(axes, lines, obstacles)


def _handles(styles: Styles, published: bool) -> list[Line2D]:
    handles = [
        Line2D([], [], label=measure_named(name).title.lower(), **{**LOOK, **style})
        for name, style in styles.items()
    ]
    handles.append(Line2D([], [], color=REFERENCE, lw=0.8, ls=(0, (4, 3)), label="all units"))
    if published:
        handles.append(Line2D([], [], ls="none", label="published", marker="o", **GREY))
    return handles


def _caption(
    table: pd.DataFrame, spans: pd.DataFrame, gains: pd.DataFrame, source: str, scale: str
) -> str:
    said = [trained(spans["n"], bars="from the least to the most", none="no bars")]
    if source:
        said.append(f"Grey marks: {source}.")
    said += [*measured_at(scale), *gains_said(gains)]
    zeros, empty = int(spans["mean"].le(0).sum()), int(spans["n"].eq(0).sum())
    if zeros:
        said.append(f"Open markers at the lower edge: {zeros} of 0, which a log axis cannot show.")
    return " ".join([*said, *left_out(empty)])
