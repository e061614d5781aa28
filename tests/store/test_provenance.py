"""The commit beside a run is that of the library's checkout, never of somebody else's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import frivolous

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="asks git what it knows")


def git(folder: Path, *words: str) -> str:
    name = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    return subprocess.run(
        ["git", "-C", str(folder), *name, *words], capture_output=True, text=True, check=True
    ).stdout.strip()


def recorded_commit(folder: Path) -> str:
    script = "from frivolous.store.provenance import provenance; print(provenance()['commit'])"
    return subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
    ).stdout.strip()


def test_commit(tmp_path: Path) -> None:
    source = Path(frivolous.__file__).parent
    package = tmp_path / "frivolous"
    (package / "store").mkdir(parents=True)
    for file in (
        source / "__init__.py",
        source / "errors.py",
        source / "files.py",
        *(source / "store").glob("*.py"),
    ):
        shutil.copy(file, package / file.relative_to(source))
    git(tmp_path, "init", "-q")
    (tmp_path / "theirs.txt").write_text("a project that has frivolous installed in it")
    git(tmp_path, "add", "theirs.txt")
    git(tmp_path, "commit", "-q", "-m", "theirs")
    assert recorded_commit(tmp_path) == "None"
    git(tmp_path, "add", "frivolous")
    git(tmp_path, "commit", "-q", "-m", "ours")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert recorded_commit(tmp_path) == head
    (package / "errors.py").write_text((package / "errors.py").read_text() + "# changed\n")
    assert recorded_commit(tmp_path) == f"{head}-dirty"
