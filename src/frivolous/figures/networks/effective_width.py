"""Effective width of one network: how few units of each site suffice, their readers re-fitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, PercentFormatter

from frivolous.errors import BadArgument
from frivolous.figures.base import text as lettering
from frivolous.figures.base.style import (
    LEGEND,
    PAGE,
    QUIET,
    REFERENCE,
    SMALL,
    house_style,
    new_figure,
)
from frivolous.figures.networks.ablation_draws import FEW, site_styles
from frivolous.figures.networks.site_bars import count_text, short_names

_JOINT = ("site", "kept", "error", "unchanged", "low", "high", "examples")
_TABLE = ("site", "depth", "width", "measure", "value", "low", "high")
_LEAST = 1e-6
"""The smallest error drawn: less is rounding."""
_TALL, _BENEATH, _LINE = 2.3, 0.42, 0.155  # inches: panels; ticks and label; a line of the legend


def joint_figure(
    joint: pd.DataFrame,
    table: pd.DataFrame,
    *,
    title: str = "",
    claim: str = "",
    tolerance: float = 0.02,
    width: float = PAGE,
) -> Figure:
    """Draw unchanged labels and the readers' error against the units kept, a line per site.

    Args:
        joint: ``Measurement.joint``: ``site, kept, unit, error, unchanged, low, high, examples``.
        table: ``Measurement.table``, of which measure ``effective`` is drawn.
        title: in bold above; ``claim`` beneath it.
        claim: one short sentence.
        tolerance: share of labels that may change; drawn as the line at 1 - tolerance.
        width: inches.

    Left: the share of unchanged labels where it was tried, with 95% intervals; a ring at the
    effective width, its whisker the interval of that. Right: the share lost of the variance of
    what the readers compute. Both against the number of units kept, on a logarithmic scale that is
    linear below one. The legend gives each site's effective width.

    Raises:
        BadArgument: a column is missing, or there is no effective width to draw.

    """
    for name, frame, needed in (("joint", joint, _JOINT), ("table", table, _TABLE)):
        missing = [column for column in needed if column not in frame.columns]
        if missing:
            raise BadArgument(
                f"`{name}` lacks the columns {', '.join(missing)}; it has "
                f"{', '.join(map(str, frame.columns))}. Pass the frame of a Measurement."
            )
    widths = table[table["measure"].eq("effective") & table["site"].ne("all")]
    if not len(joint) or not len(widths):
        raise BadArgument(
            "`joint` is empty: no effective width was measured. Measure with "
            "`joint_tolerance=0.02`."
        )
    with house_style():
        return _draw(joint, widths.sort_values("depth"), (title, claim), tolerance, width)


def _draw(
    joint: pd.DataFrame,
    widths: pd.DataFrame,
    words: tuple[str, str],
    tolerance: float,
    width: float,
) -> Figure:
    figure = new_figure(width, 4.0)
    left, right = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2)
    sites = list(widths["site"])
    styles = site_styles(sites)
    crowded = len(sites) > FEW
    for row in widths.itertuples():
        part = joint[joint["site"].eq(row.site)].sort_values("kept")
        _labels(left, part, styles[row.site], row, tolerance, crowded)
        seen = part[part["error"].gt(_LEAST)]
        right.plot(
            *(seen["kept"], seen["error"]),
            color=styles[row.site]["color"],
            linewidth=0.9 if crowded else 1.4,
        )
    left.axhline(1 - tolerance, color=REFERENCE, linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
    left.set_ylim(0, 1.03)
    left.yaxis.set_major_formatter(PercentFormatter(1.0))
    left.set_ylabel("unchanged labels")
    right.set_yscale("log")
    right.set_ylim(_LEAST, 1.6)
    right.set_ylabel("error of the readers")
    left.set_title("Labels with few units", loc="left", pad=5)
    right.set_title("Variance lost to the readers", loc="left", pad=5)
    for axes in (left, right):
        _units_axis(axes, int(widths["width"].max()))
    _lay_out(
        figure, (left, right), _keys(figure, widths, styles), words, _caption(joint, tolerance)
    )
    return figure


def _labels(
    axes: Axes,
    part: pd.DataFrame,
    style: Mapping[str, str],
    row: object,
    tolerance: float,
    crowded: bool,
) -> None:
    """One site's unchanged labels, and its effective width as a ring on the dashed line."""
    columns = ["kept", "unchanged", "low", "high"]
    kept, unchanged, *bounds = part.loc[part["unchanged"].notna(), columns].to_numpy(float).T
    axes.errorbar(
        *(kept, unchanged),
        yerr=(unchanged - bounds[0], bounds[1] - unchanged),
        color=style["color"],
        marker=style["marker"],
        markersize=2.6 if crowded else 3.8,
        linewidth=0.9 if crowded else 1.4,
        elinewidth=0.6,
        zorder=3,
    )
    value, low, high = (getattr(row, name) for name in ("value", "low", "high"))
    axes.errorbar(
        *([value], [1 - tolerance]),
        xerr=([value - low], [high - value]),
        marker="o",
        markersize=4.5 if crowded else 6.0,
        markerfacecolor="white",
        color=style["color"],
        elinewidth=1.6,
        zorder=5,
        clip_on=False,
    )


