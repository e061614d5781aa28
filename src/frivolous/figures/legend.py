"""The legends of a study's figure: its curves, and what the grey things are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D

from frivolous.figures.panel import Drawn
from frivolous.figures.style import CAP, PALE, PUBLISHED, REFERENCE


def legends(
    figure: Figure, styles: dict[str, dict[str, Any]], drawn: Sequence[Drawn], width: float
) -> list[Legend]:
    """Add the legend of the curves and, beneath, what the grey things are."""
    curves: list[Any] = [
        Line2D([], [], lw=1.2, ms=4.4, mec="white", mew=0.5, label=name, **style)
        for name, style in ((curve.replace("$", r"\$"), styles[curve]) for curve in styles)
    ]
    grey: list[Any] = []
    if any(panel.published for panel in drawn):
        look: dict[str, Any] = {"marker": "o", "ms": 7, "mfc": PALE, "mec": PUBLISHED, "mew": 0.5}
        grey.append(Line2D([], [], ls="none", label="published", **look))
    if any(panel.reference for panel in drawn):
        look = {"color": REFERENCE, "lw": 0.7, "ls": (0, (4, 3))}
        grey.append(Line2D([], [], label="doubles with width (g = 2)", **look))
    if any(panel.capped for panel in drawn):
        grey.append(Line2D([], [], color=CAP, lw=1.4, label="all units of that size"))
    return [_legend(figure, handles, width) for handles in (curves, grey) if handles]


def _legend(figure: Figure, handles: Sequence[Any], width: float) -> Legend:
    """Add a legend of as many columns as the width holds."""
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    for columns in range(len(handles), 0, -1):
        legend = figure.legend(
            handles=handles,
            loc="upper left",
            ncols=columns,
            frameon=False,
            borderpad=0,
            borderaxespad=0,
            handlelength=2.6,
            columnspacing=1.4,
            handletextpad=0.5,
        )
        if columns == 1 or legend.get_window_extent(renderer).width / figure.dpi < width - 0.2:
            break
        legend.remove()
    return legend
