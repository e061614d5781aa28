"""The paper's figure redrawn from its numbers, next to the measured one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from frivolous.errors import BadArgument
from frivolous.figures.base.caption import measured_at
from frivolous.figures.base.layout import Grid, Key, head_of, lay_out
from frivolous.figures.base.legend import add_legend, curve_handles, curve_styles, legends
from frivolous.figures.base.panel import Drawn, Panel, draw_panel, rows_of, write_gains
from frivolous.figures.base.scales import as_fraction, log2_ticks
from frivolous.figures.base.style import PAGE, QUIET, house_style, new_figure
from frivolous.figures.base.validation import checked, published_curves, published_points
from frivolous.figures.studies.ablation import MEASURE, ablation_axis, ablation_means
from frivolous.figures.studies.by_width import GAINS
from frivolous.figures.studies.last_epochs import EPOCHS, last_epochs_means
from frivolous.figures.studies.lines import Along, draw_lines, size_styles
from frivolous.published import PublishedFigure, replicate_means

Look = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class _Row:
    """One panel, both sides: how to draw a side's rows, and the look of its lines by name."""

    panel: Panel
    title: str
    look: Look
    told: pd.DataFrame
    ours: pd.DataFrame
    draw: Callable[[Axes, pd.DataFrame, pd.DataFrame], Drawn]


def side_by_side_figure(
    published: PublishedFigure,
    table: pd.DataFrame | None = None,
    gains: pd.DataFrame | None = None,
    *,
    curves: pd.DataFrame | None = None,
    past: pd.DataFrame | None = None,
    panels: Sequence[Panel | tuple[str, str]] | None = None,
    title: str = "",
    claim: str = "",
    source: str = "Casper et al. 2021",
    scale: str = "",
    width: float = PAGE,
) -> Figure:
    """Draw every panel twice on the same axes: on the left as published, on the right as measured.

    The left side is made from the published numbers alone, with the gains as they are printed.

    Args:
        published: :func:`frivolous.published.read` of the figure.
        table: measured points against size factor, as of :func:`frivolous.figures.study_figure`.
        gains: measured gains, as there.
        curves: measured ablation curves, as of :func:`frivolous.figures.ablation_figure`.
        past: measured last epochs, as of :func:`frivolous.figures.last_epochs_figure`.
        panels: (panel, measure) in order; default every published one that was measured. The
            measure of ablation curves is "unchanged_labels".
        title: in bold above; ``claim`` beneath it.
        claim: one short sentence.
        source: what the caption calls the published figure.
        scale: what was measured at; see :func:`frivolous.figures.study_figure`.
        width: inches.

    A panel that ``panels`` names and that was not measured has an empty right side, which says so.

    Raises:
        BadArgument: a column is missing, or there is no panel that was published and measured.

    >>> from frivolous import published
    >>> table = published.values("fig4d").assign(replicate=0, site="all")
    >>> figure = side_by_side_figure(published.read("fig4d"), table)
    >>> [axes.get_title(loc="left") for axes in figure.axes][:2]
    ['Prunable units, published', 'Prunable units, measured']

    """
    told_x, told = published_curves(published.values), published_points(published.values)
    told = told.assign(mean=told["value"], n=1)
    known = pd.concat([told, told_x])[["panel", "measure", "curve"]].sort_index()
    frames = [frame for frame in (_ablated(curves), _past(past), _means(table)) if len(frame)]
    ours = pd.concat(frames) if frames else _means(None)
    pairs = list(dict.fromkeys(zip(known["panel"], known["measure"], strict=True)))
    there = set(zip(ours["panel"], ours["measure"], strict=True))
    pairs = [pair for pair in pairs if pair in there] if panels is None else list(panels)  # type: ignore[arg-type]
    asked = [one if isinstance(one, Panel) else Panel(*one) for one in pairs]
    asked = [one for one in asked if len(rows_of(known, one))]
    if not asked:
        raise BadArgument(
            f"`published` ({published.figure}) and what was measured have no panel in common; a "
            "figure has at least one. Pass frames with the panels and measures of "
            "frivolous.published.contents()."
        )
    gains = checked("gains", gains, ("panel", "measure", "curve"), GAINS)
    with house_style():
        rows = _rows(asked, pd.concat([told, told_x]), ours)
        words = (title, claim, source, scale)
        return _draw(rows, (published.gains, gains), words, width)


def _means(table: pd.DataFrame | None) -> pd.DataFrame:
    if table is None:
        columns = ("panel", "measure", "curve")
        return checked("table", None, columns, ("size_factor", "n", "mean", "sd", "x"))
    return replicate_means(table).assign(x=np.nan)


def _ablated(curves: pd.DataFrame | None) -> pd.DataFrame:
    return pd.DataFrame() if curves is None else ablation_means(curves)


def _past(past: pd.DataFrame | None) -> pd.DataFrame:
    return pd.DataFrame() if past is None else last_epochs_means(past)


def _rows(panels: Sequence[Panel], told: pd.DataFrame, ours: pd.DataFrame) -> list[_Row]:
    sets = []
    for panel in panels:
        both = pd.concat([rows_of(told, panel), rows_of(ours, panel)])
        sets.append(list(both.loc[both["x"].isna(), "curve"].unique()))
    everything = list(dict.fromkeys(name for names in sets for name in names))
    whole = any(set(names) == set(everything) for names in sets)
    looks = curve_styles([everything] if whole else sets)
    rows = []
    for panel, names in zip(panels, sets, strict=True):
        left, right = rows_of(told, panel), rows_of(ours, panel)
        along = left["x"].notna().any()
        rows.append(
            _along_row(panel, left, right)
            if along
            else _size_row(panel, left, right, {name: looks[name] for name in names})
        )
    return rows


