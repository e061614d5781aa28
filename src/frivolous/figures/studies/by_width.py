"""The figure of a study: a panel per measure, the published points behind the measured ones."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from frivolous.errors import BadArgument
from frivolous.figures.base.caption import study_caption
from frivolous.figures.base.layout import Grid, head_of, lay_out
from frivolous.figures.base.legend import curve_styles, legends, panel_legends
from frivolous.figures.base.panel import Panel, draw_panel, panels_of, rows_of, write_gains
from frivolous.figures.base.style import COLUMN, PAGE, house_style, new_figure
from frivolous.figures.base.validation import checked, published_points
from frivolous.published import replicate_means

GAINS = ("gain", "low", "high", "published_min", "published_max")


def study_figure(
    table: pd.DataFrame,
    gains: pd.DataFrame | None = None,
    published: pd.DataFrame | None = None,
    panels: Sequence[Panel | tuple[str, str]] | None = None,
    *,
    title: str = "",
    claim: str = "",
    source: str = "Casper et al. 2021",
    scale: str = "",
    width: float | None = None,
    columns: int | None = None,
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
        scale: what the study was run at; the caption says "paper" or that it is not the paper's.
        width: inches; default one column for one panel and the page for more.
        columns: of axes; default 3, but 2 for 2, 4 and 8 panels.

    A panel's curves are those of its own rows. Where no panel shows them all, neighbours with the
    same curves share a legend beneath them; otherwise there is one beneath the figure.

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
    chosen = panels_of(means, panels)
    if not chosen:
        raise BadArgument("`panels` is empty; a figure has at least one. Leave it out for all.")
    gains = checked("gains", gains, ("panel", "measure", "curve"), GAINS)
    points = published_points(published)
    with house_style():
        words = (title, claim, source, scale)
        return _draw(means, gains, points, chosen, words, (width, columns))


def _draw(
    means: pd.DataFrame,
    gains: pd.DataFrame,
    points: pd.DataFrame,
    panels: Sequence[Panel],
    words: tuple[str, str, str, str],
    size: tuple[float | None, int | None],
) -> Figure:
    title, claim, source, scale = words
    width, columns = size
    columns = min(columns or {1: 1, 2: 2, 4: 2, 8: 2}.get(len(panels), 3), len(panels))
    rows = -(-len(panels) // columns)
    width = width or (COLUMN if columns == 1 else PAGE)
    figure, grid = new_figure(width, 4.0), Grid(columns)
    axes = [figure.add_subplot(rows, columns, 1 + place) for place in range(len(panels))]
    sets = [list(rows_of(means, panel)["curve"].unique()) for panel in panels]
    styles = curve_styles([list(means["curve"].unique())] if _alike(sets) else sets)
    styles = {curve: styles[curve] for curve in styles if any(curve in names for names in sets)}
    drawn, lines_above = [], 1
    for panel, one in zip(panels, axes, strict=True):
        mine, theirs = rows_of(means, panel), rows_of(points, panel)
        drawn.append(draw_panel(one, mine, theirs, panel.scale, styles))
        head = (panel.letter, panel.heading)
        lines_above = max(lines_above, head_of(figure, one, head, grid.wide(width), panel.earlier))
    shared, row_keys = panel_legends(figure, styles, sets, grid)
    keys = legends(figure, shared, drawn, width)
    caption = study_caption(means, gains, panels, drawn, source, scale)
    lay_out(
        *(figure, axes, grid.with_titles_of(lines_above)),
        *((title, claim, caption), keys, row_keys),
    )
    for panel, one, seen in zip(panels, axes, drawn, strict=True):
        write_gains(one, rows_of(gains, panel), seen)
    return figure


def _alike(sets: Sequence[Sequence[str]]) -> bool:
    """Whether one panel shows all the curves there are."""
    return any(set(names) >= {one for other in sets for one in other} for names in sets)
