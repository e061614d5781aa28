"""The report of a study: its answer, its figures and tables, and how to reproduce it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from frivolous.errors import BadArgument
from frivolous.report.blocks import Block, Code, Details, Facts, Paragraph, Picture, Section, Table
from frivolous.report.page import write_report
from frivolous.report.tables import (
    answers,
    compare_table,
    failures_table,
    gains_table,
    means_tables,
    plain_table,
)


@dataclass(frozen=True)
class StudyReport:
    """Everything the page of a study shows, as frames and strings.

    ``title`` and ``claim``: the question and what the paper says. ``figures``: pictures in order.
    ``means``: :func:`frivolous.published.replicate_means` of the study's table. ``gains``:
    ``StudyResult.gains``. ``comparison``: :func:`frivolous.published.compare`. ``protocol``:
    triples (field, value, reason). ``choices``: chosen learning rates and the like, any frame.
    ``beside``: pictures of the paper's figure and ours side by side. ``failures``: runs that gave
    no number, one row each with ``curve, size_factor, replicate, step`` (the update at which the
    loss was not finite) and whatever else identifies them; None: it is not known that none failed.
    ``machine``, ``versions``: names and values. ``seeds``, ``commit``, ``store``, ``command``: as
    they are to be printed; an empty one is left out. ``runs``: run ids, folded away. ``notes``:
    what a reader must know to judge (scale, deviations). ``cost``: what it took.

    No path is added to those given here.
    """

    title: str
    claim: str
    means: pd.DataFrame
    gains: pd.DataFrame
    comparison: pd.DataFrame
    figures: Sequence[Picture] = ()
    notes: Sequence[str] = ()
    protocol: Sequence[tuple[str, str, str]] = ()
    choices: pd.DataFrame | None = None
    machine: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    seeds: str = ""
    commit: str = ""
    store: str = ""
    cost: str = ""
    runs: Sequence[str] = ()
    command: str = ""
    source: str = "Casper et al. 2021"
    beside: Sequence[Picture] = ()
    failures: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        """Raise for frames without the columns that the tables read."""
        needed = {
            "means": ("panel", "measure", "curve", "size_factor", "n", "dropped", "mean", "sd"),
            "gains": ("panel", "measure", "curve", "gain", "low", "high"),
            "comparison": ("kind", "panel", "measure", "curve", "published", "within", "rule"),
        }
        if self.failures is not None:
            needed["failures"] = ("curve", "size_factor", "replicate", "step")
        for name, columns in needed.items():
            missing = [one for one in columns if one not in getattr(self, name).columns]
            if missing:
                raise BadArgument(
                    f"`{name}` lacks the columns {', '.join(missing)}. Pass the frame of "
                    "frivolous.published or of the study's result."
                )


def study_sections(report: StudyReport) -> list[Section]:
    """Return the sections of a study's page; one without content is left out."""
    told: list[Block] = [Paragraph(line, "answer") for line in answers(report.comparison)]
    told += [Paragraph(note) for note in report.notes]
    sections = [
        Section("Answer", told),
        Section("Figures", list(report.figures)),
        Section("Beside the paper's figure", list(report.beside)),
        Section("Results", list(means_tables(report.means))),
        Section("Gains", gains_table(report.comparison, report.gains, report.source)),
        Section("Beside the published points", compare_table(report.comparison, report.source)),
        Section("Failed runs", failures_table(report.failures)),
        Section("Protocol", protocol_blocks(report)),
        Section("Run it again", again_blocks(report)),
    ]
    return [section for section in sections if section.blocks]


def write_study_report(path: str | os.PathLike[str], report: StudyReport) -> Path:
    """Write the page of a study as one self-contained file; return its path.

    Raises:
        BadArgument: the folder does not exist.

    """
    footer = f"Written by frivolous. Published values: {report.source}."
    return write_report(path, report.title, report.claim, study_sections(report), footer)


def protocol_blocks(report: StudyReport) -> list[Block]:
    """Return the protocol and what was chosen."""
    blocks: list[Block] = []
    if report.protocol:
        rows = [tuple(map(str, row)) for row in report.protocol]
        caption = "How every number was made, and why."
        blocks.append(Table(("field", "value", "reason"), rows, caption, prose=(1, 2)))
    if report.choices is not None and len(report.choices):
        chosen = "What each curve chose at each width (learning rates and other settings)."
        blocks.append(Details("Chosen settings", [plain_table(report.choices, chosen)]))
    return blocks


def again_blocks(report: StudyReport) -> list[Block]:
    """Return how to reproduce it, the machine it ran on, and the ids of its runs."""
    blocks: list[Block] = []
    if report.command:
        blocks += [Paragraph("The same study again, from the same specification:")]
        blocks.append(Code(report.command))
    named = {"commit": report.commit, "seeds": report.seeds, "store": report.store}
    facts = [(name, value) for name, value in (*named.items(), ("cost", report.cost)) if value]
    facts += [(name, str(value)) for name, value in report.machine.items()]
    if facts:
        blocks.append(Facts(facts))
    if report.versions:
        versions = [(name, str(value)) for name, value in report.versions.items()]
        blocks.append(Details("Versions", [Facts(versions)]))
    if report.runs:
        rows = [(f"{place}", run) for place, run in enumerate(report.runs, 1)]
        blocks.append(Details(f"{len(rows)} run ids", [Facts(rows)]))
    return blocks