def _size_row(panel: Panel, told: pd.DataFrame, ours: pd.DataFrame, look: Look) -> _Row:
    scale, nothing = panel.scale, told.iloc[:0]

    def draw(axes: Axes, rows: pd.DataFrame, other: pd.DataFrame) -> Drawn:
        return draw_panel(axes, rows, nothing, scale, look, beside=other)

    return _Row(panel, panel.heading, look, told, ours, draw)


def _along_row(panel: Panel, told: pd.DataFrame, ours: pd.DataFrame) -> _Row:
    scale, nothing = panel.scale, told.iloc[:0]
    axis: Along = ablation_axis() if panel.measure == MEASURE else EPOCHS
    styles = size_styles([*told["size_factor"], *ours["size_factor"]])

    def draw(axes: Axes, rows: pd.DataFrame, other: pd.DataFrame) -> Drawn:
        return Drawn(below=draw_lines(axes, rows, nothing, (scale, axis), styles))

    names = {f"size {as_fraction(size)}": {**one, "linestyle": "-"} for size, one in styles.items()}
    curve = panel.measure == MEASURE and panel.title is None
    title = str(told["curve"].iloc[0]) if curve else panel.heading
    return _Row(panel, title, names, told, ours, draw)


def _draw(
    rows: Sequence[_Row],
    gains: tuple[pd.DataFrame, pd.DataFrame],
    words: tuple[str, str, str, str],
    width: float,
) -> Figure:
    figure, grid = new_figure(width, 4.0), Grid(2, tall=1.7)
    axes: list[Axes] = []
    seen: list[Drawn] = []
    lines_above = 1
    for place, row in enumerate(rows):
        for side, (mine, other) in enumerate(((row.told, row.ours), (row.ours, row.told))):
            one = figure.add_subplot(len(rows), 2, 1 + 2 * place + side)
            seen.append(row.draw(one, mine, other))
            title = f"{row.title}, {'measured' if side else 'published'}"
            head = head_of(
                figure, one, (row.panel.letter, title), grid.wide(width), row.panel.earlier
            )
            lines_above = max(lines_above, head)
            axes.append(one)
        _share(axes[-2], axes[-1])
        if not len(row.ours):
            axes[-1].text(
                *(0.5, 0.5, "not measured"), transform=axes[-1].transAxes, ha="center", color=QUIET
            )
    keys = _keys(figure, rows, grid)
    shared = rows[-1].look if not keys else {}
    caption = " ".join(_caption(rows, gains, words[2], words[3], sum(one.below for one in seen)))
    texts = (words[0], words[1], caption)
    foot = legends(figure, shared, seen, width)
    lay_out(figure, axes, grid.with_titles_of(lines_above), texts, foot, keys)
    for place, row in enumerate(rows):
        left, right = axes[2 * place : 2 * place + 2]
        write_gains(left, _printed(rows_of(gains[0], row.panel)), seen[2 * place])
        blank = {"published_min": np.nan, "published_max": np.nan}
        write_gains(right, rows_of(gains[1], row.panel).assign(**blank), seen[2 * place + 1])
        _share(left, right)
    return figure


def _printed(gains: pd.DataFrame) -> pd.DataFrame:
    """Return the least and the greatest gain of a panel, as printed, in rows of their own."""
    ends = [float(row[name]) for _, row in gains.iterrows() for name in ("gain_min", "gain_max")]
    frame = pd.DataFrame({"gain": ends}, dtype=float)
    return frame.assign(low=np.nan, high=np.nan, published_min=np.nan, published_max=np.nan)


def _share(left: Axes, right: Axes) -> None:
    """Give both axes the limits that hold what either shows."""
    for read, write in ((Axes.get_xlim, Axes.set_xlim), (Axes.get_ylim, Axes.set_ylim)):
        ends = [*read(left), *read(right)]
        for axes in (left, right):
            write(axes, min(ends), max(ends))
    for axes in (left, right):
        if axes.get_yscale() == "log" and axes.yaxis.get_transform().base == 2:  # type: ignore[attr-defined]
            log2_ticks(axes)


def _keys(figure: Figure, rows: Sequence[_Row], grid: Grid) -> list[Key]:
    """Add a legend beneath the last of neighbouring rows with the same lines; none if all agree."""
    if all(row.look == rows[0].look for row in rows):
        return []
    room = float(figure.get_size_inches()[0]) - 0.3
    last = [
        place
        for place, row in enumerate(rows)
        if place + 1 == len(rows) or rows[place + 1].look != row.look
    ]
    return [Key(add_legend(figure, curve_handles(rows[at].look), room), at, 0) for at in last]


def _caption(
    rows: Sequence[_Row],
    gains: tuple[pd.DataFrame, pd.DataFrame],
    source: str,
    scale: str,
    below: int,
) -> list[str]:
    counts = pd.concat([row.ours["n"] for row in rows])
    counts = counts[counts > 0]
    least, most = (int(counts.min()), int(counts.max())) if len(counts) else (0, 0)
    n = f"{most}" if least == most else f"{least} to {most}"
    right = f"means over n = {n} trained networks per point; bars: ± SD (n − 1)"
    if most <= 1:
        right = "one trained network per point (n = 1), hence no error bars"
    said = [
        f"Left: {source}, from the numbers read off its plots; bars: SD where it is known.",
        f"Right: {right}.",
        "The two of a row have the same axes.",
        *measured_at(scale),
    ]
    if any(len(rows_of(frame, row.panel)) for frame in gains for row in rows):
        said.append("g: mean ratio per doubling of width; on the left as printed.")
    if below:
        said.append(f"{below} mean{'s' * (below > 1)} at or below 0 cannot stand on a log axis.")
    return said
