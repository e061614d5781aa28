"""The verbs of studies: run, report, list."""

from __future__ import annotations

import json
import multiprocessing
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

from frivolous.cli.progress_bar import Watcher
from frivolous.cli.scale import ALL_NOTE, check_folder_is_read, scale_note, settle_scale
from frivolous.cli.study_args import ALL, Which
from frivolous.cli.user_studies import named_study
from frivolous.errors import BadArgument, FrivolousError, StoreError
from frivolous.store import Store
from frivolous.studies import STUDIES, Study
from frivolous.studies.cost import usual_scale
from frivolous.studies.engine import Listener
from frivolous.studies.load import read_result
from frivolous.studies.result import StudyResult
from frivolous.studies.run import ready
from frivolous.studies.run import run_study as execute
from frivolous.studies.study import SCALE_NAMES
from frivolous.text.study import gain_lines, study_text


def tell_note(line: str) -> None:
    """Print what a store has to say while it is read, such as a corrupt run set aside."""
    print(f"note: {line}", file=sys.stderr)


def requested_studies(which: Which) -> list[Study]:
    """Return the studies asked for, each cut to the curves, sizes and epochs that are wanted."""
    parts = bool(which.curves or which.sizes or which.epochs is not None)
    if which.study == ALL and which.curves:
        raise BadArgument("`curves` goes with one study, not with all; name the study.")
    studies = list(STUDIES.values()) if which.study == ALL else [named_study(which.study)]
    if not parts:
        return studies
    sizes = [size_factor(text) for text in which.sizes]
    return [study.only(curves=which.curves, sizes=sizes, epochs=which.epochs) for study in studies]


def size_factor(text: str) -> float:
    """Return a size factor written as 1/4 or 0.25."""
    try:
        return float(Fraction(text))
    except (ValueError, ZeroDivisionError):
        raise BadArgument(
            f"`sizes` are size factors such as 1/4 or 2; got {text!r}. Write a number."
        ) from None


def run_studies(
    which: Which, device: str, weights: str, folder: Path | None, workers: int = 1
) -> None:
    """Run studies with a progress bar; print and write each one's result as it is finished."""
    plain, which = which.scale is None, settle_scale(which)
    studies = requested_studies(which)
    if plain:
        check_folder_is_read(which, studies[0], folder)
    if plain and which.study == ALL:
        tell_note(ALL_NOTE)
        plain = False
    options: dict[str, Any] = {"device": device, "weights": weights, "folder": folder}
    results, faults = [], []
    with with_workers(which, options, workers):
        for study in studies:
            store = Store(which.store, note=tell_note)
            try:
                results.append(_run(study, store, which, options, plain=plain))
            except FrivolousError as error:
                if len(studies) == 1 or _disk_refused(error):
                    raise
                # One study without its data does not keep the others from being made.
                faults.append(study.name)
                tell_note(f"{study.name}: {error}")
    _write_all(which, Store(which.store, note=tell_note), results)
    if faults:
        raise FrivolousError(
            f"{len(faults)} of {len(studies)} studies were not made: {', '.join(faults)}; the "
            "notes above say why"
        )


def _disk_refused(error: FrivolousError) -> bool:
    """Whether the store's disk is what failed: it would fail the next study too."""
    return isinstance(error, StoreError) and isinstance(error.__cause__, OSError)


def _run(
    study: Study, store: Store, which: Which, options: dict[str, Any], *, plain: bool
) -> StudyResult:
    """Run one study, print its table and gains, write its documents."""
    assert which.scale is not None
    minutes = ready(
        *(study, store, which.scale),
        replicates=which.replicates,
        seed=which.seed,
        device=options["device"],
        folder=options["folder"],
    )
    with store.claim(()):
        pass  # what cannot be written is said before the work, not after it
    if note := scale_note(study, which, minutes, plain=plain):
        tell_note(note)
    with Watcher(study.cells(which.scale, which.replicates, which.seed)) as watcher:
        result = _execute(study, store, which, options, watcher)
        watcher.end()
    print(study_text(result))
    print()
    for line in gain_lines(result):
        print(line)
    write_documents(result)
    return result


