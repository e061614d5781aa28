"""The watcher counts every network once, whoever made it and whenever."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from frivolous.cli.progress_bar import Watcher
from frivolous.cli.study import run_studies
from frivolous.cli.study_args import Which
from frivolous.store import Store
from frivolous.studies.run import run_study as execute
from frivolous.studies.study import Study

COUNT = re.compile(r"(\d+)/(\d+) networks done; (.*)")


def counts(text: str) -> list[tuple[int, int]]:
    found = [COUNT.search(line) for line in text.splitlines()]
    assert all(found), text
    return [(int(match[1]), int(match[2])) for match in found if match]


def watched(study: Study, store: Path, **options: int) -> Watcher:
    with Watcher(study.cells("cpu", options.get("replicates"))) as watcher:
        execute(study, store, scale="cpu", listener=watcher, **options)  # type: ignore[arg-type]
    return watcher


def test_a_fresh_run_counts_to_the_total_a_line_per_group(
    tiny: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_studies(Which("figE7", "cpu", tmp_path / "store"), "cpu", "chosen", None)
    shown = capsys.readouterr()
    assert counts(shown.err) == [(done, 24) for done in (0, 4, 8, 12, 16, 20, 24)]
    assert shown.err.splitlines()[-1].endswith("24/24 networks done; all done")
    assert "networks done" not in shown.out


def test_what_was_done_before_is_counted_once(
    tiny: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.run(tmp_path, scale="cpu", replicates=1)
    watcher = watched(tiny, tmp_path)
    assert counts(capsys.readouterr().err) == [(done, 24) for done in (12, 14, 16, 18, 20, 22)]
    assert watcher.count == "24/24"
    assert watcher.bar.finished
    again = watched(tiny, tmp_path)
    assert again.count == "24/24"
    assert capsys.readouterr().err == ""


def test_a_damaged_run_is_not_counted_as_done(
    tiny: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = tiny.run(tmp_path, scale="cpu")
    measures = tmp_path / "runs" / result.chosen[0].runs[0] / "measures.parquet"
    content = bytearray(measures.read_bytes())
    content[100] ^= 0xFF
    measures.write_bytes(bytes(content))
    watcher = watched(tiny, tmp_path)
    assert counts(capsys.readouterr().err) == [(23, 24)]
    assert watcher.count == "24/24"


def test_what_another_process_made_is_counted_when_it_is_there(
    tiny: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from frivolous.studies import engine

    monkeypatch.setattr(engine, "PAUSE", 0.001)
    result = tiny.run(tmp_path / "theirs", scale="cpu")
    cell, store = result.chosen[-1].cell, Store(tmp_path / "store")
    claim = store.claim(cell.search_ids)

    class Waiter(Watcher):
        def waiting(self, runs: int) -> None:
            super().waiting(runs)
            super().waiting(runs)
            for id in cell.search_ids:
                run = result.store.get(id)
                store.put(run.spec, run.measures, run.facts, {"curves": run.frame("curves")})
            claim.release()

    with Waiter(tiny.cells("cpu")) as watcher:
        execute(tiny, store.path, scale="cpu", listener=watcher)
    assert watcher.count == "24/24"
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "waiting" in line] == [lines[-1]]
    assert lines[-1].endswith("20/24 networks done; waiting for 4 made by another process")


def test_replicates_after_the_search_are_counted(
    tiny: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from dataclasses import replace

    curves = tuple(replace(curve, searched=1) for curve in tiny.curves)
    study = replace(tiny, curves=curves, size_factors=(1.0, 2.0))
    watcher = watched(study, tmp_path, replicates=3)
    found = counts(capsys.readouterr().err)
    assert found == [(done, 16) for done in (0, 2, 4, 6, 8, 10, 12, 14)]
    assert watcher.count == "16/16"
