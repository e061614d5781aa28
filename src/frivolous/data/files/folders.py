"""The folder with the user's data, and the error if there is none to read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from frivolous.errors import BadArgument, FrivolousError

VARIABLE = "FRIVOLOUS_DATA"


def named_place(folder: str | Path | None, data: str, remedy: str) -> Path:
    """Return the folder given, else that of the environment's ``FRIVOLOUS_DATA``.

    Raises:
        BadArgument: neither names one; the message ends in ``remedy``.
    """
    named = folder if folder is not None else os.environ.get(VARIABLE)
    if not named:
        raise BadArgument(
            f"`folder` (--data-dir) must say where {data} is, or FRIVOLOUS_DATA must; got none. "
            f"{remedy}"
        )
    return Path(named)


@contextmanager
def readable(folder: str | Path | None) -> Iterator[None]:
    """Turn operating-system errors while ``folder`` is read into one clear error.

    Raises:
        BadArgument: a folder or file there cannot be read.
    """
    try:
        yield
    except FrivolousError:
        raise
    except OSError as error:
        place = error.filename or folder or os.environ.get(VARIABLE)
        raise BadArgument(
            f"`folder` (--data-dir): {place} cannot be read ({error.strerror or error}); mend its "
            "rights, or name a folder that can be read."
        ) from error
