"""Locks that the kernel frees when their process ends, however it ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_held: set[int] = set()


def _forget_in_child() -> None:
    # A forked worker shares the locks of its parent; its copies would keep them past the parent's
    # death. Closing (not unlocking) drops the copies and leaves the parent's locks as they are.
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_forget_in_child)


@dataclass(frozen=True)
class Lock:
    """An exclusive lock on one open file: no other opening of it, here or elsewhere, gets one."""

    descriptor: int
    process: int

    def release(self) -> None:
        """Free the lock; does nothing the second time, or in a forked child."""
        if self.process != os.getpid() or self.descriptor not in _held:
            return
        _held.discard(self.descriptor)
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)
        os.close(self.descriptor)


def take(path: Path, *, create: bool, wait: bool) -> Lock | None:
    """Lock the file at ``path``; None where another holds it and ``wait`` is false.

    Raises :class:`OSError` where it cannot be opened, :class:`FileNotFoundError` where it is
    missing and ``create`` is false.
    """
    descriptor = os.open(path, os.O_RDWR | (os.O_CREAT if create else 0), 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BaseException as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            return None
        raise
    _held.add(descriptor)
    return Lock(descriptor, os.getpid())


def is_held(path: Path) -> bool:
    """Whether a live process holds the lock on ``path``; a missing file is held by nobody.

    Asks for a shared lock for an instant, so that two who ask at once do not mistake each other
    for a holder. It needs no right to write.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextmanager
def guarded(path: Path) -> Iterator[None]:
    """One at a time, among all processes and threads; for a few file operations, never for work."""
    lock = take(path, create=True, wait=True)
    assert lock is not None
    try:
        yield
    finally:
        lock.release()
