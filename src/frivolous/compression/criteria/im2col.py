"""im2col: what a layer reads as rows of features, one for each sample of its output.

A 3x3 convolution of 8 channels reads 72 features at each output position: 8 channels x 9 taps. As
rows of a matrix they turn the convolution into a dense layer, which can be fitted by least squares.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frivolous.compression.coupling.groups import GroupReader
from frivolous.network.operations import CONVOLUTIONS
from frivolous.network.program import Step


def fits(step: Step) -> bool:
    """Whether a layer's input can be laid out as rows: dense layers, 1-d and 2-d convolutions."""
    if step.op not in CONVOLUTIONS:
        return True
    return step.op in {"conv1d", "conv2d"} and not isinstance(_argument(step, 4, 0), str)


def places_of(read: GroupReader, output: Tensor) -> int:
    """The number of positions per example of a layer's output."""
    return math.prod(output.shape[1:]) // output.shape[1 if read.convolves else -1]


def outputs_at(read: GroupReader, output: Tensor, example_N: Tensor, place_N: Tensor) -> Tensor:
    """A layer's outputs at samples: shape (N, R)."""
    last = output.movedim(1 if read.convolves else -1, -1)
    return last.reshape(len(last), -1, last.shape[-1])[example_N, place_N]


def rows_at(
    step: Step,
    read: GroupReader,
    kernel: Sequence[int],
    value: Tensor,
    example_N: Tensor,
    place_N: Tensor,
) -> Tensor:
    """What a layer reads at samples: shape (N, F), features as its weight has them, taps last."""
    if not read.convolves:
        last = value.movedim(read.axis, -1)
        return last.reshape(len(last), -1, last.shape[-1])[example_N, place_N]
    rank = value.dim() - 2
    stride, padding, dilation = (
        _spread(_argument(step, at, default), rank) for at, default in ((3, 1), (4, 0), (5, 1))
    )
    padded = torch.nn.functional.pad(value, [p for q in reversed(padding) for p in (q, q)])
    out = [
        (padded.shape[2 + a] - dilation[a] * (kernel[a] - 1) - 1) // stride[a] + 1
        for a in range(rank)
    ]
    corner: list[Tensor] = []
    left = place_N
    for size in reversed(out):
        corner.insert(0, left % size)
        left = left // size
    taps = []
    for tap in np.ndindex(*kernel):
        index = tuple(corner[a] * stride[a] + tap[a] * dilation[a] for a in range(rank))
        taps.append(padded[(example_N, slice(None), *index)])
    return torch.stack(taps, dim=2).flatten(1)


def blocks_of(read: GroupReader, taps: int) -> NDArray[np.int64]:
    """The features of each unit among those of :func:`rows_at`: (U, t), -1 for a unit not read."""
    features = read.features_UP[:, :, None]
    found = features * taps + np.arange(taps)
    found[np.broadcast_to(features < 0, found.shape)] = -1
    return found.reshape(len(found), -1)


def _argument(step: Step, place: int, default: Any) -> Any:
    return step.args[place] if len(step.args) > place else default


def _spread(given: Any, rank: int) -> list[int]:
    items = list(given) if isinstance(given, list | tuple) else [given]
    return items * rank if len(items) == 1 else items
