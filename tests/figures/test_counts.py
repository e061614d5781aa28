"""The figure of several counts per network: what stands where, read back from the artists."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from frivolous import figures, published
from frivolous.errors import BadArgument, UnknownName

SIZES = np.array([0.25, 0.5, 1.0, 2.0, 4.0])
COUNTS = ("effective", "non_prunable", "non_redundant")
TOLD = published.by_curve("mine", ["figE3"], ["10dim - 1", "ResNet56"])


def table(panels: list[str], replicates: int = 3) -> pd.DataFrame:
    rows = [
        (panel, count, size, replicate, size / 4 * (0.2 + 0.2 * rank) * (1 + 0.1 * replicate))
        for panel in panels
        for rank, count in enumerate(COUNTS)
        for size in SIZES
        for replicate in range(replicates)
    ]
    return pd.DataFrame(rows, columns=["panel", "measure", "size_factor", "replicate", "value"])


def gains(panels: list[str], half: float = 0.1) -> pd.DataFrame:
    rows = [
        (panel, count, 1.5 + rank / 10, 1.5 - half, 1.5 + half)
        for panel in panels
        for rank, count in enumerate(COUNTS)
    ]
    return pd.DataFrame(rows, columns=["panel", "measure", "gain", "low", "high"])


def notes(axes) -> list[str]:
    boxes = [child for child in axes.artists if hasattr(child, "get_child")]
    return [area.get_text() for box in boxes for area in box.get_child().get_children()]


def test_means_ranges_all_units_and_grey_marks() -> None:
    frame = table(["10dim - 1", "mine"])
    figure = figures.counts_figure(
        frame, gains(["10dim - 1", "mine"]), TOLD.values, TOLD.curve_gains, scale="cpu"
    )
    first, second = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["10dim - 1", "mine"]
    lines = [line for line in first.lines if len(line.get_xdata()) == 5]
    np.testing.assert_allclose(lines[0].get_ydata(), SIZES / 4)
    greys = [line for line in lines[1:] if line.get_linestyle() == "None"]
    assert len(greys) == 2
    told = TOLD.values[(TOLD.values.panel == "10dim - 1") & (TOLD.values.split == "")]
    np.testing.assert_allclose(greys[0].get_ydata(), told[told.measure == COUNTS[1]]["value"])
    drawn = [line for line in lines[1:] if line.get_linestyle() != "None"]
    means = frame[frame.panel == "mine"].groupby(["measure", "size_factor"])["value"]
    for line, count, bars in zip(drawn, COUNTS, first.collections, strict=True):
        np.testing.assert_allclose(line.get_ydata(), means.mean()[count])
        ends = [segment[:, 1] for segment in bars.get_segments()]
        np.testing.assert_allclose(ends, np.column_stack([means.min()[count], means.max()[count]]))
    assert notes(first) == [
        "$g$ = 1.50 [1.40, 1.60]",
        "$g$ = 1.60 [1.40, 1.60]; paper 1.87",
        "$g$ = 1.70 [1.40, 1.60]; paper 1.17",
    ]
    assert not any("paper" in note for note in notes(second))
    keys = [text.get_text() for text in figure.legends[0].get_texts()]
    assert keys[0] == "effective width"
    assert keys[-2:] == ["all units", "published"]
    words = " ".join(text.get_text() for text in figure.texts)
    assert "means over n = 3 trained networks; bars: from the least to the most" in words


def test_one_network_per_point_zeros_and_missing_values_are_said() -> None:
    frame = table(["mine"], replicates=1)
    frame.loc[0, "value"] = 0.0
    frame.loc[6, "value"] = np.nan
    figure = figures.counts_figure(frame)
    words = " ".join(text.get_text() for text in figure.texts)
    assert "One trained network per point (n = 1), hence no bars." in words
    assert "Open markers at the lower edge: 1 of 0" in words
    assert "Left out: 1 point without a finite value." in words
    (axes,) = figure.axes
    floors = [
        line.get_ydata() for line in axes.lines
        if line.get_markerfacecolor() == "white" and len(line.get_xdata())
    ]  # fmt: skip
    assert floors == [[axes.get_ylim()[0]]]


def test_what_cannot_be_drawn_is_said() -> None:
    with pytest.raises(BadArgument, match="`table` has no rows"):
        figures.counts_figure(table([]))
    with pytest.raises(UnknownName, match="unknown measure 'effectiv'; did you mean 'effective'"):
        figures.counts_figure(table(["mine"]).assign(measure="effectiv"))
    with pytest.raises(BadArgument, match="`gains` lacks the columns low"):
        figures.counts_figure(table(["mine"]), gains(["mine"]).drop(columns="low"))
