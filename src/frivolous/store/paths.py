"""Where things lie in a store, and how its own folders, format and documents come to be."""

from __future__ import annotations

import errno
import json
from pathlib import Path

from frivolous import files
from frivolous.errors import BadArgument, StoreError
from frivolous.store import atomic

FORMAT = 1
_FOLDERS = ("runs", "incoming", "claims", "checkpoints", "set-aside")
_FORMAT_FILE = "store.json"


def check_format(store: Path) -> None:
    """Raise :class:`~frivolous.errors.StoreError` for a file, or a store that this cannot read."""
    file = store / _FORMAT_FILE
    with atomic.reported("open store", store):
        if store.exists() and not store.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "it is a file")
        try:
            text = file.read_bytes()
        except FileNotFoundError:
            return
    try:
        found = json.loads(text)["format"]
    except (ValueError, TypeError, KeyError):
        found = None
    if not isinstance(found, int):
        raise StoreError(
            f"{file} does not state a store's format. "
            f'Write {{"format": {FORMAT}}} into it, or name another path.'
        )
    if found > FORMAT:
        raise StoreError(
            f"store {store} has format {found}; this version reads up to {FORMAT}. "
            "Install a newer frivolous, or name another path."
        )


def prepare(store: Path) -> None:
    """Make the store's folders and its format file where they are missing."""
    with atomic.reported("make store", store):
        for name in _FOLDERS:
            (store / name).mkdir(parents=True, exist_ok=True)
        if (store / _FORMAT_FILE).exists():
            return
    replace(store, store / _FORMAT_FILE, json.dumps({"format": FORMAT}).encode())


def replace(store: Path, target: Path, content: bytes) -> None:
    """Write a file within a prepared store; whoever reads sees the old one or the new one."""
    with (
        atomic.reported("write", target),
        atomic.staged(store / "incoming", "document") as folder,
    ):
        target.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomically(target, content, beside=folder / "document")
        for parent in target.parent.relative_to(store).parents:
            files.sync(store / parent)


def document_path(store: Path, relative_path: str | Path) -> Path:
    """The path of a document; BadArgument where it leaves the store or meets its own files."""
    relative = Path(relative_path)
    target = store / relative
    confined = (
        relative.name
        and not relative.is_absolute()
        and ".." not in relative.parts
        and relative.parts[0] not in (*_FOLDERS, _FORMAT_FILE)
        and target.resolve().is_relative_to(store.resolve())
    )
    if not confined:
        raise BadArgument(
            f"`relative_path` is a path in the store, away from its own {', '.join(_FOLDERS)} "
            f"and {_FORMAT_FILE}; got '{relative}'. Pass one such as 'figures/fig4d.svg'."
        )
    return target
