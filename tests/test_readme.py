"""What the README says can be done, is done: its commands and its Python run as they stand."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import matplotlib as mpl
import pytest

from frivolous import cli
from frivolous.commands import study
from frivolous.commands.which import Which

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


def test_the_commands_of_the_readme_run(tmp_path, monkeypatch, capsys):
    """In order, in an empty folder beside the examples; `make` and the example have their own."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    read: list[Which] = []
    for line in commands():
        words = shlex.split(line)
        if words[0] == "make":
            continue
        if words[0] == "python":
            assert words[1] == "examples/digits.py"
            continue
        if words[1] == "measure":
            continue  # tests/test_examples.py runs it, after the example that writes its weights
        monkeypatch.setattr(sys, "argv", words)
        if "all" in words or "--data-dir" in words:
            # Half an hour, and CIFAR-10: here the words are read; tests/studies runs small ones.
            with monkeypatch.context() as patch:
                patch.setattr(study, "run_studies", lambda which, *rest: read.append(which))
                cli.main()
            assert study.asked_studies(read[-1])
            continue
        cli.main()
    shown = capsys.readouterr().out
    assert "panel d, redundant: gain per doubling" in shown
    assert (tmp_path / "runs/studies/fig4d-cpu/report.html").is_file()


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mpl.use("Agg")
    names: dict[str, object] = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    assert (tmp_path / "measurement.png").is_file()
    assert set(names["result"].table.columns) >= {"study", "panel", "curve", "run", "value"}


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", *sorted(
    str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")
)])  # fmt: skip
def test_links_to_files_lead_somewhere(page):
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if not target.startswith("http"):
            assert ((ROOT / page).parent / target).exists(), target
