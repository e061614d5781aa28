"""Find ImageNet's files: a tree of folders, or Parquet in Hugging Face's layout."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from frivolous.data.files.parquet import check_columns, reading, split_files
from frivolous.data.images.encoded import Encoded
from frivolous.errors import BadArgument

SUFFIXES = (".jpeg", ".jpg", ".png")
COLUMN = "image"
GROUPS_KEPT = 16
"""Row groups of Parquet files kept in memory: about 100 images each."""


@dataclass(frozen=True)
class Source:
    """Encoded images by number, and the label of each (N,)."""

    encoded: Encoded
    labels: Tensor


@dataclass(frozen=True)
class Found:
    """Training and test images as they are on disk; ``names`` of the classes where known."""

    form: str
    train: Source
    test: Source
    classes: int
    names: tuple[str, ...]


def find(folder: Path) -> Found:
    """Return what the folder holds.

    Raises:
        BadArgument: it is missing, is in neither form, or a class has no images.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise BadArgument(f"`folder` (--data-dir) {folder} {what}; name the folder of ImageNet.")
    if (folder / "train").is_dir():
        return _tree(folder)
    train = split_files(folder, "train")
    test = split_files(folder, "validation") or split_files(folder, "val")
    if train and test:
        return _parquet(train, test)
    raise BadArgument(
        f"`folder` (--data-dir) {folder} holds neither train/<class>/*.JPEG with "
        "val/<class>/*.JPEG nor train-*.parquet with validation-*.parquet; name the folder above "
        "them."
    )


@dataclass(frozen=True)
class ImageFiles:
    """Image files, one for each number."""

    files: Sequence[Path]

    def read(self, number: int) -> bytes:
        """Return the bytes of a file.

        Raises:
            BadArgument: it cannot be read.
        """
        try:
            return self.files[number].read_bytes()
        except OSError as error:
            raise BadArgument(
                f"{self.files[number]} cannot be read ({error.strerror}); the images must stay "
                "where they are while they are used."
            ) from error

    def name(self, number: int) -> str:
        """Return the file's path."""
        return str(self.files[number])


def _tree(folder: Path) -> Found:
    classes = [entry.name for entry in sorted((folder / "train").iterdir()) if entry.is_dir()]
    if not classes:
        raise BadArgument(
            f"{folder / 'train'} holds no folder; give every class a folder of its own images."
        )
    sources = []
    for split in ("train", "val"):
        files, labels = [], []
        for label, name in enumerate(classes):
            images = _images(folder / split / name, split)
            files += images
            labels += [label] * len(images)
        sources.append(Source(ImageFiles(files), torch.tensor(labels)))
    return Found("folders", sources[0], sources[1], len(classes), tuple(classes))


def _images(place: Path, split: str) -> list[Path]:
    if not place.is_dir():
        raise BadArgument(
            f"{place} does not exist; train and val need a folder for each class"
            + (", and the images of val sorted into them." if split == "val" else ".")
        )
    images = sorted(path for path in place.iterdir() if path.suffix.lower() in SUFFIXES)
    if not images:
        raise BadArgument(
            f"{place} holds no image ({', '.join(SUFFIXES)}); a class needs at least one in each "
            "split. Add its images or remove the class from train and val."
        )
    return images


@dataclass(frozen=True)
class ParquetRows:
    """Rows of Parquet files; the row groups read last stay in memory."""

    groups: Sequence[tuple[Path, int]]
    """File and number in it of every row group."""
    ends: np.ndarray
    """Rows up to and including each group."""
    kept: OrderedDict[int, Any] = field(default_factory=OrderedDict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, number: int) -> bytes:
        """Return the bytes of the image in a row.

        Raises:
            BadArgument: the file is damaged or the row has no image.
        """
        group, row = self._place(number)
        # One thread reads a group; the others wait for it instead of reading it again.
        with self.lock:
            if group not in self.kept:
                self.kept[group] = self._column(group)
                if len(self.kept) > GROUPS_KEPT:
                    self.kept.popitem(last=False)
            self.kept.move_to_end(group)
            value = self.kept[group][row].as_py()
        if not value or value["bytes"] is None:
            raise BadArgument(f"{self.name(number)} has no image; get the file again.")
        content: bytes = value["bytes"]
        return content

    def name(self, number: int) -> str:
        """Return the row in its row group and file."""
        group, row = self._place(number)
        return f"row {row} of row group {self.groups[group][1]} of {self.groups[group][0]}"

    def _place(self, number: int) -> tuple[int, int]:
        group = int(np.searchsorted(self.ends, number, side="right"))
        return group, number - (int(self.ends[group - 1]) if group else 0)

    def _column(self, group: int) -> Any:
        from pyarrow import parquet

        file, inside = self.groups[group]
        with reading(file), parquet.ParquetFile(file) as opened:
            return opened.read_row_group(inside, columns=[COLUMN])[COLUMN]


def _parquet(train: Sequence[Path], test: Sequence[Path]) -> Found:
    sources = [_rows(files) for files in (train, test)]
    classes = int(max(source.labels.max() for source in sources)) + 1
    for files, source in zip((train, test), sources, strict=True):
        counts = source.labels.bincount(minlength=classes)
        if not bool(counts.all()):
            raise BadArgument(
                f"{files[0].parent} has no image of class {int(counts.argmin())} in "
                f"{files[0].name} and the files after it; a class needs at least one in each "
                "split. Get the missing files."
            )
    return Found("parquet", sources[0], sources[1], classes, ())


def _rows(files: Sequence[Path]) -> Source:
    from pyarrow import parquet

    groups, sizes, labels = [], [], []
    for file in files:
        check_columns(file, COLUMN)
        with reading(file), parquet.ParquetFile(file) as opened:
            count = opened.metadata.num_row_groups
            groups += [(file, i) for i in range(count)]
            sizes += [opened.metadata.row_group(i).num_rows for i in range(count)]
            labels += opened.read(columns=["label"])["label"].to_pylist()
    if not labels or None in labels or min(labels) < 0:
        raise BadArgument(
            f"{files[0]} or a file after it has rows without a label, or no row at all; every "
            "image needs a label from 0 upwards. Get the files again."
        )
    return Source(ParquetRows(groups, np.cumsum(sizes)), torch.tensor(labels))
