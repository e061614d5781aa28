"""Where and with what a run was made: kept beside its identity, never part of it."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

_LIBRARIES = ("frivolous", "torch", "numpy", "scipy", "scikit-learn", "pandas", "pyarrow")


def provenance() -> dict[str, Any]:
    """Commit, library versions, machine, Python, threads and time (UTC) of this process, now.

    ``commit`` is that of the library's own checkout, with ``-dirty`` after it where files differ;
    None where it is installed without one. ``threads`` is PyTorch's, None where it is not loaded.
    """
    torch = sys.modules.get("torch")
    return {
        "commit": _commit(),
        "versions": dict(_versions()),
        "machine": platform.node(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads() if torch else None,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


@functools.cache
def _versions() -> tuple[tuple[str, str | None], ...]:
    return tuple((name, _version(name)) for name in _LIBRARIES)


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


@functools.cache
def _commit() -> str | None:
    here = Path(__file__)
    # Installed into somebody's project, the checkout around this file is theirs, not ours.
    if _git(here, "ls-files", "--error-unmatch", here.name) is None:
        return None
    return _git(here, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def _git(file: Path, *words: str) -> str | None:
    try:
        answer = subprocess.run(
            ["git", "-C", str(file.parent), *words],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None
