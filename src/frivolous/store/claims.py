"""Who is making which runs, so that processes on one store share the work and make none twice.

A claim is a file that lists ids, locked by its owner while it lives: one open file for hundreds of
ids. Claims are made one at a time under a guard; the kernel frees those of the dead.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from frivolous.store import atomic, locks


@dataclass(frozen=True, eq=False)
class Claim:
    """Runs that this claim's owner alone may make until it is released or its process ends.

    ``ids`` are those got, in the order asked; ``done`` were finished already; ``elsewhere`` are
    claimed by another: a live process, or another claim of this one. A context manager.
    """

    ids: tuple[str, ...]
    done: tuple[str, ...]
    elsewhere: tuple[str, ...]
    hold: Hold

    def release(self) -> None:
        """Give the claim back; does nothing the second time, or in a forked child."""
        self.hold.release()

    def __enter__(self) -> Claim:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


@dataclass(frozen=True, eq=False)
class Hold:
    """A locked claim file and the ids that it lists."""

    ids: tuple[str, ...]
    path: Path
    lock: locks.Lock

    def release(self) -> None:
        if self.lock.process == os.getpid():
            with suppress(OSError):
                self.path.unlink()
            self.lock.release()


def hold(store: Path, ids: Iterable[str]) -> Hold:
    """Take those of ``ids`` that nobody alive holds, and sweep up after the dead.

    Raises :class:`OSError` where the claim cannot be written.
    """
    folder = store / "claims"
    with locks.guarded(folder / "guard.lock"):
        others = held_ids(store, remove_dead=True)
        atomic.sweep(store / "incoming", others)
        free = tuple(id for id in ids if id not in others)
        path = folder / f"{os.getpid()}.{secrets.token_hex(4)}.claim"
        try:
            path.write_text(
                json.dumps({"ids": free, "machine": platform.node(), "process": os.getpid()})
            )
            # Whoever asks for the status may look for an instant: hence the wait.
            lock = locks.take(path, create=False, wait=True)
        except BaseException:
            with suppress(OSError):
                path.unlink()
            raise
        assert lock is not None
        return Hold(free, path, lock)


def held_ids(store: Path, *, remove_dead: bool = False) -> set[str]:
    """The ids under a live claim; takes none. Only the holder of the guard removes the dead."""
    held: set[str] = set()
    for path in (store / "claims").glob("*.claim"):
        if locks.is_held(path):
            # Its owner may release it between the two lines.
            with suppress(FileNotFoundError):
                held.update(json.loads(path.read_text())["ids"])
        elif remove_dead:
            # That of another person may be theirs alone to remove.
            with suppress(OSError):
                path.unlink()
    return held
