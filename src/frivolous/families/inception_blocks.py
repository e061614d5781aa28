"""The modules of Inception-v3: parallel branches of convolutions, as data and as networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Filters:
    """One convolution: its number of filters at size factor 1, the size of its kernel, its stride.

    At stride 1 the image keeps its size, at stride 2 nothing beyond its border is read. ``fixed``
    filters are as many at every size factor.
    """

    number: int
    kernel: tuple[int, int]
    stride: int = 1
    fixed: bool = False


@dataclass(frozen=True)
class Branch:
    """One branch of a module: pooling, convolutions one after the other, the last ones in parallel.

    ``pool`` is "", "mean" (3 by 3, the size is kept) or "max" (3 by 3 at every second pixel). A
    branch without ``last`` passes on what its pooling gives.
    """

    pool: str = ""
    inner: tuple[Filters, ...] = ()
    last: tuple[Filters, ...] = ()


def _chain(*filters: Filters) -> Branch:
    return Branch(inner=filters[:-1], last=filters[-1:])


def _one(number: int, *, fixed: bool = False) -> Filters:
    return Filters(number, (1, 1), fixed=fixed)


def _three(number: int, stride: int = 1) -> Filters:
    return Filters(number, (3, 3), stride)


def _row(number: int, length: int = 7) -> Filters:
    return Filters(number, (1, length))


def _column(number: int, length: int = 7) -> Filters:
    return Filters(number, (length, 1))


def _pooled(number: int, *, fixed: bool = False) -> Branch:
    return Branch("mean", last=(_one(number, fixed=fixed),))


def _grid35(pooled: int) -> tuple[Branch, ...]:
    return (
        _chain(_one(64)),
        _chain(_one(48), Filters(64, (5, 5))),
        _chain(_one(64), _three(96), _three(96)),
        _pooled(pooled),
    )


def _grid17(n: int, *, fixed: bool = False) -> tuple[Branch, ...]:
    return (
        _chain(_one(192)),
        _chain(_one(n), _row(n), _column(192)),
        _chain(_one(n), _column(n), _row(n), _column(n), _row(192)),
        _pooled(192, fixed=fixed),
    )


_TO_17 = (
    _chain(_three(384, 2)),
    _chain(_one(64), _three(96), _three(96, 2)),
    Branch("max"),
)
_TO_8 = (
    _chain(_one(192), _three(320, 2)),
    _chain(_one(192), _row(192), _column(192), _three(192, 2)),
    Branch("max"),
)
_ENDS = (_row(384, 3), _column(384, 3))
_GRID8 = (
    _chain(_one(320)),
    Branch(inner=(_one(384),), last=_ENDS),
    Branch(inner=(_one(448), _three(384)), last=_ENDS),
    _pooled(192),
)

#: Every module in order of depth, by the grid it is made for and its units at size factor 1. The
#: original code's "17x17x1280a" gives a grid of 8 by 8.
MODULES: Mapping[str, tuple[Branch, ...]] = {
    "35x35x256a": _grid35(pooled=32),
    "35x35x288a": _grid35(pooled=64),
    "35x35x288b": _grid35(pooled=64),
    "17x17x768a": _TO_17,
    "17x17x768b": _grid17(128),
    "17x17x768c": _grid17(160),
    "17x17x768d": _grid17(160, fixed=True),
    "17x17x768e": _grid17(192),
    "17x17x1280a": _TO_8,
    "8x8x2048a": _GRID8,
    "8x8x2048b": _GRID8,
}


class Shift(nn.BatchNorm2d):
    """Batch normalisation that learns a shift and no scale: the scale stays 1, as a buffer."""

    def __init__(self, maps: int, decay: float) -> None:
        super().__init__(maps, eps=1e-3, momentum=1 - decay)
        del self.weight
        self.register_buffer("weight", torch.ones(maps))


class Layer(nn.Module):
    """A convolution and its normalisation, without activation; ``written`` filters."""

    def __init__(
        self,
        read: int,
        written: int,
        kernel: tuple[int, int],
        stride: int = 1,
        *,
        keep_size: bool,
        decay: float,
    ) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2) if keep_size else 0
        self.written = written
        self.conv = nn.Conv2d(read, written, kernel, stride, padding, bias=False)
        self.norm = Shift(written, decay)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the normalised feature maps."""
        normalised: Tensor = self.norm(self.conv(maps))
        return normalised


class Mixed(nn.Module):
    """A module: its branches concatenated, then one ReLU for them all.

    ``relu(cat(x, y))`` is ``cat(relu(x), relu(y))``, and what is pooled is non-negative already, so
    one ReLU at the end is the same network and makes the module's units one site.
    ``units`` gives the number of filters that a :class:`Filters` stands for.
    """

    def __init__(
        self,
        read: int,
        branches: tuple[Branch, ...],
        units: Callable[[Filters], int],
        decay: float,
    ) -> None:
        super().__init__()
        ways = [_Way(read, branch, units, decay) for branch in branches]
        self.branches = nn.ModuleList(ways)
        self.written = sum(way.written for way in ways)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the feature maps of all branches."""
        return F.relu(torch.cat([end for way in self.branches for end in way(maps)], 1))


class _Way(nn.Module):
    def __init__(
        self, read: int, branch: Branch, units: Callable[[Filters], int], decay: float
    ) -> None:
        super().__init__()
        self.pool = branch.pool
        self.inner = nn.ModuleList()
        self.last = nn.ModuleList()

        def layer(read: int, filters: Filters) -> Layer:
            keep = filters.stride == 1
            shape = units(filters), filters.kernel, filters.stride
            return Layer(read, *shape, keep_size=keep, decay=decay)

        for filters in branch.inner:
            self.inner.append(layer(read, filters))
            read = units(filters)
        self.last.extend(layer(read, filters) for filters in branch.last)
        self.written = sum(units(filters) for filters in branch.last) or read

    def forward(self, maps: Tensor) -> list[Tensor]:
        if self.pool == "max":
            maps = F.max_pool2d(maps, 3, 2)
        elif self.pool == "mean":  # pixels beyond the border do not count
            maps = F.avg_pool2d(maps, 3, 1, 1, count_include_pad=False)
        for layer in self.inner:
            maps = F.relu(layer(maps))
        return [layer(maps) for layer in self.last] or [maps]
