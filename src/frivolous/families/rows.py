"""Feature maps as rows: one position after the other, its feature maps side by side."""

from __future__ import annotations

from torch import Tensor


def rows_of(maps: Tensor) -> Tensor:
    """Return (N, C, ...) as (N * ..., C); no copy from ``torch.channels_last``."""
    return maps.movedim(1, -1).reshape(-1, maps.shape[1])


def maps_of(rows: Tensor, like: Tensor) -> Tensor:
    """Return rows, of one position or of several, in the shape (N, C, ...) of another tensor."""
    return rows.view(like.movedim(1, -1).shape).movedim(-1, 1)
