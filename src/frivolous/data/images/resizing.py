"""Bilinear resizing as one small matrix per axis."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=64)
def legacy_bilinear(size: int, into: int) -> Tensor:
    """Return the matrix (into, size) that resizes one axis as TensorFlow 1 does.

    The rule of ``tf.image.resize_images`` with ``align_corners=False``: the output at i reads the
    input at i * size / into, not at pixel centres, and the last input repeats beyond the edge. It
    is therefore not symmetric: flipping before and after differ. Rows sum to 1. The tensor is
    shared between calls: do not write into it.

    >>> legacy_bilinear(2, 4)
    tensor([[1.0000, 0.0000],
            [0.5000, 0.5000],
            [0.0000, 1.0000],
            [0.0000, 1.0000]])
    """
    source = torch.arange(into, dtype=torch.float64) * size / into
    low = source.floor().long()
    high = (low + 1).clamp(max=size - 1)
    share = source - low
    rows = torch.arange(into)
    matrix = torch.zeros(into, size, dtype=torch.float64)
    matrix[rows, low] += 1 - share
    matrix[rows, high] += share
    return matrix.float()
