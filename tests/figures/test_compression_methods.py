"""The figure of methods of compression: what stands where, read back from the drawn artists."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from frivolous import figures
from frivolous.errors import BadArgument, UnknownName

SIZES = np.array([0.6, 0.25, 0.05])


def points(methods: int) -> pd.DataFrame:
    frames = [
        pd.DataFrame(
            {
                "method": f"method-{rank}",
                "parameters": SIZES,
                "flops": SIZES**0.5,
                "unchanged": SIZES ** (0.1 * rank),
                "low": SIZES ** (0.1 * rank) - 0.02,
                "high": np.minimum(1, SIZES ** (0.1 * rank) + 0.01),
            }
        )
        for rank in range(methods)
    ]
    return pd.concat(frames, ignore_index=True)


@pytest.mark.parametrize("methods", [1, 2, 8])
def test_a_line_per_method_and_its_bars_at_the_numbers_given(methods: int) -> None:
    frame = points(methods)
    figure = figures.compression_figure(frame, tolerance=0.03, examples=500, title="Title")
    (axes,) = figure.axes
    lines = [line for line in axes.lines if len(line.get_xdata()) == 3]
    assert len(lines) == methods
    for rank, line in enumerate(lines):
        part = frame[frame.method == f"method-{rank}"].sort_values("parameters")
        np.testing.assert_allclose(line.get_ydata(), part.unchanged)
        # Set apart from the others, by little.
        np.testing.assert_allclose(line.get_xdata(), part.parameters, rtol=0.08)
        bars = axes.collections[rank].get_segments()
        np.testing.assert_allclose([bar[:, 1] for bar in bars], part[["low", "high"]])
    keys = [text.get_text() for text in figure.legends[0].get_texts()]
    assert keys == [f"method-{rank}" for rank in range(methods)]
    level = next(line for line in axes.lines if len(line.get_xdata()) == 2)
    assert level.get_ydata() == [0.97, 0.97]
    words = " ".join(text.get_text() for text in figure.texts)
    assert "on 500 held-out examples" in words
    assert "Dashed: 3% of the labels change." in words


def test_the_axes_hold_everything_and_text_stays_on_the_page() -> None:
    frame = points(8)
    figure = figures.compression_figure(
        frame, tolerance=0.02, title="A long title " * 9, claim="A claim. " * 12
    )
    (axes,) = figure.axes
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    assert left < 0.05
    assert right > 1
    assert bottom <= frame.low.min()
    assert top > 1
    figure.draw_without_rendering()
    for text in [*figure.texts, *axes.texts, *axes.get_xticklabels(), *axes.get_yticklabels()]:
        box = text.get_window_extent()
        assert figure.bbox.x0 <= box.x0
        assert box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0
        assert box.y1 <= figure.bbox.y1


def test_multiply_adds_on_the_axis_and_numbers_that_are_missing() -> None:
    frame = points(2)
    frame.loc[1, ["unchanged", "low", "high"]] = np.nan
    figure = figures.compression_figure(frame, against="flops")
    assert figure.axes[0].get_xlabel() == "multiply-adds left"
    assert [len(line.get_xdata()) for line in figure.axes[0].lines] == [2, 3]
    words = " ".join(text.get_text() for text in figure.texts)
    assert "Left out: 1 network without a number." in words


def test_what_cannot_be_drawn_is_said() -> None:
    frame = points(1)
    with pytest.raises(BadArgument, match="`points` lacks the columns flops, high"):
        figures.compression_figure(frame.drop(columns=["flops", "high"]))
    with pytest.raises(BadArgument, match=r"`points` has no rows"):
        figures.compression_figure(frame.iloc[:0])
    with pytest.raises(BadArgument, match=r"`points` has unchanged 98; it is a share in \[0, 1\]"):
        figures.compression_figure(frame.assign(unchanged=98.0))
    with pytest.raises(BadArgument, match=r"`points` has parameters 0; a network with nothing"):
        figures.compression_figure(frame.assign(parameters=0.0))
    with pytest.raises(UnknownName, match="unknown size 'flop'; did you mean 'flops'"):
        figures.compression_figure(frame, against="flop")
