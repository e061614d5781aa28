"""One violin: a distribution of absolute correlations as a histogram on its side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from frivolous.figures.base.style import PUBLISHED

MOST, LEAST = 50, 10  # bins that are drawn
_FILL, _EDGE, _MEAN = "#c9d3ea", "#12306b", "#c8452b"


@dataclass(frozen=True)
class Violin:
    """Pairs of units by absolute correlation: ``edges_B1`` (B + 1) around ``pairs_B``.

    ``mean`` is NaN where there is no pair; ``published`` is NaN where nothing is published.
    """

    name: str
    edges_B1: np.ndarray
    pairs_B: np.ndarray
    mean: float
    published: float = float("nan")

    @property
    def count(self) -> int:
        """Number of pairs."""
        return int(self.pairs_B.sum())

    def label(self, short: bool) -> str:
        """Return name, mean and number of pairs, one line each; ``short``: without their names."""
        mean = f"{'' if short else 'mean '}{self.mean:.3f}" if self.count else "no pairs"
        return f"{self.name}\n{mean}\n{'' if short else 'n = '}{self.count:,}"


def draw_violins(axes: Axes, violins: Sequence[Violin], short: bool = False) -> None:
    """Draw violins of equal widths side by side, with a short line at each mean."""
    for place, violin in enumerate(violins):
        _draw(axes, place, violin)
        if np.isfinite(violin.published):
            look = {"ms": 4.5, "mfc": PUBLISHED, "mec": "white", "mew": 0.4, "zorder": 5}
            axes.plot(place + 0.36, violin.published, "D", **look)  # type: ignore[arg-type]
    labels = [violin.label(short).replace("$", r"\$") for violin in violins]
    axes.set_xticks(range(len(violins)), labels)
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.6, len(violins) - 0.4)
    axes.set_ylim(0, 1)


def _draw(axes: Axes, place: int, violin: Violin) -> None:
    if not violin.count:
        return
    edges, pairs = coarser(violin.edges_B1, violin.pairs_B)
    filled = np.flatnonzero(pairs)
    first, last = int(filled[0]), int(filled[-1]) + 1
    density = pairs[first:last] / np.diff(edges)[first:last]
    half = np.repeat(0.4 * density / density.max(), 2)
    height = np.repeat(edges[first : last + 1], 2)[1:-1]
    axes.fill_betweenx(
        *(height, place - half, place + half), facecolor=_FILL, edgecolor=_EDGE, linewidth=0.6
    )
    axes.plot([place - 0.2, place + 0.2], [violin.mean] * 2, color=_MEAN, lw=1.6, zorder=4)


def coarser(edges_B1: np.ndarray, pairs_B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Join neighbouring bins: few pairs bear few bins, 2 n^(1/3) (Rice's rule) within 10 to 50.

    >>> edges, pairs = coarser(np.linspace(0, 1, 201), np.ones(200, dtype=int))
    >>> len(pairs), int(pairs.sum())
    (10, 200)

    """
    bins = len(pairs_B)
    least = -(-bins // int(np.clip(round(2 * pairs_B.sum() ** (1 / 3)), LEAST, MOST)))
    # Equal bins where the number of stored ones allows, a narrower last one otherwise.
    step = next((step for step in range(least, 2 * least + 1) if bins % step == 0), least)
    starts = np.arange(0, bins, step)
    edges = np.append(edges_B1[:-1][starts], edges_B1[-1])
    return edges, np.add.reduceat(pairs_B, starts)
