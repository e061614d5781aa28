"""Violins of absolute correlations between units, as in Fig. 2 c, d of Casper et al. 2021."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from frivolous.errors import BadArgument
from frivolous.figures.base import text as lettering
from frivolous.figures.base.style import COLUMN, PAGE, QUIET, SMALL, house_style, new_figure
from frivolous.figures.studies.violin import draw_violins, violin_of


def correlation_figure(
    pairs: Mapping[str, np.ndarray],
    *,
    title: str = "",
    claim: str = "",
    published: Mapping[str, float] | None = None,
    width: float | None = None,
) -> Figure:
    """Draw one violin of absolute Pearson correlations per name, with a short line at the mean.

    Args:
        pairs: name (size factor, network) to ``absolute_r_P``: one number in [0, 1] per pair of
            units. NaN (units without variance) are left out and counted beneath.
        title: in bold above; ``claim`` beneath it.
        claim: one short sentence.
        published: mean absolute correlations by the same names, drawn as a grey diamond.
        width: inches; default one column for up to five violins and the page for more.

    Beneath each violin stand the mean and the number of pairs. Violins have equal widths: only
    their shape is to be read. Source: Casper et al. 2021, Fig. 2 c, d.

    Raises:
        BadArgument: nothing to draw, or a correlation outside [0, 1].

    >>> len(correlation_figure({"1": np.array([0.1, 0.2, 0.4])}).axes)
    1

    """
    if not pairs:
        raise BadArgument("`pairs` is empty; a figure needs one set of them. Pass {name: r}.")
    finite = {name: _finite(name, values) for name, values in pairs.items()}
    with house_style():
        return _draw(pairs, finite, (title, claim), dict(published or {}), width)


def _finite(name: str, values: np.ndarray) -> np.ndarray:
    numbers = np.asarray(values, dtype=float).ravel()
    numbers = numbers[~np.isnan(numbers)]
    if len(numbers) and not (numbers.min() >= 0 and numbers.max() <= 1 + 1e-9):
        raise BadArgument(
            f"`pairs['{name}']` ranges from {numbers.min():.3g} to {numbers.max():.3g}; absolute "
            "correlations lie in [0, 1]. Pass numpy.abs(r)."
        )
    return numbers


def _draw(
    pairs: Mapping[str, np.ndarray],
    finite: Mapping[str, np.ndarray],
    words: tuple[str, str],
    published: Mapping[str, float],
    width: float | None,
) -> Figure:
    width = width or (COLUMN if len(pairs) <= 5 else PAGE)
    figure = new_figure(width, 3.0)
    axes = figure.add_subplot()
    draw_violins(
        axes,
        [
            violin_of(name, values, published.get(name, float("nan")))
            for name, values in finite.items()
        ],
    )
    axes.tick_params(axis="x", labelsize=SMALL)
    axes.set_ylabel("absolute correlation |r| of two units")
    _frame(figure, axes, words, _caption(pairs, finite, published), width)
    return figure


def _frame(figure: Figure, axes: Axes, words: tuple[str, str], caption: str, width: float) -> None:
    heads = [
        (lettering.wrapped(figure, words[0], 9.5, width - 0.2, "bold"), 9.5, "bold"),
        (lettering.wrapped(figure, words[1], 8.0, width - 0.2), 8.0, "normal"),
    ]
    lines = lettering.wrapped(figure, caption, SMALL, width - 0.2)
    head = sum(lettering.block_height(block, size) for block, size, _ in heads)
    foot = lettering.block_height(lines, SMALL)
    height = 0.08 + head + 0.12 + 2.0 + 0.55 + foot + 0.08
    figure.set_size_inches(width, height)
    top = height - 0.08
    for block, size, weight in heads:
        top = lettering.write_block(figure, block, size, 0.1, top, weight=weight)
    bottom = foot + 0.63
    axes.set_position((0.5 / width, bottom / height, (width - 0.62) / width, 2.0 / height))
    lettering.write_block(figure, lines, SMALL, 0.1, foot + 0.08, color=QUIET)


def _caption(
    pairs: Mapping[str, np.ndarray],
    finite: Mapping[str, np.ndarray],
    published: Mapping[str, float],
) -> str:
    said = ["Short line: mean over all pairs of units; beneath: the mean, the number n of pairs."]
    if published:
        said.append("Grey diamond: published mean.")
    lost = sum(np.size(values) for values in pairs.values()) - sum(map(len, finite.values()))
    if lost:
        said.append(f"Left out: {lost:,} pair{'s' * (lost > 1)} with a unit without variance.")
    return " ".join(said)
