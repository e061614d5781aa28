"""The legends of a study's figure: its curves, and what is drawn in grey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D

from frivolous.figures.base.layout import Grid, Key
from frivolous.figures.base.panel import Drawn
from frivolous.figures.base.style import CAP, PALE, PUBLISHED, REFERENCE, curve_style

Styles = Mapping[str, Mapping[str, Any]]


def curve_styles(sets: Sequence[Sequence[str]]) -> dict[str, dict[str, Any]]:
    """Return a style per curve, given the curves of each panel: one look in every panel.

    Two curves look alike only where no panel shows both, so that panels of other networks begin
    again with the clearest styles.

    >>> styles = curve_styles([["ResNet18", "Inceptionv3"], ["MLP", "ResNet18"]])
    >>> [styles[name]["marker"] for name in ("ResNet18", "Inceptionv3", "MLP")]
    ['o', 's', 's']

    """
    ranks: dict[str, int] = {}
    for name in dict.fromkeys(name for names in sets for name in names):
        beside = {other for names in sets if name in names for other in names}
        taken = {ranks[other] for other in beside if other in ranks}
        ranks[name] = next(rank for rank in range(len(taken) + 1) if rank not in taken)
    return {name: curve_style(rank) for name, rank in ranks.items()}


def legends(figure: Figure, styles: Styles, drawn: Sequence[Drawn], width: float) -> list[Legend]:
    """Add the legend of the curves and, below, of what is drawn in grey."""
    grey: list[Any] = []
    if any(panel.published for panel in drawn):
        look: dict[str, Any] = {"marker": "o", "ms": 7, "mfc": PALE, "mec": PUBLISHED, "mew": 0.5}
        grey.append(Line2D([], [], ls="none", label="published", **look))
    if any(panel.reference for panel in drawn):
        look = {"color": REFERENCE, "lw": 0.7, "ls": (0, (4, 3))}
        grey.append(Line2D([], [], label="doubles with width (g = 2)", **look))
    if any(panel.capped for panel in drawn):
        grey.append(Line2D([], [], color=CAP, lw=1.4, label="all units of that size"))
    both = (curve_handles(styles), grey)
    return [add_legend(figure, handles, width - 0.2) for handles in both if handles]


def panel_legends(
    figure: Figure, styles: Styles, sets: Sequence[Sequence[str]], grid: Grid
) -> tuple[Styles, list[Key]]:
    """Add a legend under each row's panels with the same curves; return all styles, and those.

    Where one panel shows every curve of the figure there is nothing to add: the styles returned
    are then those of the one legend beneath the figure, otherwise there are none.
    """
    if any(set(names) >= set(styles) for names in sets):
        return styles, []
    width = float(figure.get_size_inches()[0])
    keys = []
    for row in range(-(-len(sets) // grid.columns)):
        for column, span, names in _runs(sets[row * grid.columns : (row + 1) * grid.columns]):
            handles = curve_handles({name: styles[name] for name in styles if name in names})
            room = span * (grid.wide(width) + grid.between) - 0.15
            keys.append(Key(add_legend(figure, handles, room), row, column))
    return {}, keys


def _runs(sets: Sequence[Sequence[str]]) -> list[tuple[int, int, set[str]]]:
    """Return (column, columns, curves) of neighbours where one's curves hold the other's."""
    runs: list[tuple[int, int, set[str]]] = []
    for column, names in enumerate(map(set, sets)):
        if runs and (names <= runs[-1][2] or names >= runs[-1][2]):
            first, span, before = runs[-1]
            runs[-1] = (first, span + 1, names | before)
        else:
            runs.append((column, 1, names))
    return runs


def curve_handles(styles: Styles) -> list[Line2D]:
    """Return a line with its marker for each curve."""
    return [
        Line2D([], [], lw=1.2, ms=4.4, mec="white", mew=0.5, label=name, **style)
        for name, style in ((curve.replace("$", r"\$"), styles[curve]) for curve in styles)
    ]


def add_legend(figure: Figure, handles: Sequence[Any], room: float) -> Legend:
    """Add a legend of as few rows as ``room`` inches allow, the rows about equally long."""
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    count = len(handles)
    for columns in sorted({-(-count // rows) for rows in range(1, count + 1)}, reverse=True):
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
        if columns == 1 or legend.get_window_extent(renderer).width / figure.dpi < room:
            break
        legend.remove()
    return legend
