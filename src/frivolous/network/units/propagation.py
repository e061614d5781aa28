"""Layout rules: where examples, units and positions are after an operation that mixes no units.

One rule per kind of operation maps the layout of the operand (see
:mod:`~frivolous.network.units.axis_layout`) to that of the result, or to None where units can no
longer be told apart. Example: a mean over the 3 x 3 positions of (N, 8 units, 3, 3) gives
(N, 8 units); a mean over its axis 1 mixes units, so it has no layout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from frivolous.network.operations import ALONG, REARRANGING, REDUCING, RESHAPING, TAIL
from frivolous.network.program import Program, Step
from frivolous.network.units.axis_layout import (
    UNIT,
    Layout,
    combined,
    copies_as_units,
    expanded,
    holds,
    plain,
    positions_only,
    reshaped,
    resized,
    unit_axes,
    units_on,
    without_units,
)

Follow = Callable[[Step, Layout, tuple[Any, ...]], Layout | None]


def followed(
    step: Step, fed: Sequence[int], program: Program, layouts: Mapping[int, Layout]
) -> Layout | None:
    """The layout of the result of a tail or passing step; None where the units are lost.

    ``fed`` are the operands that an input reaches, ``layouts`` those known so far.
    """
    shape = program.shapes.get(step.index)
    known = [need for need in fed if need in layouts]
    if not known:
        return None
    first = layouts[known[0]]
    if shape is None:  # several values
        return _without(first, _argument(step, 0)) if step.op == "unbind" else first
    if step.op in TAIL:
        return combined([layouts[need] for need in sorted(known)], shape)
    follow = next((rule for ops, rule in RULES if step.op in ops), None)
    if follow is not None:
        return follow(step, first, shape)
    return resized(max((layouts[need] for need in known), key=len), shape)


def product(
    first: Layout, second: Layout, shape: Sequence[Any]
) -> tuple[Layout, tuple[bool, bool]] | None:
    """The layout of a matrix product of two computed values, and whose units are its units.

    Scores between positions times values mix positions and keep the values' units apart. A product
    summed over the units of both gives scores, which are nobody's units. None where units are mixed
    otherwise.

    >>> from frivolous.network.units.axis_layout import plain, units_on
    >>> values = units_on(plain((2, 5, 4)), -1, 4)
    >>> product(plain((2, 5, 5)), values, (2, 5, 4))[1]
    (False, True)
    >>> product(values, units_on(plain((2, 4, 5)), 1, 4), (2, 5, 5))[1]
    (False, False)
    """
    if min(len(first), len(second)) < 2 or len(shape) != max(len(first), len(second)):
        return None
    # A product (..., A, B) x (..., B, C) sums over B. Units of one operand alone must not be
    # summed over, for then they are mixed; units of both must be, or two kinds are in one value.
    ours, theirs = bool(unit_axes(first)), bool(unit_axes(second))
    summed = holds(first[-1], UNIT), holds(second[-2], UNIT)
    if (ours, theirs) != summed and any(summed):
        return None
    if ours and theirs and not all(summed):
        return None
    longest = max(first, second, key=len)[:-2]
    if all(summed) or not (ours or theirs):
        axes = (*longest, first[-2], second[-1])
        return tuple(without_units(axis) for axis in axes), (False, False)
    kept = first if ours else second
    heads = kept[:-2] if len(kept) == len(shape) else longest
    found = resized((*map(copies_as_units, heads), first[-2], second[-1]), shape)
    return None if found is None else (found, (ours, theirs))


def attended(query: Layout | None, value: Layout, shape: Sequence[Any]) -> Layout | None:
    """The layout of attention's result: the values' units at the positions of the queries."""
    if len(value) != len(shape) or not positions_only(value[-2]):
        return None
    places = without_units(query[-2]) if query is not None else plain(shape)[-2]
    return resized((*map(copies_as_units, value[:-2]), places, value[-1]), shape)


def _reduced(step: Step, layout: Layout, shape: tuple[Any, ...]) -> Layout | None:
    """A mean or sum over axes of positions; over units or examples the units are lost."""
    axes = _argument(step, None)
    if axes is None:
        return None
    gone = {a % len(layout) for a in (axes if isinstance(axes, list | tuple) else [axes])}
    if not gone or not all(positions_only(layout[a]) for a in gone):
        return None
    kept = [() if axis in gone else factors for axis, factors in enumerate(layout)]
    if len(shape) < len(layout):
        kept = [factors for axis, factors in enumerate(layout) if axis not in gone]
    return tuple(kept)


def _along(step: Step, layout: Layout, shape: tuple[Any, ...]) -> Layout | None:
    """A softmax or cumulative sum along positions changes no layout."""
    return layout if positions_only(layout[_argument(step, -1) % len(layout)]) else None


def _rearranged(step: Step, layout: Layout, shape: tuple[Any, ...]) -> Layout | None:
    """Transposes and the like: axes move with their factors."""
    rank, given = len(layout), (*step.args[1:], *step.kwargs.values())
    axes = list(layout)
    if step.op in {"t", "mT", "transpose"}:
        one, other = (given[0] % rank, given[1] % rank) if given else (rank - 2, rank - 1)
        axes[one], axes[other] = axes[other], axes[one]
    elif step.op == "permute":
        axes = [layout[a % rank] for a in given[0]]
    elif step.op == "unsqueeze":
        axes.insert(given[0] % (rank + 1), ())
    elif step.op == "select":
        return _without(layout, given[0])
    else:
        return reshaped(layout, shape)
    return tuple(axes)


def _without(layout: Layout, axis: int) -> Layout | None:
    """The layout with one entry of an axis taken out; None if the axis held the last units."""
    axis %= len(layout)
    left = (*layout[:axis], *layout[axis + 1 :])
    lost = any(factor.examples for factor in layout[axis])
    lost = lost or bool(unit_axes(layout) and not unit_axes(left))
    return None if lost else left


def _expanded(step: Step, layout: Layout, shape: tuple[Any, ...]) -> Layout | None:
    return expanded(layout, shape)


def _reshape(step: Step, layout: Layout, shape: tuple[Any, ...]) -> Layout | None:
    """A view: regrouped factors; where they do not fit, (N, F) is taken as F units of its own."""
    found = reshaped(layout, shape)
    if found is None and len(shape) == 2 and unit_axes(layout) and isinstance(shape[1], int):
        return units_on(plain(shape), 1, shape[1])
    return found


def _argument(step: Step, otherwise: Any) -> Any:
    if len(step.args) > 1:
        return step.args[1]
    return step.kwargs.get("dim", otherwise)


RULES: tuple[tuple[frozenset[str], Follow], ...] = (
    (RESHAPING, _reshape),
    (REDUCING, _reduced),
    (ALONG, _along),
    (REARRANGING, _rearranged),
    (frozenset(["expand", "expand_as"]), _expanded),
)
