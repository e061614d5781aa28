"""The figure of a study: a panel per measure, the published points behind the measured ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend

from frivolous.errors import BadArgument, look_up
from frivolous.figures import text as lettering
from frivolous.figures.axes import MEASURES
from frivolous.figures.caption import study_caption
from frivolous.figures.legend import legends
from frivolous.figures.panel import Panel, draw_panel, rows_of, write_gains
from frivolous.figures.style import (
    COLUMN,
    INK,
    PAGE,
    QUIET,
    SMALL,
    curve_style,
    house_style,
    new_figure,
)
from frivolous.published import replicate_means

_TITLE, _CLAIM = 9.5, 8.0  # points
_LEFT, _RIGHT, _BETWEEN = 0.60, 0.10, 0.62  # inches
_NAME = 0.45  # inches that a panel's name may take beside its title
_ABOVE, _AXES, _BELOW = 0.27, 1.85, 0.48
_GAINS = ("gain", "low", "high", "published_min", "published_max")
_POINTS = ("size_factor", "x", "value", "sd")


def study_figure(
    table: pd.DataFrame,
    gains: pd.DataFrame | None = None,
    published: pd.DataFrame | None = None,
    panels: Sequence[Panel | tuple[str, str]] | None = None,
    *,
    title: str = "",
    claim: str = "",
    source: str = "Casper et al. 2021",
    width: float | None = None,
) -> Figure:
    """Draw a study as the papers do: counts against size factor on log axes, one axes per panel.

    Points are means over replicates, bars ± sample SD. Behind them lie the published points in
    grey, same marker per curve. Each panel of counts has a dashed line that doubles with width
    (g = 2), the least and greatest gain with their 95% intervals, and the published gains beneath.

    Args:
        table: ``StudyResult.table``.
        gains: ``StudyResult.gains``; panels without rows print none.
        published: columns of :func:`frivolous.published.values`; curves by the same names.
        panels: which axes, in order; default every (panel, measure) of ``table``, accuracy first.
        title: the question or the name, in bold.
        claim: one short sentence beneath.
        source: what the caption calls the published points.
        width: inches; default one column for one panel and the page for more.

    Values at or below 0 on a log axis stand at the lower edge with an open marker, and the caption
    says how many; points without a finite value are left out and counted there; a line has a gap
    where a size factor was not run.

    Raises:
        BadArgument: a column is missing, there is no row, or a panel has no rows.
        UnknownName: a measure that no axis is known for.

    Source: Casper et al. 2021, section 5, Fig. 3, 4 and E6 to E11.

    >>> table = pd.DataFrame({"size_factor": [1.0, 2.0], "value": [0.1, 0.25]}).assign(
    ...     panel="d", curve="Adam", replicate=0, site="all", measure="prunable")
    >>> figure = study_figure(table, title="How many units are prunable?")
    >>> figure.axes[0].get_title(loc="left")
    'Prunable units'

    """
    means = replicate_means(table)
    if not len(means):
        raise BadArgument("`table` has no rows; a figure needs at least one run. Run the study.")
    chosen = _panels(means, panels)
    gains = _numbers("gains", gains, ("panel", "measure", "curve"), _GAINS)
    points = _numbers("published", published, ("panel", "measure", "curve", "split"), _POINTS)
    points = points[points["split"].isin(["", "test"]) & points["x"].isna()]
    styles = {curve: curve_style(rank) for rank, curve in enumerate(means["curve"].unique())}
    with house_style():
        return _draw(means, gains, points, chosen, styles, (title, claim, source), width)


def _draw(
    means: pd.DataFrame,
    gains: pd.DataFrame,
    points: pd.DataFrame,
    panels: Sequence[Panel],
    styles: dict[str, dict[str, Any]],
    words: tuple[str, str, str],
    width: float | None,
) -> Figure:
    title, claim, source = words
    columns = {1: 1, 2: 2, 4: 2}.get(len(panels), 3)
    rows = -(-len(panels) // columns)
    width = width or (COLUMN if columns == 1 else PAGE)
    figure = new_figure(width, 4.0)
    axes = [figure.add_subplot(rows, columns, 1 + place) for place in range(len(panels))]
    wide = (width - _LEFT - _RIGHT - (columns - 1) * _BETWEEN) / columns
    drawn, lines_above = [], 1
    for panel, one in zip(panels, axes, strict=True):
        drawn.append(
            draw_panel(
                one, rows_of(means, panel), rows_of(points, panel), MEASURES[panel.measure], styles
            )
        )
        lines_above = max(lines_above, _head(figure, one, panel, wide))
    keys = legends(figure, styles, drawn, width)
    texts = [
        (lettering.wrapped(figure, title, _TITLE, width - 0.2, "bold"), _TITLE, "bold"),
        (lettering.wrapped(figure, claim, _CLAIM, width - 0.2), _CLAIM, "normal"),
    ]
    caption = study_caption(means, gains, panels, drawn, source)
    lines = lettering.wrapped(figure, caption, SMALL, width - 0.2)
    above = _ABOVE + 0.16 * (lines_above - 1)
    _lay_out(figure, axes, (columns, wide, above), texts, (keys, lines))
    for panel, one, seen in zip(panels, axes, drawn, strict=True):
        write_gains(one, rows_of(gains, panel), seen)
    return figure


def _lay_out(
    figure: Figure,
    axes: Sequence[Axes],
    grid: tuple[int, float, float],
    texts: Sequence[tuple[list[str], float, str]],
    foot: tuple[Sequence[Legend], list[str]],
) -> None:
    """Stack title, claim, rows of axes, legends and caption; set the height to hold them."""
    keys, lines = foot
    columns, wide, above = grid
    width = float(figure.get_size_inches()[0])
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    tall = [legend.get_window_extent(renderer).height / figure.dpi + 0.05 for legend in keys]
    head = sum(lettering.block_height(block, size) for block, size, _ in texts)
    row_height = above + _AXES + _BELOW
    body = -(-len(axes) // columns) * row_height
    height = 0.08 + head + 0.04 + body + sum(tall) + 0.05
    height += lettering.block_height(lines, SMALL) + 0.08
    figure.set_size_inches(width, height)
    top = height - 0.08
    for block, size, weight in texts:
        top = lettering.write_block(figure, block, size, 0.1, top, weight=weight)
    top -= 0.04
    for place, one in enumerate(axes):
        row, column = divmod(place, columns)
        bottom = top - (row + 1) * row_height + _BELOW
        left = _LEFT + column * (wide + _BETWEEN)
        one.set_position((left / width, bottom / height, wide / width, _AXES / height))
    top -= body
    for legend, one_tall in zip(keys, tall, strict=True):
        legend.set_bbox_to_anchor((0.1 / width, top / height), transform=figure.transFigure)
        top -= one_tall
    lettering.write_block(figure, lines, SMALL, 0.1, top - 0.05, color=QUIET)


def _panels(means: pd.DataFrame, panels: Sequence[Panel | tuple[str, str]] | None) -> list[Panel]:
    """Return the panels asked for, or every one of the table with accuracy first."""
    there = list(dict.fromkeys(zip(means["panel"], means["measure"], strict=True)))
    if panels is None:
        there.sort(key=lambda pair: pair[1] != "accuracy")
        asked = [Panel(*pair) for pair in there]
    else:
        asked = [panel if isinstance(panel, Panel) else Panel(*panel) for panel in panels]
    for panel in asked:
        look_up(MEASURES, panel.measure, "measure")
        if (panel.name, panel.measure) not in there:
            known = ", ".join(f"({name}, {measure})" for name, measure in there)
            raise BadArgument(
                f"`panels` asks for ({panel.name}, {panel.measure}), which `table` has no rows of; "
                f"it has {known}. Name one of these."
            )
    if not asked:
        raise BadArgument("`panels` is empty; a figure has at least one. Leave it out for all.")
    return asked


def _numbers(
    name: str, frame: pd.DataFrame | None, words: Sequence[str], numbers: Sequence[str]
) -> pd.DataFrame:
    """Return the frame with float columns, an empty one for None; check the columns."""
    frame = pd.DataFrame(columns=[*words, *numbers]) if frame is None else frame
    missing = [column for column in (*words, *numbers) if column not in frame.columns]
    if missing:
        raise BadArgument(
            f"`{name}` lacks the columns {', '.join(missing)}; it has "
            f"{', '.join(map(str, frame.columns))}. Pass a frame with all of them, or None."
        )
    return frame.astype(dict.fromkeys(numbers, float))


def _head(figure: Figure, axes: Axes, panel: Panel, inches: float) -> int:
    """Write the panel's own name and title; return how many lines the title takes."""
    title = MEASURES[panel.measure].title if panel.title is None else panel.title
    name, letter = panel.letter, len(panel.letter) == 1
    size, weight = (9.5, "bold") if letter else (SMALL, "normal" if panel.earlier else "bold")
    if lettering.text_width(figure, name, size, weight) > _NAME:  # no room beside the title
        name, title = "", f"{name}: {title}"
    lines = lettering.wrapped(figure, title, 8.5, inches)
    axes.set_title("\n".join(lines).replace("$", r"\$"), loc="left", pad=5)
    axes.annotate(
        name.replace("$", r"\$"),
        (0, 1),
        xycoords="axes fraction",
        xytext=(-30 if letter else -5, 5),
        textcoords="offset points",
        fontsize=size,
        fontweight=weight,
        color=QUIET if panel.earlier else INK,
        va="baseline",
        ha="left" if letter else "right",
    )
    return max(1, len(lines))
