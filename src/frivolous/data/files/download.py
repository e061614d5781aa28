"""Download one file: resumable, checked, and renamed only when it is complete."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from frivolous.errors import FrivolousError
from frivolous.files import put_in_place

PIECE = 1 << 20
SECONDS_OF_SILENCE = 60
PARTIAL, UNSATISFIABLE = 206, 416


@dataclass(frozen=True)
class Remote:
    """A file to download: its address, its SHA-256 and its name."""

    url: str
    sha256: str
    name: str


def fetch(remote: Remote, folder: Path) -> Path:
    """Return the file in ``folder``, downloaded if it is not there yet.

    A partial download stays in ``<name>.part``; the next call requests only the rest (HTTP Range).
    The complete file is checked, flushed to disk and renamed; with a wrong checksum it becomes
    ``<name>.bad`` and the next call starts again.

    Raises:
        FrivolousError: the address cannot be reached, the connection ends too early, the folder
            cannot be written, or the checksum is wrong.
    """
    path = folder / remote.name
    if path.exists():
        return path
    part = folder / f"{remote.name}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        expected = _continue(remote.url, part)
    except (URLError, HTTPException, TimeoutError, ConnectionError) as error:
        raise FrivolousError(
            f"cannot download {remote.url} ({_reason(error)}). Is there a network? Otherwise copy "
            f"{remote.name} into {folder} from another machine; what has come is kept."
        ) from error
    except OSError as error:
        raise FrivolousError(
            f"cannot write {part} ({error.strerror}); free space or name another `folder` "
            "(--data-dir)."
        ) from error
    came = part.stat().st_size
    if came < expected:
        raise FrivolousError(
            f"the download of {remote.url} ended after {came:,} of {expected:,} bytes; run again "
            "to fetch the rest."
        )
    _check(remote, part)
    put_in_place(part, path)
    return path


def _continue(url: str, part: Path) -> int:
    """Download what ``part`` lacks; return the full size, or 0 if the server does not say."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    try:
        response: HTTPResponse = urlopen(Request(url, headers=headers), timeout=SECONDS_OF_SILENCE)
    except HTTPError as error:
        error.close()
        if have and error.code == UNSATISFIABLE:
            return have  # The file is complete already; its checksum is verified next.
        raise
    with response, part.open("ab" if response.status == PARTIAL else "wb") as file:
        length = response.headers.get("Content-Length")
        begin = file.tell()
        while piece := response.read(PIECE):
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return begin + int(length) if length else 0


def _check(remote: Remote, part: Path) -> None:
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found == remote.sha256:
        return
    bad = part.with_name(f"{remote.name}.bad")
    part.replace(bad)
    raise FrivolousError(
        f"the download of {remote.url} has the SHA-256 {found}, not {remote.sha256}; it was set "
        f"aside as {bad}. Run again to fetch it anew."
    )


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return str(getattr(reason, "strerror", None) or reason or type(error).__name__)
