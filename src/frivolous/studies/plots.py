"""The figures of a study, by what it sets on its axes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from frivolous import figures
from frivolous.published import PublishedFigure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from frivolous.studies.result import StudyResult


@dataclass(frozen=True)
class Pictures:
    """A study's figures as files: its own, and one next to the paper's where there are numbers."""

    png: bytes
    svg: str
    beside_png: bytes | None
    beside_svg: str | None


def pictures(result: StudyResult) -> Pictures:
    """Draw a study's figures, each once."""
    figure, beside = draw(result), draw_side_by_side(result)
    return Pictures(
        figures.to_png(figure),
        figures.to_svg(figure),
        None if beside is None else figures.to_png(beside),
        None if beside is None else figures.to_svg(beside),
    )


def draw(result: StudyResult) -> Figure:
    """Draw a study as the paper does, published points in grey."""
    return DRAWN[result.study.kind](result)


def draw_side_by_side(result: StudyResult) -> Figure | None:
    """Draw the paper's figure from its numbers next to ours; None where no numbers are known."""
    kind, told = result.study.kind, result.published.values
    there = {(row.panel, row.measure) for row in told.itertuples()}
    panels = [panel for panel in _panels(result) if (panel.name, panel.measure) in there]
    if kind in ("correlations", "counts") or not panels:
        return None
    return figures.side_by_side_figure(
        result.published,
        result.table if kind in ("sizes", "parameters") else None,
        result.gains if kind == "sizes" else None,
        curves=result.best_curves if kind == "ablation" else None,
        past=result.past if kind == "past" else None,
        panels=panels,
        **_words(result),
    )


def title_of(result: StudyResult) -> str:
    """Return a figure's title: a small scale or a part of the study is named in it."""
    words = []
    if result.scale != "paper" and result.study.kind != "parameters":
        data = result.study.instead(result.scale)
        words.append(f"scale {result.scale}: {data + ', ' if data else ''}not the paper's size")
    if result.study.shortened:
        words.append(result.study.shortened)
    suffix = f" ({'; '.join(words)})" if words else ""
    return f"{result.study.name}: {result.study.title}{suffix}"


def scale_of(result: StudyResult) -> str:
    """Return the scale as captions name it."""
    if result.study.kind == "parameters":
        return ""
    return result.scale if not result.study.shortened else f"{result.scale}, in part"


def claim_of(result: StudyResult) -> str:
    """Return a study's claim; a paper's is said to be the paper's: the figure may say otherwise."""
    papers = result.study.listed and not result.study.told
    whose = "Claim of the paper" if papers else "Claim"
    return f"{whose}: {result.study.claim}"


def _panels(result: StudyResult) -> list[figures.Panel]:
    return [
        figures.Panel(panel.name, panel.measure, title=panel.title, version=panel.version)
        for panel in result.study.panels
    ]


def _words(result: StudyResult) -> dict[str, Any]:
    """Return what every figure of a study says around its axes."""
    return {
        "title": title_of(result),
        "claim": claim_of(result),
        "scale": scale_of(result),
    }


def _sizes(result: StudyResult) -> Figure:
    return figures.study_figure(
        result.table,
        result.gains,
        result.published.values,
        _panels(result),
        **_words(result),
    )


def _counts(result: StudyResult) -> Figure:
    return figures.counts_figure(
        result.table,
        result.gains,
        result.published.values,
        result.published.curve_gains,
        **_words(result),
    )


def _ablation(result: StudyResult) -> Figure:
    told = _told(result.published)
    return figures.ablation_figure(result.best_curves, told, **_words(result))


def _correlations(result: StudyResult) -> Figure:
    told = _told(result.published)
    return figures.correlation_grid(result.correlations, told, **_words(result))


def _past(result: StudyResult) -> Figure:
    return figures.last_epochs_figure(result.past, _told(result.published), **_words(result))


def _told(published: PublishedFigure) -> pd.DataFrame | None:
    return published.values if len(published.values) else None


DRAWN: dict[str, Callable[[StudyResult], Figure]] = {
    "sizes": _sizes,
    "counts": _counts,
    "parameters": _sizes,
    "ablation": _ablation,
    "correlations": _correlations,
    "past": _past,
}
