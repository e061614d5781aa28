"""Channel ids: integer ids of the entries of axes, made equal pair by pair (union-find).

Each entry of an axis of units has an id. Coupling two entries makes their ids equal; removing a
unit removes every entry with its id, and :class:`ChannelMask` says which entries that leaves.

>>> ids = ChannelIds(program=None)
>>> written, read = ids.fresh(3), ids.fresh(3)  # 1, 2, 3 and 4, 5, 6
>>> ids.equal(written, read)
>>> ids.hold([read[:1]], "it is needed")
>>> ids.along[0] = (read,)  # say, value 0 has these ids along its one axis
>>> coupled = ids.settled()
>>> coupled.along[0], coupled.held
((array([1, 2, 3]),), {1: 'it is needed'})
>>> gone = np.array([False, False, True, False])  # by id: remove id 2
>>> ChannelMask(coupled, gone).along(0)
(array([ True, False,  True]),)
"""

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
"""Per axis of a value the ids of its entries; None for examples, positions and inputs."""

BATCH = 7919
"""A number of examples that no other axis has by chance."""

HELD = 0


@dataclass(frozen=True)
class CoupledAxes:
    """The ids along every axis, each the least of those that are equal, and what is held.

    ``along`` maps a value to its axes; ``held`` maps an id to the reason why it cannot be removed.
    """

    along: Mapping[int, Along]
    held: Mapping[int, str]


class ChannelIds:
    """Ids being made equal, step by step: a union-find whose representative is the least id."""

    def __init__(self, program: Program, balanced: Collection[int] = ()) -> None:
        self.program = program
        self.balanced = balanced  # values whose parts stay equally long
        self.along: dict[int, Along] = {}
        self.parent = [HELD]
        self.reasons: dict[int, str] = {}

    def shape(self, index: int) -> tuple[int, ...]:
        """The shape of a value, with :data:`BATCH` examples."""
        return self.program.shape_of(index, BATCH)

    def fits(self, axes: Along, step: Step) -> bool:
        """Whether a step's result has one id for each entry of its axes."""
        if step.index not in self.program.shapes:  # several results; `getitem` takes one later
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
        """New ids, one for each entry of an axis."""
        start = len(self.parent)
        self.parent.extend(range(start, start + size))
        return np.arange(start, start + size, dtype=np.int64)

    def root(self, number: int) -> int:
        """The least id that an id is equal to."""
        parent = self.parent
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    def equal(self, first: Numbers, second: Numbers) -> None:
        """Couple two axes: make their ids equal, pair by pair."""
        for one, other in zip(first.tolist(), second.tolist(), strict=True):
            a, b = sorted((self.root(one), self.root(other)))
            if a != b:
                self.parent[b] = a
                if b in self.reasons:
                    self.reasons.setdefault(a, self.reasons.pop(b))

    def hold(self, axes: Sequence[Numbers | None], reason: str) -> None:
        """Keep all entries of these axes from being removed, and note why."""
        for numbers in axes:
            for number in () if numbers is None else np.unique(numbers).tolist():
                self.reasons.setdefault(self.root(number), reason)

    def settled(self) -> CoupledAxes:
        """The ids as they are once all operations have been followed."""
        roots = np.array([self.root(number) for number in range(len(self.parent))], dtype=np.int64)
        along = {
            index: tuple(None if numbers is None else roots[numbers] for numbers in axes)
            for index, axes in self.along.items()
        }
        return CoupledAxes(along, dict(self.reasons))


Flags = NDArray[np.bool_]


class ChannelMask:
    """Which entries of every axis are kept when some ids are removed.

    ``gone`` (ids,) is True for every id that is removed.
    """

    def __init__(self, axes: CoupledAxes, gone: Flags) -> None:
        self.axes = axes
        self.gone = gone

    def along(self, index: int) -> tuple[Flags | None, ...]:
        """Per axis of a value, flags of the entries kept; None where all are."""
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
        """The shape of a value without what is removed."""
        along = self.along(index) or (None,) * len(shape)
        return tuple(
            size if kept is None else int(kept.sum())
            for size, kept in zip(shape, along, strict=True)
        )
