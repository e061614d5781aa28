"""Violins of histograms: widths, means and words against the bins drawn."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.text import Text

from frivolous import figures, published
from frivolous.errors import BadArgument
from frivolous.figures.studies.violin import coarser


def bins(pairs: np.ndarray, **names: object) -> pd.DataFrame:
    counts, edges = np.histogram(pairs, 200, (0.0, 1.0))
    frame = pd.DataFrame({"low": edges[:-1], "high": edges[1:], "pairs": counts})
    return frame.assign(mean=pairs.mean(), **names)


def histograms(curves: tuple[str, ...], sites: tuple[str, ...]) -> pd.DataFrame:
    draw = np.random.default_rng(0)
    return pd.concat(
        [
            bins(
                draw.beta(1, 9, int(500 * size)),
                panel="cdefgh"[rank],
                curve=curve,
                site=site,
                size_factor=size,
            )
            for site in sites
            for rank, curve in enumerate(curves)
            for size in (0.25, 1.0, 4.0)
        ]
    )


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text().strip()]


def means(figure: Figure, panel: int) -> list[float]:
    lines = [line for line in figure.axes[panel].lines if line.get_linewidth() == 1.6]
    return [float(line.get_ydata()[0]) for line in lines]


def test_a_row_per_site_and_a_column_per_network() -> None:
    frame = histograms(("None", "All", "Random"), ("conv1", "conv2", "fc3", "fc4"))
    figure = figures.correlation_grid(frame)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == [
        f"{curve}: {site}"
        for site in ("conv1", "conv2", "fc3", "fc4")
        for curve in ("None", "All", "Random")
    ]
    places = [tuple(np.round(axes.get_position().p0, 6)) for axes in figure.axes]
    assert len({x for x, _ in places}) == 3
    assert len({y for _, y in places}) == 4
    assert places[0][1] > places[3][1]


def test_labels_beneath_do_not_meet() -> None:
    figure = figures.correlation_grid(histograms(("None", "All", "Random"), ("conv1",)))
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    for axes in figure.axes:
        boxes = [label.get_window_extent(renderer) for label in axes.get_xticklabels()]
        assert all(a.x1 < b.x0 for a, b in pairwise(boxes))


def test_the_line_is_at_the_exact_mean_and_the_diamond_at_the_published() -> None:
    frame = histograms(("Glorot init AlexNet", "He init AlexNet"), ("conv2",))
    figure = figures.correlation_grid(frame, published.values("fig2"))
    for panel, name in enumerate("cd"):
        part = frame[frame["panel"].eq(name)]
        assert means(figure, panel) == pytest.approx(
            list(part.groupby("size_factor")["mean"].first())
        )
        grey = [line for line in figure.axes[panel].lines if line.get_marker() == "D"]
        told = published.values("fig2", name)
        assert [line.get_ydata()[0] for line in grey] == list(told["value"])
    assert "Grey diamond: mean of Casper et al. 2021." in " ".join(words(figure))


def test_diamonds_belong_to_their_site() -> None:
    frame = histograms(("Glorot init AlexNet",), ("conv1", "conv2"))
    figure = figures.correlation_grid(frame, published.values("fig2"))
    counts = [len([ln for ln in axes.lines if ln.get_marker() == "D"]) for axes in figure.axes]
    assert counts == [0, 3]


def test_without_a_mean_the_middles_of_bins_stand_for_it() -> None:
    frame = histograms(("AlexNet",), ("conv2",))
    figure = figures.correlation_grid(frame.drop(columns="mean"))
    exact = frame.groupby("size_factor")["mean"].first()
    assert np.allclose(means(figure, 0), exact, atol=0.0025)  # half a bin
    assert means(figure, 0) != list(exact)
    assert "each at the middle of its bin" in " ".join(words(figure))


def test_replicates_add_up() -> None:
    draw = np.random.default_rng(3)
    both = [draw.beta(1, 5, count) for count in (100, 300)]
    names = {"panel": "c", "curve": "A", "site": "conv2", "size_factor": 1.0}
    frame = pd.concat([bins(one, **names, replicate=k) for k, one in enumerate(both)])
    figure = figures.correlation_grid(frame)
    assert means(figure, 0) == pytest.approx([np.concatenate(both).mean()])
    assert any(text.endswith("n = 400") for text in words(figure))


def test_violins_are_as_wide_as_their_bins_are_full() -> None:
    frame = pd.DataFrame({"low": [0.0, 0.1, 0.2], "high": [0.1, 0.2, 0.3], "pairs": [2, 4, 1]})
    frame = frame.assign(panel="c", curve="A", site="fc", size_factor=1.0)
    (body,) = figures.correlation_grid(frame).axes[0].collections
    assert isinstance(body, PolyCollection)
    corners = body.get_paths()[0].vertices
    for height, half in ((0.05, 0.2), (0.15, 0.4), (0.25, 0.1)):
        inside = corners[np.abs(corners[:, 1] - height) < 0.051]
        assert np.isclose(np.abs(inside[:, 0]), half).sum() >= 2


def test_bins_join_without_losing_a_pair() -> None:
    pairs_B, edges_B1 = np.histogram(np.random.default_rng(1).uniform(size=1000), 200, (0, 1))
    edges, pairs = coarser(edges_B1, pairs_B)
    assert pairs.sum() == 1000
    assert len(pairs) == len(edges) - 1 == 20
    assert edges[0] == 0
    assert edges[-1] == 1
    assert pairs[0] == pairs_B[:10].sum()


def test_a_network_without_pairs_is_named() -> None:
    frame = histograms(("A",), ("fc",))
    frame.loc[frame["size_factor"].eq(0.25), "pairs"] = 0
    figure = figures.correlation_grid(frame)
    assert len(means(figure, 0)) == 2
    assert "1/4\nno pairs\nn = 0" in words(figure)


def test_wrong_bins_are_told() -> None:
    frame = histograms(("A",), ("fc",))
    with pytest.raises(BadArgument, match="`histograms` lacks the columns high"):
        figures.correlation_grid(frame.drop(columns="high"))
    with pytest.raises(BadArgument, match="`histograms` has no rows"):
        figures.correlation_grid(frame.iloc[:0])
    with pytest.raises(BadArgument, match=r"bins from 0 to 2 of size factor 1/4 that do not"):
        figures.correlation_grid(frame.assign(low=frame["low"] * 2, high=frame["high"] * 2))
    with pytest.raises(BadArgument, match="do not adjoin"):
        figures.correlation_grid(frame[~frame["low"].between(0.1, 0.2)])


def test_equal_data_give_equal_bytes() -> None:
    one, two = (figures.correlation_grid(histograms(("A",), ("fc",))) for _ in range(2))
    assert figures.to_svg(one) == figures.to_svg(two)
