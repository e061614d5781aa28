"""Writing files so that a kill at any moment leaves the old one whole, or the new one.

A file is written beside its place, flushed to the disk and renamed; then the disk is told of the
new name. A rename is one step: whoever opens the place finds all of a file, never a part.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_RIGHTS = (errno.EACCES, errno.EPERM, errno.EROFS)
"""Numbers of the errors of a disk that is full, or that may not be written or read."""


def write_atomically(
    path: Path, content: bytes | Callable[[Path], object], beside: Path | None = None
) -> None:
    """Write a file, or replace it, in one step; its folder exists.

    Args:
        path: the file's place.
        content: its bytes, or a function that writes the file it is handed.
        beside: where it is written first, on the same disk; default a name of its own in the same
            folder. Where the writing fails, nothing is left there.
    """
    beside = beside or path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}.part")
    try:
        if isinstance(content, bytes):
            write(beside, content)
        else:
            content(beside)
            sync(beside)
        put_in_place(beside, path)
    finally:
        with suppress(OSError):  # the error that it failed with says more
            beside.unlink(missing_ok=True)


def put_in_place(beside: Path, path: Path) -> None:
    """Rename a file that the disk has, and wait until the disk has its new name."""
    beside.replace(path)
    sync(path.parent)


def write(path: Path, content: bytes) -> None:
    """Write a new file and wait until the disk has it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync(path: Path) -> None:
    """Wait until the disk has a file, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems order names themselves and refuse to be asked.
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)
