"""One network: its ablation curves, and how many units of each site are frivolous."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from frivolous.errors import BadArgument
from frivolous.figures.base import text as lettering
from frivolous.figures.base.style import PAGE, QUIET, SMALL, house_style, new_figure
from frivolous.figures.networks.ablation_draws import FEW, ablation_panel, site_styles
from frivolous.figures.networks.site_bars import SEEN, bars, narrow, short_names, site_names

_ABOVE, _BENEATH = 0.27, 0.74  # inches: title of a panel; ticks, label and legend
_TABLE = ("site", "depth", "grain", "width", "measure", "value", "low", "high", "examples")
_CURVES = ("site", "grain", "draw", "fraction", "unchanged", "low", "high", "examples")


def measurement_figure(
    table: pd.DataFrame,
    curves: pd.DataFrame,
    *,
    title: str = "",
    claim: str = "",
    tolerance: float = 0.2,
    draw: str = "best",
    width: float = PAGE,
) -> Figure:
    """Draw ablation curves of every site on the left, counts of frivolous units on the right.

    Args:
        table: ``Measurement.table``: ``site, depth, grain, width, measure, value, low, high,
            examples``; of measures, ``prunable`` and ``redundant`` are drawn (units).
        curves: ``site, grain, draw, fraction, ablated, unchanged, low, high, examples``;
            ``unchanged`` and its interval are shares in [0, 1].
        title: in bold above; ``claim`` beneath it.
        claim: one short sentence.
        tolerance: share of labels that may change; drawn as the line at 1 - tolerance.
        draw: which random order counts as prunable: the ``best`` or the ``mean`` of all.
        width: inches.

    Rows of one site may differ in grain, and then in width: each count is a share of its own
    width. Left: every random order as a thin curve and the one that counts in bold, with its 95%
    band; a ring at its crossing of the line. Above four sites, thin curves and bands are those of
    site "all" alone, which is black. Right: per site, its width as the pale bar of length 100%,
    prunable and redundant units as shares of it with intervals and their numbers; the prunable bar
    ends where the ring stands.

    Raises:
        BadArgument: a column is missing, ``unchanged`` holds counts, a row comes twice, fractions
            do not ascend from 0, or ``draw`` is another word.

    """
    _check("table", table, _TABLE)
    _check("curves", curves, _CURVES)
    if draw not in ("best", "mean"):
        raise BadArgument(f"`draw` is 'best' or 'mean'; got {draw!r}. Pass the protocol's.")
    sites = _sites(table, curves)
    with house_style():
        return _draw(table, curves, sites, (title, claim), (tolerance, draw), width)


def _draw(
    table: pd.DataFrame,
    curves: pd.DataFrame,
    sites: Sequence[str],
    words: tuple[str, str],
    counting: tuple[float, str],
    width: float,
) -> Figure:
    figure = new_figure(width, 4.0)
    left, right = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2)
    styles = site_styles(sites)
    ablation_panel(left, curves, styles, *counting)
    names = short_names(figure, list(styles))
    notes = bars(right, table, styles)
    site_names(figure, right, names, styles)
    heads = [
        (lettering.wrapped(figure, words[0], 9.5, width - 0.2, "bold"), 9.5, "bold"),
        (lettering.wrapped(figure, words[1], 8.0, width - 0.2), 8.0, "normal"),
    ]
    lines = lettering.wrapped(figure, _caption(table, curves, counting[1]), SMALL, width - 0.2)
    before = max(lettering.text_width(figure, name, 7.5, "bold") for name in names) + 0.3
    after = max(lettering.text_width(figure, note, SMALL) for note in notes) + 0.15
    _lay_out(figure, (left, right), heads, lines, (before, after), len(sites))
    for axes, letter, back in ((left, "a", 0.54), (right, "b", before)):
        axes.annotate(
            letter,
            (0, 1),
            xycoords="axes fraction",
            xytext=(-72 * back, 5),
            textcoords="offset points",
            fontsize=9.5,
            fontweight="bold",
        )
    return figure


def _lay_out(
    figure: Figure,
    axes: tuple[Axes, Axes],
    heads: Sequence[tuple[list[str], float, str]],
    lines: list[str],
    beside: tuple[float, float],
    sites: int,
) -> None:
    """Stack title, claim, panels with their legends and caption; set the height to hold them.

    ``beside``: inches that names take before the bars, and numbers after them.
    """
    width, (before, after) = float(figure.get_size_inches()[0]), beside
    head = sum(lettering.block_height(block, size) for block, size, _ in heads)
    foot = lettering.block_height(lines, SMALL)
    tall = max(2.2, 0.34 * sites + 0.1)
    short = min(tall, 4.2)
    base = 0.08 + foot + 0.08 + _BENEATH
    height = base + tall + _ABOVE + head + 0.06
    figure.set_size_inches(width, height)
    top = height - 0.06
    for block, size, weight in heads:
        top = lettering.write_block(figure, block, size, 0.1, top, weight=weight)
    half = min(0.37 * width, max(0.22 * width, width - 2.3 - before - after))
    upper = (base + tall - short) / height
    axes[0].set_position((0.64 / width, upper, half / width, short / height))
    start = 0.64 + half + 0.35 + before
    span = width - start - after
    axes[1].set_position((start / width, base / height, span / width, tall / height))
    lettering.write_block(figure, lines, SMALL, 0.1, foot + 0.08, color=QUIET)


def _sites(table: pd.DataFrame, curves: pd.DataFrame) -> list[str]:
    """Return the sites in order of depth, then "all" if there are several; check the rows."""
    twice = table.duplicated(["site", "measure"]).any()
    if twice or curves.duplicated(["site", "draw", "fraction"]).any():
        grains = ", ".join(sorted({*table["grain"].unique(), *curves["grain"].unique()}))
        raise BadArgument(
            f"`{'table' if twice else 'curves'}` has a site's row twice (grains: {grains}); one "
            "figure shows one measurement. Select the rows of one of them first."
        )
    if len(curves) and curves["unchanged"].max() > 1:
        raise BadArgument(
            f"`curves` has `unchanged` up to {curves['unchanged'].max():g}; it is a share in "
            "[0, 1]. Divide the counts by `examples`."
        )
    ordered = table.sort_values("depth", kind="stable")["site"]
    names = list(dict.fromkeys([*ordered, *curves["site"]]))
    single = [name for name in names if name != "all"]
    # Of one site, "all" is the same curve and the same bars again.
    return single + ["all"] * ("all" in names and len(single) != 1)


def _caption(table: pd.DataFrame, curves: pd.DataFrame, draw: str) -> str:
    """Say what is bold, thin, banded and ringed, and what the numbers and whiskers are."""
    said = []
    if len(curves):
        if curves["draw"].nunique() == 1:
            said.append("a: one random order of ablation, with its 95% band;")
        elif draw == "best":
            said.append(
                "a: bold is the random order whose curve stays above the dashed line longest, with "
                "its 95% band; thin are the other orders;"
            )
        else:
            said.append("a: bold is the mean over random orders, thin is each order;")
        if curves.loc[curves["site"].ne("all"), "site"].nunique() > FEW:
            said.append("bands and thin curves are of all sites together only;")
        crossing = "the crossing" if draw == "best" else "the mean of the orders' crossings"
        said.append(f"rings mark {crossing}, where the prunable bar of b ends.")
    said.append("b: whiskers are 95% intervals" + f" (none below {SEEN:.0%})" * narrow(table) + ".")
    counts = {_examples(frame) for frame in (curves, table) if len(frame)}
    said += [f"{' and '.join(sorted(counts))} examples."]
    return " ".join(said)


def _examples(frame: pd.DataFrame) -> str:
    low, high = int(frame["examples"].min()), int(frame["examples"].max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _check(name: str, frame: pd.DataFrame, needed: Sequence[str]) -> None:
    missing = [column for column in needed if column not in frame.columns]
    if missing:
        raise BadArgument(
            f"`{name}` lacks the columns {', '.join(missing)}; it has "
            f"{', '.join(map(str, frame.columns))}. Pass the frame of a Measurement."
        )
