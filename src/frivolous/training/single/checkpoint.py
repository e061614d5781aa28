"""Training checkpoints: one safetensors file whose header holds the facts as JSON.

It is written to a temporary name, flushed to disk and renamed, so that a kill at any moment leaves
either the previous file or the new one, whole. A checksum over the tensors detects damage.
"""

from __future__ import annotations

import json
import os
import warnings
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from frivolous.data.splits import Examples, Splits
from frivolous.errors import BadArgument, FrivolousError

VERSION = 1
"""Version of the file's meaning; raised by hand when what is stored changes."""

KEY = "frivolous"
SAMPLED = 256  # examples of a split whose inputs enter its fingerprint

Facts = Mapping[str, Any]


def checksum(tensors: Mapping[str, Tensor], start: int = 0) -> int:
    """Return the CRC-32 of named tensors, whatever their order and layout in memory.

    >>> checksum({"a": torch.zeros(2)}) == checksum({"a": torch.ones(2)})
    False
    """
    total = start
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        total = zlib.crc32(f"{name}{tuple(value.shape)}{value.dtype}".encode(), total)
        if value.numel():
            raw: Any = value.reshape(-1).view(torch.uint8).numpy()
            total = zlib.crc32(raw, total)
    return total


def data_fingerprint(splits: Splits) -> dict[str, int]:
    """Return a checksum of training and validation data: all labels and some of the inputs."""
    return {name: _examples_sum(getattr(splits, name)) for name in ("train", "validation")}


def _examples_sum(examples: Examples) -> int:
    found = {"labels": examples.labels}
    if isinstance(examples.inputs, Tensor):
        found["inputs"] = examples.inputs[:: max(1, len(examples) // SAMPLED)]
    return checksum(found)


def write_checkpoint(path: Path, tensors: Mapping[str, Tensor], facts: Facts) -> None:
    """Replace the checkpoint at ``path``; creates the folder if needed.

    Raises :class:`FrivolousError` if the file cannot be written.
    """
    ready = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    header = json.dumps({**facts, "version": VERSION, "checksum": checksum(ready)})
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(ready, beside, metadata={KEY: header})
        _sync(beside)
        beside.replace(path)
        _sync(path.parent)
    except (OSError, SafetensorError) as error:
        with suppress(OSError):
            beside.unlink()
        raise FrivolousError(
            f"cannot write the checkpoint {path}: {error}. Free some space there or name another "
            "`checkpoint`, and run again; the training goes on from the last one."
        ) from error


def read_checkpoint(path: Path, identity: Facts) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Return the tensors (on the CPU) and the facts at ``path``; None if there is no file.

    A file that is damaged is set aside, with a warning that says where, and counts as none.

    Raises:
        BadArgument: the checkpoint belongs to another training than ``identity``.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})[KEY])
            if facts["version"] == VERSION:
                _check_identity(path, facts["identity"], identity)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if facts["checksum"] != checksum(tensors):
            raise ValueError("its checksum is wrong")
        if facts["version"] != VERSION:
            raise ValueError(f"it has version {facts['version']}, this code reads {VERSION}")
    except BadArgument:
        raise
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        aside = _set_aside(path)
        warnings.warn(
            f"the checkpoint {path} cannot be used ({error}); set aside as {aside.name}; "
            "the training starts anew",
            stacklevel=3,
        )
        return None
    return tensors, facts


def forget(checkpoint: Path) -> None:
    """Remove a checkpoint, if there is one, once the result is stored."""
    checkpoint.unlink(missing_ok=True)
    for part in checkpoint.parent.glob(f"{checkpoint.name}.*.part"):
        part.unlink(missing_ok=True)


def _check_identity(path: Path, found: Facts, expected: Facts) -> None:
    wanted = json.loads(json.dumps(expected))
    for name in wanted | found:
        if found.get(name) != wanted.get(name):
            what = _difference(found.get(name), wanted.get(name))
            raise BadArgument(
                f"`checkpoint` {path} belongs to another training: its {name} differs ({what}). "
                "Name another file, or remove it to start anew."
            )


def _difference(found: Any, wanted: Any) -> str:
    if isinstance(found, dict) and isinstance(wanted, dict):
        keys = [key for key in wanted if found.get(key) != wanted[key]]
        return "; ".join(f"{key}: there {found.get(key)}, here {wanted[key]}" for key in keys)
    return f"there {found}, here {wanted}"


def _set_aside(path: Path) -> Path:
    number = 0
    while (aside := path.with_name(f"{path.name}.corrupt-{number}")).exists():
        number += 1
    path.replace(aside)
    return aside


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
