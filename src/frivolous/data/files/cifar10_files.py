"""The forms in which CIFAR-10 comes on disk: where they are searched and how each is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from frivolous.data.files.cifar10_archives import (
    BINARY,
    CLASSES,
    PYTHON,
    Official,
    read_archive,
    read_unpacked,
)
from frivolous.data.files.download import Remote, fetch
from frivolous.data.files.folders import named_place
from frivolous.data.files.parquet import columns_of, encoded_images, split_files
from frivolous.data.images.decode import all_decoded
from frivolous.errors import BadArgument

SIDE = 32
COLUMN = "img"
JPEG_START = b"\xff\xd8"

ARCHIVE = Remote(
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    BINARY.archive,
)
"""What is downloaded on request: 170,052,171 bytes."""

Tensors = dict[str, Tensor]
"""``train_images`` and ``test_images`` (N, 3, 32, 32) as bytes, ``train_labels`` and
``test_labels`` (N,), and ``jpeg`` (1,): whether the files lost something in compression."""


@dataclass(frozen=True)
class Form:
    """CIFAR-10 as it is on disk: the form's name, its files and the function that reads them."""

    name: str
    files: tuple[Path, ...]
    read: Callable[[], Tensors]


def find(folder: str | Path | None = None, *, download: bool = False) -> Form:
    """Return the first known form in ``folder`` or in a folder of it.

    Args:
        folder: where to look; None means the environment's ``FRIVOLOUS_DATA``.
        download: fetch the official binary archive into the folder if no form is there.

    Raises:
        BadArgument: no folder is named, it is missing, or it holds no known form.
        FrivolousError: the download fails.
    """
    fetched = "To fetch it run `frivolous fetch cifar10 --data-dir DIR`, or pass download=True."
    place = named_place(folder, "CIFAR-10", fetched)
    if not place.exists() and not download:
        raise BadArgument(
            f"`folder` (--data-dir) {place} does not exist; name the folder that holds "
            f"CIFAR-10, or fetch it there with `frivolous fetch cifar10 --data-dir {place}`."
        )
    for where in _places(place):
        for form in FORMS:
            found = form(where)
            if found is not None:
                return found
    if download:
        archive = fetch(ARCHIVE, place)
        return _archive_form(BINARY, archive)
    raise BadArgument(
        f"`folder` (--data-dir) {place} holds no CIFAR-10: looked there and one level below for "
        "cifar-10-binary.tar.gz, cifar-10-python.tar.gz, their unpacked files, and "
        "train-*.parquet with test-*.parquet (columns `img`, `label`). Name another "
        "folder, or fetch it with `frivolous fetch cifar10 --data-dir DIR`."
    )


def _places(folder: Path) -> Iterator[Path]:
    yield folder
    if folder.is_dir():
        yield from sorted(entry for entry in folder.iterdir() if entry.is_dir())


def official_form(official: Official, place: Path) -> Form | None:
    """One of the two official archives, unpacked or packed, if ``place`` holds or is it."""
    unpacked = [place / name for name in (*official.train, *official.test)]
    if any(path.is_file() for path in unpacked):
        files = tuple(path for path in unpacked if path.is_file())
        return Form(official.name, files, lambda: read_unpacked(official, place))
    for archive in (place, place / official.archive):
        if archive.name == official.archive and archive.is_file():
            return _archive_form(official, archive)
    return None


def _archive_form(official: Official, archive: Path) -> Form:
    return Form(official.name, (archive,), lambda: read_archive(official, archive))


def parquet_form(folder: Path) -> Form | None:
    """Parquet in Hugging Face's layout, as JPEG or PNG: row for row, files in order of name."""
    splits = {split: split_files(folder, split) for split in ("train", "test")}
    # ImageNet's files in this layout have the same names, and the column `image`.
    if not all(splits.values()) or COLUMN not in columns_of(splits["train"][0]):
        return None

    def read() -> Tensors:
        tensors: Tensors = {"jpeg": torch.zeros(1, dtype=torch.bool)}
        for split, files in splits.items():
            rows = encoded_images(files, COLUMN, CLASSES)
            images = all_decoded(rows.encoded, rows.name, (SIDE, SIDE))
            tensors |= {f"{split}_images": images, f"{split}_labels": torch.from_numpy(rows.labels)}
            if any(image.startswith(JPEG_START) for image in rows.encoded):
                tensors["jpeg"] = torch.ones(1, dtype=torch.bool)
        return tensors

    return Form("parquet", (*splits["train"], *splits["test"]), read)


FORMS: tuple[Callable[[Path], Form | None], ...] = (
    lambda place: official_form(BINARY, place),
    lambda place: official_form(PYTHON, place),
    parquet_form,
)
"""In order of preference: bitmaps before what may be JPEG."""
