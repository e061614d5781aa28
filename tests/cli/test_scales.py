"""Which scale a command takes where none is named, what it says of the time, what a store holds."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from frivolous.cli import scale as scales
from frivolous.cli import study as verbs
from frivolous.cli.study_args import Which
from frivolous.store import Store
from frivolous.studies import STUDIES, Study
from frivolous.studies.cost import usual_scale
from saying import Say, sayer

pytestmark = pytest.mark.usefixtures("tiny")
DIGITS = "on handwritten digits that come with the package"


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Say:
    """Run a command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return sayer(monkeypatch, capfd)


@pytest.fixture(scope="module")
def finished(tiny: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which the small study is finished at two seeds; tests leave it as it is."""
    store = tmp_path_factory.mktemp("scales") / "store"
    tiny.run(store, scale="cpu")
    tiny.run(store, scale="cpu", seed=3, replicates=1)
    return store


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The studies and scales that would be run; nothing is."""
    seen: list[tuple[str, str]] = []

    def noted(study: Study, store: Store, which: Which, *_: Any, **__: Any) -> None:
        assert which.scale is not None
        seen.append((study.name, which.scale))

    monkeypatch.setattr(verbs, "_run", noted)
    monkeypatch.setattr(verbs, "_write_all", lambda *_: None)
    return seen


# ---- the scale


@pytest.mark.parametrize("name", STUDIES)
def test_run_status_and_report_take_the_same_scale_where_none_is_named(
    name: str, say: Say, taken: list[tuple[str, str]]
) -> None:
    scale = usual_scale(STUDIES[name])
    assert say("run", name).code == 0
    assert taken == [(name, scale)]
    assert say("status", name).out.startswith(f"{name}, scale {scale}, seed 0, store runs: 0 of ")
    if STUDIES[name].cells():
        assert f"of the networks of {name} at scale {scale}, seed 0" in say("report", name).only


def test_a_part_lies_where_the_whole_does(say: Say, taken: list[tuple[str, str]]) -> None:
    assert say("run", "fig4c", "--sizes", "1/4", "--epochs", 1, "--replicates", 1).code == 0
    assert taken == [("fig4c", "cpu")]


def test_a_scale_that_is_named_is_taken(say: Say, taken: list[tuple[str, str]]) -> None:
    for name, scale in (("fig1a", "paper"), ("fig4d", "cpu")):
        assert say("run", name, "--scale", scale).code == 0
    assert taken == [("fig1a", "paper"), ("fig4d", "cpu")]


def test_all_studies_take_one_scale_and_say_so_once(say: Say, taken: list[tuple[str, str]]) -> None:
    said = say("run", "all")
    assert taken == [(name, "cpu") for name in STUDIES]
    assert said.err == (
        f"note: all, scale cpu: small versions, {DIGITS}, about half an hour with --workers 2; "
        "--scale paper is the papers' own: years on two cores\n"
    )
    lines = say("status", "all").out.splitlines()
    assert [line.split(", seed")[0] for line in lines] == [f"{n}, scale cpu" for n in STUDIES]


def test_data_for_a_scale_that_nobody_named_are_refused(say: Say) -> None:
    assert say("run", "fig4c", "--data-dir", "cifar10", "--sizes", "1/4").only == (
        "`data_dir` is read at scale paper alone, and fig4c takes scale cpu where none is named. "
        "Write --scale paper (9 networks, about 4 days on two cores), or leave --data-dir out."
    )
    assert say("run", "all", "--data-dir", "cifar10").only == (
        "`data_dir` is read at scale paper alone, and all takes scale cpu where none is named. "
        "Write --scale paper (years), or leave --data-dir out."
    )


def test_a_note_says_the_scale_and_how_to_have_the_papers(
    say: Say, tiny: Study, tmp_path: Path
) -> None:
    note = scales.scale_note
    small, paper = Which("fig1a", "cpu"), Which("fig1a", "paper")
    assert note(STUDIES["fig1a"], small, 2.2, plain=True) == (
        f"fig1a, scale cpu: a small version, {DIGITS}, about 2 minutes on two cores; --scale paper "
        "is the paper's own: 13 networks, about 9 months on two cores, weeks on one GPU"
    )
    assert note(STUDIES["fig1a"], small, 2.2, plain=False) == ""
    assert note(STUDIES["fig1a"], paper, 6e4, plain=False) == (
        "fig1a, scale paper: the paper's own, about 6 weeks on two cores, weeks on one GPU"
    )
    assert note(STUDIES["fig4d"], Which("fig4d", "paper"), 1.7, plain=True) == (
        "fig4d, scale paper: the paper's own, about 2 minutes on two cores"
    )
    assert note(STUDIES["fig4d"], Which("fig4d", "paper"), 1.7, plain=False) == ""
    assert note(STUDIES["figE1"], Which("figE1", "paper"), 0, plain=True) == (
        "figE1, scale paper: nothing is trained"
    )


def test_the_time_is_that_of_what_is_left(
    say: Say, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scales, "SHORT", -1)
    said = say("run", "figE7", "--scale", "cpu", "--store", finished)
    assert said.err.splitlines()[0] == "note: figE7, scale cpu: a small version"
    said = say("run", "figE7", "--scale", "cpu", "--store", "new", "--sizes", 1)
    assert said.err.splitlines()[0] == (
        "note: figE7, scale cpu: a small version, about 10 seconds on two cores"
    )


# ---- what a store holds


def test_status_of_a_store_lists_every_study_and_seed_that_is_begun(
    say: Say, finished: Path
) -> None:
    before = sorted(finished.rglob("*"))
    said = say("status", "--store", finished)
    assert (said.code, said.err) == (0, "")
    head, *lines = said.out.splitlines()
    assert head == f"store {finished}: 36 networks done, 0 under way"
    assert "figE7, scale cpu, seed 0: 24 of 24 networks done, 0 under way, 0 to do" in lines
    assert "figE7, scale cpu, seed 3: 12 of 24 networks done, 0 under way, 12 to do" in lines
    # Fig. 4d has networks of Fig. E7, Fig. E3 those of Fig. 4d.
    assert {line.split(",")[0] for line in lines} == {"figE7", "fig4d", "figE3"}
    assert sorted(finished.rglob("*")) == before
    only = say("status", "--store", finished, "--scale", "paper").out.splitlines()
    assert only == [
        head,
        "36 more are of no whole study: fewer epochs, more replicates, or a study of your own",
    ]


@pytest.mark.parametrize("made", [False, True])
def test_status_of_a_store_that_is_empty_or_not_there(made: bool, say: Say) -> None:
    if made:
        Path("runs").mkdir()
    what = "holds no network" if made else "is not there"
    said = say("status")
    assert (said.code, said.err) == (0, "")
    assert said.out == f"store runs {what}; `frivolous run fig4d --store runs` makes some\n"
    assert Path("runs").exists() == made
    assert not made or not list(Path("runs").iterdir())


def test_status_of_a_store_that_is_a_file(say: Say) -> None:
    Path("runs").write_text("mine")
    assert say("status").only == (
        "cannot open store runs: it is a file. A store is a folder: name another path, or move "
        "that file away."
    )


def test_status_of_a_store_sees_claims_and_leaves_corrupt_runs_alone(
    say: Say, tiny: Study, finished: Path
) -> None:
    shutil.copytree(finished, "store")
    id = tiny.result(finished, scale="cpu").chosen[0].runs[0]
    measures = Path("store/runs", id, "measures.parquet")
    measures.write_bytes(measures.read_bytes()[:-1])
    with Store("store").claim(tiny.cells("cpu", seed=9)[0].search_ids):
        said = say("status", "--store", "store", "--seed", 9)
    head, *lines = said.out.splitlines()
    assert head == "store store: 35 networks done, 4 under way"
    assert measures.exists()
    assert (
        "figE7, scale cpu, seed 0: 23 of 24 networks done, 0 under way, 1 to do, 1 of them "
        "corrupt: run makes them again"
    ) in lines
    assert "figE7, scale cpu, seed 9: 0 of 24 networks done, 4 under way, 20 to do" in lines


def test_status_of_a_store_counts_what_is_of_no_whole_study(say: Say, tiny: Study) -> None:
    part = replace(tiny, size_factors=(1.0,)).only(epochs=1)
    part.run("runs", scale="cpu")
    head, *lines = say("status").out.splitlines()
    assert head == "store runs: 8 networks done, 0 under way"
    assert lines == [
        "8 more are of no whole study: fewer epochs, more replicates, or a study of your own"
    ]
    lines = say("status", "--epochs", 1).out.splitlines()
    assert "figE7, scale cpu, seed 0: 8 of 24 networks done, 0 under way, 16 to do" in lines


def test_status_loads_no_network_code(tmp_path: Path, child: Callable[..., Any]) -> None:
    script = (
        "import sys\nfrom frivolous.cli.verbs import main\n"
        "sys.argv = ['frivolous', 'status', '--store', sys.argv[1]]\nmain()\n"
        "print([n for n in ('matplotlib', 'sklearn') if n in sys.modules])\n"
    )
    out, err = child(script, tmp_path / "none").communicate(timeout=120)
    assert (out.splitlines()[-1], err) == ("[]", "")
