"""The verbs of studies: run, report, status, list."""

from __future__ import annotations

import sys
from pathlib import Path

from frivolous.store import Store
from frivolous.studies import STUDIES
from frivolous.studies.choosing import runs_of
from frivolous.studies.execution import run_study as execute
from frivolous.studies.result import StudyResult, read_result
from frivolous.terminal.progress import Watcher
from frivolous.terminal.study import gain_lines, study_text


def tell_note(line: str) -> None:
    """Print what a store has to say while it is read, such as a corrupt run set aside."""
    print(f"note: {line}", file=sys.stderr)


def run_study(
    name: str,
    scale: str,
    store_path: Path,
    replicates: int | None,
    seed: int,
    device: str,
    weights: str,
) -> None:
    """Run a study with a progress bar, then print and write its result."""
    study = STUDIES[name]
    store = Store(store_path, note=tell_note)
    with Watcher(study.cells(scale, replicates, seed)) as watcher:
        result = execute(
            study,
            store,
            scale=scale,
            replicates=replicates,
            seed=seed,
            device=device,
            weights=weights,
            listener=watcher,
        )
        watcher.end()
    print(study_text(result))
    print()
    print("\n".join(gain_lines(result)))
    write_documents(result)


def write_report(
    name: str, scale: str, store_path: Path, replicates: int | None, seed: int
) -> None:
    """Write figure and report of a finished study."""
    store = Store(store_path, note=tell_note)
    write_documents(read_result(STUDIES[name], store, scale, replicates, seed))


def write_documents(result: StudyResult) -> None:
    """Write the figure as PNG and SVG and the report; print their paths."""
    from frivolous.figures import to_png, to_svg
    from frivolous.studies.reporting import report_html

    folder = f"studies/{result.study.name}"
    if result.scale != "paper":
        folder += f"-{result.scale}"
    if result.seed:
        folder += f"-seed{result.seed}"
    figure = result.figure()
    documents: dict[str, bytes | str] = {
        f"{result.study.name}.png": to_png(figure),
        f"{result.study.name}.svg": to_svg(figure),
        "report.html": report_html(result),
    }
    for file, content in documents.items():
        print(result.store.write_document(f"{folder}/{file}", content))


def print_status(
    name: str, scale: str, store_path: Path, replicates: int | None, seed: int
) -> None:
    """Print how far a study is."""
    store = Store(store_path)
    cells = STUDIES[name].cells(scale, replicates, seed)
    total = sum(cell.networks for cell in cells)
    # Asked of sound cells only: reading a choice would set a corrupt run aside.
    sound = [cell for cell in cells if store.status(cell.search_ids).corrupt == 0]
    ids = [id for cell in cells for id in cell.search_ids] + runs_of(sound, store)
    known = store.status(ids)
    # Replicates of a choice that is not made yet have no id yet; they are to do all the same.
    to_do = total - known.done - known.under_way
    corrupt = f", {known.corrupt} of them corrupt: run makes them again" if known.corrupt else ""
    print(
        f"{name}, scale {scale}, seed {seed}, store {store_path}: {known.done} of {total} networks "
        f"done, {known.under_way} under way, {to_do} to do{corrupt}"
    )


def print_studies() -> None:
    """Print every study with its claim, networks and cost."""
    for name, study in STUDIES.items():
        print(f"{name}: {study.title}")
        print(f"  claim: {study.claim}")
        for scale, cost in study.cost.items():
            print(f"  {scale}: {cost}")
