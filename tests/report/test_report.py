"""Reports: the page is parsed again and set against what went in."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from frivolous import figures, published, report
from frivolous.errors import BadArgument
from frivolous.report import Code, Details, Facts, Paragraph, Picture, Section, Table, overview
from frivolous.report.numbers import with_interval, with_spread

VOID = {"meta", "img", "br", "path", "use", "rect"}


class Page(HTMLParser):
    """What a reader of the page meets: elements, attributes, text and whether tags balance."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(data.strip())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def drawn() -> Figure:
    figure = Figure((3.33, 2))
    figure.add_subplot(title="r & <s>").plot([0, 1])
    return figure


@cache
def picture() -> Picture:
    return Picture(figures.to_svg(drawn()), "A line.", "A caption.")


@cache
def frames(replicates: int = 3) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    figure = published.read("figE7")
    points = figure.values[figure.values["split"].isin(["", "test"])]
    rows = [
        (row.panel, row.curve, row.size_factor, replicate, "all", row.measure, value)
        for row in points.itertuples()
        for replicate, value in enumerate(row.value * (0.98 + 0.02 * np.arange(replicates)))
    ]
    names = ["panel", "curve", "size_factor", "replicate", "site", "measure", "value"]
    means = published.replicate_means(pd.DataFrame(rows, columns=names))
    gains = figure.curve_gains.rename(columns={"gain_as_published": "gain"})
    half = 0.05 if replicates > 1 else np.nan
    gains = gains.assign(low=gains["gain"] - half, high=gains["gain"] + half)
    return means, gains, published.compare(means, gains, figure)


@cache
def study(replicates: int = 3) -> report.StudyReport:
    means, gains, comparison = frames(replicates)
    return report.StudyReport(
        title="Does <variance> matter?",
        claim="Counts & gains do not depend on it.",
        means=means,
        gains=gains,
        comparison=comparison,
        figures=[picture(), picture()],
        notes=["Scale cpu."],
        protocol=[("grain", "channel", "whole feature maps are ablated")],
        choices=pd.DataFrame({"curve": ["1"], "size_factor": [0.25], "learning_rate": [0.1]}),
        machine={"processor": "2 cores"},
        versions={"torch": "2.13"},
        seeds="0, 1, 2",
        commit="abc123",
        store="runs",
        cost="4 minutes",
        runs=("run-a", "run-b"),
        command="frivolous run figE7 --store runs",
    )


def page_of(*blocks: report.Block) -> Page:
    return Page(report.render_page("Title", "claim", [Section("One", blocks)]))


def test_the_template_travels_with_the_package() -> None:
    assert files("frivolous.report").joinpath("templates", "page.html.j2").is_file()


