"""The store itself: put a run, get it back, share the work, set the corrupt aside."""

from __future__ import annotations

import errno
import functools
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frivolous import files
from frivolous.errors import StoreError
from frivolous.store import atomic, claims, formats, locks, paths, records
from frivolous.store.identity import checked_id, is_id, plain_facts, plain_spec, run_id
from frivolous.store.provenance import provenance as here_and_now
from frivolous.store.records import FRAME, MEASURES, RECORD, Problem, RunRecord
from frivolous.store.run import Run, Status, files_of

if TYPE_CHECKING:
    import pandas as pd


class Store:
    """A folder of runs. Opening it writes nothing; the first run or claim makes the folder.

    ``notes`` collects lines for a person, each also given to ``note`` as it comes: which run was
    corrupt, why, and where it was set aside. Raises :class:`~frivolous.errors.StoreError` for a
    path that is a file, a store of a newer format, and whatever the disk refuses, here and below.
    """

    def __init__(self, path: str | Path, *, note: Callable[[str], None] | None = None) -> None:
        self.path = Path(path)
        self.notes: list[str] = []
        self._note = note
        paths.check_format(self.path)

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r})"

    # ---- what is there

    def has(self, id: str) -> bool:
        """Whether the run is done: its record is there and its files have the stated sizes."""
        return self._sound(checked_id(id), checksums=False) is not None

    def complete(self, ids: Iterable[str], *, checksums: bool = False) -> set[str]:
        """Those of ``ids`` that are done; with ``checksums`` every file is read and verified."""
        return {id for id in ids if self._sound(checked_id(id), checksums=checksums) is not None}

    def ids(self) -> tuple[str, ...]:
        """Every run that is done, in alphabetical order."""
        return tuple(id for id in self._there() if self.has(id))

    def records(self) -> dict[str, RunRecord]:
        """The records of all runs that are done, by id; corrupt runs are left where they are."""
        verdicts = {id: self._judge(id, checksums=False) for id in self._there()}
        return {id: found for id, found in verdicts.items() if isinstance(found, RunRecord)}

    def claimed(self) -> set[str]:
        """The runs that a live process has claimed; takes no claim."""
        with atomic.reported("read claims in", self.path):
            return claims.held_ids(self.path)

    def get(self, id: str) -> Run:
        """The run, every file of it verified; StoreError if it is not there or is corrupt."""
        record = self._sound(checked_id(id), checksums=True)
        if record is None:
            raise self._absent([id], 1)
        return Run(
            id,
            record.spec,
            record.facts,
            record.provenance,
            tuple(n.removesuffix(FRAME) for n in record.files if n.endswith(FRAME)),
            record,
            self.path / "runs" / id,
            functools.partial(self._read, record),
        )

    def record(self, id: str) -> RunRecord:
        """The record of a run that is done: facts and provenance, without reading its files."""
        record = self._sound(checked_id(id), checksums=False)
        if record is None:
            raise self._absent([id], 1)
        return record

    def measures(self, ids: Iterable[str]) -> pd.DataFrame:
        """The measures of all ``ids``, checksums verified, with the id in a first column ``run``.

        Rows come in the order asked. Raises StoreError naming the runs that are not there.
        """
        asked = tuple(dict.fromkeys(ids))
        tables, lost = [], []
        for id in asked:
            record = self._sound(checked_id(id), checksums=False)
            try:
                if record is not None:
                    tables.append(self._read(record, MEASURES, formats.bytes_to_table))
                    continue
            except _Lost:
                pass
            lost.append(id)
        if lost:
            raise self._absent(lost, len(asked))
        return formats.tables_to_frame(asked, tables)

    def check(self, ids: Iterable[str]) -> list[Problem]:
        """What is wrong with those of ``ids`` that are there; every file is read, nothing moved."""
        verdicts = [self._judge(checked_id(id), checksums=True) for id in ids]
        return [verdict for verdict in verdicts if isinstance(verdict, Problem)]

    def status(self, ids: Iterable[str]) -> Status:
        """How far ``ids`` are; takes no claim, moves nothing and writes nothing."""
        asked = tuple(dict.fromkeys(ids))
        # Claims first: a run that is finished in between is then seen as done.
        held = self.claimed()
        verdicts = {id: self._judge(checked_id(id), checksums=False) for id in asked}
        open_ids = [id for id, verdict in verdicts.items() if not isinstance(verdict, RunRecord)]
        under_way = sum(id in held for id in open_ids)
        corrupt = sum(isinstance(verdicts[id], Problem) for id in open_ids)
        return Status(len(asked) - len(open_ids), under_way, len(open_ids) - under_way, corrupt)

    # ---- what is made

    def claim(self, ids: Iterable[str]) -> claims.Claim:
        """Claim those of ``ids`` that are neither done nor claimed by another; never waits for one.

        Use it in a ``with`` block and make the runs in its ``ids``; the end of the block, or of
        the process, gives the claim back.
        """
        asked = tuple(dict.fromkeys(checked_id(id) for id in ids))
        paths.prepare(self.path)
        with atomic.reported("claim runs in", self.path):
            hold = claims.hold(self.path, asked)
        try:
            # Only now: a run may have been finished before the claim was ours.
            done = self.complete(hold.ids)
        except BaseException:
            hold.release()
            raise
        taken = set(hold.ids)
        return claims.Claim(
            ids=tuple(id for id in hold.ids if id not in done),
            done=tuple(id for id in hold.ids if id in done),
            elsewhere=tuple(id for id in asked if id not in taken),
            hold=hold,
        )

    def put(
        self,
        spec: Mapping[str, Any],
        measures: pd.DataFrame,
        facts: Mapping[str, Any],
        frames: Mapping[str, pd.DataFrame] | None = None,
        weights: Mapping[str, Any] | None = None,
        *,
        provenance: Mapping[str, Any] | None = None,
    ) -> RunRecord:
        """Keep a finished run, whole or not at all; a run already done is kept as it is.

        ``frames`` are further frames by name (lower-case letters, digits, underscores). Frames
        lose their index. In ``facts`` a number that is not finite becomes None. ``provenance``
        replaces entries of this process's own, for a run that was made elsewhere.
        """
        identity = plain_spec(spec)
        id = run_id(identity)
        contents = files_of(identity, measures, frames or {}, weights)
        described = here_and_now() | plain_facts(dict(provenance or {}), "provenance")
        sizes = {name: records.FileFacts.of(content) for name, content in contents.items()}
        record = RunRecord(id, identity, sizes, plain_facts(dict(facts), "facts"), described)
        contents[RECORD] = record.to_bytes()
        kept = self._kept(record)
        if kept is not None:
            return kept
        paths.prepare(self.path)
        with (
            atomic.reported("write a run to", self.path),
            atomic.staged(self.path / "incoming", id) as folder,
        ):
            for name, content in contents.items():
                files.write(folder / name, content)
            files.sync(folder)
            return self._publish(folder, record)

    def checkpoint(self, id: str) -> Path:
        """The file from which the making of a run may go on; its folder is made if absent."""
        paths.prepare(self.path)
        return self.path / "checkpoints" / f"{checked_id(id)}.safetensors"

    def write_document(self, relative_path: str | Path, content: bytes | str) -> Path:
        """Write a figure or a report beside the runs, replacing the old one in one step.

        Raises :class:`~frivolous.errors.BadArgument` for a path that leaves the store or meets
        the store's own files.
        """
        target = paths.document_path(self.path, relative_path)
        paths.prepare(self.path)
        paths.replace(self.path, target, content.encode() if isinstance(content, str) else content)
        return target

    # ---- within

    def _there(self) -> list[str]:
        """The ids that have a folder, sound or not, in alphabetical order."""
        with atomic.reported("list", self.path):
            folder = self.path / "runs"
            names = sorted(entry.name for entry in folder.iterdir()) if folder.exists() else []
        return [name for name in names if is_id(name)]

    def _publish(self, folder: Path, record: RunRecord) -> RunRecord:
        target = self.path / "runs" / record.id
        while True:
            try:
                folder.rename(target)
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise
                kept = self._kept(record)
                if kept is not None:
                    return kept
                # It was corrupt and is set aside by now: its place is free.
                continue
            files.sync(target.parent)
            return record

    def _kept(self, record: RunRecord) -> RunRecord | None:
        kept = self._sound(record.id, checksums=True)
        if kept is not None and kept.spec != record.spec:
            raise StoreError(
                f"two specs share the id {record.id} in {self.path}. "
                "Keep the runs of the second in another store."
            )
        return kept

    def _judge(self, id: str, *, checksums: bool) -> RunRecord | Problem | None:
        folder = self.path / "runs" / id
        with atomic.reported("read run", folder):
            return records.judge(folder, id, checksums=checksums)

    def _sound(self, id: str, *, checksums: bool) -> RunRecord | None:
        verdict = self._judge(id, checksums=checksums)
        return self._set_aside(id) if isinstance(verdict, Problem) else verdict

    def _read(self, record: RunRecord, name: str, parse: Callable[[bytes], Any]) -> Any:
        folder = self.path / "runs" / record.id
        try:
            with atomic.reported("read", folder / name):
                content = records.verified(folder, name, record)
                return records.parsed(name, content, parse)
        except records.Corrupt:
            made_again = self._set_aside(record.id)
            if made_again is not None and made_again != record:
                return self._read(made_again, name, parse)
            raise _Lost(str(self._absent([record.id], 1))) from None

    def _set_aside(self, id: str) -> RunRecord | None:
        """Move a corrupt run away; its record if, looked at again, it is sound after all."""
        paths.prepare(self.path)
        folder = self.path / "runs" / id
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        aside = self.path / "set-aside" / f"{id}.{moment}.{secrets.token_hex(4)}"
        # Under the guard nobody else sets it aside, so what is judged is what is moved.
        with (
            atomic.reported("set aside the corrupt run", folder),
            locks.guarded(self.path / "claims" / "set-aside.lock"),
        ):
            verdict = records.judge(folder, id, checksums=True)
            if not isinstance(verdict, Problem):
                return verdict
            line = f"{verdict}; set aside in {aside}; it will be made again"
            folder.rename(aside)
            with suppress(OSError):  # the note says the same; a full disk must not hide it
                files.write(aside / "why.txt", f"{line}\n".encode())
            files.sync(aside.parent)
        self.notes.append(line)
        if self._note is not None:
            self._note(line)
        return None

    def _absent(self, ids: list[str], asked: int) -> StoreError:
        notes = [line for line in self.notes if any(f"run {id} " in line for id in ids)]
        if notes:
            return StoreError("; ".join(notes[:3]) + ". Run it once more.")
        some = ", ".join(ids[:3]) + (", …" if len(ids) > 3 else "")
        return StoreError(
            f"{len(ids)} of {asked} runs are not in store {self.path}: {some}. "
            "Run their study into this store; only what is missing is made."
        )


class _Lost(StoreError):
    """The run turned out corrupt while it was read, and is set aside."""
