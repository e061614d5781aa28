"""Ablation curves of networks of several widths, as in Fig. 2 a, b of Casper et al. 2021."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from frivolous.errors import BadArgument
from frivolous.figures.base.panel import Panel
from frivolous.figures.base.validation import checked, published_curves
from frivolous.figures.studies.lines import Along, line_figure, line_means

MEASURE = "unchanged_labels"


def ablation_axis(tolerance: float = 0.2) -> Along:
    """Return the axis of shares ablated, with the line that prunable units are read at."""
    level = 100 * (1 - tolerance)
    ticks = (0.0, 0.25, 0.5, 0.75, 1.0)
    return Along("units ablated (%)", ticks, 100.0, (level, f"{level:.3g}% of labels unchanged"))


def ablation_figure(
    curves: pd.DataFrame,
    published: pd.DataFrame | None = None,
    panels: Sequence[str] | None = None,
    *,
    tolerance: float = 0.2,
    title: str = "",
    claim: str = "",
    source: str = "Casper et al. 2021",
    scale: str = "",
    width: float | None = None,
) -> Figure:
    """Draw unchanged labels against the share of units ablated, one line per size factor.

    Wide networks are dark. Points are means over replicates, bars ± sample SD; published points lie
    behind in grey with the same markers. The dashed line is where prunable units are counted.

    Args:
        curves: columns ``panel, curve, size_factor, replicate, fraction, value``: one row per
            point of one network's curve; ``fraction`` and ``value`` (share of labels unchanged)
            in [0, 1]. A panel shows one curve (kind of network), whose name is its title.
        published: columns of :func:`frivolous.published.values`; rows without ``x`` are left out.
        panels: names, in order; default all of ``curves``.
        tolerance: share of labels that may change, in [0, 1).
        title: in bold above; ``claim`` beneath it.
        claim: one short sentence.
        source: what the caption calls the published points.
        scale: what the networks were trained at; see :func:`frivolous.figures.study_figure`.
        width: inches; default one column for one panel and the page for more.

    Raises:
        BadArgument: a column is missing, there is no row, a panel has none or two curves, or a
            share lies outside [0, 1].

    >>> curves = pd.DataFrame({"fraction": [0.0, 0.5, 1.0], "value": [1.0, 0.9, 0.1]}).assign(
    ...     panel="a", curve="AlexNet", size_factor=1.0, replicate=0)
    >>> ablation_figure(curves).axes[0].get_xlabel()
    'units ablated (%)'

    """
    means = ablation_means(curves)
    told = published_curves(published)
    names = list(dict.fromkeys(means["panel"])) if panels is None else list(panels)
    asked = []
    for name in names:
        kinds = list(means.loc[means["panel"].eq(name), "curve"].unique())
        if len(kinds) != 1:
            raise BadArgument(
                f"`panels` names '{name}', which has {len(kinds)} curves in `curves`; a panel "
                "shows one kind of network. Give each its own panel."
            )
        asked.append(Panel(name, MEASURE, kinds[0]))
    told = told[told["panel"].isin(names)]
    words = (title, claim, source, scale)
    return line_figure(means, told, asked, ablation_axis(tolerance), words, width)


def ablation_means(curves: pd.DataFrame) -> pd.DataFrame:
    """Return the means over replicates of every point; see :func:`ablation_figure`."""
    words, numbers = ("panel", "curve", "replicate"), ("size_factor", "fraction", "value")
    frame = checked("curves", curves, words, numbers)
    if not len(frame):
        raise BadArgument("`curves` has no rows; a figure needs at least one network's curve.")
    for column in ("fraction", "value"):
        low, high = frame[column].min(), frame[column].max()
        if low < 0 or high > 1:
            raise BadArgument(
                f"`curves` has `{column}` from {low:g} to {high:g}; it is a share in [0, 1]. "
                "Divide percent by 100 and counts by their total."
            )
    return line_means(frame.rename(columns={"fraction": "x"}).assign(measure=MEASURE))
