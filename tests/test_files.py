"""Atomic writing: at every moment the place holds the old file or the new one, and all of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from frivolous import files

CONTENTS: dict[str, bytes | Callable[[Path], object]] = {
    "bytes": b"new",
    "a function": lambda path: path.write_bytes(b"new"),
}
contents = pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)


class Killed(BaseException):
    """Stands for the end of the process."""


@contents
def test_a_file_is_made_and_replaced_and_nothing_else_is_left(content: Any, tmp_path: Path) -> None:
    place = tmp_path / "a.bin"
    for _ in range(2):
        files.write_atomically(place, content)
        assert place.read_bytes() == b"new"
        place.write_bytes(b"old")
    assert list(tmp_path.iterdir()) == [place]


@contents
def test_the_disk_has_the_content_before_the_name_and_the_name_before_the_end(
    content: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[tuple[str, int]] = []
    fsync, replace = os.fsync, Path.replace

    def note_fsync(descriptor: int) -> None:
        events.append(("fsync", os.fstat(descriptor).st_ino))
        fsync(descriptor)

    def note_replace(self: Path, target: Path) -> Path:
        events.append(("rename", self.stat().st_ino))
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "replace", note_replace)
    files.write_atomically(tmp_path / "a.bin", content)
    file, folder = (tmp_path / "a.bin").stat().st_ino, tmp_path.stat().st_ino
    assert events == [("fsync", file), ("rename", file), ("fsync", folder)]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), Killed()])
@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_what_fails_leaves_the_old_file_and_nothing_beside(
    step: str, error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise error

    place = tmp_path / "a.bin"
    place.write_bytes(b"old")
    with monkeypatch.context() as patch:
        patch.setattr(Path if step == "replace" else os, step, refuse)
        with pytest.raises(type(error)):
            files.write_atomically(place, b"new")
    assert place.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [place]


def test_a_place_of_ones_own_to_write_first_is_used_and_left_empty(tmp_path: Path) -> None:
    (tmp_path / "staged").mkdir()
    seen: list[Path] = []
    files.write_atomically(
        tmp_path / "a.bin",
        lambda path: (seen.append(path), path.write_bytes(b"new")),
        beside=tmp_path / "staged" / "document",
    )
    assert seen == [tmp_path / "staged" / "document"]
    assert (tmp_path / "a.bin").read_bytes() == b"new"
    assert list((tmp_path / "staged").iterdir()) == []


def test_a_file_system_that_does_not_sync_folders_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(code: int) -> Callable[[int], None]:
        def fsync(descriptor: int) -> None:
            raise OSError(code, os.strerror(code))

        return fsync

    monkeypatch.setattr(os, "fsync", refuse(22))
    files.sync(tmp_path)
    monkeypatch.setattr(os, "fsync", refuse(5))
    with pytest.raises(OSError, match="Input/output error"):
        files.sync(tmp_path)


def test_new_files_never_take_the_place_of_one(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        files.write(tmp_path / "a.bin", b"new")
