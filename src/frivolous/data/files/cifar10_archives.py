"""The two official archives of CIFAR-10, packed or unpacked: plain records, and pickles."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from frivolous.data.files.safe_pickle import unpickled_batch
from frivolous.errors import BadArgument

PIXELS = 3 * 32 * 32
RECORD = 1 + PIXELS
CLASSES = 10

Batch = tuple[np.ndarray, np.ndarray]
Files = Callable[[Sequence[str]], list[bytes]]


@dataclass(frozen=True)
class Official:
    """One official archive: its names packed and unpacked, its files, and what reads one."""

    name: str
    archive: str
    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    batch: Callable[[bytes, str], Batch]


def binary_batch(content: bytes, name: str) -> Batch:
    """Return pixels (N, 3072) and labels (N,) of records: a byte of label, 3,072 of pixels.

    Raises:
        BadArgument: the file does not hold whole records.
    """
    if not content or len(content) % RECORD:
        raise BadArgument(
            f"{name} has {len(content)} bytes, not a multiple of {RECORD}, the size of an image "
            "with its label; it was copied or downloaded in part. Get the archive again."
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
    return records[:, 1:], records[:, 0].astype(np.int64)


BINARY = Official(
    "binary",
    "cifar-10-binary.tar.gz",
    "cifar-10-batches-bin",
    tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
    ("test_batch.bin",),
    binary_batch,
)
PYTHON = Official(
    "python",
    "cifar-10-python.tar.gz",
    "cifar-10-batches-py",
    tuple(f"data_batch_{i}" for i in range(1, 6)),
    ("test_batch",),
    unpickled_batch,
)


def read_archive(form: Official, path: Path) -> dict[str, Tensor]:
    """Read the packed archive without unpacking it to disk.

    Raises:
        BadArgument: it is incomplete, damaged, or lacks a file.
    """
    wanted = {f"{form.folder}/{name}": name for name in (*form.train, *form.test)}
    contents: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.name in wanted else None
                if stream is not None:
                    contents[wanted[member.name]] = stream.read()
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise BadArgument(
            f"{path} ({path.stat().st_size:,} bytes) cannot be read to its end; it is damaged or "
            "was downloaded in part. Remove it and get it again, or run `frivolous fetch cifar10 "
            f"--data-dir {path.parent}`."
        ) from error
    missing = [name for name in wanted.values() if name not in contents]
    if missing:
        raise BadArgument(
            f"{path} lacks {', '.join(missing)}; this is not the official archive. Get it again."
        )
    return _tensors(form, contents, str(path))


def read_unpacked(form: Official, folder: Path) -> dict[str, Tensor]:
    """Read the unpacked archive.

    Raises:
        BadArgument: a file is missing or damaged.
    """
    contents = {}
    for name in (*form.train, *form.test):
        if not (folder / name).is_file():
            raise BadArgument(
                f"{folder} lacks {name}, one of CIFAR-10's files; unpack the whole archive again."
            )
        contents[name] = (folder / name).read_bytes()
    return _tensors(form, contents, str(folder))


def _tensors(form: Official, contents: dict[str, bytes], place: str) -> dict[str, Tensor]:
    tensors = {"jpeg": torch.zeros(1, dtype=torch.bool)}
    for split, names in (("train", form.train), ("test", form.test)):
        batches = [_checked(form, contents[name], f"{name} of {place}") for name in names]
        pixels = np.concatenate([pixels for pixels, _ in batches]).reshape(-1, 3, 32, 32)
        labels = np.concatenate([labels for _, labels in batches])
        tensors |= {
            f"{split}_images": torch.from_numpy(pixels),
            f"{split}_labels": torch.from_numpy(labels),
        }
    return tensors


def _checked(form: Official, content: bytes, name: str) -> Batch:
    pixels, labels = form.batch(content, name)
    if pixels.ndim != 2 or pixels.shape[1] != PIXELS or len(pixels) != len(labels):
        raise BadArgument(
            f"{name} holds pixels of shape {pixels.shape} and {len(labels)} labels; {PIXELS} "
            "pixels and one label make an image. Get the archive again."
        )
    if len(labels) and not (labels.min() >= 0 and labels.max() < CLASSES):
        raise BadArgument(
            f"{name} holds labels from {labels.min()} to {labels.max()}; CIFAR-10 has the labels "
            "0 to 9. Get the archive again."
        )
    return pixels, labels
