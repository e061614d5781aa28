"""Measures over the last epochs of training, as in Fig. E12 of Casper et al. 2021."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from frivolous.errors import BadArgument
from frivolous.figures.base.panel import Panel, panels_of
from frivolous.figures.base.validation import checked, published_curves
from frivolous.figures.studies.lines import Along, line_figure, line_means

EPOCHS = Along("epochs before the end")


def last_epochs_figure(
    table: pd.DataFrame,
    published: pd.DataFrame | None = None,
    panels: Sequence[Panel | tuple[str, str]] | None = None,
    *,
    title: str = "",
    claim: str = "",
    source: str = "Casper et al. 2021",
    scale: str = "",
    width: float | None = None,
) -> Figure:
    """Draw measures against the epochs before the end of training, one line per size factor.

    Args:
        table: columns ``panel, measure, size_factor, replicate, x, value``: one row per kept state
            of one network; ``x`` is 0 at the end and negative before. Counts are shares of the 4x
            network, on a log axis. Other columns are not read.
        published: columns of :func:`frivolous.published.values`; rows without ``x`` are left out.
        panels: which axes, in order; default every (panel, measure) of ``table``, accuracy first.
        title: in bold above; ``claim`` beneath it.
        claim: one short sentence.
        source: what the caption calls the published points.
        scale: what the networks were trained at; see :func:`frivolous.figures.study_figure`.
        width: inches; default one column for one panel and the page for more.

    Raises:
        BadArgument: a column or all rows are missing, a panel has no row, an ``x`` is positive.
        UnknownName: a measure that no axis is known for.

    >>> table = pd.DataFrame({"x": [-2.0, 0.0], "value": [0.1, 0.1]}).assign(
    ...     panel="b", measure="prunable", size_factor=1.0, replicate=0)
    >>> last_epochs_figure(table).axes[0].get_xlabel()
    'epochs before the end'

    """
    means = last_epochs_means(table)
    told = published_curves(published)
    asked = panels_of(table, panels or None)
    shown = {(panel.name, panel.measure) for panel in asked}
    told = told[pd.MultiIndex.from_frame(told[["panel", "measure"]]).isin(shown)]
    words = (title, claim, source, scale)
    return line_figure(means, told, asked, EPOCHS, words, width)


def last_epochs_means(table: pd.DataFrame) -> pd.DataFrame:
    """Return the means over replicates of every point; see :func:`last_epochs_figure`."""
    words, numbers = ("panel", "measure", "replicate"), ("size_factor", "x", "value")
    frame = checked("table", table, words, numbers)
    if not len(frame):
        raise BadArgument("`table` has no rows; a figure needs at least one network.")
    if frame["x"].max() > 0:
        raise BadArgument(
            f"`table` has `x` up to {frame['x'].max():g}; epochs before the end are 0 or negative. "
            "Subtract the number of epochs trained."
        )
    return line_means(frame.assign(curve=""))
