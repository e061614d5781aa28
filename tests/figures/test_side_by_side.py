"""The paper's figure beside ours: both sides against their numbers, on the same axes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.offsetbox import AnchoredOffsetbox
from matplotlib.text import Text

from frivolous import figures, published
from frivolous.errors import BadArgument
from frivolous.figures import Panel


def measured(name: str, factor: float = 0.5, replicates: int = 3) -> pd.DataFrame:
    points = published.values(name)
    points = points[points["x"].isna()]
    frames = [
        points.assign(replicate=k, site="all", value=points["value"] * factor * 1.02**k)
        for k in range(replicates)
    ]
    return pd.concat(frames)


def ablated() -> pd.DataFrame:
    points = published.values("fig2")
    points = points[points["x"].notna()]
    return points.rename(columns={"x": "fraction"}).assign(replicate=0)


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text().strip()]


def lines(axes: Axes) -> list[Line2D]:
    return [line for line in axes.lines if line.get_markersize() == 4.4]


def titles(figure: Figure) -> list[str]:
    return [axes.get_title(loc="left") for axes in figure.axes]


def notes(axes: Axes) -> list[str]:
    boxes = [child for child in axes.get_children() if isinstance(child, AnchoredOffsetbox)]
    return [text.get_text() for box in boxes for text in box.findobj(Text)]


@pytest.mark.parametrize("name", ["fig3", "figE1", "figE9"])
def test_left_are_the_published_numbers_and_right_the_measured(name: str) -> None:
    factor = 1.3 if name == "figE1" else 0.5
    figure = figures.side_by_side_figure(published.read(name), measured(name, factor))
    told = published.values(name)
    panels = list(dict.fromkeys(zip(told["panel"], told["measure"], strict=True)))
    assert len(figure.axes) == 2 * len(panels)
    for place, (panel, measure) in enumerate(panels):
        scaled = 100 if measure == "accuracy" else 1
        points = published.values(name, panel, measure)
        curves = points["curve"].unique()
        for side, times in ((0, 1.0), (1, factor * np.mean(1.02 ** np.arange(3)))):
            drawn = lines(figure.axes[2 * place + side])
            assert len(drawn) == len(curves)
            for line, curve in zip(drawn, curves, strict=True):
                values = points[points["curve"].eq(curve)].sort_values("size_factor")["value"]
                y = np.asarray(line.get_ydata(), dtype=float)
                assert np.allclose(y[np.isfinite(y)], values * scaled * times)


@pytest.mark.parametrize("name", ["fig3", "fig4d", "figE1"])
def test_both_sides_have_the_same_axes_and_hold_both(name: str) -> None:
    figure = figures.side_by_side_figure(published.read(name), measured(name, 0.2))
    for left, right in zip(figure.axes[::2], figure.axes[1::2], strict=True):
        assert left.get_ylim() == right.get_ylim()
        assert left.get_xlim() == right.get_xlim()
        assert list(left.get_yticks()) == list(right.get_yticks())
        for line in [*lines(left), *lines(right)]:
            y = np.asarray(line.get_ydata(), dtype=float)
            y = y[np.isfinite(y)]
            assert left.get_ylim()[0] <= y.min() <= y.max() <= left.get_ylim()[1]


def test_a_curve_looks_the_same_on_both_sides() -> None:
    table = measured("fig4d").query("curve != '10dim - 1e-2'")
    figure = figures.side_by_side_figure(published.read("fig4d"), table)
    left, right = (lines(axes) for axes in figure.axes[:2])
    assert len(left) == 4
    assert len(right) == 3
    looks = [(line.get_color(), line.get_marker()) for line in left[1:]]
    assert [(line.get_color(), line.get_marker()) for line in right] == looks


def test_gains_stand_as_printed_and_as_measured() -> None:
    gains = published.curve_gains("fig4d").rename(columns={"gain_as_published": "gain"})
    gains = gains.assign(gain=2.5, low=2.4, high=2.6, published_min=9.0, published_max=9.0)
    figure = figures.side_by_side_figure(published.read("fig4d"), measured("fig4d"), gains)
    assert notes(figure.axes[0]) == [r"$g_\mathrm{min}$ = 2.03", r"$g_\mathrm{max}$ = 2.14"]
    assert notes(figure.axes[1])[0] == r"$g_\mathrm{min}$ = 2.50 [2.40, 2.60]"
    assert not any("9.00" in text for text in words(figure))
    assert "on the left as printed" in " ".join(words(figure))


def test_ablation_curves_and_last_epochs_have_both_sides() -> None:
    figure = figures.side_by_side_figure(published.read("fig2"), curves=ablated(), scale="cpu")
    assert titles(figure) == [
        f"{name} init AlexNet, {side}"
        for name in ("Glorot", "He")
        for side in ("published", "measured")
    ]
    for left, right in zip(figure.axes[::2], figure.axes[1::2], strict=True):
        for one, two in zip(lines(left), lines(right), strict=True):
            assert np.allclose(one.get_data(), two.get_data())
    assert "Measured at scale cpu" in " ".join(words(figure))
    past = published.values("figE12").assign(replicate=0)
    figure = figures.side_by_side_figure(published.read("figE12"), past=past)
    assert len(figure.axes) == 6
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["size 1/4", "size 1/2", "size 1", "size 2", "size 4"]
    assert "one trained network per point (n = 1), hence no error bars" in " ".join(words(figure))


def test_kinds_of_panels_stand_in_the_papers_order() -> None:
    figure = figures.side_by_side_figure(published.read("fig2"), measured("fig2"), curves=ablated())
    letters = [axes.texts[0].get_text() for axes in figure.axes]
    assert letters == [*"aabbccdd"]


def test_legends_stand_beneath_the_rows_of_their_curves() -> None:
    figure = figures.side_by_side_figure(published.read("fig3"), measured("fig3"))
    counts = [len(legend.get_texts()) for legend in figure.legends]
    assert counts == [3, 5, 2]
    shared = figures.side_by_side_figure(published.read("fig4d"), measured("fig4d"))
    assert [len(legend.get_texts()) for legend in shared.legends] == [4, 2]


def test_a_panel_that_was_not_measured_says_so() -> None:
    asked = [Panel("a", "prunable", "Labels"), ("d", "prunable")]
    figure = figures.side_by_side_figure(published.read("fig4"), measured("fig4d"), panels=asked)
    assert titles(figure)[0] == "Labels, published"
    assert [text.get_text() for text in figure.axes[1].texts[1:]] == ["not measured"]
    assert len(lines(figure.axes[0])) == 4
    assert len(lines(figure.axes[3])) == 4


def test_nothing_in_common_is_told() -> None:
    with pytest.raises(BadArgument, match=r"`published` \(figE7\) and what was measured have no"):
        figures.side_by_side_figure(published.read("figE7"), measured("fig4d"))
    with pytest.raises(BadArgument, match="have no panel in common"):
        figures.side_by_side_figure(published.read("figE7"))


def test_equal_data_give_equal_bytes() -> None:
    one, two = (
        figures.side_by_side_figure(published.read("fig4d"), measured("fig4d")) for _ in range(2)
    )
    assert figures.to_svg(one) == figures.to_svg(two)