def _execute(
    study: Study, store: Store, which: Which, options: dict[str, Any], listener: Listener | None
) -> StudyResult:
    assert which.scale is not None
    return execute(
        study,
        store,
        scale=which.scale,
        replicates=which.replicates,
        seed=which.seed,
        listener=listener,
        **options,
    )


@contextmanager
def with_workers(which: Which, options: dict[str, Any], workers: int) -> Iterator[None]:
    """Let further processes work on the same store meanwhile, with an equal share of the cores.

    They take what is free and leave when nothing is; one that dies is made up for by the others.
    """
    import torch

    if workers < 1:
        raise BadArgument(f"`workers` must be at least 1; got {workers}.")
    threads = max(1, torch.get_num_threads() // workers)
    context = multiprocessing.get_context("spawn")
    others = [
        context.Process(target=_work_along, args=(which, options, threads), daemon=True)
        for _ in range(workers - 1)
    ]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    for other in others:
        other.start()
    try:
        yield
    finally:
        torch.set_num_threads(before)
        for other in others:
            other.terminate()
            other.join()


def _work_along(which: Which, options: dict[str, Any], threads: int) -> None:
    """Make runs beside the process that reports them."""
    import torch

    torch.set_num_threads(threads)
    for study in requested_studies(which):
        # What goes wrong here goes wrong there too, where it is told.
        with suppress(FrivolousError, OSError, KeyboardInterrupt):
            _execute(study, Store(which.store), which, options, None)


def write_reports(which: Which) -> None:
    """Write figures and reports of finished studies."""
    which = settle_scale(which)
    assert which.scale is not None
    store = Store(which.store, note=tell_note)
    results = [
        read_result(study, store, which.scale, which.replicates, which.seed)
        for study in requested_studies(which)
    ]
    for result in results:
        write_documents(result)
    _write_all(which, store, results)


def _write_all(which: Which, store: Store, results: Sequence[StudyResult]) -> None:
    """Write the one page of all studies, where all were asked for."""
    if which.study != ALL or not results:
        return
    from frivolous.studies.report import all_html

    scale = "" if which.scale == "paper" else f"-{which.scale}"
    print(store.write_document(f"studies/all{scale}.html", all_html(results)))


def write_documents(result: StudyResult) -> None:
    """Write figures, tables, the specs of the runs, and the report; print their paths."""
    from frivolous.studies.report import report_html

    folder, name, drawn = folder_of(result), result.study.name, result.pictures
    documents: dict[str, bytes | str] = {f"{name}.png": drawn.png, f"{name}.svg": drawn.svg}
    if drawn.beside_png is not None:
        documents[f"{name}-beside.png"] = drawn.beside_png
    documents |= {
        "table.csv": result.table.to_csv(index=False),
        "gains.csv": result.gains.to_csv(index=False),
        "runs.json": json.dumps(result.records(), indent=1) + "\n",
        "report.html": report_html(result),
    }
    for file, content in documents.items():
        print(result.store.write_document(f"{folder}/{file}", content))


def folder_of(result: StudyResult) -> str:
    """Return the folder of a result's documents in its store."""
    words = [result.study.name]
    if result.scale != "paper":
        words.append(result.scale)
    if result.seed:
        words.append(f"seed{result.seed}")
    if result.study.part:
        words.append(re.sub(r"[^A-Za-z0-9.]+", "-", " ".join(result.study.part)).strip("-"))
    return "studies/" + "-".join(words)


def print_studies() -> None:
    """Print every study with its claim, networks and cost."""
    for name, study in STUDIES.items():
        print(f"{name}: {study.title}")
        print(f"  claim: {study.claim}")
        usual = usual_scale(study)
        for scale in SCALE_NAMES:
            taken = "; taken where no scale is named" if scale == usual else ""
            print(f"  {scale}: {study.cost_of(scale)}{taken}")
