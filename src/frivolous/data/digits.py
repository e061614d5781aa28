"""Handwritten digits: 1,797 images of 8x8 pixels that come with scikit-learn, no download."""

from __future__ import annotations

import torch

from frivolous.data.examples import Examples, Splits
from frivolous.errors import BadArgument
from frivolous.seeds import generator


def digits(*, seed: int = 0, validation: int = 297, test: int = 500, flat: bool = False) -> Splits:
    """Return the digits as images (N, 1, 8, 8), or flat (N, 64), with pixels from 0 to 1.

    The images are dealt into splits by one permutation drawn from ``seed``.

    Args:
        seed: of the permutation.
        validation, test: images of these splits, at least 1 each; the rest trains.
        flat: give each image as 64 numbers, for dense networks.

    Raises:
        BadArgument: the splits leave nothing to train on.

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
    order = torch.randperm(total, generator=generator("digits", seed))
    images = torch.from_numpy(source.images).float()[order] / 16
    images = images.flatten(1) if flat else images.unsqueeze(1)
    labels = torch.from_numpy(source.target).long()[order]
    cuts = [total - validation - test, validation, test]
    pairs = zip(images.split(cuts), labels.split(cuts), strict=True)
    parts = [Examples(x, y) for x, y in pairs]
    return Splits(parts[0], parts[1], parts[2], classes=10)
