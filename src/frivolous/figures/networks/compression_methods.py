"""Compression methods side by side: unchanged labels against the parameters that are left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from frivolous.errors import BadArgument, look_up
from frivolous.figures.base.layout import Grid, lay_out
from frivolous.figures.base.legend import add_legend
from frivolous.figures.base.style import (
    QUIET,
    REFERENCE,
    SMALL,
    curve_style,
    house_style,
    new_figure,
)
from frivolous.figures.base.validation import checked

SIZES = {"parameters": "parameters left", "flops": "multiply-adds left"}
_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
_WIDTH = 4.8  # inches
_FINEST = 0.005  # share of changed labels up to which the scale of y is about linear
_LEVELS = (0.0, 0.2, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 1.0)
_APART = 0.04  # how far the marks of all methods at one size may lie apart, as a share of the axis
Styles = Mapping[str, Mapping[str, Any]]


def compression_figure(
    points: pd.DataFrame,
    *,
    tolerance: float | None = None,
    against: str = "parameters",
    title: str = "",
    claim: str = "",
    examples: int | None = None,
    width: float = _WIDTH,
) -> Figure:
    """Draw the share of unchanged labels against what is left of the network, a line per method.

    The scale of the labels widens towards 100%: it is about logarithmic in the changed ones. Bars
    are the 95% intervals given. Methods at the same size stand a little apart, so that their bars
    can be told from each other. The first method is drawn in front, the line thicker.

    Args:
        points: a row per method and size; columns ``method, parameters, flops, unchanged, low,
            high``, all but the first shares in [0, 1]: of the parameters and multiply-adds that are
            left, of labels unchanged, and their interval (NaN where it is not known).
        tolerance: share of labels that may change; a line stands at 1 - tolerance.
        against: ``parameters`` or ``flops``.
        title: in bold above; ``claim`` beneath it.
        claim: one short sentence.
        examples: on which labels were compared, for the caption.
        width: inches.

    Rows without a finite share of labels are left out and counted in the caption.

    Raises:
        BadArgument: a column is missing, there is no row, or a number is no share.
        UnknownName: another ``against``.

    >>> points = pd.DataFrame({"method": ["joint", "joint"], "parameters": [0.5, 0.1],
    ...     "flops": [0.6, 0.2], "unchanged": [1.0, 0.9], "low": 0.85, "high": 1.0})
    >>> compression_figure(points, tolerance=0.02).axes[0].get_xlabel()
    'parameters left'

    """
    look_up(SIZES, against, "size")
    points = checked("points", points, ("method",), (*SIZES, "unchanged", "low", "high"))
    if not len(points):
        raise BadArgument("`points` has no rows; a figure needs at least one compressed network.")
    for name in (*SIZES, "unchanged", "low", "high"):
        outside = points[name][(points[name] < 0) | (points[name] > 1)]
        if len(outside):
            raise BadArgument(
                f"`points` has {name} {outside.iloc[0]:g}; it is a share in [0, 1]. Divide by all."
            )
    if (points[against] == 0).any():
        raise BadArgument(f"`points` has {against} 0; a network with nothing left has no place.")
    with house_style():
        return _draw(points, tolerance, against, (title, claim), examples, width)


def _draw(
    points: pd.DataFrame,
    tolerance: float | None,
    against: str,
    words: tuple[str, str],
    examples: int | None,
    width: float,
) -> Figure:
    figure = new_figure(width, 4.0)
    axes = figure.add_subplot(1, 1, 1)
    known = points[np.isfinite(points["unchanged"]) & np.isfinite(points[against])]
    methods = list(points["method"].unique())
    styles = {name: curve_style(rank) for rank, name in enumerate(methods)}
    _axes(axes, known, against, tolerance)
    span = np.log(axes.get_xlim()[1] / axes.get_xlim()[0])
    for rank, name in enumerate(methods):
        place = (rank - (len(methods) - 1) / 2) / max(1, len(methods) - 1)
        part = known[known["method"].eq(name)].sort_values(against, kind="stable")
        shift = float(np.exp(_APART * span * place))
        _method(axes, part, against, shift, styles[name], rank == 0)
    legend = add_legend(figure, _handles(styles), width - 0.2)
    caption = _caption(points, len(points) - len(known), examples, tolerance)
    lay_out(
        figure,
        [axes],
        Grid(1, right=0.42, above=0.12, tall=2.6, below=0.46),
        (*words, caption),
        (legend,),
    )
    return figure


def _axes(axes: Axes, known: pd.DataFrame, against: str, tolerance: float | None) -> None:
    """Set scales and ticks, and draw the line that may not be crossed."""
    least = float(known[against].min()) if len(known) else 0.1
    axes.set_xscale("log")
    axes.set_xlim(least / 1.15, max(1.0, float(known[against].max()) if len(known) else 1.0) * 1.04)
    axes.xaxis.set_major_locator(FixedLocator([tick for tick in _TICKS if tick >= least / 1.15]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}%"))
    axes.set_xlabel(SIZES[against])
    _labels_axis(axes, pd.concat([known["unchanged"], known["low"].dropna()]).to_numpy(float))
    axes.set_ylabel("unchanged labels")
    if tolerance is not None:
        level = 1 - tolerance
        axes.axhline(level, color=REFERENCE, linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
        axes.annotate(
            f"{100 * level:.3g}%",
            (1.0, level),
            xycoords=("axes fraction", "data"),
            xytext=(3, 0),
            textcoords="offset points",
            fontsize=SMALL,
            color=QUIET,
            va="center",
            annotation_clip=False,
        )


def _labels_axis(axes: Axes, seen: np.ndarray) -> None:
    """Scale y by the logarithm of the changed labels, from a little below the least of ``seen``."""
    axes.set_yscale("function", functions=(_height, _share))
    bottom, top = _height(np.array([seen.min() if len(seen) else 0.0, 1.0]))
    bottom, top = _share(np.array([bottom - 0.05 * (top - bottom), top + 0.03 * (top - bottom)]))
    axes.set_ylim(max(0.0, bottom), top)
    axes.yaxis.set_major_locator(FixedLocator([x for x in _LEVELS if x >= bottom]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}%"))


def _height(share: np.ndarray) -> np.ndarray:
    changed = np.maximum(1 - np.asarray(share, dtype=float), -0.9 * _FINEST)
    return np.asarray(-np.log(changed + _FINEST))


def _share(height: np.ndarray) -> np.ndarray:
    return np.asarray(1 + _FINEST - np.exp(-np.asarray(height, dtype=float)))


def _method(
    axes: Axes,
    part: pd.DataFrame,
    against: str,
    shift: float,
    style: Mapping[str, Any],
    first: bool,
) -> None:
    x = part[against].to_numpy(float) * shift
    y, low, high = (part[name].to_numpy(float) for name in ("unchanged", "low", "high"))
    above = 2.0 if first else 0.0
    axes.vlines(x, low, high, color=style["color"], lw=0.7, alpha=0.75, zorder=3 + above)
    axes.plot(
        *(x, y),
        linewidth=1.6 if first else 1.0,
        markersize=4.8 if first else 3.8,
        markeredgecolor="white",
        markeredgewidth=0.4,
        zorder=4 + above,
        **style,
    )


def _handles(styles: Styles) -> list[Line2D]:
    look = {"markeredgecolor": "white", "markeredgewidth": 0.4}
    return [
        Line2D(
            *([], []),
            label=name.replace("$", r"\$"),
            linewidth=1.6 if rank == 0 else 1.0,
            markersize=4.8 if rank == 0 else 3.8,
            **{**look, **style},
        )
        for rank, (name, style) in enumerate(styles.items())
    ]


def _caption(
    points: pd.DataFrame, left_out: int, examples: int | None, tolerance: float | None
) -> str:
    on = f" on {examples:,} held-out examples" if examples is not None else ""
    said = [
        f"Labels that the compressed network leaves as they were{on}; the scale widens upwards."
    ]
    if np.isfinite(points["low"]).any():
        said.append("Bars: 95% intervals over examples, methods set a little apart.")
    if tolerance is not None:
        said.append(f"Dashed: {100 * tolerance:.3g}% of the labels change.")
    if left_out:
        said.append(f"Left out: {left_out} network{'s' * (left_out > 1)} without a number.")
    return " ".join(said)
