"""A study in a user's own file: run as docs/extending.md shows it, and refused in one line."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from frivolous.store import Store
from frivolous.studies import STUDIES
from saying import Say, sayer

PAGE = (Path(__file__).parents[2] / "docs" / "extending.md").read_text()
EXAMPLE, COMMANDS = (
    re.search(rf"^```{kind}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)[1]  # type: ignore[index]
    for kind in ("python", "console")
)
TINY = """
from dataclasses import replace
from frivolous.studies import Study
from frivolous.studies.papers.dense_curves import DenseCurve
from frivolous.studies.study import Panel, Series

CURVE = DenseCurve("a curve", 10, learning_rates=(0.1,), epochs=2)
STUDY = Study("mine", "Mine", "It works.", (CURVE,), (Panel("a", "prunable"),), size_factors=(1.0,))
"""


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Say:
    """Run a command in a folder that holds the example and a tiny study."""
    monkeypatch.chdir(tmp_path)
    Path("decay.py").write_text(EXAMPLE)
    Path("mine.py").write_text(TINY)
    return sayer(monkeypatch, capfd)


def test_the_example_of_the_docs_runs_as_its_commands_say(say: Say) -> None:
    lines = [line[2:].split("#")[0] for line in COMMANDS.splitlines()]
    run, status, report = (say(*shlex.split(line)[1:]) for line in lines)
    assert (run.code, status.code, report.code) == (0, 0, 0)
    assert run.out.startswith("decay, scale cpu: mean ± SD over 2 replicates")
    assert "panel a, prunable: gain per doubling" in run.out
    assert "nothing published" in run.out
    assert status.out == (
        "decay, scale cpu, seed 0, store runs: 24 of 24 networks done, 0 under way, 0 to do\n"
    )
    folder = Path("runs/studies/decay-cpu")
    assert str(folder / "report.html") in report.out.splitlines()
    assert set(pd.read_csv(folder / "table.csv")["curve"]) == {"decay 0.95", "no decay"}
    page = (folder / "report.html").read_text()
    assert "frivolous run decay.py:STUDY --scale cpu --seed 0 --store runs" in page
    assert "Claim: Prunable units grow" in page
    assert "Claim of the paper" not in page
    assert "Published values" not in page
    assert "grey" not in page


def test_options_parts_and_workers_are_those_of_a_named_study(say: Say) -> None:
    words = ("mine.py:STUDY", "--scale", "cpu", "--replicates", 1, "--seed", 3, "--store", "s")
    missing = say("report", *words)
    assert missing.code == 2
    assert missing.line == (
        "store s lacks 1 of the networks of mine at scale cpu, seed 3; make them with: frivolous "
        "run mine.py:STUDY --scale cpu --seed 3 --replicates 1 --store s"
    )
    said = say("run", *words, "--workers", 2)
    assert said.code == 0, said.err
    assert Path("s/studies/mine-cpu-seed3/mine.png").is_file()
    assert len(Store("s").ids()) == 1
    assert "1 of 1 networks done" in say("status", *words).out
    assert "0 of 1 networks done" in say("status", *words, "--epochs", 1).out
    assert say("status", "--store", "s").out.splitlines()[1:] == [
        "1 more are of no whole study: fewer epochs, more replicates, or a study of your own"
    ]


def test_without_a_scale_the_full_size_is_taken_where_it_is_short(say: Say) -> None:
    assert say("status", "mine.py:STUDY").out.startswith("mine, scale paper, seed 0, store runs: ")
    said = say("run", "mine.py:STUDY", "--replicates", 1)
    assert said.code == 0
    assert "note: mine, scale paper: its full size, about" in said.err


def test_a_function_may_give_the_study(say: Say) -> None:
    Path("mine.py").write_text(f"{TINY}\ndef make():\n    return STUDY\n")
    assert say("status", "mine.py:make", "--scale", "cpu").out.startswith("mine, scale cpu")


WRONG = {
    "mine.py:STUD": "unknown `study` in mine.py: 'STUD'; did you mean 'STUDY'? Known: ",
    "mine.py": "`study` is FILE.py:NAME; got mine.py. Write e.g. model.py:net.",
    "none.py:STUDY": "`study` names the file none.py, which is not there. Write FILE.py:NAME",
    "mine.py:CURVE": "`study` mine.py:CURVE is of type DenseCurve; name a frivolous.studies.Study",
    "mine.py:Study": "`study` mine.py:Study needs the arguments name, title, claim, curves, panel",
    "mine": "unknown study 'mine'. Known: fig1a, ",
}


@pytest.mark.parametrize("verb", ["run", "report", "status"])
@pytest.mark.parametrize("place", WRONG)
def test_what_is_no_study_is_refused_in_one_line(place: str, verb: str, say: Say) -> None:
    assert say(verb, place).only.startswith(WRONG[place])
    assert not Path("runs").exists()


FIELDS = {
    'name="../up"': "has the name '../up', and its results a folder of that name; use letters, ",
    'name="fig4d"': "has the name fig4d, which is that of a study or figure of the papers. Give",
    'name="figE3"': "has the name figE3, which is that of a study or figure of the papers. Give",
    'name="all"': "has the name all, which is that of a study or figure of the papers. Give it",
    "panels=()": "needs a curve, a panel and a size factor at least. Give it some.",
    "curves=()": "needs a curve, a panel and a size factor at least. Give it some.",
    "curves=(CURVE, CURVE)": "has two curves named 'a curve'. Rename one.",
    "curves=CURVE": "cannot be laid out: TypeError: 'DenseCurve' object is not iterable. Correct",
    "size_factors=(1.0, -1.0)": "has the size factor -1; one is a positive number. For networks",
    'kind="size"': "unknown kind of study 'size'; did you mean 'sizes'? Known: ",
    'panels=(Panel("a", "prunabel"),)': "unknown measure of panel a 'prunabel'; did you mean 'pr",
    'panels=(Panel("a", "area", series=(Series("x", "no curve"),)),)': (
        "unknown curve of panel a 'no curve'; did you mean 'a curve'? Known: a curve."
    ),
}


@pytest.mark.parametrize("field", FIELDS)
def test_fields_that_cannot_be_run_are_refused_before_anything_is_trained(
    field: str, say: Say
) -> None:
    Path("mine.py").write_text(f"{TINY}\nSTUDY = replace(STUDY, {field})\n")
    line = say("run", "mine.py:STUDY", "--scale", "cpu").only
    assert FIELDS[field] in line
    assert not Path("runs").exists()


def test_a_study_of_the_papers_under_its_own_name_is_refused(say: Say) -> None:
    Path("mine.py").write_text('from frivolous.studies import STUDIES\nS = STUDIES["fig4d"]\n')
    assert "has the name fig4d, which is" in say("run", "mine.py:S").only


def test_help_says_how_a_study_of_ones_own_is_named(say: Say) -> None:
    for verb in ("run", "report", "status"):
        assert "FILE.py:NAME" in say(verb, "--help").out


def test_every_measure_that_the_docs_name_can_be_shown() -> None:
    from frivolous.studies.panel_values import shown_in_panels

    (panels,) = re.findall(r"^- `panels`:(.*?)^- ", PAGE, flags=re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"`(\w+)`", panels)) - {"joint_tolerance"}
    assert named <= set(shown_in_panels())
    assert {panel.measure for panel in STUDIES["effective-width"].panels} <= named


def test_a_study_made_in_python_says_that_its_file_is_to_be_named() -> None:
    command = replace(STUDIES["fig4d"], name="mine").command("runs", scale="cpu")
    assert command == "frivolous run FILE.py:NAME --scale cpu --seed 0 --store runs"
    assert STUDIES["fig4d"].command("runs", scale="cpu").startswith("frivolous run fig4d --scale")
