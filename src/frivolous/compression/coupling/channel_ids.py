"""Numbers of the entries of axes, made equal pair by pair."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frivolous.network.program import Program, Ref, Step

Numbers = NDArray[np.int64]
Along = tuple[Numbers | None, ...]
"""Per axis of a value the numbers of its entries; None along examples, positions and inputs."""

BATCH = 7919
"""A number of examples that no other axis has by chance."""

HELD = 0


@dataclass(frozen=True)
class CoupledAxes:
    """The numbers along every axis, each the least of those that are equal, and what is held.

    ``along`` maps a value to its axes; ``held`` a number to the reason why it cannot be removed.
    """

    along: Mapping[int, Along]
    held: Mapping[int, str]


class ChannelIds:
    """Numbers as they are made equal, step by step (union by the least)."""

    def __init__(self, program: Program, balanced: Collection[int] = ()) -> None:
        self.program = program
        self.balanced = balanced  # values whose parts stay of one size
        self.along: dict[int, Along] = {}
        self.parent = [HELD]
        self.reasons: dict[int, str] = {}

    def shape(self, index: int) -> tuple[int, ...]:
        return self.program.shape_of(index, BATCH)

    def fits(self, axes: Along, step: Step) -> bool:
        """Whether there is a number for every entry of what a step gives."""
        if step.index not in self.program.shapes:  # several values, taken apart later
            return True
        shape = self.shape(step.index)
        return len(axes) == len(shape) and all(
            numbers is None or len(numbers) == size
            for numbers, size in zip(axes, shape, strict=True)
        )

    def of(self, argument: Any) -> Along:
        """The axes of an operand; () for a number."""
        return self.along.get(argument.index, ()) if isinstance(argument, Ref) else ()

    def fresh(self, size: int) -> Numbers:
        start = len(self.parent)
        self.parent.extend(range(start, start + size))
        return np.arange(start, start + size, dtype=np.int64)

    def root(self, number: int) -> int:
        parent = self.parent
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    def equal(self, first: Numbers, second: Numbers) -> None:
        """Make numbers equal, pair by pair."""
        for one, other in zip(first.tolist(), second.tolist(), strict=True):
            a, b = sorted((self.root(one), self.root(other)))
            if a != b:
                self.parent[b] = a
                if b in self.reasons:
                    self.reasons.setdefault(a, self.reasons.pop(b))

    def hold(self, axes: Sequence[Numbers | None], reason: str) -> None:
        """Hold all entries of these axes."""
        for numbers in axes:
            for number in () if numbers is None else np.unique(numbers).tolist():
                self.reasons.setdefault(self.root(number), reason)

    def settled(self) -> CoupledAxes:
        roots = np.array([self.root(number) for number in range(len(self.parent))], dtype=np.int64)
        along = {
            index: tuple(None if numbers is None else roots[numbers] for numbers in axes)
            for index, axes in self.along.items()
        }
        return CoupledAxes(along, dict(self.reasons))


Flags = NDArray[np.bool_]


class ChannelMask:
    """What is kept of every axis when some numbers are removed.

    ``gone`` (numbers,) is True for every number that is removed.
    """

    def __init__(self, axes: CoupledAxes, gone: Flags) -> None:
        self.axes = axes
        self.gone = gone

    def along(self, index: int) -> tuple[Flags | None, ...]:
        """Per axis of a value which entries are kept; None where all are."""
        return tuple(
            None if numbers is None or not (flags := self.gone[numbers]).any() else ~flags
            for numbers in self.axes.along.get(index, ())
        )

    def sliced(self, index: int, tensor: Tensor) -> Tensor:
        """The entries of a value that are kept."""
        for axis, kept in enumerate(self.along(index)):
            if kept is not None:
                places = torch.as_tensor(np.flatnonzero(kept), device=tensor.device)
                tensor = tensor.index_select(axis, places)
        return tensor

    def shape(self, index: int, shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """The sizes of a value without what is removed."""
        along = self.along(index) or (None,) * len(shape)
        return tuple(
            size if kept is None else int(kept.sum())
            for size, kept in zip(shape, along, strict=True)
        )
