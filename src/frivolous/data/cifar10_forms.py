"""The forms CIFAR-10 comes in on disk: where they are looked for and how each is read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from frivolous.data.images import all_decoded
from frivolous.data.parquet import encoded_images, split_files
from frivolous.errors import BadArgument

CLASSES = 10
SIDE = 32
VARIABLE = "FRIVOLOUS_DATA"
JPEG_START = b"\xff\xd8"

Tensors = dict[str, Tensor]
"""``train_images`` and ``test_images`` (N, 3, 32, 32) as bytes, ``train_labels`` and
``test_labels`` (N,), and ``jpeg`` (1,): whether the files lost something in compression."""


@dataclass(frozen=True)
class Form:
    """CIFAR-10 as it was found: the form's name, its files and what reads them."""

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
    named = folder if folder is not None else os.environ.get(VARIABLE)
    if not named:
        raise BadArgument(
            "`folder` must say where CIFAR-10 is (or set FRIVOLOUS_DATA); got none. To fetch it, "
            "name a folder and pass download=True."
        )
    place = Path(named)
    if not place.exists() and not download:
        raise BadArgument(
            f"`folder` {place} does not exist; name the folder that holds CIFAR-10, or pass "
            "download=True to fetch it there."
        )
    for where in _places(place):
        for form in FORMS:
            found = form(where)
            if found is not None:
                return found
    raise BadArgument(
        f"`folder` {place} holds no CIFAR-10: looked there and one level below for "
        "cifar-10-binary.tar.gz, cifar-10-python.tar.gz, their unpacked files, and "
        "train-*.parquet with test-*.parquet. Name another folder or pass download=True."
    )


def _places(folder: Path) -> Iterator[Path]:
    yield folder
    if folder.is_dir():
        yield from sorted(entry for entry in folder.iterdir() if entry.is_dir())


def parquet_form(folder: Path) -> Form | None:
    """Parquet in Hugging Face's layout, as JPEG or PNG: row for row, files in order of name."""
    splits = {split: split_files(folder, split) for split in ("train", "test")}
    if not all(splits.values()):
        return None

    def read() -> Tensors:
        tensors: Tensors = {"jpeg": torch.zeros(1, dtype=torch.bool)}
        for split, files in splits.items():
            rows = encoded_images(files, CLASSES)
            images = all_decoded(rows.encoded, rows.name, (SIDE, SIDE))
            tensors |= {f"{split}_images": images, f"{split}_labels": torch.from_numpy(rows.labels)}
            if any(image.startswith(JPEG_START) for image in rows.encoded):
                tensors["jpeg"] = torch.ones(1, dtype=torch.bool)
        return tensors

    return Form("parquet", (*splits["train"], *splits["test"]), read)


FORMS: tuple[Callable[[Path], Form | None], ...] = (parquet_form,)
"""In order of preference."""
