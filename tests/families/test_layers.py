"""Pooling against a plain loop over windows, placed as TensorFlow documents ``SAME``."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from frivolous.families.layers import max_pool_same
from frivolous.rng import generator


def by_loop(maps: Tensor) -> Tensor:
    """Total padding max((windows - 1) * 2 + 3 - n, 0), its smaller half before the first pixel."""

    def starts(pixels: int) -> list[int]:
        windows = math.ceil(pixels / 2)
        before = max((windows - 1) * 2 + 3 - pixels, 0) // 2
        return [2 * i - before for i in range(windows)]

    height, width = maps.shape[2:]
    rows = [
        [maps[:, :, max(r, 0) : r + 3, max(c, 0) : c + 3].amax((2, 3)) for c in starts(width)]
        for r in starts(height)
    ]
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


@pytest.mark.parametrize("height", [1, 2, 3, 4, 7, 8])
@pytest.mark.parametrize("width", [1, 2, 5, 6])
def test_every_size_is_pooled_as_by_a_loop(height: int, width: int) -> None:
    maps = torch.randn(2, 3, height, width, generator=generator("pooling", height, width))
    assert torch.equal(max_pool_same(maps), by_loop(maps))


def test_padding_never_wins() -> None:
    assert torch.equal(max_pool_same(-torch.ones(1, 1, 3, 2)), -torch.ones(1, 1, 2, 1))
