"""The oracle: a module's own forward, in which values that operations give are masked.

Nothing here knows a graph. Every value that an operation of the plain forward gives is seen by a
``TorchDispatchMode``; the one that a site stands for is found by its numbers alone, is multiplied
by a mask there, and the forward goes on.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


@dataclass(frozen=True)
class Place:
    """A value of a forward: result ``part`` of its ``call``-th operation, units along ``axis``."""

    call: int
    part: int
    axis: int


class _Operations(TorchDispatchMode):
    """Sees, and may exchange, all that operations give, in order."""

    def __init__(self, seen: Callable[[int, int, Tensor], Tensor | None]) -> None:
        super().__init__()
        self.seen, self.calls = seen, -1

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        given = func(*args, **(kwargs or {}))
        self.calls += 1
        parts = given if isinstance(given, tuple | list) else [given]
        new = []
        for part, value in enumerate(parts):
            other = self.seen(self.calls, part, value) if isinstance(value, Tensor) else None
            if other is not None and func._schema.is_mutable:
                value.copy_(other)  # others hold the same tensor
                other = None
            new.append(value if other is None else other)
        return type(given)(new) if isinstance(given, tuple | list) else new[0]


@contextmanager
def _plainly() -> Iterator[None]:
    """No operation that does the work of several modules at once."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def values_of(forward: Callable[[], Any]) -> list[tuple[int, int, Tensor]]:
    """All that the operations of a forward give."""
    found: list[tuple[int, int, Tensor]] = []

    def seen(call: int, part: int, value: Tensor) -> None:
        if value.is_floating_point() and value.numel():
            found.append((call, part, value.clone()))

    with _plainly(), _Operations(seen):
        forward()
    return found


def masked(forward: Callable[[], Any], masks: Mapping[Place, Tensor]) -> Any:
    """What a forward gives with some values masked; ``masks`` have a factor per unit."""
    there = {(place.call, place.part): (place.axis, mask) for place, mask in masks.items()}

    def seen(call: int, part: int, value: Tensor) -> Tensor | None:
        if (call, part) not in there:
            return None
        axis, mask_U = there[call, part]
        shape = [1] * value.dim()
        shape[axis] = -1
        return value * mask_U.to(value.dtype).view(shape)

    with _plainly(), _Operations(seen):
        return forward()


def places_of(
    activity: Tensor, axis: int, values: list[tuple[int, int, Tensor]], rounding: float
) -> list[Place]:
    """Where a value (its units along ``axis``) is among those of a forward, axes in any order.

    ``rounding`` is how far numbers may be apart, as a share of the largest.
    """
    units = activity.shape[axis]
    rows = activity.movedim(axis, -1).reshape(-1, units).double()
    size = float(rows.abs().max())
    norm = float(rows.norm())
    found = []
    for call, part, value in values:
        if value.numel() != activity.numel() or units not in value.shape:
            continue
        if abs(float(value.double().norm()) - norm) > 10 * rounding * max(norm, 1e-30):
            continue
        along = _axis_of(rows, value.double(), rounding * size)
        if along is not None:
            found.append(Place(call, part, along))
    return found


def _axis_of(rows: Tensor, value: Tensor, most: float) -> int | None:
    units = rows.shape[1]
    for axis in range(value.dim()):
        if value.shape[axis] != units:
            continue
        others = [a for a in range(value.dim()) if a != axis]
        for order in itertools.permutations(others):
            if float((value.permute(*order, axis).reshape(-1, units) - rows).abs().max()) <= most:
                return axis
    return None
