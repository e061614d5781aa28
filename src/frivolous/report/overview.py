"""Every study on one page: an overview, then a section per study."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from frivolous.errors import BadArgument
from frivolous.report.blocks import Block, Details, Paragraph, Section, Table
from frivolous.report.numbers import NONE
from frivolous.report.page import render_page, write_report
from frivolous.report.study import StudyReport, again_blocks, protocol_blocks
from frivolous.report.tables import (
    answers,
    compare_table,
    failures_table,
    gains_table,
    means_tables,
)


def render_all(reports: Sequence[StudyReport], title: str, claim: str = "") -> str:
    """Return one self-contained page of many studies: overview, then a section for each.

    A section holds the claim, the answer, the notes, the figures, the paper's figure next to ours,
    the gains and the failed runs; results, points, protocol and commands are folded away. Run ids
    stay on the studies' own pages. About 0.3 megabytes per study.

    Raises:
        BadArgument: there is no report, or two have one title.

    """
    return render_page(title, claim, _sections(reports), _footer(reports))


def write_all(
    path: str | os.PathLike[str], reports: Sequence[StudyReport], title: str, claim: str = ""
) -> Path:
    """Write the page of :func:`render_all` as one file; return its path.

    Raises:
        BadArgument: as there, or the folder does not exist.

    """
    return write_report(path, title, claim, _sections(reports), _footer(reports))


def _sections(reports: Sequence[StudyReport]) -> list[Section]:
    if not reports:
        raise BadArgument("`reports` is empty; a page of studies has at least one. Run a study.")
    titles = [report.title for report in reports]
    twice = sorted({one for one in titles if titles.count(one) > 1})
    if twice:
        raise BadArgument(
            f"`reports` has '{twice[0]}' {titles.count(twice[0])} times; a page shows each study "
            "once. Leave out the repeats."
        )
    return [
        Section("Overview", [_overview(reports)]),
        *(Section(report.title, _study(report)) for report in reports),
    ]


def _study(report: StudyReport) -> list[Block]:
    blocks: list[Block] = [Paragraph(report.claim, "claim")] if report.claim else []
    blocks += [Paragraph(line, "answer") for line in answers(report.comparison)]
    blocks += [Paragraph(note) for note in report.notes]
    blocks += [*report.figures, *report.beside]
    blocks += gains_table(report.comparison, report.gains, report.source)
    blocks += failures_table(report.failures)
    folded: tuple[tuple[str, Sequence[Block]], ...] = (
        ("Results", means_tables(report.means)),
        ("Beside the published points", compare_table(report.comparison, report.source)),
        ("Protocol", protocol_blocks(report)),
        ("Run it again", again_blocks(replace(report, runs=()))),
    )
    return [*blocks, *(Details(name, inner) for name, inner in folded if inner)]


def _overview(reports: Sequence[StudyReport]) -> Table:
    rows = []
    for report in reports:
        kinds = report.comparison["kind"]
        ns = sorted({int(n) for n in report.means["n"]})
        failed = NONE if report.failures is None else str(len(report.failures))
        rows.append(
            (
                report.title,
                " to ".join(str(n) for n in dict.fromkeys((ns[0], ns[-1]))) if ns else NONE,
                _agreed(report.comparison[kinds.eq("curve gain")]),
                _agreed(report.comparison[kinds.eq("point")]),
                failed,
            )
        )
    head = ("study", "networks per point", "gains", "points", "failed runs")
    caption = (
        "Gains and points: how many of the measured ones have an interval that meets the published "
        f"one, of those where both are known; {NONE}: none can be judged, or it is not known."
    )
    return Table(head, rows, caption)


def _agreed(rows: pd.DataFrame) -> str:
    judged = rows.loc[rows["within"].notna(), "within"].astype(bool)
    return f"{int(judged.sum())} of {len(judged)}" if len(judged) else NONE


def _footer(reports: Sequence[StudyReport]) -> str:
    sources = list(dict.fromkeys(report.source for report in reports))
    return f"Written by frivolous. Published values: {', '.join(sources)}."
