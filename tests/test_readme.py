"""What the README says can be done, is done: its commands and its Python run as they stand."""

from __future__ import annotations

import io
import re
import shlex
import sys
from contextlib import redirect_stdout
from pathlib import Path

import matplotlib as mpl
import pytest

from frivolous.cli import study, verbs

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    lines = "".join(blocks("console")).splitlines()
    return [line.removeprefix("$ ").split("#")[0].strip() for line in lines if line[:2] == "$ "]


def test_make_targets_that_the_readme_names_exist():
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    named = [line.split()[1] for line in commands() if line.startswith("make ")]
    assert {"demo", "test"} <= set(named) <= set(targets)


def test_every_command_of_the_readme_is_of_a_known_kind():
    for line in commands():
        assert line.split()[0] in ("make", "frivolous", "python"), line


@pytest.fixture(scope="module")
def after_commands(tmp_path_factory):
    """The folder that the commands leave, begun empty beside the examples, and what they print.

    They run in order; `make` and the example have their own.
    """
    folder, shown, read = tmp_path_factory.mktemp("readme"), io.StringIO(), []
    (folder / "examples").symlink_to(ROOT / "examples")
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(shown):
        patch.chdir(folder)
        for line in commands():
            words = shlex.split(line)
            if words[0] == "make":
                continue
            if words[0] == "python":
                assert words[1] == "examples/digits.py"
                continue
            if words[1] in ("measure", "compress"):
                continue  # run by tests/test_examples.py, once the example has written its weights
            patch.setattr(sys, "argv", words)
            if "all" in words or "--data-dir" in words:
                # Half an hour, and CIFAR-10: the words are read; tests/studies runs small ones.
                with pytest.MonkeyPatch.context() as within:
                    within.setattr(study, "run_studies", lambda which, *rest: read.append(which))
                    verbs.main()
                assert study.requested_studies(read[-1])
                continue
            verbs.main()
    return folder, shown.getvalue()


def test_the_commands_of_the_readme_run(after_commands):
    folder, shown = after_commands
    assert "panel d, redundant: gain per doubling" in shown
    assert (folder / "runs/studies/fig4d-cpu/report.html").is_file()


def test_the_python_of_the_readme_runs(after_commands, monkeypatch):
    """Where the commands ran: the networks of the study are there already."""
    folder, _ = after_commands
    monkeypatch.chdir(folder)
    mpl.use("Agg")
    names: dict[str, object] = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    assert (folder / "measurement.png").is_file()
    assert set(names["result"].table.columns) >= {"study", "panel", "curve", "run", "value"}


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", *sorted(
    str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")
)])  # fmt: skip
def test_links_to_files_lead_somewhere(page):
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if not target.startswith("http"):
            assert ((ROOT / page).parent / target).exists(), target
