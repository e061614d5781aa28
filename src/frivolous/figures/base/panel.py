"""One panel of a study: curves with bars, published points behind them, gains in a free corner."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from frivolous.figures.base.scales import SIZES, Scale, size_axis, value_axis
from frivolous.figures.base.style import CAP, INK, PALE, PUBLISHED, QUIET, REFERENCE
from frivolous.figures.base.text import place_note


@dataclass(frozen=True)
class Panel:
    """One axes: the rows of panel ``name`` and ``measure``; ``title`` replaces the default.

    ``version``: the paper that shows this panel, where it is an earlier one than the caption's
    source; the caption names it.
    """

    name: str
    measure: str
    title: str | None = None
    version: str = ""

    @property
    def letter(self) -> str:
        """The name next to the axes; empty where it only repeats the measure."""
        return "" if self.name == self.measure else self.name

    @property
    def earlier(self) -> bool:
        """Whether an earlier version of the paper names this panel, as in "B5b"."""
        return bool(self.version) or re.fullmatch(r"[A-Z]\d+[a-z]", self.name) is not None


@dataclass
class Drawn:
    """What a panel shows and what it cannot; obstacles are polylines in data coordinates."""

    below: int = 0
    empty: int = 0
    published: bool = False
    bars: bool = False
    capped: bool = False
    reference: bool = False
    obstacles: list[np.ndarray] = field(default_factory=list)


def rows_of(frame: pd.DataFrame, panel: Panel) -> pd.DataFrame:
    """Return the rows of a frame that a panel shows."""
    return frame[frame["panel"].eq(panel.name) & frame["measure"].eq(panel.measure)]


def draw_panel(
    axes: Axes,
    means: pd.DataFrame,
    published: pd.DataFrame,
    scale: Scale,
    styles: Mapping[str, Mapping[str, Any]],
    beside: pd.DataFrame | None = None,
) -> Drawn:
    """Draw the means of one panel and measure, and the published points of its curves.

    ``means``: rows of :func:`frivolous.published.replicate_means`; ``published``: columns ``curve,
    size_factor, value, sd``. ``beside``: means that are not drawn, though the axes hold them.
    """
    drawn = Drawn()
    factor = scale.factor
    held = means if beside is None else pd.concat([means, beside])
    sizes = sorted({*held["size_factor"], *published["size_factor"]}) or list(SIZES)
    curves = [curve for curve in styles if curve in set(means["curve"])]
    shifts = _shifts(curves)
    size_axis(axes, sizes)
    value_axis(axes, scale, _seen(held, published, scale, factor))
    _bounds(axes, means, published, scale, drawn)
    for curve in curves:
        told = published[published["curve"].eq(curve)]
        _published_points(axes, told, factor, shifts[curve], styles[curve], drawn)
    for curve in curves:
        part = means[means["curve"].eq(curve)].set_index("size_factor").reindex(sizes)
        drawn.empty += int((part["n"].eq(0)).sum())
        _curve(axes, part, (scale, factor), shifts[curve], styles[curve], drawn)
    return drawn


def write_gains(axes: Axes, gains: pd.DataFrame, drawn: Drawn) -> None:
    """Write least and greatest gain with their curves' intervals, and the published ones below."""
    finite = gains[np.isfinite(gains["gain"])].sort_values("gain", kind="stable")
    lines: list[tuple[str, str]] = []
    if len(finite):
        ends = [finite.iloc[0]] if len(finite) == 1 else [finite.iloc[0], finite.iloc[-1]]
        names = ["$g$"] if len(ends) == 1 else [r"$g_\mathrm{min}$", r"$g_\mathrm{max}$"]
        for name, row in zip(names, ends, strict=True):
            interval = f" [{row.low:.2f}, {row.high:.2f}]" if np.isfinite(row.low) else ""
            lines.append((f"{name} = {row.gain:.2f}{interval}", INK))
    told = gains[["published_min", "published_max"]].dropna(how="all")
    if len(told):
        ends = [f"{value:.2f}" for value in told.iloc[0] if np.isfinite(value)]
        lines.append((f"published {', '.join(ends)}", QUIET))
    if lines:
        place_note(axes, lines, drawn.obstacles)


def _shifts(curves: list[str]) -> dict[str, float]:
    """Return a factor on x per curve that sets bars of neighbours side by side."""
    step = min(0.1, 0.4 / max(1, len(curves) - 1))
    middle = (len(curves) - 1) / 2
    return {curve: 2.0 ** (step * (rank - middle)) for rank, curve in enumerate(curves)}


