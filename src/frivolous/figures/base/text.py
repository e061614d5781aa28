"""Text that fits: lines broken at a measured width, and a corner where a note covers no data."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.offsetbox import AnchoredOffsetbox, TextArea, VPacker

from frivolous.figures.base.scales import log2_ticks
from frivolous.figures.base.style import SMALL

CORNERS = ("upper left", "lower right", "upper right", "lower left")
_LEADING = 1.32  # line height as a multiple of the font size


def text_width(figure: Figure, text: str, size: float, weight: str = "normal") -> float:
    """Return the width of a line of text in inches, as Agg draws it."""
    font = FontProperties(family=["DejaVu Sans"], size=size, weight=weight)
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    width, _, _ = renderer.get_text_width_height_descent(text, font, ismath=False)
    return float(width) / figure.dpi


def wrapped(
    figure: Figure, text: str, size: float, inches: float, weight: str = "normal"
) -> list[str]:
    """Break ``text`` between words into lines no wider than ``inches``."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}".strip()
            if line and text_width(figure, longer, size, weight) > inches:
                lines.append(line)
                line = word
            else:
                line = longer
        if line:
            lines.append(line)
    return lines


def block_height(lines: Sequence[str], size: float) -> float:
    """Return the height of lines of text in inches."""
    return len(lines) * size * _LEADING / 72


def write_block(
    figure: Figure,
    lines: Sequence[str],
    size: float,
    left: float,
    top: float,
    *,
    weight: str = "normal",
    color: str = "#1a1a1a",
) -> float:
    """Write lines downwards from ``top`` (inches from the lower edge); return the new top."""
    width, height = figure.get_size_inches()
    for line in lines:
        figure.text(
            left / width,
            top / height,
            line.replace("$", r"\$"),
            fontsize=size,
            fontweight=weight,
            color=color,
            ha="left",
            va="top",
        )
        top -= size * _LEADING / 72
    return top


def place_note(
    axes: Axes, lines: Sequence[tuple[str, str]], obstacles: Sequence[np.ndarray]
) -> str:
    """Write (text, colour) lines into a corner of the axes that no obstacle crosses.

    ``obstacles``: polylines (P, 2) in data coordinates. Where every corner is crossed, the y axis
    grows upwards until the upper left one is free. Returns the corner.
    """
    for corner in CORNERS:
        if _try(axes, lines, obstacles, corner):
            return corner
    for _ in range(40):
        low, high = axes.get_ylim()
        if axes.get_yscale() == "log":
            axes.set_ylim(low, high * 2**0.125)
            if axes.yaxis.get_transform().base == 2:  # type: ignore[attr-defined]
                log2_ticks(axes)
        else:
            axes.set_ylim(low, high + 0.03 * (high - low))
        for corner in ("upper left", "upper right"):
            if _try(axes, lines, obstacles, corner):
                return corner
    axes.add_artist(_box(lines, "upper left"))
    return "upper left"


def _try(
    axes: Axes, lines: Sequence[tuple[str, str]], obstacles: Sequence[np.ndarray], corner: str
) -> bool:
    box = _box(lines, corner)
    axes.add_artist(box)
    renderer = axes.figure.canvas.get_renderer()  # type: ignore[attr-defined]
    extent = box.get_window_extent(renderer)
    pad = 4.5 * axes.figure.dpi / 72  # half a marker and a little air
    x0, y0, x1, y1 = extent.x0 - pad, extent.y0 - pad, extent.x1 + pad, extent.y1 + pad
    for line in obstacles:
        path = _dense(axes.transData.transform(line))
        inside = (path[:, 0] > x0) & (path[:, 0] < x1) & (path[:, 1] > y0) & (path[:, 1] < y1)
        if inside.any():
            box.remove()
            return False
    return True


def _dense(path: np.ndarray) -> np.ndarray:
    """Return points at most a few pixels apart along a polyline (P, 2) in pixels."""
    pieces = [path]
    for start, end in pairwise(path):
        if np.isfinite(start).all() and np.isfinite(end).all():
            share = np.linspace(0, 1, 2 + int(np.hypot(*(end - start)) / 4))[:, None]
            pieces.append(start + share * (end - start))
    return np.concatenate(pieces)


def _box(lines: Sequence[tuple[str, str]], corner: str) -> AnchoredOffsetbox:
    areas = [
        TextArea(text, textprops={"fontsize": SMALL, "color": colour}) for text, colour in lines
    ]
    packed = VPacker(children=areas, align="left", pad=0, sep=1.5)  # type: ignore[arg-type]
    box = AnchoredOffsetbox(corner, child=packed, frameon=False, pad=0.25, borderpad=0.15)
    box.set_zorder(6)
    return box
