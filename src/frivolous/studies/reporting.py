"""A study's result as the page that shows it."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from frivolous import published
from frivolous.figures import to_svg
from frivolous.measures import AS_WRITTEN
from frivolous.measures.protocol import Protocol, differences
from frivolous.report import Picture, StudyReport, render_page, study_sections
from frivolous.studies.result import StudyResult


def report_html(result: StudyResult) -> str:
    """Return the self-contained page of a study."""
    report = study_report(result)
    footer = f"Written by frivolous. Published values: {report.source}."
    return render_page(report.title, report.claim, study_sections(report), footer)


def study_report(result: StudyResult) -> StudyReport:
    """Gather what the page shows."""
    study = result.study
    ids = [id for one in result.chosen for id in one.runs]
    provenance = result.store.record(ids[0]).provenance
    machine, versions = _machine_and_versions(provenance)
    comparison = result.compare()
    return StudyReport(
        title=f"{study.name}: {study.title}",
        claim=study.claim,
        means=published.replicate_means(result.table),
        gains=result.gains,
        comparison=comparison,
        figures=[
            Picture(
                to_svg(result.figure()),
                alt=_alt(result),
                caption="Points are means over trained replicates; grey marks are published.",
            )
        ],
        notes=_notes(result),
        protocol=[*_study_rows(result), *_protocol_rows(study.protocol)],
        choices=result.choices(),
        machine=machine,
        versions=versions,
        seeds=f"{result.seed}, replicates 0 to {result.replicates - 1}",
        commit=str(provenance.get("commit") or "not in a git checkout"),
        store=str(result.store.path),
        cost=study.cost_of(result.scale),
        runs=ids,
        command=result.command,
    )


def _alt(result: StudyResult) -> str:
    measures = ", ".join(dict.fromkeys(panel.measure for panel in result.study.panels))
    return (
        f"{result.study.title}: {measures} against size factor from 1/4 to 4, one line per curve, "
        "with the published points in grey."
    )


def _notes(result: StudyResult) -> list[str]:
    notes = []
    shrinks = result.study.shrinks(result.scale)
    if shrinks:
        notes.append(f"Scale {result.scale}: {shrinks}.")
    older = {panel.version for panel in result.study.panels if panel.version}
    if older:
        notes.append(
            f"Panels named after figures of the {' and '.join(sorted(older))} come from the same "
            "runs; no numbers of those figures are published."
        )
    facts = [result.store.record(id).facts["data"] for one in result.chosen for id in one.runs[:1]]
    for line in dict.fromkeys(
        f"Teacher: {data['tries']} tries until balanced; label 1 for "
        f"{100 * data['share_of_label_1']:.1f}% of inputs."
        for data in facts
    ):
        notes.append(line)
    return notes


def _study_rows(result: StudyResult) -> list[tuple[str, str, str]]:
    return list(result.study.notes)


def _protocol_rows(protocol: Protocol) -> list[tuple[str, str, str]]:
    changed = {one.field: one.why for one in differences(AS_WRITTEN, protocol)}
    return [
        (f.name, _value(getattr(protocol, f.name)), changed.get(f.name, "as the paper's text says"))
        for f in fields(protocol)
        if f.name not in ("name", "why")
    ]


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"{one:.3g}" for one in value)
    return str(value)


def _machine_and_versions(provenance: Any) -> tuple[dict[str, str], dict[str, str]]:
    versions = {str(name): str(value) for name, value in provenance.get("versions", {}).items()}
    machine = {
        str(name): str(value)
        for name, value in provenance.items()
        if name not in ("versions", "commit") and value is not None
    }
    return machine, versions
