"""ImageNet (Russakovsky et al. 2015), or any photographs in the same layout: decoded on demand."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch

from frivolous.data.files.folders import named_place, readable
from frivolous.data.files.imagenet_files import Source, find
from frivolous.data.images.encoded import EncodedExamples
from frivolous.data.splits import Examples, Splits
from frivolous.errors import BadArgument
from frivolous.rng import generator


def imagenet(
    *,
    folder: str | Path | None = None,
    size: int = 224,
    validation: float = 0.02,
    seed: int = 0,
    workers: int | None = None,
) -> Splits:
    """Return ImageNet in three splits of images (N, 3, size, size) as bytes, decoded on demand.

    The test is the official validation folder, whose labels are known; a share of the training
    images, chosen by ``seed``, validates. Splits keep the order of the files: folders are read
    class after class, so train with shuffling. Images are cut in the usual way: in training a box
    of 8 to 100% of the area, else the middle.

    Args:
        folder: holds ``train/<class>/*.JPEG`` and ``val/<class>/*.JPEG``, or Hugging Face's
            ``train-*.parquet`` and ``validation-*.parquet`` (columns ``image``, ``label``), which
            are fast only in their own order. Default: the environment's ``FRIVOLOUS_DATA``.
        size: height and width in pixels (ResNet 224, Inception 299).
        validation: share of the training images, above 0 and below 1.
        seed: of the choice of validation images.
        workers: threads that decode; None takes one for each processor.

    Raises:
        BadArgument: the folder or a part of it is missing or cannot be read, a class
            has no images, or a split would be empty. A damaged image is an error when it is read.
    """
    if not 0 < validation < 1:
        raise BadArgument(
            f"`validation` is a share of the training images in (0, 1); got {validation}. For 2 "
            "percent pass 0.02."
        )
    own = "It needs an account at image-net.org; name the folder of your copy."
    with readable(folder):
        found = find(named_place(folder, "ImageNet", own))
    total = len(found.train.labels)
    held = round(validation * total)
    if not 0 < held < total:
        raise BadArgument(
            f"`validation` {validation} of {total} training images leaves a split empty; take "
            "another share or more images."
        )
    order = torch.randperm(total, generator=generator("imagenet", seed))
    chosen = order[held:].sort().values, order[:held].sort().values

    def stored(source: Source, numbers: torch.Tensor) -> Examples:
        part = EncodedExamples(source.encoded, numbers, source.labels[numbers], size, workers)
        # It has the surface of examples; only its inputs are no tensor until they are indexed.
        return cast(Examples, part)

    parts = [stored(found.train, numbers) for numbers in chosen]
    test = stored(found.test, torch.arange(len(found.test.labels)))
    facts = {
        "source": found.form,
        "names": found.names,
        "examples": {"train": len(parts[0]), "validation": held, "test": len(test)},
    }
    return Splits(parts[0], parts[1], test, classes=found.classes, facts=facts)
