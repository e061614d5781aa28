"""What each axis of a value holds: examples, units or positions, as factors of its size.

Intuition. A shape alone does not say where the units are: after flattening, an axis of size 72 may
be 72 units, or 8 units at 9 positions each, and after splitting heads the units of one layer lie
along two axes. So every axis is written as a product of *factors*, outermost first, and every
factor has a kind. Views regroup factors and permutes reorder axes, but no operation that keeps
units apart makes or loses a factor, so the units can be followed through any chain of them.

Worked example. A convolution's 8 maps of 3x3 positions are flattened; of the 72 entries per
example, unit u has the nine at 9 u .. 9 u + 8, and the factors say so: 72 = 8 units x 3 x 3
positions. The view back to maps is the same step in reverse.

>>> from sympy import Symbol
>>> batch = Symbol("N")  # a traced size that depends on the batch is a symbol
>>> def show(layout):
...     print(*(" x ".join(f"{f.size} {f.kind}" for f in axis) or 1 for axis in layout), sep=", ")
>>> maps = units_on(plain((batch, 8, 3, 3)), 1, 8)
>>> show(maps)
1 batch, 8 unit, 3 other, 3 other
>>> show(reshaped(maps, (batch, 72)))
1 batch, 8 unit x 3 other x 3 other

Attention splits 12 features into 3 heads of 4, moves the heads in front of the 5 positions and may
merge them with the batch. All 12 units are still there, as 3 x 4 on two axes:

>>> features = units_on(plain((batch, 5, 12)), -1, 12)
>>> heads = reshaped(features, (batch, 5, 3, 4))
>>> show(heads)
1 batch, 5 other, 3 unit, 4 unit
>>> moved = (heads[0], heads[2], heads[1], heads[3])  # permute(0, 2, 1, 3)
>>> show(reshaped(moved, (3 * batch, 5, 4)))
1 batch x 3 unit, 5 other, 4 unit

A view that cuts across factors has no layout, and units behind it are not known:

>>> print(reshaped(maps, (batch, 9, 8)))  # 9 is neither 8 units nor a part of them
None
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

#: ``OTHER``: positions. ``COPY``: positions that hold the same numbers, since an axis of size 1 was
#: expanded. ``UNCLEAR``: examples and something else, in an order that is not known.
BATCH, UNIT, OTHER, COPY, UNCLEAR = "batch", "unit", "other", "copy", "unclear"


class Factor(NamedTuple):
    """One factor of an axis. Of the batch, ``size`` is a multiple: 1 for the batch itself."""

    kind: str
    size: int

    @property
    def examples(self) -> bool:
        """Whether it contains the batch."""
        return self.kind in {BATCH, UNCLEAR}


Axis = tuple[Factor, ...]
Layout = tuple[Axis, ...]


def plain(shape: Sequence[Any]) -> Layout:
    """The layout of a value without units: the batch where a size depends on it, else positions."""
    return tuple(_plain_axis(size) for size in shape)


def _plain_axis(size: Any) -> Axis:
    if isinstance(size, int):
        return (Factor(OTHER, size),) if size != 1 else ()
    times = multiple(size) or 0
    return (Factor(BATCH, 1),) if times == 1 else (Factor(UNCLEAR, times),)


def units_on(layout: Layout, axis: int, size: int) -> Layout:
    """The layout with new units on one axis, as a layer writes them, and none on the others."""
    axis %= len(layout)
    return tuple(
        (Factor(UNIT, size),) if place == axis else without_units(factors)
        for place, factors in enumerate(layout)
    )


def without_units(factors: Axis) -> Axis:
    """The axis with its units turned into positions."""
    return tuple(Factor(OTHER, f.size) if f.kind == UNIT else f for f in factors)


def copies_as_units(factors: Axis) -> Axis:
    """The axis with copies turned into units: heads that share their keys and values."""
    return tuple(Factor(UNIT, f.size) if f.kind == COPY else f for f in factors)


def holds(factors: Axis, kind: str) -> bool:
    """Whether an axis has a factor of this kind."""
    return any(factor.kind == kind for factor in factors)


def positions_only(factors: Axis) -> bool:
    """Whether an axis holds neither units nor examples."""
    return not any(factor.kind == UNIT or factor.examples for factor in factors)


def unit_axes(layout: Layout) -> tuple[int, ...]:
    """The axes that hold units."""
    return tuple(axis for axis, factors in enumerate(layout) if holds(factors, UNIT))


def natural(layout: Layout) -> bool:
    """Whether axis 0 holds the examples and nothing else, and one axis all the units."""
    others = layout[1:]
    return (
        len(layout) > 1
        and [factor.kind for factor in layout[0]] == [BATCH]
        and len(unit_axes(layout)) == 1
        and not any(factor.examples for factors in others for factor in factors)
    )


def outermost(layout: Layout) -> int | None:
    """The axis along which several copies of the batch can be concatenated; None if there is none.

    The batch must be the outermost factor of its axis: (batch x heads) holds example 0's heads,
    then example 1's, and another batch can follow; (heads x batch) is interleaved.
    """
    axes = [axis for axis, factors in enumerate(layout) if any(f.examples for f in factors)]
    if len(axes) != 1 or layout[axes[0]][0].kind != BATCH:
        return None
    return axes[0] if sum(factor.examples for factor in layout[axes[0]]) == 1 else None


def multiple(size: Any) -> int | None:
    """A size as a multiple of the batch size, 3 for 3 N; None if it is none."""
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
    """An axis of another size: as many units where it holds units, else positions or the batch."""
    if holds(factors, UNIT) and isinstance(size, int):
        return (Factor(UNIT, size),)
    return _plain_axis(size)


def _number(size: Any) -> tuple[int, bool]:
    """A size as (number, whether it multiplies the batch): 5 -> (5, False), 3 N -> (3, True)."""
    return (size, False) if isinstance(size, int) else (multiple(size) or 0, True)


def product(factors: Iterable[Factor]) -> tuple[int, bool]:
    """The size of an axis, and whether that size is in multiples of the batch."""
    size, batch = 1, False
    for factor in factors:
        size, batch = size * factor.size, batch or factor.examples
    return size, batch


def reshaped(layout: Layout, shape: Sequence[Any]) -> Layout | None:
    """The layout after a view: the same factors in the same order, along other axes.

    Takes factors from the left until they fill each axis of ``shape``. Where an axis ends inside a
    factor it is split: 12 units into (3, 4) become factors 3 and 4. None where that is not whole.
    """
    if _unfolds(layout, shape):
        return units_on(plain(shape), 1, int(shape[1]))
    waiting = [factor for factors in layout for factor in factors]
    axes = []
    for size in shape:
        taken = _take(waiting, size)
        if taken is None:
            return None
        axes.append(copies_as_units(taken) if holds(taken, UNIT) else taken)
    # What is left over may only be of size 1, such as a single unit behind its positions.
    if axes and all(factor.size == 1 and not factor.examples for factor in waiting):
        axes[-1] = (*axes[-1], *waiting)
        return tuple(axes)
    return None if waiting else tuple(axes)


def _unfolds(layout: Layout, shape: Sequence[Any]) -> bool:
    """Whether dense units (N, F) become feature maps (N, C, ...): then C is the axis of units.

    As in a generator. Each map is a unit from here on, where a split would make units of pixels.
    """
    return (
        len(layout) == 2
        and len(shape) > 2
        and natural(layout)
        and len(layout[1]) == 1
        and product(layout[0]) == _number(shape[0])
    )


def expanded(layout: Layout, shape: Sequence[Any]) -> Layout:
    """The layout after ``expand``: axes of size 1, and new ones in front, hold copies."""
    found = combined([layout], shape)
    fresh = len(found) - len(layout)
    return tuple(
        tuple(Factor(COPY, f.size) if f.kind == OTHER else f for f in factors)
        if axis < fresh or not layout[axis - fresh]
        else factors
        for axis, factors in enumerate(found)
    )


def _take(waiting: list[Factor], size: Any) -> Axis | None:
    """Remove from ``waiting`` the next factors, whose product is ``size``; None if none fit."""
    need, batch = _number(size)  # what the axis still lacks: a number, and the batch
    taken: list[Factor] = []
    # An axis of size 1 takes no factor, unless a single unit is next: its axis must stay known.
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
        elif factor.size % need == 0:  # the axis ends inside this factor: split it
            waiting.insert(0, Factor(factor.kind, factor.size // need))
            factor, need = Factor(factor.kind, need), 1
        else:
            return None
        taken.append(factor)
    return tuple(taken)


def combined(operands: Sequence[Layout], shape: Sequence[Any]) -> Layout:
    """The layout of an element-wise result; ``operands`` in the order in which they were computed.

    Where their units lie along different axes, those of the first operand count: what a layer over
    positions (as in an MLP-Mixer) adds to a value keeps that value's units apart.
    """
    rank = len(shape)
    aligned = [((),) * (rank - len(layout)) + layout for layout in operands]
    # Axes of one unit say nothing: they are broadcast, and are in no operand's way.
    wide = [axes for axes in map(_wide_axes, aligned) if axes]
    kept = [
        layout
        if _wide_axes(layout) in ((), *wide[:1])
        else tuple(without_units(factors) for factors in layout)
        for layout in aligned
    ]
    return tuple(_best([layout[axis] for layout in kept], size) for axis, size in enumerate(shape))


def _wide_axes(layout: Layout) -> tuple[int, ...]:
    """The axes with units that are larger than 1."""
    return tuple(axis for axis in unit_axes(layout) if product(layout[axis])[0] > 1)


def _best(candidates: Sequence[Axis], size: Any) -> Axis:
    """One axis of the result: units if any operand has them there, else the batch, else positions.

    Operands that are broadcast along the axis do not count, unless no operand has its size.
    """
    fitting = [factors for factors in candidates if product(factors) == _number(size)]
    for kind in (UNIT, BATCH):
        for factors in fitting:
            if holds(factors, kind):
                return factors
    if not fitting and any(holds(factors, UNIT) for factors in candidates):
        return (Factor(UNIT, int(size)),) if isinstance(size, int) else _plain_axis(size)
    return fitting[0] if fitting else _plain_axis(size)
