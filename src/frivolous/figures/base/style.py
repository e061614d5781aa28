"""What all figures share: colours, markers, line styles, sizes in inches and points."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import matplotlib as mpl
from matplotlib.figure import Figure

COLUMN = 3.33  # inches: one column of a two-column paper
PAGE = 7.0  # inches: both columns
SMALL = 7.0  # points: the smallest text of any figure

# Lightness steps as well as hues, so that the first six differ in grey and under colour blindness
# (CIELAB distance at least 23 under deuteranopia and protanopia); markers and lines differ too.
COLOURS = (
    *("#12306b", "#c8452b", "#1f9e89", "#e3a21a", "#7b4ab0", "#58b4e6", "#111111", "#a8577e"),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h")
LINES: tuple[Any, ...] = (
    *("-", (0, (5, 1.3)), (0, (1.2, 1.2)), (0, (5, 1.2, 1.2, 1.2)), (0, (9, 1.5))),
    *((0, (3, 1.2, 1, 1.2, 1, 1.2)), (0, (2.4, 1)), (0, (7, 1, 2.5, 1))),
)
PUBLISHED = "#9a9a9a"
PALE = "#c9c9c9"  # published marks lie behind the measured ones: a halo where both agree
REFERENCE = "#8a8a8a"
CAP = "#d9c9b0"
INK = "#1a1a1a"
QUIET = "#6a6a6a"

RC: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],
    "mathtext.fontset": "dejavusans",
    "font.size": 8.0,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8.0,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "axes.linewidth": 0.7,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.dpi": 200,
    "savefig.dpi": 200,
    "svg.fonttype": "none",
    "svg.hashsalt": "frivolous",
    "path.simplify": False,
    "text.usetex": False,
}


#: The lines and markers of what was measured, and of what was published behind them.
LOOK: dict[str, Any] = {"lw": 1.2, "ms": 4.4, "mec": "white", "mew": 0.5}
GREY: dict[str, Any] = {"ms": 7.0, "mfc": PALE, "mec": PUBLISHED, "mew": 0.5}

#: How legends are set that stand outside the axes.
LEGEND: dict[str, Any] = {
    "frameon": False,
    "borderpad": 0,
    "borderaxespad": 0,
    "handlelength": 1.8,
    "columnspacing": 1.2,
    "labelspacing": 0.35,
}


@contextmanager
def house_style() -> Iterator[None]:
    """Draw in the house style, whatever the caller's matplotlibrc says; restore it afterwards."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(cast(Any, RC))
        yield


def curve_style(rank: int) -> dict[str, Any]:
    """Return colour, marker and line style of the curve of that rank.

    Past eight curves the colours come round with another marker, so that no two of 64 agree.

    >>> curve_style(0)["marker"], curve_style(1)["marker"]
    ('o', 's')

    """
    lap, place = divmod(rank, len(COLOURS))
    turn = (place + lap) % len(MARKERS)
    return {"color": COLOURS[place], "marker": MARKERS[turn], "linestyle": LINES[turn]}


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure on the Agg canvas, outside pyplot's list of figures."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = Figure(figsize=(width, height), dpi=200)
    FigureCanvasAgg(figure)
    return figure
