"""Ablation curves of one network: every random order, and the crossing of the one that counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from frivolous.figures.base.style import COLOURS, INK, LEGEND, MARKERS, QUIET, REFERENCE
from frivolous.measures.curve import crossing

FEW = 4
"""The most sites that get a colour each; more are coloured in sequence by depth."""

_FEW_COLOURS = (COLOURS[2], COLOURS[1], COLOURS[4], COLOURS[5])
_NOUNS = {"channel": "units", "position": "positions"}


@dataclass(frozen=True)
class Orders:
    """The orders of one site: shares and bounds (draws, fractions), which counts, its crossing.

    ``best`` is the row of the order that crosses last, None where the mean over orders counts;
    ``prunable`` is the crossing of the best order, or the mean of the crossings, in [0, 1].
    """

    fractions: np.ndarray
    shares: np.ndarray
    low: np.ndarray
    high: np.ndarray
    best: int | None
    prunable: float


def orders_of(part: pd.DataFrame, tolerance: float, draw: str) -> Orders:
    """Return the orders of one site's rows of ``curves``."""
    frames = {
        name: part.pivot(index="draw", columns="fraction", values=name).sort_index(axis=1)
        for name in ("unchanged", "low", "high")
    }
    shares, low, high = (frame.to_numpy(float) for frame in frames.values())
    fractions = frames["unchanged"].columns.to_numpy(float)
    crossings = np.array([crossing(fractions, row, tolerance) for row in shares])
    best = int(crossings.argmax()) if draw == "best" else None
    return Orders(
        fractions,
        shares,
        low,
        high,
        best,
        float(crossings.mean() if best is None else crossings[best]),
    )


def site_styles(sites: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return colour and marker of each site; "all" in black.

    >>> site_styles(["fc", "all"])["all"]["color"]
    '#000000'

    """
    single = [site for site in sites if site != "all"]
    shades = [to_hex(s) for s in mpl.colormaps["viridis"](np.linspace(0.05, 0.8, len(single)))]
    colours = _FEW_COLOURS if len(single) <= FEW else shades
    styles = {
        site: {"color": colours[rank], "marker": MARKERS[rank % len(MARKERS)]}
        for rank, site in enumerate(single)
    }
    if "all" in sites:
        styles["all"] = {"color": "#000000", "marker": "*"}
    return styles


def ablation_panel(
    axes: Axes,
    curves: pd.DataFrame,
    styles: Mapping[str, Mapping[str, str]],
    tolerance: float,
    draw: str,
) -> Legend | None:
    """Draw the curves of every site; return the legend of bold, thin, ring and dashed line."""
    crowded = len([site for site in styles if site != "all"]) > FEW
    for site, style in styles.items():
        part = curves[curves["site"].eq(site)]
        if len(part):
            _site(axes, orders_of(part, tolerance, draw), style, tolerance, site == "all", crowded)
    axes.axhline(1 - tolerance, color=REFERENCE, linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(0, 1.03)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
    nouns = [noun for grain, noun in _NOUNS.items() if curves["grain"].eq(grain).any()]
    axes.set_xlabel(f"{' or '.join(nouns) or 'units'} ablated")
    axes.set_ylabel("unchanged labels")
    axes.set_title("Ablation curves", loc="left", pad=5)
    return _legend(axes, curves, tolerance, draw) if len(curves) else None


def _site(
    axes: Axes,
    orders: Orders,
    style: Mapping[str, str],
    tolerance: float,
    whole: bool,
    crowded: bool,
) -> None:
    colour, front = style["color"], 1.0 if whole else 0.0
    x, best = orders.fractions, orders.best
    if whole or not crowded:
        for row, share in enumerate(orders.shares):
            if row != best:
                axes.plot(x, share, color=colour, linewidth=0.5, alpha=0.55, zorder=2 + front)
        if best is not None:
            band = (orders.low[best], orders.high[best])
            alpha = 0.22 if whole else 0.14
            axes.fill_between(x, *band, color=colour, alpha=alpha, linewidth=0, zorder=1.5)
    bold = orders.shares.mean(axis=0) if best is None else orders.shares[best]
    axes.plot(
        *(x, bold),
        color=colour,
        marker=style["marker"],
        markersize=6.5 if whole else 3.0 if crowded else 4.2,
        markeredgecolor="white",
        markeredgewidth=0.0 if crowded and not whole else 0.4,
        linewidth=1.9 if whole else 0.9 if crowded else 1.5,
        zorder=3 + front,
    )
    # A curve that never falls below the line counts in full: its ring is at its end.
    level = 1 - tolerance if orders.prunable < x[-1] else max(1 - tolerance, float(bold[-1]))
    axes.plot(
        *([orders.prunable], [level]),
        marker="o",
        markersize=4.0 if crowded and not whole else 6.0,
        markerfacecolor="white",
        markeredgecolor=colour,
        markeredgewidth=1.2,
        linestyle="none",
        clip_on=False,
        zorder=5 + front,
    )


def _legend(axes: Axes, curves: pd.DataFrame, tolerance: float, draw: str) -> Legend:
    draws = int(curves["draw"].nunique())
    ring = {"marker": "o", "ms": 6.0, "mfc": "white", "mec": INK, "mew": 1.2, "ls": "none"}
    bold = "the one order" if draws == 1 else f"{draw} of {draws} orders"
    keys = [Line2D([], [], color=INK, lw=1.9, label=bold)]
    if draws > 1:
        other = "other orders" if draw == "best" else "each order"
        keys.append(Line2D([], [], color=QUIET, lw=0.6, label=other))
    keys.append(Line2D([], [], label="prunable, as in b", **ring))  # type: ignore[arg-type]
    level = f"{100 * (1 - tolerance):.3g}% unchanged"
    keys.append(Line2D([], [], color=REFERENCE, lw=0.7, ls=(0, (4, 3)), label=level))
    return legend_beneath(axes, keys, 2)


def legend_beneath(axes: Axes, handles: Sequence[Artist], columns: int) -> Legend:
    """Put a legend below the label of the x axis."""
    below = mpl.transforms.ScaledTranslation(0, -0.44, axes.figure.dpi_scale_trans)
    return axes.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        bbox_transform=axes.transAxes + below,
        ncols=columns,
        **LEGEND,
    )
