"""Ablation curves and the last epochs: lines, grey points and words against the frames drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from frivolous import figures, published
from frivolous.errors import BadArgument, UnknownName
from frivolous.figures.studies.lines import size_styles


def curves(replicates: int = 3) -> pd.DataFrame:
    points = published.values("fig2")
    points = points[points["x"].notna()]
    return pd.DataFrame(
        [
            (*(row.panel, row.curve, row.size_factor, replicate, row.x), row.value * scaled)
            for row in points.itertuples()
            for replicate, scaled in enumerate(1 - 0.04 * np.arange(replicates))
        ],
        columns=["panel", "curve", "size_factor", "replicate", "fraction", "value"],
    )


def past(replicates: int = 1) -> pd.DataFrame:
    points = published.values("figE12")
    frames = [
        points.assign(replicate=k, value=points["value"] * 0.99**k) for k in range(replicates)
    ]
    return pd.concat(frames)[["panel", "measure", "size_factor", "replicate", "x", "value"]]


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text().strip()]


def lines(figure: Figure, panel: int, size: float) -> Line2D:
    """Return the measured line of a width, by the style that its legend shows."""
    colour = size_styles([0.25, 0.5, 1.0, 2.0, 4.0])[size]["color"]
    (found,) = [line for line in figure.axes[panel].lines if line.get_color() == colour]
    return found


def test_a_line_per_width_passes_through_the_means_in_percent() -> None:
    figure = figures.ablation_figure(curves(), published.values("fig2"))
    assert len(figure.axes) == 2
    for panel, name in ((0, "a"), (1, "b")):
        for size in (0.25, 4.0):
            part = curves().query(f"panel == '{name}' and size_factor == {size}")
            means = part.groupby("fraction")["value"].mean()
            x, y = lines(figure, panel, size).get_data()
            assert np.allclose(x, 100 * means.index)
            assert np.allclose(y, 100 * means)


def test_bars_are_one_sd_each_way_and_absent_for_one_replicate() -> None:
    one = figures.ablation_figure(curves(1))
    assert not one.axes[0].collections
    assert "One trained network per line (n = 1), hence no error bars." in " ".join(words(one))
    part = curves().query("panel == 'a' and size_factor == 4")
    (bars,) = figures.ablation_figure(part).axes[0].collections
    assert isinstance(bars, LineCollection)
    lengths = [np.ptp(np.asarray(segment)[:, 1]) for segment in bars.get_segments()]
    assert np.allclose(lengths, 200 * part.groupby("fraction")["value"].std(ddof=1))


def test_published_curves_lie_behind_with_the_same_markers() -> None:
    axes = figures.ablation_figure(curves(), published.values("fig2")).axes[1]
    grey = [line for line in axes.lines if line.get_markersize() == 7.0]
    styles = size_styles([0.25, 0.5, 1.0, 2.0, 4.0])
    assert [line.get_marker() for line in grey] == [look["marker"] for look in styles.values()]
    told = published.values("fig2", "b").query("size_factor == 2")
    assert np.allclose(grey[3].get_ydata(), 100 * told["value"])
    front = min(line.get_zorder() for line in axes.lines if line.get_markersize() == 4.4)
    assert max(line.get_zorder() for line in grey) < front


def test_wide_networks_are_darker() -> None:
    styles = size_styles([0.25, 0.5, 1.0, 2.0, 4.0])
    grey = [np.dot(to_rgb(look["color"]), [0.2126, 0.7152, 0.0722]) for look in styles.values()]
    assert (np.diff(grey) < -0.05).all()
    assert len({look["marker"] for look in styles.values()}) == 5


def test_the_line_is_where_prunable_units_are_read() -> None:
    figure = figures.ablation_figure(curves(), tolerance=0.1)
    dashed = [line for line in figure.axes[0].lines if line.get_color() == "#8a8a8a"]
    assert [list(line.get_ydata()) for line in dashed] == [[90.0, 90.0]]
    assert "90% of labels unchanged" in words(figure)


def test_legend_titles_and_caption() -> None:
    figure = figures.ablation_figure(curves(), published.values("fig2"), title="T", scale="cpu")
    texts = [[text.get_text() for text in legend.get_texts()] for legend in figure.legends]
    assert texts == [
        ["size 1/4", "size 1/2", "size 1", "size 2", "size 4"],
        ["published", "80% of labels unchanged"],
    ]
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["Glorot init AlexNet", "He init AlexNet"]
    text = " ".join(words(figure))
    assert "means over n = 3 trained networks; bars: ± SD (n − 1)" in text
    assert "Measured at scale cpu, which is not the paper's size" in text


def test_one_panel_can_be_asked_for() -> None:
    figure = figures.ablation_figure(curves(), published.values("fig2"), ["b"])
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["He init AlexNet"]
    assert [axes.texts[0].get_text() for axes in figure.axes] == ["b"]


def test_wrong_curves_are_told() -> None:
    with pytest.raises(BadArgument, match=r"`value` from 8.\d+ to 100; it is a share in \[0, 1\]"):
        figures.ablation_figure(curves().assign(value=curves()["value"] * 100))
    with pytest.raises(BadArgument, match="`curves` lacks the columns fraction"):
        figures.ablation_figure(curves().drop(columns="fraction"))
    with pytest.raises(BadArgument, match="`curves` has no rows"):
        figures.ablation_figure(curves().iloc[:0])
    with pytest.raises(BadArgument, match="names 'a', which has 2 curves"):
        figures.ablation_figure(curves().assign(panel="a"))
    with pytest.raises(BadArgument, match="names 'z', which has 0 curves"):
        figures.ablation_figure(curves(), panels=["z"])


def test_the_last_epochs_stand_in_order_on_the_axes_of_their_measure() -> None:
    figure = figures.last_epochs_figure(past().sort_values("x", ascending=False, kind="stable"))
    assert [axes.get_yscale() for axes in figure.axes] == ["linear", "log", "log"]
    assert [axes.texts[0].get_text() for axes in figure.axes] == ["a", "b", "c"]
    told = published.values("figE12", "b").query("size_factor == 0.5").sort_values("x")
    x, y = lines(figure, 1, 0.5).get_data()
    assert list(x) == [-8, -6, -4, -2, 0]
    assert np.allclose(y, told["value"])
    figure.canvas.draw()
    assert [tick.get_text() for tick in figure.axes[1].get_xticklabels()] == [
        *("−8", "−6", "−4", "−2", "0")
    ]


def test_published_last_epochs_lie_behind() -> None:
    figure = figures.last_epochs_figure(past(2), published.values("figE12"), [("c", "redundant")])
    grey = [line for line in figure.axes[0].lines if line.get_markersize() == 7.0]
    assert len(grey) == 5
    assert "Grey: Casper et al. 2021, without error bars." in " ".join(words(figure))


def test_means_a_log_axis_cannot_show_are_counted() -> None:
    table = past()
    table.loc[table["measure"].eq("prunable") & table["x"].eq(-8), "value"] = 0.0
    text = " ".join(words(figures.last_epochs_figure(table)))
    assert "Left out: 5 means at or below 0 on a log axis." in text


def test_wrong_epochs_are_told() -> None:
    with pytest.raises(BadArgument, match="epochs before the end are 0 or negative"):
        figures.last_epochs_figure(past().assign(x=past()["x"] + 8))
    with pytest.raises(BadArgument, match=r"asks for \(z, prunable\), which `table` has no rows"):
        figures.last_epochs_figure(past(), panels=[("z", "prunable")])
    with pytest.raises(UnknownName, match="did you mean 'prunable'"):
        figures.last_epochs_figure(past(), panels=[("b", "prunabel")])


@pytest.mark.parametrize(
    "draw", [lambda: figures.ablation_figure(curves()), lambda: figures.last_epochs_figure(past())]
)
def test_equal_data_give_equal_bytes(draw) -> None:  # type: ignore[no-untyped-def]
    assert figures.to_svg(draw()) == figures.to_svg(draw())
