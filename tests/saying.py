"""The command line run in this process: what it said, and the one line of a refusal."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from frivolous.cli import verbs


class Said:
    """What one command did: its exit code and both streams."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err
        assert "Traceback" not in out + err

    @property
    def line(self) -> str:
        """The one line of a refusal."""
        (line,) = [line for line in self.err.splitlines() if not line.startswith("note: ")]
        assert self.out == ""
        assert line.startswith("frivolous: ")
        return line.removeprefix("frivolous: ")

    @property
    def only(self) -> str:
        """The line of a refusal with exit code 2 that nothing else stands beside."""
        assert self.code == 2
        assert self.err.count("\n") == 1, self.err
        return self.line


Say = Callable[..., Said]


def sayer(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Say:
    """Return what runs a command in this process."""

    def run(*words: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["frivolous", *map(str, words)])
        code = 0
        try:
            verbs.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        return Said(code, *capfd.readouterr())

    return run
