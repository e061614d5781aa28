"""What the axes of a value are made of: examples, units and positions, as factors of their sizes.

A view may merge units with examples (heads beside the batch) or split them over several axes
(heads). Factors, and not axes, are what every operation that keeps units apart keeps.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

#: ``COPY``: positions that hold the same numbers, since an axis of size 1 was expanded.
#: ``UNCLEAR``: examples and something else in an order that is not known.
BATCH, UNIT, OTHER, COPY, UNCLEAR = "batch", "unit", "other", "copy", "unclear"


class Factor(NamedTuple):
    """A part of an axis; where it has the batch in it ``size`` multiplies that: 1 for the batch."""

    kind: str
    size: int

    @property
    def examples(self) -> bool:
        """Whether the batch is in it."""
        return self.kind in {BATCH, UNCLEAR}


Axis = tuple[Factor, ...]
Layout = tuple[Axis, ...]


def plain(shape: Sequence[Any]) -> Layout:
    """The layout of a value without units: the batch where a size depends on it."""
    return tuple(_plain_axis(size) for size in shape)


def _plain_axis(size: Any) -> Axis:
    if isinstance(size, int):
        return (Factor(OTHER, size),) if size != 1 else ()
    times = multiple(size) or 0
    return (Factor(BATCH, 1),) if times == 1 else (Factor(UNCLEAR, times),)


def units_on(layout: Layout, axis: int, size: int) -> Layout:
    """The layout with fresh units on one axis and on no other."""
    axis %= len(layout)
    return tuple(
        (Factor(UNIT, size),) if place == axis else without_units(factors)
        for place, factors in enumerate(layout)
    )


def without_units(factors: Axis) -> Axis:
    """The axis with its units counted as positions."""
    return tuple(Factor(OTHER, f.size) if f.kind == UNIT else f for f in factors)


def copies_as_units(factors: Axis) -> Axis:
    """The axis with copies counted as units: heads that share their keys and values."""
    return tuple(Factor(UNIT, f.size) if f.kind == COPY else f for f in factors)


def holds(factors: Axis, kind: str) -> bool:
    """Whether an axis has a factor of this kind."""
    return any(factor.kind == kind for factor in factors)


def positions_only(factors: Axis) -> bool:
    """Whether an axis has neither units nor examples in it."""
    return not any(factor.kind == UNIT or factor.examples for factor in factors)


def unit_axes(layout: Layout) -> tuple[int, ...]:
    """The axes that hold units."""
    return tuple(axis for axis, factors in enumerate(layout) if holds(factors, UNIT))


def natural(layout: Layout) -> bool:
    """Whether examples alone are along axis 0, and units along one axis."""
    others = layout[1:]
    return (
        len(layout) > 1
        and [factor.kind for factor in layout[0]] == [BATCH]
        and len(unit_axes(layout)) == 1
        and not any(factor.examples for factors in others for factor in factors)
    )


def outermost(layout: Layout) -> int | None:
    """The axis along which copies of the whole batch can be put one after another."""
    axes = [axis for axis, factors in enumerate(layout) if any(f.examples for f in factors)]
    if len(axes) != 1 or layout[axes[0]][0].kind != BATCH:
        return None
    return axes[0] if sum(factor.examples for factor in layout[axes[0]]) == 1 else None


def multiple(size: Any) -> int | None:
    """How many times the batch a size is; None for one that is no multiple of it."""
    symbols = size.free_symbols
    if len(symbols) != 1:
        return None
    (symbol,) = symbols
    times = size / symbol
    return int(times) if times.is_Integer else None


def resized(layout: Layout, shape: Sequence[Any]) -> Layout | None:
    """The same axes with other sizes: after pooling, padding, a slice or a concatenation."""
    if len(layout) != len(shape):
        return None
    return tuple(
        factors if product(factors) == _number(size) else _sized(factors, size)
        for factors, size in zip(layout, shape, strict=True)
    )


def _sized(factors: Axis, size: Any) -> Axis:
    if holds(factors, UNIT) and isinstance(size, int):
        return (Factor(UNIT, size),)
    return _plain_axis(size)


def _number(size: Any) -> tuple[int, bool]:
    return (size, False) if isinstance(size, int) else (multiple(size) or 0, True)


def product(factors: Iterable[Factor]) -> tuple[int, bool]:
    """The size of an axis as a number, and whether that number multiplies the batch."""
    size, batch = 1, False
    for factor in factors:
        size, batch = size * factor.size, batch or factor.examples
    return size, batch


def reshaped(layout: Layout, shape: Sequence[Any]) -> Layout | None:
    """The factors laid out along other axes, split where an axis ends inside one."""
    if _unfolds(layout, shape):
        return units_on(plain(shape), 1, int(shape[1]))
    waiting = [factor for factors in layout for factor in factors]
    axes = []
    for size in shape:
        taken = _take(waiting, size)
        if taken is None:
            return None
        axes.append(copies_as_units(taken) if holds(taken, UNIT) else taken)
    if axes and all(factor.size == 1 and not factor.examples for factor in waiting):
        axes[-1] = (*axes[-1], *waiting)
        return tuple(axes)
    return None if waiting else tuple(axes)


def _unfolds(layout: Layout, shape: Sequence[Any]) -> bool:
    """Whether a dense layer's units become feature maps, whose axis is the first."""
    return (
        len(layout) == 2
        and len(shape) > 2
        and natural(layout)
        and len(layout[1]) == 1
        and product(layout[0]) == _number(shape[0])
    )


