"""Staging: where a run's files are written before they count, and the disk's errors in one line."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from frivolous import files
from frivolous.errors import StoreError
from frivolous.store import locks

_FOLDER = "A store is a folder: name another path, or move that file away."
_PATH = "Name another path for the store."
_DESCRIPTORS = "Raise the limit of open files (ulimit -n) and run again."
_REMEDIES = {
    **dict.fromkeys(
        files.NO_SPACE, "Free some space there and run again; what is finished is kept."
    ),
    **dict.fromkeys(files.NO_RIGHTS, "Choose a store that you can write to, or mend the rights."),
    errno.ENOTDIR: _FOLDER,
    errno.EEXIST: _FOLDER,
    errno.ENOENT: _PATH,
    errno.ENAMETOOLONG: _PATH,
    errno.ELOOP: _PATH,
    errno.EMFILE: _DESCRIPTORS,
    errno.ENFILE: _DESCRIPTORS,
}


@contextmanager
def reported(deed: str, path: Path) -> Iterator[None]:
    """Turn an :class:`OSError` into a :class:`~frivolous.errors.StoreError` of one line."""
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        remedy = _REMEDIES.get(
            error.errno or 0, "Mend that and run again; what is finished is kept."
        )
        raise StoreError(f"cannot {deed} {path}: {reason}. {remedy}") from error


@contextmanager
def staged(incoming: Path, label: str) -> Iterator[Path]:
    """A folder of one's own in ``incoming``; what is not moved out of it by the end is removed.

    A lock beside it, taken before the folder is made, tells :func:`sweep` that its writer lives.
    """
    folder, lock = _locked_place(incoming, label)
    try:
        folder.mkdir()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            _lock_of(folder).unlink()
        lock.release()


def _locked_place(incoming: Path, label: str) -> tuple[Path, locks.Lock]:
    while True:
        folder = incoming / f"{label}.{os.getpid()}.{secrets.token_hex(4)}"
        lock = locks.take(_lock_of(folder), create=True, wait=True)
        assert lock is not None
        # A sweeper may have removed the file between its making and its locking.
        if _lock_of(folder).exists():
            return folder, lock
        lock.release()


def _lock_of(folder: Path) -> Path:
    return folder.with_name(folder.name + ".lock")


def sweep(incoming: Path, spared: Collection[str]) -> None:
    """Remove what dead writers left in ``incoming``, save under the labels ``spared``."""
    names = {entry.name.removesuffix(".lock") for entry in incoming.iterdir()}
    for folder in (incoming / name for name in names if name.split(".")[0] not in spared):
        try:
            lock = locks.take(_lock_of(folder), create=False, wait=False)
            if lock is None:
                continue
        except FileNotFoundError:
            # It is made before the folder and removed after it: without one there is no writer.
            lock = None
        except OSError:
            continue  # another person's, and theirs to remove
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            _lock_of(folder).unlink()
        if lock:
            lock.release()
