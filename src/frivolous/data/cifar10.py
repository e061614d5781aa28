"""CIFAR-10 (Krizhevsky 2009): 50,000 training and 10,000 test images of 32x32 in ten classes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch

from frivolous.data.files.cache import cache_folder, cached
from frivolous.data.files.cifar10_files import CLASSES, Form, find
from frivolous.data.files.folders import readable
from frivolous.data.splits import Examples, Splits
from frivolous.errors import BadArgument
from frivolous.rng import generator

Order = Literal["seeded", "files"]
PARTS = {"seeded": (45_000, 5_000), "files": (47_500, 2_500)}
"""Training and validation images of each order, by default."""


def cifar10(
    *,
    folder: str | Path | None = None,
    train: int | None = None,
    validation: int | None = None,
    seed: int = 0,
    order: Order = "seeded",
    subset: int | None = None,
    download: bool = False,
    cache: str | Path | None = None,
) -> Splits:
    """Return CIFAR-10 as bytes (N, 3, 32, 32) in three splits; the test is the official one.

    The papers' text holds 5,000 training images out for validation; the original code takes the
    last 5% of its files, 47,500 and 2,500. The first is ``order="seeded"``, the second "files".
    ``facts`` holds the form and the encoding of the files (JPEG files are not the official bitmaps,
    and accuracies can differ a little), the order, the sizes and the images of each class.

    Args:
        folder: where the data is: the official archive (``cifar-10-binary.tar.gz`` or
            ``cifar-10-python.tar.gz``), packed or not, or Parquet files in Hugging Face's layout,
            in that folder or one level below. Default: the environment's ``FRIVOLOUS_DATA``.
        train, validation: images of these splits; together at most 50,000.
        seed: of the permutation that deals training and validation images out.
        order: "seeded" permutes; "files" trains on the first images in the order of the files and
            validates on the last ones.
        subset: keep at most this many images of every split, the first ones, for small runs.
        download: fetch the official archive into ``folder`` if it holds none of the forms.
        cache: folder of the decoded images. Default: ``FRIVOLOUS_CACHE``, ``~/.cache/frivolous``.

    Raises:
        BadArgument: no data is found, a file is damaged or cannot be read, or the splits ask for
            too many images.
        FrivolousError: the download fails.
    """
    if order not in PARTS:
        raise BadArgument(f"`order` is 'seeded' or 'files'; got {order!r}.")
    with readable(folder):
        form = find(folder, download=download)
        tensors = cached(f"cifar10-1-{form.name}", form.files, cache_folder(cache), form.read)
    images, labels = tensors["train_images"], tensors["train_labels"]
    sizes = _sizes(order, train, validation, subset, len(images))
    chosen = _chosen(order, sizes, len(images), seed)
    test = min(len(tensors["test_images"]), subset or len(tensors["test_images"]))
    parts = [Examples(images[index], labels[index]) for index in chosen]
    parts.append(Examples(tensors["test_images"][:test], tensors["test_labels"][:test]))
    facts = _facts(form, tensors["jpeg"], parts, order, seed, subset)
    return Splits(parts[0], parts[1], parts[2], classes=CLASSES, facts=facts)


def _sizes(
    order: Order, train: int | None, validation: int | None, subset: int | None, total: int
) -> tuple[int, int, int]:
    """Return how many images train, how many validate, and how many of each at most are kept."""
    default = PARTS[order]
    sizes = default[0] if train is None else train, default[1] if validation is None else validation
    if min(sizes) < 1 or sum(sizes) > total:
        raise BadArgument(
            f"`train` {sizes[0]} and `validation` {sizes[1]} must be at least 1 each and at most "
            f"{total} together, the training images there are; take fewer."
        )
    if subset is not None and subset < 1:
        raise BadArgument(f"`subset` must be at least 1 image; got {subset}. None keeps all.")
    return (*sizes, subset or max(sizes))


def _chosen(
    order: Order, sizes: tuple[int, int, int], total: int, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    train, validation, most = sizes
    if order == "files":
        places = torch.arange(total)
    else:
        places = torch.randperm(total, generator=generator("cifar10", seed))
    return places[:train][:most], places[total - validation :][:most]


def _facts(
    form: Form,
    jpeg: torch.Tensor,
    parts: list[Examples],
    order: Order,
    seed: int,
    subset: int | None,
) -> dict[str, object]:
    balance = [part.labels.bincount(minlength=CLASSES).tolist() for part in parts]
    names = ("train", "validation", "test")
    return {
        "source": form.name,
        "encoding": "JPEG" if bool(jpeg.any()) else "bitmaps",
        "order": order if order == "files" else f"{order} {seed}",
        "subset": subset,
        "examples": {name: len(part) for name, part in zip(names, parts, strict=True)},
        "images_of_each_class": dict(zip(names, balance, strict=True)),
    }