def expanded(layout: Layout, shape: Sequence[Any]) -> Layout:
    """The same with axes of size 1, and new ones in front, filled with copies."""
    found = combined([layout], shape)
    fresh = len(found) - len(layout)
    return tuple(
        tuple(Factor(COPY, f.size) if f.kind == OTHER else f for f in factors)
        if axis < fresh or not layout[axis - fresh]
        else factors
        for axis, factors in enumerate(found)
    )


def _take(waiting: list[Factor], size: Any) -> Axis | None:
    """The next factors that make up an axis, removed from ``waiting``."""
    need, batch = _number(size)
    taken: list[Factor] = []
    while need > 1 or batch or (waiting and waiting[0] == Factor(UNIT, 1) and not taken):
        if not waiting:
            return None
        factor = waiting.pop(0)
        if factor.examples:
            if not batch or factor.size == 0 or need % factor.size:
                return None
            need, batch = need // factor.size, False
        elif need % factor.size == 0:
            need //= factor.size
        elif factor.size % need == 0:
            waiting.insert(0, Factor(factor.kind, factor.size // need))
            factor, need = Factor(factor.kind, need), 1
        else:
            return None
        taken.append(factor)
    return tuple(taken)


def combined(operands: Sequence[Layout], shape: Sequence[Any]) -> Layout:
    """The layout of an element-wise result, in the order in which the operands were computed.

    Where their units lie along different axes those of the first count: what a layer over the
    positions of a value adds to it leaves its units apart.
    """
    rank = len(shape)
    aligned = [((),) * (rank - len(layout)) + layout for layout in operands]
    wide = [axes for axes in map(_wide_axes, aligned) if axes]
    kept = [
        layout
        if _wide_axes(layout) in ((), *wide[:1])
        else tuple(without_units(factors) for factors in layout)
        for layout in aligned
    ]
    return tuple(_best([layout[axis] for layout in kept], size) for axis, size in enumerate(shape))


def _wide_axes(layout: Layout) -> tuple[int, ...]:
    return tuple(axis for axis in unit_axes(layout) if product(layout[axis])[0] > 1)


def _best(candidates: Sequence[Axis], size: Any) -> Axis:
    """What is known of an axis from the operands that are not broadcast along it."""
    fitting = [factors for factors in candidates if product(factors) == _number(size)]
    for kind in (UNIT, BATCH):
        for factors in fitting:
            if holds(factors, kind):
                return factors
    if not fitting and any(holds(factors, UNIT) for factors in candidates):
        return (Factor(UNIT, int(size)),) if isinstance(size, int) else _plain_axis(size)
    return fitting[0] if fitting else _plain_axis(size)