def _seen(means: pd.DataFrame, published: pd.DataFrame, scale: Scale, factor: float) -> np.ndarray:
    """Return the finite ordinates the axis must hold: points, upper ends, near lower ends."""
    ends = []
    for centre, sd in ((means["mean"], means["sd"]), (published["value"], published["sd"])):
        half = sd.fillna(0.0)
        low = centre - half
        if scale.logarithmic:  # a bar that reaches towards 0 leaves the axes, as in the paper
            low = low.where(low > centre / 2, centre)
        ends += [low, centre + half]
    values = np.concatenate([end.to_numpy(float) for end in ends]) * factor
    return values[np.isfinite(values)]


def _bounds(
    axes: Axes, means: pd.DataFrame, published: pd.DataFrame, scale: Scale, drawn: Drawn
) -> None:
    """Draw the line that doubles with width and, at each size, all units that network has."""
    if scale.kind != "log2":
        return
    span = np.array(axes.get_xlim())
    values = pd.concat([means["mean"], published["value"]])
    caps = pd.concat([means["size_factor"], published["size_factor"]]) / 4
    limits = axes.get_ylim()
    if scale.capped and (values.dropna() <= 1.02 * caps[values.notna()]).all():
        for size in sorted(set(caps * 4)):
            ends = np.array([size / 2**0.3, size * 2**0.3])
            axes.plot(ends, [size / 4] * 2, color=CAP, lw=1.4, solid_capstyle="butt", zorder=1)
            drawn.obstacles.append(np.column_stack([ends, [size / 4] * 2]))
        drawn.capped = True
    positive = means[means["mean"] > 0]
    if len(positive):
        first = positive[positive["size_factor"].eq(positive["size_factor"].min())]
        start = float(np.exp(np.log(first["mean"]).mean()) / first["size_factor"].iloc[0])
        line = np.column_stack([span, start * span])
        axes.plot(*line.T, color=REFERENCE, linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
        drawn.obstacles.append(line)
        drawn.reference = True
    axes.set_ylim(limits)


def _published_points(
    axes: Axes,
    told: pd.DataFrame,
    factor: float,
    shift: float,
    style: Mapping[str, Any],
    drawn: Drawn,
) -> None:
    usable = told[told["value"] > 0] if axes.get_yscale() == "log" else told
    if not len(usable):
        return
    x, y = usable["size_factor"].to_numpy() * shift, usable["value"].to_numpy() * factor
    sd = np.nan_to_num(usable["sd"].to_numpy(float)) * factor
    low, high = _clipped(axes, y, sd)
    axes.vlines(x[sd > 0], low[sd > 0], high[sd > 0], color=PALE, linewidth=3.2, zorder=2)
    axes.plot(
        x,
        y,
        linestyle="none",
        marker=style["marker"],
        markersize=7.0,
        markerfacecolor=PALE,
        markeredgecolor=PUBLISHED,
        markeredgewidth=0.5,
        zorder=2.5,
    )
    drawn.published = True
    drawn.obstacles += _segments(x, low, high)


def _curve(
    axes: Axes,
    part: pd.DataFrame,
    how: tuple[Scale, float],
    shift: float,
    style: Mapping[str, Any],
    drawn: Drawn,
) -> None:
    scale, factor = how
    x = part.index.to_numpy(float) * shift
    y = part["mean"].to_numpy(float) * factor
    sd = np.nan_to_num(part["sd"].to_numpy(float)) * factor
    if scale.logarithmic:
        hidden = y <= 0
        drawn.below += int(hidden.sum())
        if hidden.any():
            axes.plot(
                x[hidden],
                np.zeros(hidden.sum()),
                transform=axes.get_xaxis_transform(),
                clip_on=False,
                linestyle="none",
                marker=style["marker"],
                markersize=4.6,
                markerfacecolor="white",
                markeredgecolor=style["color"],
                markeredgewidth=0.9,
                zorder=7,
            )
        y = np.where(hidden, np.nan, y)
    axes.plot(
        x,
        y,
        color=style["color"],
        linestyle=style["linestyle"],
        linewidth=1.2,
        marker=style["marker"],
        markersize=4.4,
        markeredgecolor="white",
        markeredgewidth=0.5,
        zorder=4,
    )
    low, high = _clipped(axes, y, sd)
    shown = (sd > 0) & np.isfinite(y)
    if shown.any():
        axes.vlines(x[shown], low[shown], high[shown], color=style["color"], lw=0.8, zorder=3.5)
        drawn.bars = True
    drawn.obstacles.append(np.column_stack([x, y]))
    drawn.obstacles += _segments(x[shown], low[shown], high[shown])


def _clipped(axes: Axes, y: np.ndarray, sd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the bars; on a log axis a lower end at or below 0 meets the lower edge."""
    low = y - sd
    if axes.get_yscale() == "log":
        low = np.maximum(low, axes.get_ylim()[0])
        low = np.minimum(low, y)
    return low, y + sd


def _segments(x: np.ndarray, low: np.ndarray, high: np.ndarray) -> list[np.ndarray]:
    return [np.array([[a, b], [a, c]]) for a, b, c in zip(x, low, high, strict=True)]
