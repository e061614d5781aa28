"""Rearrange values whose units are along several axes, or whose batch is not the first.

A site's value is (N, ..., U). Where a value holds the same numbers in another order, two steps are
inserted behind it: one lays it out as (N, ..., U), which becomes the site, and the next restores
the old order. Numbers are moved and none is changed.

Example: attention's (N, 3 heads, 5 positions, 4 features) becomes (N, 5, 12), with units 0..3 those
of the first head, and back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from frivolous.network.program import Program, Ref, Step
from frivolous.network.units.axis_layout import BATCH, UNIT, Factor, Layout, unit_axes


def arrangeable(layout: Layout) -> bool:
    """Whether a value has exactly one batch factor, and units, so that it can be rearranged."""
    kinds = [factor.kind for factors in layout for factor in factors]
    return kinds.count(BATCH) == 1 and UNIT in kinds


def arranged(program: Program, layouts: Mapping[int, Layout]) -> tuple[Program, dict[int, int]]:
    """The program with these values laid out as (N, ..., U), and their places in it."""
    fresh = 1 + max(program.shapes, default=0)
    fresh = max(fresh, 1 + max((step.index for step in program.steps), default=0))
    shapes, dtypes = dict(program.shapes), dict(program.dtypes)
    places: dict[int, int] = {}
    behind: dict[int, int] = {}
    steps: list[Step] = []
    for step in program.steps:
        steps.append(step.reading(behind))
        if step.index not in layouts:
            continue
        for moved, source in zip(_moves(layouts[step.index]), (step.index, fresh), strict=True):
            op, target, args = moved
            steps.append(
                replace(
                    step,
                    index=fresh,
                    op=op,
                    target=target,
                    args=(Ref(source), *args),
                    kwargs={},
                    needs=(source,),
                )
            )
            shapes[fresh], dtypes[fresh] = shapes[step.index], dtypes[step.index]
            fresh += 1
        places[step.index], behind[step.index] = fresh - 2, fresh - 1
        shapes[fresh - 2] = _shape(layouts[step.index], shapes[step.index])
    output = behind.get(program.output, program.output)
    return replace(program, steps=tuple(steps), shapes=shapes, dtypes=dtypes, output=output), places


Move = tuple[str, Callable[..., Tensor], tuple[Any, ...]]


def _moves(layout: Layout) -> tuple[Move, Move]:
    """Name, function and further arguments of the two steps: to (N, ..., U), and back."""
    factors = [factor for axis in layout for factor in axis]
    order = _order(factors)
    back = [order.index(place) for place in range(len(order))]
    if all(len(axis) == 1 for axis in layout) and len(unit_axes(layout)) == 1:
        permute = torch.ops.aten.permute.default
        return ("permute", permute, (order,)), ("permute", permute, (back,))
    split = [_size(factor) for factor in factors]
    moved = [split[place] for place in order]
    units = sum(factor.kind == UNIT for factor in factors)
    sizes = [_axis_size(axis) for axis in layout]

    def there(value: Tensor) -> Tensor:
        return value.reshape(split).permute(order).flatten(len(order) - units)

    def restored(value: Tensor) -> Tensor:
        return value.reshape(moved).permute(back).reshape(sizes)

    return ("arrange", there, ()), ("arrange", restored, ())


def _order(factors: list[Factor]) -> list[int]:
    """The order of factors: examples first, units last, the rest as they come."""
    rank = {BATCH: 0, UNIT: 2}
    return sorted(range(len(factors)), key=lambda place: rank.get(factors[place].kind, 1))


def _shape(layout: Layout, shape: tuple[Any, ...]) -> tuple[Any, ...]:
    factors = [factor for axis in layout for factor in axis]
    (symbol,) = {s for size in shape if not isinstance(size, int) for s in size.free_symbols}
    others = [factor.size for factor in factors if factor.kind not in {BATCH, UNIT}]
    width = 1
    for factor in factors:
        width *= factor.size if factor.kind == UNIT else 1
    return (symbol, *others, width)


def _size(factor: Factor) -> int:
    return -1 if factor.kind == BATCH else factor.size


def _axis_size(axis: tuple[Factor, ...]) -> int:
    size = 1
    for factor in axis:
        size *= _size(factor)
    return size if size > 0 else -1
