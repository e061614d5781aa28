"""Page layout: title, claim, rows of axes with their legends, legends, caption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend

from frivolous.figures.base import text as lettering
from frivolous.figures.base.style import INK, QUIET, SMALL

TITLE, CLAIM = 9.5, 8.0  # points
_NAME = 0.45  # inches that a panel's name may take next to its title
_LINE = 0.16  # inches that one more line of a panel's title takes


@dataclass(frozen=True)
class Grid:
    """Rows of axes of equal size, in inches; ``above`` holds titles, ``below`` ticks and label."""

    columns: int
    left: float = 0.66
    right: float = 0.10
    between: float = 0.66
    above: float = 0.27
    tall: float = 1.85
    below: float = 0.48

    def wide(self, width: float) -> float:
        """Return the width of one axes on a page of that width."""
        return (width - self.left - self.right - (self.columns - 1) * self.between) / self.columns

    def left_of(self, column: int, width: float) -> float:
        """Return where the axes of a column begin."""
        return self.left + column * (self.wide(width) + self.between)

    def with_titles_of(self, lines: int) -> Grid:
        """Return the grid with room for panel titles of that many lines."""
        return replace(self, above=self.above + _LINE * (max(lines, 1) - 1))


@dataclass(frozen=True)
class Key:
    """A legend below the axes of one row, from the left edge of column ``column``."""

    legend: Legend
    row: int
    column: int


def lay_out(
    figure: Figure,
    axes: Sequence[Axes],
    grid: Grid,
    words: tuple[str, str, str],
    keys: Sequence[Legend] = (),
    row_keys: Sequence[Key] = (),
) -> None:
    """Stack title, claim, rows of axes, legends and caption; set the height to hold them.

    ``words``: title, claim, caption; ``keys``: legends of the whole figure, beneath the last row.
    """
    width = float(figure.get_size_inches()[0])
    title, claim, caption = words
    texts = [
        (lettering.wrapped(figure, title, TITLE, width - 0.2, "bold"), TITLE, "bold"),
        (lettering.wrapped(figure, claim, CLAIM, width - 0.2), CLAIM, "normal"),
    ]
    lines = lettering.wrapped(figure, caption, SMALL, width - 0.2)
    tall = [_height(figure, legend) for legend in keys]
    head = sum(lettering.block_height(block, size) for block, size, _ in texts)
    heights = _row_heights(figure, len(axes), grid, row_keys)
    height = 0.08 + head + 0.04 + sum(heights) + sum(tall) + 0.05
    height += lettering.block_height(lines, SMALL) + 0.08
    figure.set_size_inches(width, height)
    top = height - 0.08
    for block, size, weight in texts:
        top = lettering.write_block(figure, block, size, 0.1, top, weight=weight)
    top -= 0.04
    wide = grid.wide(width)
    for row, row_height in enumerate(heights):
        bottom = top - grid.above - grid.tall
        for column, one in enumerate(axes[row * grid.columns : (row + 1) * grid.columns]):
            left = grid.left_of(column, width)
            one.set_position((left / width, bottom / height, wide / width, grid.tall / height))
        for key in (key for key in row_keys if key.row == row):
            left = max(0.1, grid.left_of(key.column, width) - 0.45)
            _anchor(figure, key.legend, left, bottom - grid.below)
        top -= row_height
    for legend, one_tall in zip(keys, tall, strict=True):
        _anchor(figure, legend, 0.1, top)
        top -= one_tall
    lettering.write_block(figure, lines, SMALL, 0.1, top - 0.05, color=QUIET)


def _row_heights(figure: Figure, axes: int, grid: Grid, keys: Sequence[Key]) -> list[float]:
    plain = grid.above + grid.tall + grid.below
    return [
        plain
        + max([0.06 + _height(figure, key.legend) for key in keys if key.row == row], default=0.0)
        for row in range(-(-axes // grid.columns))
    ]


def _height(figure: Figure, legend: Legend) -> float:
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    return float(legend.get_window_extent(renderer).height / figure.dpi) + 0.05


def _anchor(figure: Figure, legend: Legend, left: float, top: float) -> None:
    width, height = figure.get_size_inches()
    legend.set_bbox_to_anchor((left / width, top / height), transform=figure.transFigure)


def head_of(
    figure: Figure, axes: Axes, words: tuple[str, str], inches: float, earlier: bool = False
) -> int:
    """Write a panel's (name, title) above its axes; return how many lines the title takes.

    A letter stands to the left of the axes in bold; ``earlier`` makes a name grey; one too long to
    fit next to the title comes before it.
    """
    name, title = words
    letter = len(name) == 1
    size, weight = (9.5, "bold") if letter else (SMALL, "normal" if earlier else "bold")
    if lettering.text_width(figure, name, size, weight) > _NAME:  # no room next to the title
        name, title = "", f"{name}: {title}"
    lines = lettering.wrapped(figure, title, 8.5, inches)
    axes.set_title("\n".join(lines).replace("$", r"\$"), loc="left", pad=5)
    axes.annotate(
        name.replace("$", r"\$"),
        (0, 1),
        xycoords="axes fraction",
        xytext=(-30 if letter else -5, 5),
        textcoords="offset points",
        fontsize=size,
        fontweight=weight,
        color=QUIET if earlier else INK,
        va="baseline",
        ha="left" if letter else "right",
    )
    return max(1, len(lines))
