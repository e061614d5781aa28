"""Figures: what stands where is read back from the drawn artists, against the frames drawn."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnchoredOffsetbox
from matplotlib.text import Text

from frivolous import figures, published
from frivolous.errors import BadArgument, UnknownName
from frivolous.figures import Panel
from frivolous.figures.base.legend import curve_styles
from frivolous.figures.base.style import COLUMN, PAGE, curve_style

ROOMS = ("figures", "report", "published")


def cap(row: Any) -> float:
    return 1.0 if row.measure == "accuracy" else row.size_factor / 4


def study(name: str = "fig4d", replicates: int = 3, seed: int = 0) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    points = published.values(name)
    points = points[points["split"].isin(["", "test"])]
    rows = [
        (
            *(name, row.panel, row.curve, row.size_factor, replicate, f"run{replicate}", "all"),
            *(row.measure, min(row.value * np.exp(0.03 * draw.normal()), cap(row))),
        )
        for row in points.itertuples()
        for replicate in range(replicates)
    ]
    names = "study panel curve size_factor replicate run site measure value"
    return pd.DataFrame(rows, columns=names.split())


def gains_of(name: str = "fig4d") -> pd.DataFrame:
    found = published.curve_gains(name).merge(
        published.gains(name).drop(columns="source_image"), on=["figure", "panel", "measure"]
    )
    found = found.rename(
        columns={
            "gain_as_published": "gain",
            "gain_min": "published_min",
            "gain_max": "published_max",
        }
    )
    return found.assign(low=found["gain"] - 0.05, high=found["gain"] + 0.05)


def network() -> tuple[pd.DataFrame, pd.DataFrame]:
    sites = [("conv1", 0, 96), ("fc", 1, 384), ("all", -1, 480)]
    table = pd.DataFrame(
        [
            (site, depth, "channel", width, measure, share * width, 0.2 * width, 0.6 * width, 500)
            for site, depth, width in sites
            for measure, share in (("prunable", 0.25), ("redundant", 0.5))
        ],
        columns=["site", "depth", "grain", "width", "measure", "value", "low", "high", "examples"],
    )
    curves = pd.DataFrame(
        [
            (site, "channel", draw, f, int(f * width), 1 - f**2, 1 - f**2 - 0.02, 1 - f**2 / 2, 500)
            for site, _, width in sites
            for draw in range(2)
            for f in (0.0, 0.5, 1.0)
        ],
        columns=[
            "site",
            "grain",
            "draw",
            "fraction",
            "ablated",
            "unchanged",
            "low",
            "high",
            "examples",
        ],
    )
    return table, curves


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text().strip()]


def line_of(figure: Figure, panel: int, rank: int) -> tuple[np.ndarray, np.ndarray]:
    colour = curve_style(rank)["color"]
    lines = [
        line
        for line in figure.axes[panel].lines
        if line.get_color() == colour and line.get_linestyle() != "None" and len(line.get_xdata())
    ]
    assert len(lines) == 1
    return np.asarray(lines[0].get_xdata()), np.asarray(lines[0].get_ydata())


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_neither_torch_nor_pyplot(room: str) -> None:
    folder = Path(figures.__file__).parent.parent / room
    allowed = (
        "frivolous.errors",
        "frivolous.files",
        "frivolous.measures",
        *(f"frivolous.{name}" for name in ROOMS),
    )
    if room == "published":
        allowed = ("frivolous.errors", "frivolous.published")
    sources = list(folder.rglob("*.py"))
    assert sources
    for source in sources:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            for name in names:
                assert not name.startswith(("torch", "matplotlib.pyplot")), source
                assert not name.startswith("frivolous") or name.startswith(allowed), source


def test_counts_of_parameters_are_no_means_over_trained_networks() -> None:
    figure = figures.study_figure(study("figE1", replicates=1), published=None, source="")
    said = " ".join(words(figure)).replace("\n", " ")
    assert "Points: exact counts, which no training changes." in said
    assert "trained network" not in said


def test_lines_pass_through_the_means_side_by_side() -> None:
    table = study()
    figure = figures.study_figure(table, gains_of(), published.values("fig4d"))
    assert len(figure.axes) == 2
    means = published.replicate_means(table)
    for panel, measure in enumerate(["prunable", "redundant"]):
        for rank, curve in enumerate(table["curve"].unique()):
            x, y = line_of(figure, panel, rank)
            here = means[means["measure"].eq(measure) & means["curve"].eq(curve)]
            assert np.allclose(y, here["mean"])
            shift = np.log2(x / here["size_factor"].to_numpy())
            assert np.allclose(shift, shift[0])  # one shift per curve keeps its slope
            assert abs(shift[0]) < 0.25


def test_panels_bear_the_studys_own_names() -> None:
    def letters(figure: Figure) -> list[str]:
        return [axes.texts[0].get_text() for axes in figure.axes]

    assert letters(
        figures.study_figure(study(), panels=[("d", "prunable"), ("d", "redundant")])
    ) == [*("d", "d")]
    table = study("figE7")
    older = [
        table[table["panel"].eq("b")].assign(panel=name, measure=measure)
        for name, measure in (("accuracy", "accuracy"), ("B5b", "area"), ("C6c", "similarity"))
    ]
    table = pd.concat([table[table["panel"].eq("b")], *older])
    figure = figures.study_figure(table)
    assert letters(figure) == ["", "b", "B5b", "C6c"]
    text = " ".join(words(figure))
    assert "Grey panel names: B5b, C6c: earlier versions of the paper." in text
    panels = [Panel("b", "prunable"), Panel("C6c", "similarity", version="ICLR submission")]
    text = " ".join(words(figures.study_figure(table, panels=panels)))
    assert "Grey panel names: C6c: ICLR submission." in text


def test_a_long_panel_name_stands_in_the_title() -> None:
    table = study().assign(panel="prune_synth_10_data")
    axes = figures.study_figure(table, panels=[("prune_synth_10_data", "prunable")]).axes[0]
    assert axes.get_title(loc="left").replace("\n", " ") == "prune_synth_10_data: Prunable units"
    assert axes.texts[0].get_text() == ""


def test_bars_are_one_sd_each_way() -> None:
    table = study().query("curve == '10dim - 1'")
    figure = figures.study_figure(table, panels=[("d", "prunable")])
    (bars,) = [c for c in figure.axes[0].collections if isinstance(c, LineCollection)]
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    runs = table.query("measure == 'prunable'").groupby("size_factor")["value"]
    assert np.allclose(ends.mean(axis=1), runs.mean())
    assert np.allclose((ends[:, 1] - ends[:, 0]) / 2, runs.std(ddof=1))


def test_gains_are_printed_with_intervals_and_the_published_beneath() -> None:
    figure = figures.study_figure(study(), gains_of(), published.values("fig4d"))
    text = words(figure)
    assert r"$g_\mathrm{min}$ = 2.03 [1.98, 2.08]" in text
    assert r"$g_\mathrm{max}$ = 2.45 [2.40, 2.50]" in text
    assert "published 2.03, 2.14" in text
    assert "published 2.08, 2.45" in text
    assert any("95% bootstrap interval" in line for line in text)


@pytest.mark.parametrize("name", ["fig4d", "fig4a", "figE7", "figE8", "figE9", "fig4b"])
def test_no_note_covers_a_point(name: str) -> None:
    table = study(name)
    figure = figures.study_figure(table, gains_of(name), published.values(name))
    renderer = figure.canvas.get_renderer()
    noted = 0
    for axes in figure.axes:
        for box in (child for child in axes.get_children() if isinstance(child, AnchoredOffsetbox)):
            extent = box.get_window_extent(renderer)
            noted += 1
            for line in axes.lines:
                path = line.get_transform().transform(np.column_stack(line.get_data()))
                path = path[np.isfinite(path).all(axis=1)]
                assert not any(extent.contains(*point) for point in path)
            frame = axes.get_window_extent(renderer)
            assert frame.x0 <= extent.x0
            assert extent.x1 <= frame.x1 + 1
    assert noted == len(published.gains(name))


@pytest.mark.parametrize("width", [COLUMN, PAGE])
def test_no_text_leaves_the_page_or_is_too_small(width: float) -> None:
    title, claim = "A long title " * 6, "A claim that has to be broken into lines. " * 5
    figure = figures.study_figure(
        study("figE7"),
        gains_of("figE7"),
        published.values("figE7"),
        [("b", "prunable")] if width < 4 else None,
        title=title,
        claim=claim,
        width=width,
    )
    figure.canvas.draw()
    renderer, page = figure.canvas.get_renderer(), figure.bbox
    for text in figure.findobj(Text):
        if not text.get_text().strip() or not text.get_visible():
            continue
        extent = text.get_window_extent(renderer)
        assert text.get_fontsize() >= 7
        assert -1 <= extent.x0 <= extent.x1 <= page.x1 + 1, text.get_text()
        assert -1 <= extent.y0 <= extent.y1 <= page.y1 + 1, text.get_text()


def test_size_factors_are_the_ticks() -> None:
    figure = figures.study_figure(study())
    figure.canvas.draw()
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == ["1/4", "1/2", "1", "2", "4"]
    assert figure.axes[0].get_yscale() == "log"


def test_the_dashed_line_doubles_with_width() -> None:
    figure = figures.study_figure(study())
    dashed = [line for line in figure.axes[0].lines if line.get_color() == "#8a8a8a"]
    (x, y) = dashed[0].get_data()
    assert np.log2(y[1] / y[0]) == pytest.approx(np.log2(x[1] / x[0]))


def test_accuracy_is_in_percent_on_a_linear_axis() -> None:
    table = study("figE7")
    figure = figures.study_figure(table, published=published.values("figE7"))
    axes = figure.axes[0]
    assert axes.get_title(loc="left") == "Test accuracy"
    assert axes.get_yscale() == "linear"
    assert axes.get_ylim()[0] > 80


def test_areas_run_from_nought_to_one() -> None:
    table = study("figE7").query("measure == 'prunable'").assign(measure="area", value=0.4)
    axes = figures.study_figure(table).axes[0]
    assert axes.get_yscale() == "linear"
    assert axes.get_ylim() == pytest.approx((-0.03, 1.03))


def test_one_replicate_has_no_bars_and_says_so() -> None:
    figure = figures.study_figure(study(replicates=1))
    assert not figure.axes[0].collections
    assert any("n = 1" in text for text in words(figure))


def test_values_a_log_axis_cannot_show_stand_at_its_edge() -> None:
    table = study(replicates=1)
    table.loc[(table["size_factor"].eq(0.25)) & table["curve"].eq("10dim - 1"), "value"] = 0.0
    table.loc[(table["size_factor"].eq(0.5)) & table["curve"].eq("10Kdim - 1"), "value"] = -0.1
    table.loc[(table["size_factor"].eq(2)) & table["curve"].eq("10Kdim - 1"), "value"] = np.nan
    figure = figures.study_figure(table, panels=[("d", "prunable")])
    text = " ".join(words(figure)).replace("\n", " ")
    assert "Open markers at the lower edge: 2 means at or below 0" in text
    assert "Left out: 1 point without a finite value." in text
    edge = [
        line
        for line in figure.axes[0].lines
        if line.get_markerfacecolor() == "white" and len(line.get_xdata())
    ]
    assert sorted(line.get_markeredgecolor() for line in edge) == sorted(
        curve_style(rank)["color"] for rank in (1, 3)
    )
    assert all(list(line.get_ydata()) == [0.0] for line in edge)
    figures.to_png(figure)


def test_a_line_has_a_gap_where_a_size_was_not_run() -> None:
    table = study(replicates=2)
    table = table[~(table["size_factor"].eq(1) & table["curve"].eq("10dim - 1"))]
    figure = figures.study_figure(table)
    _, y = line_of(figure, 0, 1)
    assert np.isnan(y).tolist() == [False, False, True, False, False]


def test_published_points_lie_behind_with_the_curves_marker() -> None:
    figure = figures.study_figure(study(), published=published.values("fig4d"))
    grey = [line for line in figure.axes[0].lines if line.get_markersize() == 7.0]
    assert [line.get_marker() for line in grey] == [
        curve_style(rank)["marker"] for rank in range(4)
    ]
    told = published.values("fig4d", measure="prunable").query("curve == '10dim - 1e-2'")
    assert np.allclose(grey[0].get_ydata(), told["value"])
    measured = [line for line in figure.axes[0].lines if line.get_markersize() == 4.4]
    assert max(line.get_zorder() for line in grey) < min(line.get_zorder() for line in measured)


def test_eight_curves_differ_in_colour_marker_and_line() -> None:
    styles = [curve_style(rank) for rank in range(8)]
    for key in ("color", "marker", "linestyle"):
        assert len({str(style[key]) for style in styles}) == 8
    assert len({(curve_style(r)["color"], curve_style(r)["marker"]) for r in range(64)}) == 64


def test_the_first_six_colours_differ_in_grey() -> None:
    channels = np.array([mpl.colors.to_rgb(curve_style(rank)["color"]) for rank in range(4)])
    grey = np.sort(channels @ [0.2126, 0.7152, 0.0722])
    assert np.diff(grey).min() > 0.04


def test_equal_data_give_equal_bytes(tmp_path: Path) -> None:
    def draw() -> Figure:
        points, panels = published.values("fig4d"), [("d", "prunable")]
        return figures.study_figure(study(replicates=2), gains_of(), points, panels, title="T")

    first, second = draw(), draw()
    assert figures.to_svg(first) == figures.to_svg(second)
    assert figures.to_png(first) == figures.to_png(second)
    for suffix in ("png", "svg", "pdf"):
        one = figures.save(first, tmp_path / f"one.{suffix}").read_bytes()
        two = figures.save(second, tmp_path / f"two.{suffix}").read_bytes()
        assert one == two
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f"{stem}.{suffix}" for stem in ("one", "two") for suffix in ("png", "svg", "pdf")
    )


def test_svg_text_is_text_and_carries_no_date() -> None:
    svg = figures.to_svg(figures.study_figure(study(), title="Wide & <thin>"))
    assert re.search(r"<text[^>]*>size factor</text>", svg)
    assert "Wide &amp; &lt;thin&gt;" in svg
    assert "<dc:date>" not in svg
    assert "matplotlib.org" not in svg


def test_png_has_200_dots_per_inch() -> None:
    png = figures.to_png(figures.study_figure(study()))
    assert int.from_bytes(png[16:20], "big") == 1400


def test_the_callers_settings_neither_change_nor_matter() -> None:
    plain = figures.to_svg(figures.study_figure(study()))
    with mpl.rc_context({"font.size": 20, "svg.fonttype": "path", "axes.grid": True}):
        before = dict(mpl.rcParams)
        assert figures.to_svg(figures.study_figure(study())) == plain
        assert dict(mpl.rcParams) == before


def test_dollars_in_names_are_not_mathematics() -> None:
    table = study(replicates=1).replace({"10dim - 1": "$x^"})
    drawn = figures.study_figure(table, title="costs $5 or $6", claim="$^")
    shown = figures.to_svg(drawn)
    assert "costs $5 or $6" in shown
    assert "$x^" in shown


def test_wrong_frames_are_told() -> None:
    with pytest.raises(BadArgument, match="`table` has no rows"):
        figures.study_figure(study().iloc[:0])
    with pytest.raises(BadArgument, match=r"asks for \(e, prunable\), which `table` has no rows"):
        figures.study_figure(study(), panels=[("e", "prunable")])
    with pytest.raises(UnknownName, match="unknown measure 'prunabel'; did you mean 'prunable'"):
        figures.study_figure(study(), panels=[("d", "prunabel")])
    with pytest.raises(BadArgument, match="`gains` lacks the columns gain"):
        figures.study_figure(study(), gains_of().drop(columns="gain"))
    with pytest.raises(BadArgument, match="`panels` is empty"):
        figures.study_figure(study(), panels=[])


def test_saving_needs_a_known_format_and_a_folder(tmp_path: Path) -> None:
    figure = figures.study_figure(study(replicates=1))
    with pytest.raises(UnknownName, match="unknown figure format 'jpg'"):
        figures.save(figure, tmp_path / "a.jpg")
    with pytest.raises(BadArgument, match="there is no folder"):
        figures.save(figure, tmp_path / "none" / "a.png")


def test_bars_of_a_network_are_shares_of_each_width() -> None:
    table, curves = network()
    figure = figures.measurement_figure(table, curves, title="A network")
    text = words(figure)
    assert {"24 of 96", "48 of 96", "96 of 384", "192 of 384", "120 of 480"} <= set(text)
    lengths = {round(patch.get_width(), 6) for patch in figure.axes[1].patches}
    assert lengths == {1.0, 0.25, 0.5}
    assert "best of 2 orders" in text
    assert any("500 examples" in line for line in text)


def test_prunable_positions_and_redundant_channels_keep_their_own_widths() -> None:
    table, curves = network()
    table.loc[table["measure"].eq("prunable"), ["grain"]] = "position"
    table.loc[table["measure"].eq("prunable"), ["width", "value", "low", "high"]] *= 4
    text = words(figures.measurement_figure(table, curves.assign(grain="position")))
    assert {"96 of 384", "48 of 96", "prunable positions", "redundant units"} <= set(text)
    assert "positions ablated" in text
    assert "units ablated" not in text


def test_each_number_stands_at_its_own_bar() -> None:
    table, curves = network()
    figure = figures.measurement_figure(table, curves)
    axes = figure.axes[1]
    bars = [patch for patch in axes.patches if patch.get_height() == pytest.approx(0.3)]
    heights = {round(bar.get_y() + bar.get_height() / 2, 6): bar.get_width() for bar in bars}
    numbers = [text for text in axes.texts if " of " in text.get_text()]
    assert len(numbers) == len(bars) == 6
    for number in numbers:
        count, width = (float(part) for part in number.get_text().split(" of "))
        assert heights[round(number.xy[1], 6)] == pytest.approx(count / width)


def one_site() -> tuple[pd.DataFrame, pd.DataFrame]:
    """One site of 10 units; its first order falls below 0.8 last, at 7/12."""
    shares = {0: (1.0, 0.9, 0.3), 1: (1.0, 0.8, 0.0), 2: (1.0, 0.4, 0.4), 3: (1.0, 0.7, 0.6)}
    crossings = {0: 0.5 + 0.5 / 6, 1: 0.5, 2: 0.5 / 3, 3: 1 / 3}
    rows = [
        ("fc", "channel", draw, f, int(10 * f), y, max(0.0, y - 0.03), min(1.0, y + 0.02), 500)
        for draw, row in shares.items()
        for f, y in zip((0.0, 0.5, 1.0), row, strict=True)
    ]
    curves = pd.DataFrame(rows, columns=network()[1].columns)
    best = 10 * max(crossings.values())
    table = pd.DataFrame(
        [
            ("fc", 0, "channel", 10, "prunable", best, best - 1, best + 1, 500),
            ("fc", 0, "channel", 10, "redundant", 4.0, 4.0, 4.0, 500),
        ],
        columns=network()[0].columns,
    )
    return table, curves


def rings(figure: Figure) -> list[tuple[float, float]]:
    return [
        (float(line.get_xdata()[0]), float(line.get_ydata()[0]))
        for line in figure.axes[0].lines
        if len(line.get_xdata()) == 1 and line.get_markerfacecolor() == "white"
    ]


def test_the_bold_curve_crosses_the_line_where_the_prunable_bar_ends() -> None:
    table, curves = one_site()
    figure = figures.measurement_figure(table, curves)
    left, right = figure.axes
    drawn = [line for line in left.lines if len(line.get_xdata()) == 3]
    bold = max(drawn, key=lambda line: line.get_linewidth())
    assert len(drawn) == 4
    assert list(bold.get_ydata()) == [1.0, 0.9, 0.3]
    assert rings(figure) == [(pytest.approx(0.5 + 0.5 / 6), pytest.approx(0.8))]
    assert np.interp(rings(figure)[0][0], bold.get_xdata(), bold.get_ydata()) == pytest.approx(0.8)
    prunable = next(bar for bar in right.patches if bar.get_height() == pytest.approx(0.3))
    assert prunable.get_width() == pytest.approx(rings(figure)[0][0])
    (band,) = left.collections
    edge = band.get_paths()[0].vertices
    for x, low, high in ((0.5, 0.87, 0.92), (1.0, 0.27, 0.32)):
        assert {round(y, 9) for at, y in edge if at == x} == {low, high}


def test_the_ring_of_the_mean_is_at_the_mean_of_the_crossings() -> None:
    table, curves = one_site()
    figure = figures.measurement_figure(table, curves, draw="mean")
    mean = np.mean([0.5 + 0.5 / 6, 0.5, 0.5 / 3, 1 / 3])
    assert rings(figure) == [(pytest.approx(mean), pytest.approx(0.8))]
    assert {"mean of 4 orders", "each order"} <= set(words(figure))
    with pytest.raises(BadArgument, match="`draw` is 'best' or 'mean'; got 'worst'"):
        figures.measurement_figure(table, curves, draw="worst")


def test_a_curve_that_never_falls_has_its_ring_at_its_end() -> None:
    table, curves = one_site()
    curves.loc[curves["draw"].eq(2), "unchanged"] = [1.0, 0.97, 0.95]
    assert rings(figures.measurement_figure(table, curves)) == [(1.0, pytest.approx(0.95))]


def test_intervals_too_narrow_to_see_have_no_whisker() -> None:
    table, curves = one_site()
    figure = figures.measurement_figure(table, curves)
    assert len([line for line in figure.axes[1].lines if len(line.get_xdata()) == 2]) == 2
    assert "none below" not in " ".join(words(figure))
    table.loc[table["measure"].eq("redundant"), "high"] = 4.05
    figure = figures.measurement_figure(table, curves)
    assert len([line for line in figure.axes[1].lines if len(line.get_xdata()) == 2]) == 2
    assert "whiskers are 95% intervals (none below 2%)" in " ".join(words(figure))


def test_many_sites_are_coloured_in_sequence_with_one_band() -> None:
    table, curves = network()
    names = [f"fc{rank}" for rank in range(9)]
    tables = [table[table["site"].eq("fc")].assign(site=n, depth=i) for i, n in enumerate(names)]
    tables.append(table[table["site"].eq("all")])
    orders = [curves[curves["site"].eq("fc")].assign(site=name) for name in names]
    orders.append(curves[curves["site"].eq("all")])
    figure = figures.measurement_figure(pd.concat(tables), pd.concat(orders))
    drawn = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 3]
    assert len(figure.axes[0].collections) == 1
    assert len(drawn) == 9 + 2
    grey = [
        np.dot(mpl.colors.to_rgb(line.get_color()), [0.2126, 0.7152, 0.0722]) for line in drawn[:9]
    ]
    assert (np.diff(grey) > 0).all()
    assert max(grey) < 0.75
    assert "bands and thin curves are of all sites together only" in " ".join(words(figure))


def test_the_headline_names_counts_and_accuracy() -> None:
    table, _ = network()
    facts = {"examples": 500, "accuracy": 0.974, "accuracy_low": 0.956, "accuracy_high": 0.985}
    assert figures.headline(table, facts) == (
        "120 of 480 units are prunable, 240 of 480 redundant",
        "Accuracy 97.4% [95.6, 98.5] on 500 examples",
    )
    table.loc[table["measure"].eq("prunable"), "grain"] = "position"
    assert figures.headline(table, {"examples": 1, "replacement": "mean", "left_out": ["a"]}) == (
        "120 of 480 positions are prunable, 240 of 480 units redundant",
        "1 example; ablated to the mean; 1 site left out",
    )


def test_ablation_curves_end_where_the_frame_says() -> None:
    table, curves = network()
    axes = figures.measurement_figure(table, curves).axes[0]
    drawn = [line for line in axes.lines if len(line.get_xdata()) == 3]
    assert len(drawn) == 6
    for line in drawn:
        assert np.allclose(line.get_ydata(), [1, 0.75, 0])


def test_long_site_names_keep_what_tells_them_apart() -> None:
    table, curves = network()
    names = {
        "conv1": "encoder.layers.encoder_layer_1.mlp.activation.gelu",
        "fc": "encoder.layers.encoder_layer_2.mlp.activation.gelu",
    }
    table, curves = table.replace({"site": names}), curves.replace({"site": names})
    text = words(figures.measurement_figure(table, curves))
    assert {"…encoder_layer_1…", "…encoder_layer_2…", "all"} <= set(text)


def test_counts_in_place_of_shares_are_refused() -> None:
    table, curves = network()
    with pytest.raises(BadArgument, match=r"`unchanged` up to 500; it is a share"):
        figures.measurement_figure(table, curves.assign(unchanged=curves["unchanged"] * 500))
    with pytest.raises(BadArgument, match="`table` has a site's row twice"):
        figures.measurement_figure(pd.concat([table, table]), curves)
    with pytest.raises(BadArgument, match="`curves` lacks the columns draw"):
        figures.measurement_figure(table, curves.drop(columns="draw"))


def legend_texts(figure: Figure) -> list[list[str]]:
    return [[text.get_text() for text in legend.get_texts()] for legend in figure.legends]


def test_panels_of_other_networks_have_legends_of_their_own() -> None:
    figure = figures.study_figure(study("fig1"), published=published.values("fig1"))
    first, second, third, rest = legend_texts(figure)
    assert first == ["ResNet18", "Inceptionv3", "Inceptionv3-layer"]
    assert second == ["AlexNet (all regularizers)", "AlexNet-Random", "ResNet56", "ResNet56-Random"]
    assert third == ["Glorot Norm", "He Norm", "Lecun Norm"]
    assert rest == ["published"]
    for panel, count in enumerate((3, 4, 3)):  # each begins again with the clearest styles
        for rank in range(count):
            line_of(figure, panel, rank)


def test_neighbours_with_the_same_curves_share_a_legend() -> None:
    figure = figures.study_figure(study("fig3"), gains_of("fig3"), published.values("fig3"))
    assert [len(texts) for texts in legend_texts(figure)] == [3, 5, 3]
    assert len({round(axes.get_position().x0, 3) for axes in figure.axes}) == 2
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    boxes = [legend.get_window_extent(renderer) for legend in figure.legends]
    frames = [axes.get_tightbbox(renderer) for axes in figure.axes]
    assert not any(box.overlaps(frame) for box in boxes for frame in frames)


def test_curves_that_one_panel_shows_all_of_share_one_legend() -> None:
    table = study("fig3").query("panel in ('a', 'b')")
    table = table[~(table["panel"].eq("b") & table["curve"].eq("ResNet18"))]
    texts = legend_texts(figures.study_figure(table))
    assert texts[0] == ["ResNet18", "Inceptionv3", "Inceptionv3-layer"]
    assert len(texts) == 2


def test_a_curve_looks_the_same_in_every_panel() -> None:
    styles = curve_styles([["a", "b"], ["c", "d"], ["d", "a"]])
    assert styles["a"] == styles["c"] == curve_style(0)
    assert styles["b"] == styles["d"] == curve_style(1)


def test_a_curve_may_lack_sizes() -> None:
    figure = figures.study_figure(study("fig3").query("panel == 'a'"))
    _, y = line_of(figure, 0, 1)
    assert np.isfinite(y).tolist() == [True, True, True, False, False]
    assert "Left out" not in " ".join(words(figure))


def test_parameters_are_counted_on_a_decimal_axis() -> None:
    table = published.values("figE1").assign(replicate=0, site="all")
    figure = figures.study_figure(table, columns=2)
    figure.canvas.draw()
    axes = figure.axes[1]
    assert axes.get_yscale() == "log"
    ticks = [label.get_text() for label in axes.get_yticklabels()]
    assert ticks == ["100 K", "1 M", "10 M", "100 M"]
    assert figure.axes[0].get_position().x0 == figure.axes[2].get_position().x0


def test_training_accuracies_stand_beside_the_published_ones() -> None:
    name = "acc_cifar_train"
    told = published.values("extra", name).assign(panel="a")
    table = told.assign(measure="train_accuracy", replicate=0, site="all")
    axes = figures.study_figure(table, published=told).axes[0]
    assert axes.get_title(loc="left") == "Training accuracy"
    assert len([line for line in axes.lines if line.get_markersize() == 7.0]) == 4


@pytest.mark.parametrize("measure", ["non_prunable", "non_redundant"])
def test_units_that_are_not_frivolous_have_gains(measure: str) -> None:
    table = study("figE3").query("panel == 'c' and measure == @measure")
    figure = figures.study_figure(table, gains_of("figE3"), published.values("figE3"))
    least, most = published.gains("figE3", "c", measure)[["gain_min", "gain_max"]].iloc[0]
    assert f"published {least:.2f}, {most:.2f}" in words(figure)


@pytest.mark.parametrize(
    ("scale", "said"),
    [
        ("", None),
        ("paper", "Measured at the paper's scale."),
        ("paper, in part", "Measured at the paper's scale, in part."),
        ("cpu", "Measured at scale cpu, which is not the paper's size"),
    ],
)
def test_the_caption_says_the_scale(scale: str, said: str | None) -> None:
    text = " ".join(words(figures.study_figure(study(), scale=scale)))
    assert said in text if said else "Measured" not in text
