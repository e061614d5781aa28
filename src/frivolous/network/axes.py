"""Following the axis of the units through operations that mix none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from frivolous.network.operations import REARRANGING, REDUCING, RESHAPING
from frivolous.network.program import Program, Step


def units_axis(
    step: Step, fed: Sequence[int], program: Program, axes: Mapping[int, int]
) -> int | None:
    """The axis of the units in what a tail or passing step gives, or None where it is lost.

    ``fed`` are the operands that an input reaches, ``axes`` the axes known so far.
    """
    shape = program.shapes.get(step.index)
    known = [need for need in fed if need in axes]
    if not known:
        return None
    if shape is None or step.op == "getitem":  # several values, and one of them taken out
        return axes[known[0]]
    widest = max(known, key=lambda need: len(program.shapes[need]))
    axis, before = axes[widest], program.shapes[widest]
    if step.op in RESHAPING:
        return _reshaped(axis, before, shape)
    if step.op in REDUCING:
        return _reduced(step, axis, len(before), len(shape))
    if step.op in REARRANGING:
        return _rearranged(step, axis, before)
    return axis + len(shape) - len(before)  # broadcasting puts new axes in front


def _reshaped(axis: int, before: tuple[Any, ...], after: tuple[Any, ...]) -> int | None:
    """Follow the units through a view: kept in place, or flattened into the last axis."""
    if len(after) > axis and before[: axis + 1] == after[: axis + 1]:
        return axis
    if before[axis] == after[-1] and axis == len(before) - 1:
        return len(after) - 1
    if len(after) == 2:
        return 1
    if len(before) == 2 and axis == 1 and before[0] == after[0]:
        return 1  # a dense layer's units unfolded into feature maps
    return None


def _reduced(step: Step, axis: int, before: int, after: int) -> int | None:
    axes = step.args[1] if len(step.args) > 1 else None
    if axes is None:
        return None
    gone = {a % before for a in (axes if isinstance(axes, list | tuple) else [axes])}
    if axis in gone or not gone:
        return None
    return axis if before == after else axis - sum(a < axis for a in gone)


def _rearranged(step: Step, axis: int, before: tuple[Any, ...]) -> int | None:
    rank, given = len(before), step.args[1:]
    if step.op in {"t", "mT", "transpose"}:
        first, second = (given[0] % rank, given[1] % rank) if given else (rank - 2, rank - 1)
        return {first: second, second: first}.get(axis, axis)
    if step.op == "permute":
        return [a % rank for a in given[0]].index(axis)
    if step.op == "unsqueeze":
        return axis + (given[0] % (rank + 1) <= axis)
    if step.op == "select":
        gone = [given[0] % rank]
    else:
        axes = range(rank) if not given else given[0]
        axes = axes if isinstance(axes, list | tuple | range) else [axes]
        gone = [a % rank for a in axes if before[a] == 1]
    return None if axis in gone else axis - sum(a < axis for a in gone)
