"""Handwritten digits: 1,797 images of 8x8 pixels that come with scikit-learn, no download."""

from __future__ import annotations

import torch
from torch.nn import functional

from frivolous.data.splits import Examples, Splits
from frivolous.errors import BadArgument
from frivolous.rng import generator


def digits(
    *,
    seed: int = 0,
    validation: int = 297,
    test: int = 500,
    flat: bool = False,
    size: int | None = None,
    channels: int = 1,
) -> Splits:
    """Return the digits as images (N, 1, 8, 8), or flat (N, 64), with pixels from 0 to 1.

    With ``size`` they are bytes (N, channels, size, size) from 0 to 255 instead, enlarged
    bilinearly, as the families of larger images and the preparations want them. One permutation
    drawn from ``seed`` deals the images into splits.

    Args:
        seed: of the permutation.
        validation, test: images of these splits, at least 1 each; the rest trains.
        flat: give each image as 64 numbers, for dense networks.
        size: height and width in pixels, at least 1; None leaves 8x8 floats.
        channels: copies of the one grey channel; goes with ``size``.

    Raises:
        BadArgument: the splits leave nothing to train on, or the options do not go together.

    >>> data = digits()
    >>> data.train.inputs.shape, data.test.inputs.shape, data.classes
    (torch.Size([1000, 1, 8, 8]), torch.Size([500, 1, 8, 8]), 10)
    """
    from sklearn.datasets import load_digits

    source = load_digits()
    total = len(source.target)
    if validation < 1 or test < 1 or validation + test >= total:
        raise BadArgument(
            f"`validation` {validation} and `test` {test} must be at least 1 each and leave some "
            f"of the {total} digits to train on; take fewer."
        )
    _check_form(flat, size, channels)
    order = torch.randperm(total, generator=generator("digits", seed))
    images = torch.from_numpy(source.images).float()[order] / 16
    images = images.flatten(1) if flat else images.unsqueeze(1)
    if size is not None:
        images = _enlarged(images, size).expand(-1, channels, -1, -1).contiguous()
    labels = torch.from_numpy(source.target).long()[order]
    cuts = [total - validation - test, validation, test]
    pairs = zip(images.split(cuts), labels.split(cuts), strict=True)
    parts = [Examples(x, y) for x, y in pairs]
    return Splits(parts[0], parts[1], parts[2], classes=10)


def _check_form(flat: bool, size: int | None, channels: int) -> None:
    if size is None and channels != 1:
        raise BadArgument(
            f"`channels` {channels} goes with `size`; pass size=8 for images of 8x8 pixels."
        )
    if flat and size is not None:
        raise BadArgument(
            f"`flat` gives the 64 pixels as floats, `size` {size} gives images; pass one of both."
        )
    if channels < 1 or (size is not None and size < 1):
        raise BadArgument(f"`size` {size} and `channels` {channels} must be at least 1.")


def _enlarged(images: torch.Tensor, size: int) -> torch.Tensor:
    larger = functional.interpolate(images, (size, size), mode="bilinear", align_corners=False)
    return (larger * 255).round().to(torch.uint8)
