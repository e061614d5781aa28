"""The completion record of a run, and the judgement whether the run is what its record says."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from frivolous.store import formats
from frivolous.store.identity import canonical_json, run_id

Value = TypeVar("Value")

SPEC, RECORD, WEIGHTS = "spec.json", "record.json", "weights.safetensors"
FRAME = ".parquet"
MEASURES = "measures" + FRAME
FILE_NAME = re.compile(r"spec\.json|weights\.safetensors|[a-z][a-z0-9_]*\.parquet")


class Corrupt(Exception):
    """A file of a run is not what the record says: ``file`` and ``reason``."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file, self.reason = file, reason


@dataclass(frozen=True)
class Problem:
    """Why the run ``id`` does not count: ``file`` and what is wrong with it."""

    id: str
    file: str
    reason: str

    def __str__(self) -> str:
        return f"run {self.id} is corrupt ({self.file}: {self.reason})"


@dataclass(frozen=True)
class FileFacts:
    """Size in bytes and SHA-256 of one file of a run."""

    size: int
    sha256: str

    @classmethod
    def of(cls, content: bytes) -> FileFacts:
        return cls(len(content), hashlib.sha256(content).hexdigest())


@dataclass(frozen=True)
class RunRecord:
    """What is kept of a finished run; ``provenance`` is where and with what it was made."""

    id: str
    spec: Mapping[str, Any]
    files: Mapping[str, FileFacts]
    facts: Mapping[str, Any]
    provenance: Mapping[str, Any]

    def to_bytes(self) -> bytes:
        """JSON, sealed by the SHA-256 of its own content, so that an altered fact shows."""
        content = {
            "id": self.id,
            "spec": self.spec,
            "files": {
                name: {"bytes": file.size, "sha256": file.sha256}
                for name, file in self.files.items()
            },
            "facts": self.facts,
            "provenance": self.provenance,
        }
        sealed = {**content, "seal": hashlib.sha256(canonical_json(content)).hexdigest()}
        return (json.dumps(sealed, indent=1, allow_nan=False) + "\n").encode()

    @classmethod
    def from_bytes(cls, text: bytes) -> RunRecord:
        """Read it back; :class:`Corrupt` where it is no record or its seal is broken."""
        try:
            content = json.loads(text)
            seal = content.pop("seal")
            sound = hashlib.sha256(canonical_json(content)).hexdigest() == seal
            files = {
                name: FileFacts(int(file["bytes"]), str(file["sha256"]))
                for name, file in content.pop("files").items()
            }
            record = cls(files=files, **content)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise Corrupt(RECORD, "cannot be read") from error
        if not sound:
            raise Corrupt(RECORD, "checksum differs")
        return record


def judge(folder: Path, id: str, *, checksums: bool) -> RunRecord | Problem | None:
    """The run's record if the run counts, the problem if it is corrupt, None if there is none.

    Looks at the record and the size of each file; with ``checksums`` reads every file too.
    Raises :class:`OSError` where a file cannot be read for now: that is no verdict on the run.
    """
    try:
        record = RunRecord.from_bytes(_present(folder / RECORD, Path.read_bytes))
        if record.id != id or not isinstance(record.spec, dict) or run_id(record.spec) != id:
            raise Corrupt(RECORD, "spec does not hash to the id")
        for name in (SPEC, MEASURES, *record.files):
            if name not in record.files or not FILE_NAME.fullmatch(name):
                raise Corrupt(RECORD, f"{name} is not a file that it may or must state")
            _check_size(name, _present(folder / name, Path.stat).st_size, record)
        if checksums:
            for name in record.files:
                _check_content(folder, name, record)
    except Corrupt as verdict:
        # Another process may have moved the run away while it was read.
        if not folder.exists():
            return None
        return Problem(id, verdict.file, verdict.reason)
    return record


def verified(folder: Path, name: str, record: RunRecord) -> bytes:
    """The content of a file of a run; :class:`Corrupt` where it is not what the record says."""
    content = _present(folder / name, Path.read_bytes)
    _check_size(name, len(content), record)
    if hashlib.sha256(content).hexdigest() != record.files[name].sha256:
        raise Corrupt(name, "checksum differs")
    return content


def parsed(name: str, content: bytes, parse: Callable[[bytes], Value]) -> Value:
    """What ``parse`` makes of a file's content; :class:`Corrupt` where it makes nothing of it."""
    try:
        return parse(content)
    except ValueError as error:
        raise Corrupt(name, "cannot be read") from error


def _check_size(name: str, size: int, record: RunRecord) -> None:
    stated = record.files[name].size
    if size != stated:
        raise Corrupt(name, f"{size} bytes where the record states {stated}")


def _check_content(folder: Path, name: str, record: RunRecord) -> None:
    content = verified(folder, name, record)
    if name == SPEC and parsed(name, content, json.loads) != record.spec:
        raise Corrupt(name, "differs from the spec in the record")
    if name.endswith(FRAME):
        parsed(name, content, formats.bytes_to_table)
    if name == WEIGHTS:
        parsed(name, content, formats.check_weights)


def _present(path: Path, read: Callable[[Path], Value]) -> Value:
    try:
        return read(path)
    except (FileNotFoundError, IsADirectoryError):
        raise Corrupt(path.name, "missing") from None
