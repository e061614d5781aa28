"""What is said in one line of an error that the disk or the system gave, whoever met it."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

from frivolous import files
from frivolous.errors import one_line

_REMEDIES = {
    **dict.fromkeys(files.NO_SPACE, "Free some space there and run again."),
    **dict.fromkeys(files.NO_RIGHTS, "Mend its rights, or name another path."),
}


def describe_error(error: OSError, words: Sequence[str]) -> str:
    """Return an error in one line: argument, path, reason, remedy.

    ``words`` are the command line's; the argument is the one whose value is the error's path, or a
    folder above it.

    >>> denied = PermissionError(13, "Permission denied", "out/table.csv")
    >>> describe_error(denied, ["measure", "--out", "out"])
    '`out`: out/table.csv cannot be read or written (Permission denied). Mend its rights, or name \
another path.'
    """
    reason = error.strerror or one_line(str(error)) or type(error).__name__
    if error.filename is None:
        if error.errno == errno.ENOSPC:
            return "cannot write: no space left on device; free some and run again"
        return f"cannot read or write ({reason}); mend that and run again"
    name = error.filename
    path = Path(os.fsdecode(name) if isinstance(name, bytes) else str(name))
    argument = argument_of(path, words)
    remedy = _REMEDIES.get(error.errno or 0, "Name another path.")
    where = f"`{argument}`: {path}" if argument else str(path)
    return f"{where} cannot be read or written ({reason}). {remedy}"


def argument_of(path: Path, words: Sequence[str]) -> str:
    """Return the name of the flag whose value is ``path`` or a folder above it, or "".

    >>> argument_of(Path("data/x.bin"), ["run", "fig4c", "--data-dir=data", "--store", "runs"])
    'data_dir'
    """
    flag = ""
    for word in words:
        value = word
        if word.startswith("--"):
            flag, _, value = word.partition("=")
        if flag and value and path.is_relative_to(value):
            return flag.removeprefix("--").replace("-", "_")
    return ""