def _units_axis(axes: Axes, widest: int) -> None:
    axes.set_xscale("symlog", base=2, linthresh=1, linscale=0.5)
    axes.set_xlim(-0.08, widest * 1.1)
    ticks = [
        0,
        *(2**power for power in range(0, 40, 2 if widest > 64 else 1) if 2**power <= widest),
    ]
    axes.set_xticks(ticks)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.minorticks_off()
    axes.set_xlabel("units kept")


def _keys(
    figure: Figure, widths: pd.DataFrame, styles: Mapping[str, Mapping[str, str]]
) -> list[Line2D]:
    names = short_names(figure, list(widths["site"]))
    keys = []
    for name, row in zip(names, widths.itertuples(), strict=True):
        value, low, high = (count_text(number) for number in (row.value, row.low, row.high))
        label = f"{name}: {value} [{low}, {high}] of {row.width:,}"
        keys.append(Line2D([], [], label=label, lw=1.4, ms=3.8, **styles[row.site]))  # type: ignore[arg-type]
    return keys


def _caption(joint: pd.DataFrame, tolerance: float) -> str:
    examples = int(joint["examples"].max())
    return (
        "Units of one site go in the order that costs its readers least, and the readers are "
        "re-fitted. a: whiskers are 95% intervals; rings mark the effective width, the fewest "
        f"units with {100 * (1 - tolerance):.3g}% of labels unchanged, and its interval. b: less "
        f"than {_LEAST:g} is not drawn. {examples:,} examples."
    )


def _lay_out(
    figure: Figure,
    axes: tuple[Axes, Axes],
    keys: Sequence[Line2D],
    words: tuple[str, str],
    caption: str,
) -> None:
    """Stack title, claim, panels, legend and caption; set the height to hold them."""
    width = float(figure.get_size_inches()[0])
    heads = [
        (lettering.wrapped(figure, words[0], 9.5, width - 0.2, "bold"), 9.5, "bold"),
        (lettering.wrapped(figure, words[1], 8.0, width - 0.2), 8.0, "normal"),
    ]
    lines = lettering.wrapped(figure, caption, SMALL, width - 0.2)
    columns = 2 if len(keys) <= 2 * FEW else 3
    rows = -(-len(keys) // columns)
    foot = 0.08 + lettering.block_height(lines, SMALL) + 0.06
    base = foot + rows * _LINE + 0.1 + _BENEATH
    head = sum(lettering.block_height(block, size) for block, size, _ in heads)
    height = base + _TALL + 0.27 + head + 0.06
    figure.set_size_inches(width, height)
    top = height - 0.06
    for block, size, weight in heads:
        top = lettering.write_block(figure, block, size, 0.1, top, weight=weight)
    half = (width - 0.64 - 0.75 - 0.12) / 2
    for place, letter, start in ((axes[0], "a", 0.64), (axes[1], "b", 0.64 + half + 0.75)):
        place.set_position((start / width, base / height, half / width, _TALL / height))
        place.annotate(
            letter,
            (0, 1),
            xycoords="axes fraction",
            xytext=(-72 * 0.54, 5),
            textcoords="offset points",
            fontsize=9.5,
            fontweight="bold",
        )
    figure.legend(
        handles=keys,
        loc="lower left",
        bbox_to_anchor=(0.1 / width, (foot - 0.02) / height),
        ncols=columns,
        fontsize=SMALL,
        **LEGEND,
    )
    lettering.write_block(
        figure, lines, SMALL, 0.1, 0.08 + lettering.block_height(lines, SMALL), color=QUIET
    )
