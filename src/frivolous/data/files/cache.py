"""A cache of decoded images on disk, so that files are decoded only once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from frivolous.files import write_atomically

VARIABLE = "FRIVOLOUS_CACHE"


def cache_folder(given: str | Path | None = None) -> Path:
    """Return the folder given, else that of ``FRIVOLOUS_CACHE``, else ``~/.cache/frivolous``."""
    if given is not None:
        return Path(given)
    named = os.environ.get(VARIABLE)
    return Path(named) if named else Path.home() / ".cache" / "frivolous"


def cached(
    label: str,
    files: Sequence[Path],
    folder: Path,
    make: Callable[[], Mapping[str, Tensor]],
) -> Mapping[str, Tensor]:
    """Return the tensors that ``make`` returns, read from ``folder`` if they were made before.

    An entry is valid for the names, sizes and modification times of ``files``. A cache that cannot
    be read is made again; one that cannot be written is not used.

    Args:
        label: first part of the file's name; raise a number in it when ``make`` changes.
        files: what ``make`` reads.
        folder: of the cache; made if it is missing.
        make: decodes.
    """
    stats = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    key = hashlib.sha256(repr(stats).encode()).hexdigest()[:16]
    path = folder / f"{label}-{key}.safetensors"
    with suppress(OSError, SafetensorError):
        return load_file(path)
    made = make()
    with suppress(OSError, SafetensorError):
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda beside: save_file(dict(made), beside))
    return made
