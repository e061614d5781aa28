"""Max-pooling as TensorFlow's ``SAME`` padding does it, and feature maps as rows."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def max_pool_same(maps: Tensor) -> Tensor:
    """Return the maxima of windows of 3 by 3, two apart; padding never wins.

    A side of n pixels gives ceil(n / 2) windows. An even side is padded by one pixel at its end
    only, an odd one by one pixel at both ends.

    >>> import torch
    >>> max_pool_same(torch.arange(16.0).view(1, 1, 4, 4)).flatten().tolist()
    [10.0, 11.0, 14.0, 15.0]
    """
    rows, columns = maps.shape[-2] % 2, maps.shape[-1] % 2
    if rows != columns:  # one call cannot round one side up and pad the other
        maps = F.pad(maps, (0, 1 - columns, 0, 1 - rows), value=float("-inf"))
        return F.max_pool2d(maps, 3, 2, padding=(rows, columns))
    return F.max_pool2d(maps, 3, 2, padding=rows, ceil_mode=rows == 0)


def rows_of(maps: Tensor) -> Tensor:
    """Return (N, C, ...) as (N * ..., C); no copy from ``torch.channels_last``."""
    return maps.movedim(1, -1).reshape(-1, maps.shape[1])


def maps_of(rows: Tensor, like: Tensor) -> Tensor:
    """Return rows, of one position or of several, in the shape (N, C, ...) of another tensor."""
    return rows.view(like.movedim(1, -1).shape).movedim(-1, 1)


# Older versions of PyTorch tell compiling, which exporting is, but not exporting.
exporting = getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)
