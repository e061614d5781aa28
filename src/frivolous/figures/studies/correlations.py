"""A grid of violins of stored histograms: layers by networks, as in Fig. 2 c, d and earlier B2."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from frivolous.errors import BadArgument
from frivolous.figures.base.caption import measured_at
from frivolous.figures.base.layout import Grid, head_of, lay_out
from frivolous.figures.base.panel import Panel
from frivolous.figures.base.scales import as_fraction
from frivolous.figures.base.style import COLUMN, PAGE, SMALL, house_style, new_figure
from frivolous.figures.base.validation import checked
from frivolous.figures.studies.violin import Violin, draw_violins

_WORDS = ("panel", "site", "curve")
_NUMBERS = ("size_factor", "low", "high", "pairs")
_CELL = ["panel", "curve", "site"]


def correlation_grid(
    histograms: pd.DataFrame,
    published: pd.DataFrame | None = None,
    *,
    title: str = "",
    claim: str = "",
    source: str = "Casper et al. 2021",
    scale: str = "",
    width: float | None = None,
) -> Figure:
    """Draw a violin of absolute correlations per width: a row per site, a column per network.

    A column is one panel and curve, in the order of the frame. The short line is the mean, the
    numbers beneath are size factor, mean and number of pairs. Violins have equal widths: only
    their shape is to be read. Bins are joined to 10 where there are few pairs, to 50 where many.

    Args:
        histograms: columns ``panel, site, curve, size_factor, low, high, pairs``: one row per bin
            [low, high) of the absolute Pearson correlation of two units of a site; the bins of a
            network are adjoining and lie in [0, 1]. Rows of several replicates are added up. A
            column ``mean`` (the same in every row of a network) gives the exact mean; without it
            the mean is that of the bins' middles, and the caption says so.
        published: columns of :func:`frivolous.published.values`; the rows of a measure named
            ``mean_abs_r_`` and the site are drawn as grey diamonds.
        title: in bold above; ``claim`` beneath it.
        claim: one short sentence.
        source: what the caption calls the published means.
        scale: what the networks were trained at; see :func:`frivolous.figures.study_figure`.
        width: inches; default one column for one column of axes and the page for more.

    Source: Casper et al. 2021, Fig. 2 c, d; its ICLR submission, Fig. B2.

    Raises:
        BadArgument: a column is missing, there is no row, bins overlap or lie outside [0, 1].

    >>> bins = pd.DataFrame({"low": [0.0, 0.5], "high": [0.5, 1.0], "pairs": [3, 1]}).assign(
    ...     panel="c", site="conv2", curve="AlexNet", size_factor=1.0)
    >>> correlation_grid(bins).axes[0].get_title(loc="left")
    'AlexNet: conv2'

    """
    frame = checked("histograms", histograms, _WORDS, _NUMBERS)
    if not len(frame):
        raise BadArgument("`histograms` has no rows; a figure needs one network's bins.")
    words = ("panel", "measure", "curve")
    told = checked("published", published, words, ("size_factor", "x", "value", "sd"))
    told = told[told["x"].isna() & told["measure"].str.startswith("mean_abs_r_")]
    with house_style():
        return _draw(frame, told, (title, claim, source, scale), width)


def _draw(
    frame: pd.DataFrame, told: pd.DataFrame, words: tuple[str, str, str, str], width: float | None
) -> Figure:
    sites = list(frame["site"].unique())
    kinds = list(dict.fromkeys(zip(frame["panel"], frame["curve"], strict=True)))
    width = width or (COLUMN if len(kinds) == 1 else PAGE)
    figure = new_figure(width, 4.0)
    grid = Grid(len(kinds), between=0.5, tall=1.85 if len(sites) < 3 else 1.35, below=0.5)
    axes, marks, lines_above = [], 0, 1
    for row, site in enumerate(sites):
        for column, (panel, curve) in enumerate(kinds):
            one = figure.add_subplot(len(sites), len(kinds), 1 + row * len(kinds) + column)
            key = [panel, curve, site]
            part = frame[(frame[_CELL] == key).all(axis=1)]
            here = told["panel"].eq(panel) & told["measure"].eq(f"mean_abs_r_{site}")
            violins = _violins(part, told[here].set_index("size_factor")["value"])
            marks += sum(np.isfinite(violin.published) for violin in violins)
            draw_violins(one, violins, short=len(kinds) > 2)
            one.tick_params(axis="x", labelsize=SMALL)
            if column == 0:
                one.set_ylabel("|r| of two units")
            asked = Panel(panel, "similar")
            named = row == 0 and panel not in [before for before, _ in kinds[:column]]
            head = (asked.letter if named else "", f"{curve}: {site}")
            inches = grid.wide(width)
            lines_above = max(lines_above, head_of(figure, one, head, inches, asked.earlier))
            axes.append(one)
    caption = " ".join(_caption(marks > 0, words[2], words[3], "mean" in frame))
    lay_out(figure, axes, grid.with_titles_of(lines_above), (words[0], words[1], caption))
    return figure


def _violins(part: pd.DataFrame, told: pd.Series) -> list[Violin]:
    """Return a violin per size factor of one panel, curve and site."""
    violins = []
    for size, bins in part.groupby("size_factor"):
        whole = bins.groupby(["low", "high"], as_index=False)["pairs"].sum()
        edges = np.append(whole["low"], whole["high"].iloc[-1])
        if not (np.allclose(edges[1:], whole["high"]) and edges[0] >= 0 and edges[-1] <= 1 + 1e-9):
            raise BadArgument(
                f"`histograms` has bins from {edges[0]:g} to {edges[-1]:g} of size factor "
                f"{as_fraction(float(size))} that do not adjoin within [0, 1]. Give every network "
                "of a panel, curve and site the same bins of the absolute correlation."
            )
        published = float(told.get(size, np.nan))
        name, pairs = as_fraction(float(size)), whole["pairs"].to_numpy()
        violins.append(Violin(name, edges, pairs, _mean(bins), published))
    return violins


def _mean(bins: pd.DataFrame) -> float:
    """Return the mean over pairs: of the column ``mean``, or of the middles of the bins."""
    values = bins["mean"] if "mean" in bins else (bins["low"] + bins["high"]) / 2
    counted = bins["pairs"].to_numpy(float)
    used = counted > 0
    if not used.any():
        return float("nan")
    return float(np.average(values.to_numpy(float)[used], weights=counted[used]))


def _caption(published: bool, source: str, scale: str, exact: bool) -> list[str]:
    said = ["Beneath: size factor, mean, number n of pairs of units. Short line: the mean over"]
    said += ["pairs." if exact else "pairs, each at the middle of its bin."]
    if published:
        said.append(f"Grey diamond: mean of {source}.")
    return [*said, *measured_at(scale)]