def test_the_page_of_a_study_is_one_file_that_loads_nothing() -> None:
    text = report.render_page("T", "", report.study_sections(study()))
    page = Page(text)
    assert page.open == []
    for _, attributes in page.elements:
        for name in ("src", "href", "xlink:href", "action", "data"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/png"))
    assert not page.all("script")
    assert not page.all("link")
    assert "default-src 'none'" in text


def test_every_reference_within_the_page_has_one_target() -> None:
    sections = report.study_sections(study())
    page = Page(report.render_page("T", "", sections))
    names = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(names) == len(set(names))
    targets = [
        (attributes.get("href") or attributes.get("xlink:href") or "")[1:]
        for name, attributes in page.elements
        if name in ("a", "use")
    ]
    assert len(targets) > len(sections)
    assert set(targets) <= set(names)


def test_contents_lead_to_every_section_in_order() -> None:
    page = Page(report.render_page("T", "", report.study_sections(study())))
    titles = [section.title for section in report.study_sections(study())]
    assert titles == [
        *("Answer", "Figures", "Results", "Gains", "Beside the published points"),
        *("Protocol", "Run it again"),
    ]
    assert len(page.all("a")) == len(page.all("h2")) == len(titles)
    assert page.all("html")[0]["lang"] == "en"


def test_titles_that_repeat_get_anchors_of_their_own() -> None:
    page = Page(report.render_page("T", "", [Section("Same", [Code("a")])] * 3))
    assert [h["id"] for h in page.all("h2")] == ["same", "same-2", "same-3"]


EVIL = "<script>alert('x')</script><img src=http://x.example/ onerror=\"y\">"


def test_all_text_is_escaped() -> None:
    png = figures.to_png(drawn())
    svg = picture().image
    blocks = [
        Paragraph(EVIL, kind=EVIL),
        Table([EVIL, "b"], [[EVIL, EVIL]], EVIL, prose=(1,)),
        Facts([(EVIL, EVIL)], EVIL),
        Code(EVIL),
        Details(EVIL, [Paragraph(EVIL)]),
        Picture(png, EVIL, EVIL),
        Picture(svg, EVIL, EVIL),
    ]
    page = Page(report.render_page(EVIL, EVIL, [Section(EVIL, blocks)] * 2, footer=EVIL))
    assert page.open == []
    assert not page.all("script")
    assert all("onerror" not in attributes for _, attributes in page.elements)
    assert {(image["src"] or "")[:14] for image in page.all("img")} == {"data:image/png"}
    assert page.texts.count(EVIL) >= 20  # shown as it was written
    assert EVIL in [image["alt"] for image in page.all("img")]
    labels = [svg["aria-label"] for svg in page.all("svg")]
    assert labels == [EVIL, EVIL]


def test_headings_of_tables_have_a_scope() -> None:
    page = page_of(Table(["curve", "size", "value"], [["a", "1/4", "2"]], "A caption", heads=2))
    assert [th["scope"] for th in page.all("th")] == ["col", "col", "col", "row", "row"]
    assert len(page.all("td")) == len(page.all("caption")) == 1


def test_pictures_keep_their_size_and_say_what_they_show() -> None:
    page = page_of(picture())
    (svg,) = page.all("svg")
    assert svg["role"] == "img"
    assert svg["aria-label"] == "A line."
    assert svg["style"] == f"max-width: {8 * 3.33:.1f}rem"
    assert "r & <s>" in page.texts
    assert "A caption." in page.texts


@pytest.mark.parametrize(
    ("inner", "fault"),
    [
        ("<script>1</script>", "the element <script>"),
        ("<g onload='x()'/>", "the attribute onload"),
        ("<image href='http://x.example/a.png'/>", "the outside address 'http://x.example/a.png'"),
        ("<g style='fill: url(http://x.example/a)'/>", "the outside address"),
        ("<style>@import 'a.css';</style>", "a style that loads something"),
        ("<foreignObject/>", "the element <foreignObject>"),
        ("<g>", "no well-formed SVG"),
    ],
)
def test_pictures_that_run_or_load_something_are_refused(inner: str, fault: str) -> None:
    with pytest.raises(BadArgument, match=fault):
        Picture(f"<svg xmlns='http://www.w3.org/2000/svg'>{inner}</svg>", "What it shows.")


def test_pictures_need_words_and_a_known_format() -> None:
    with pytest.raises(BadArgument, match="`alt` is empty"):
        Picture(b"\x89PNG", " ")
    with pytest.raises(BadArgument, match="bytes must be a PNG"):
        Picture(b"GIF89a", "What it shows.")
    with pytest.raises(BadArgument, match="declares entities"):
        Picture("<!DOCTYPE svg [<!ENTITY a 'b'>]><svg/>", "What it shows.")


def test_every_published_style_of_figure_can_be_shown() -> None:
    drawn = Figure()
    drawn.add_subplot().plot([1, 2])
    for image in (figures.to_svg(drawn), figures.to_png(drawn)):
        assert Picture(image, "A line.").image == image


def test_answers_have_gains_intervals_n_and_overlaps() -> None:
    answer = report.study_sections(study())[0].blocks
    text = [block.text for block in answer if isinstance(block, Paragraph)]
    assert text[0] == (
        "Prunable units (panel b): measured gains per doubling 2.01 [1.96, 2.06] to 2.14 "
        "[2.09, 2.19] over 5 curves (n = 3); published 2.01 to 2.14. Intervals overlap for 2 of 2 "
        "extremes, 5 of 5 curves' gains, 25 of 25 points."
    )
    assert text[1].startswith("Redundant units (panel c): measured gains per doubling 2.09")
    assert text[2] == "Scale cpu."


def test_without_intervals_nothing_is_judged() -> None:
    blocks = report.study_sections(study(replicates=1))[0].blocks
    assert isinstance(blocks[0], Paragraph)
    assert blocks[0].text == (
        "Prunable units (panel b): measured gains per doubling 2.01 to 2.14 over 5 curves (n = 1); "
        "published 2.01 to 2.14. Whether they agree cannot be judged: there are no intervals."
    )


def test_results_have_a_row_per_curve_and_size() -> None:
    (table,) = report.study_sections(study())[2].blocks
    assert isinstance(table, Table)
    assert list(table.header) == [
        *("curve", "size factor", "n", "test accuracy (%)", "prunable", "redundant")
    ]
    assert len(table.rows) == 25
    means = study().means.query("curve == '1e-4' and size_factor == 0.25").set_index("measure")
    assert table.rows[0] == (
        *("1e-4", "1/4", "3"),
        *(with_spread(*(100 * means.loc["accuracy", ["mean", "sd"]])),),
        with_spread(*means.loc["prunable", ["mean", "sd"]]),
        with_spread(*means.loc["redundant", ["mean", "sd"]]),
    )


def test_dropped_values_are_told() -> None:
    made = study()
    table = report.study_sections(replace(made, means=made.means.assign(dropped=1)))[2].blocks[0]
    assert isinstance(table, Table)
    assert f"{len(made.means)} values were not finite" in table.caption


def test_the_comparison_says_its_rule() -> None:
    page = Page(report.render_page("T", "", report.study_sections(study())))
    text = " ".join(page.texts)
    assert "95% t-interval against reading + SD" in text
    assert "bootstrap interval against printed rounding" in text
    assert "75 of 75 points" in text


def test_no_path_but_the_given_one_is_in_the_page() -> None:
    text = report.render_page("T", "", report.study_sections(study()))
    for place in (str(Path.cwd()), str(Path.home()), "/tmp/", "site-packages"):
        assert place not in text


def test_what_is_not_given_is_left_out() -> None:
    made = study()
    bare = report.StudyReport("T", "c", made.means, made.gains, made.comparison)
    titles = [section.title for section in report.study_sections(bare)]
    assert titles == ["Answer", "Results", "Gains", "Beside the published points"]
    runs = [block for block in report.study_sections(made)[-1].blocks if isinstance(block, Details)]
    assert [block.summary for block in runs] == ["Versions", "2 run ids"]


def test_a_study_of_ones_own_has_no_published_side() -> None:
    means, gains, _ = frames()
    means, gains = means.assign(panel="mine"), gains.assign(panel="mine")
    comparison = published.compare(means, gains, published.read("fig1"))
    made = report.StudyReport("T", "c", means, gains, comparison[comparison["n"].gt(0)])
    sections = report.study_sections(made)
    assert [section.title for section in sections] == ["Answer", "Results", "Gains"]
    assert isinstance(sections[0].blocks[0], Paragraph)
    assert sections[0].blocks[0].text.endswith("(n = 3); the paper prints none.")


def test_wrong_input_is_told() -> None:
    with pytest.raises(BadArgument, match="`title` is empty"):
        report.render_page(" ", "", [])
    with pytest.raises(BadArgument, match="a row of 1 cells under 2 headings"):
        Table(["a", "b"], [["1"]], "")
    with pytest.raises(BadArgument, match="`means` lacks the columns mean, sd"):
        replace(study(), means=study().means.drop(columns=["mean", "sd"]))


def test_equal_input_gives_an_equal_page() -> None:
    pages = []
    for _ in range(2):
        for made in (picture, frames, study):
            made.cache_clear()
        pages.append(report.render_page("T", "", report.study_sections(study())))
    assert pages[0] == pages[1]


@pytest.mark.parametrize(
    ("mean", "sd", "text"),
    [
        (0.0404845, 0.00484, "0.0405 ± 0.0048"),
        (93.41, 0.62, "93.41 ± 0.62"),
        (0.5, 0.0, "0.500 ± 0.000"),
        (0.0, float("nan"), "0.000"),
        (float("nan"), 0.1, "–"),
        (812.0, 31.0, "812 ± 31"),
    ],
)
def test_numbers_have_the_digits_their_spread_bears(mean: float, sd: float, text: str) -> None:
    assert with_spread(mean, sd) == text


def test_an_interval_without_a_value_is_a_dash() -> None:
    assert with_interval(float("nan"), 1.0, 2.0) == "–"


def test_failed_runs_are_named_with_their_step() -> None:
    failures = pd.DataFrame(
        {"run": ["ab12"], "step": [37], "replicate": [1], "size_factor": [0.25], "curve": ["1e4"]}
    )
    (section,) = [
        one
        for one in report.study_sections(replace(study(), failures=failures))
        if one.title == "Failed runs"
    ]
    said, table = section.blocks
    assert isinstance(said, Paragraph)
    assert said.text == "1 run gave no number and is left out of every mean above."
    assert isinstance(table, Table)
    assert list(table.header) == ["curve", "size factor", "replicate", "step", "run"]
    assert table.rows == [("1e4", "1/4", "1", "37", "ab12")]
    none = report.study_sections(replace(study(), failures=failures.iloc[:0]))
    assert [one.blocks[0] for one in none if one.title == "Failed runs"] == [
        Paragraph("No run failed.")
    ]
    with pytest.raises(BadArgument, match="`failures` lacks the columns step"):
        replace(study(), failures=failures.drop(columns="step"))


def test_the_papers_figure_beside_ours_has_a_section() -> None:
    sections = report.study_sections(replace(study(), beside=[picture()]))
    titles = [section.title for section in sections]
    assert titles[:3] == ["Answer", "Figures", "Beside the paper's figure"]


def test_panels_of_other_networks_have_tables_of_their_own() -> None:
    points = published.values("fig1").assign(replicate=0, site="all")
    means = published.replicate_means(points)
    tables = report.study_sections(
        replace(study(), means=means, gains=study().gains.iloc[:0], comparison=bare(means))
    )
    (results,) = [section for section in tables if section.title == "Results"]
    assert [len(table.rows) for table in results.blocks if isinstance(table, Table)] == [13, 20, 15]
    caption = next(table.caption for table in results.blocks if isinstance(table, Table))
    assert caption == "Mean ± SD (n − 1) over n trained networks. Accuracy in percent."


def bare(means: pd.DataFrame) -> pd.DataFrame:
    gains = frames()[1].iloc[:0]
    return published.compare(means, gains, published.read("fig1"))


def many() -> list[report.StudyReport]:
    failures = pd.DataFrame({"curve": ["1"], "size_factor": [1.0], "replicate": [0], "step": [3]})
    return [
        replace(study(), title="First & <best>", beside=[picture()]),
        replace(study(replicates=1), title="Second", failures=failures, runs=("only-here",)),
    ]


def test_all_studies_stand_on_one_page_that_loads_nothing() -> None:
    text = report.render_all(many(), "All studies", "One claim.")
    page = Page(text)
    assert page.open == []
    assert not page.all("script")
    headings = [h["id"] for h in page.all("h2")]
    assert headings == ["overview", "first-best", "second"]
    assert [a["href"] for a in page.all("a")] == [f"#{name}" for name in headings]
    assert len(page.all("svg")) == 3 + 2
    names = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(names) == len(set(names))
    assert "only-here" not in text
    assert len(text) < 1_000_000


def test_the_overview_counts_what_agrees_and_what_failed() -> None:
    (table,) = [block for block in overview._sections(many())[0].blocks if isinstance(block, Table)]
    assert table.rows == [
        ("First & <best>", "3", "10 of 10", "75 of 75", "–"),
        ("Second", "1", "–", "–", "1"),
    ]


def test_a_page_of_no_study_or_of_one_twice_is_refused() -> None:
    with pytest.raises(BadArgument, match="`reports` is empty"):
        report.render_all([], "T")
    with pytest.raises(BadArgument, match="`reports` has 'Second' 2 times"):
        report.render_all([many()[1]] * 2, "T")
