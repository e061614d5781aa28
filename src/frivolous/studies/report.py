"""Build the page of a study from its result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from frivolous import published
from frivolous.measures import AS_WRITTEN
from frivolous.measures.conventions import Protocol, differences
from frivolous.report import Picture, StudyReport, render_all, render_page, study_sections
from frivolous.store.provenance import provenance as here_and_now
from frivolous.studies.plots import claim_of, title_of
from frivolous.studies.result import StudyResult


def report_html(result: StudyResult) -> str:
    """Return the self-contained page of a study."""
    report = study_report(result)
    footer = f"Written by frivolous. Published values: {report.source}."
    return render_page(report.title, report.claim, study_sections(report), footer)


def all_html(results: Sequence[StudyResult]) -> str:
    """Return the self-contained page of many studies."""
    scales = ", ".join(dict.fromkeys(result.scale for result in results))
    return render_all(
        [study_report(result) for result in results],
        "Frivolous units: every study",
        f"{len(results)} studies at scale {scales}, beside the published numbers.",
    )


def study_report(result: StudyResult) -> StudyReport:
    """Gather what the page shows."""
    study = result.study
    provenance = result.store.record(result.runs[0]).provenance if result.runs else here_and_now()
    machine, versions = _machine_and_versions(provenance)
    drawn = result.pictures
    return StudyReport(
        title=title_of(result),
        claim=claim_of(result),
        means=published.replicate_means(result.table),
        gains=result.gains,
        comparison=result.compare(),
        figures=[
            Picture(
                drawn.svg,
                alt=_alt(result),
                caption=CAPTIONS[study.kind],
            )
        ],
        beside=[Picture(drawn.beside_svg, alt=_alt(result))] if drawn.beside_svg else [],
        notes=_notes(result),
        protocol=[*study.notes, *_protocol_rows(study.protocol)],
        choices=result.choices(),
        machine=machine,
        versions=versions,
        seeds=f"{result.seed}, replicates 0 to {result.replicates - 1}" if result.runs else "",
        commit=str(provenance.get("commit") or "not in a git checkout"),
        store=str(result.store.path),
        cost=study.cost_of(result.scale),
        runs=result.runs,
        command=result.command,
        failures=result.failed if result.runs else None,
    )


CAPTIONS = {
    "sizes": "Points are means over trained replicates; grey marks are published.",
    "counts": "Points are means over trained replicates, bars their range; grey: published.",
    "parameters": "Counts are exact; grey marks are published.",
    "ablation": "At every fraction the best of the draws; grey marks are published.",
    "correlations": "Every pair of units of a layer; grey marks are published means.",
    "past": "The same networks at the end of training and some epochs earlier; grey: published.",
}


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
    notes += dict.fromkeys(filter(None, map(_data_note, facts)))
    return notes


def _data_note(facts: Mapping[str, Any]) -> str:
    """Return a note on a run's data, if there is something to know."""
    if "tries" in facts:
        return (
            f"Teacher: {facts['tries']} tries until balanced; label 1 for "
            f"{100 * facts['share_of_label_1']:.1f}% of inputs."
        )
    if facts.get("encoding") == "JPEG":
        return (
            "The images were read from JPEG files, not from the official bitmaps: accuracies can "
            "differ a little."
        )
    return ""


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
