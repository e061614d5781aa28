"""Follow units through a graph: one forward pass that notes whose units every value holds.

For every value it answers, in order: does an input reach it; has a layer mixed units on the way;
which axes hold units (its layout); which layers wrote these units; and at which values the
element-wise tails upstream end, since these are the candidates for sites.

Example. In ``conv -> batch norm -> relu -> flatten -> linear`` the convolution writes units on axis
1. Batch norm and ReLU are its tail: each gives a value whose source is itself and whose writer is
the convolution. Flatten passes units on: its source is the ReLU. So when the linear layer reads the
flattened value, :mod:`~frivolous.network.units.sites` finds the ReLU's value as the site of the
convolution's units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from frivolous.network.module.diagnostics import at
from frivolous.network.program import Program, Ref, Step
from frivolous.network.units.axis_layout import Layout, plain, unit_axes, units_on
from frivolous.network.units.layers import (
    call_name,
    operands,
    response_input,
    swapped,
    union,
    unread,
)
from frivolous.network.units.propagation import attended, followed, product


@dataclass
class Reading:
    """What is known of every value, filled in by one forward pass over the steps."""

    fed: frozenset[int] = frozenset()  # an input reaches it
    mixed: set[int] = field(default_factory=set)  # a mixing operation lies upstream
    layouts: dict[int, Layout] = field(default_factory=dict)  # examples, units and positions
    sources: dict[int, tuple[int, ...]] = field(default_factory=dict)  # nearest ends of tails
    blocked: dict[int, str] = field(default_factory=dict)  # why nothing is known behind it
    weights: dict[int, tuple[str, ...]] = field(default_factory=dict)  # parameters upstream
    writers: dict[int, tuple[int, ...]] = field(default_factory=dict)  # mixing steps that write it
    kinds: dict[int, str] = field(default_factory=dict)
    calls: dict[int, str] = field(default_factory=dict)  # mixing step -> name of its layer's call
    ties: dict[str, tuple[str, ...]] = field(default_factory=dict)  # names of the same parameter


def read(program: Program, names: frozenset[str], ties: Sequence[tuple[str, ...]] = ()) -> Reading:
    """Note for every value whether an input and a layer reach it, its units and their writers."""
    reading = Reading(fed=program.fed())
    reading.ties.update({name: group for group in ties for name in group})
    reading.weights.update({index: (name,) for index, name in program.states.items()})
    reading.layouts.update({index: plain(program.shapes[index]) for index in program.inputs})
    counts: dict[str, int] = {}
    steps = {step.index: step for step in program.steps}
    for step in program.steps:
        index = step.index
        if index not in reading.fed:
            reading.weights[index] = union(reading.weights.get(need, ()) for need in step.needs)
        kind = reading.kinds[index] = _kind(step, reading)
        if (
            kind in LAYERS
            or (index in reading.fed and kind == "unknown" and _parameters(step, reading))
            or reading.mixed.intersection(step.needs)
        ):
            reading.mixed.add(index)
        if kind in LAYERS:
            reading.sources[index] = reading.writers[index] = (index,)
            reading.calls[index] = call_name(step, reading, names, counts)
            reading.layouts[index] = _written(step, program, reading)
        elif kind == "product":
            _pass_product(step, program, reading)
        elif index in reading.fed:
            _pass_on(step, kind, program, reading, steps)
    return reading


#: The kinds of steps that write units: those that mix the units they read, and tables.
LAYERS = frozenset(["mixing", "table"])


def _pass_on(
    step: Step, kind: str, program: Program, reading: Reading, steps: dict[int, Step]
) -> None:
    """Propagate through a step that mixes nothing: sources, writers and the layout of units."""
    index = step.index
    fed = [need for need in step.needs if need in reading.fed and need not in program.sizes]
    squared = response_input(step, steps)
    if squared is not None:
        fed, kind = [squared], "passing"
    layout = None if kind == "unknown" else followed(step, fed, program, reading.layouts)
    if kind == "passing" and layout is None and any(need in reading.layouts for need in fed):
        kind = "unknown"
    if kind == "unknown":
        reading.sources[index] = (index,)
        reading.blocked[index] = unread(step, steps)
        return
    reading.writers[index] = union(reading.writers.get(need, ()) for need in fed)
    if layout is not None:
        reading.layouts[index] = layout
    if kind == "tail":
        reading.sources[index] = (index,)
        if layout is None or not unit_axes(layout):
            for need in filter(reading.blocked.__contains__, fed):
                reading.blocked[index] = reading.blocked[need]
    else:
        reading.sources[index] = union(reading.sources.get(need, ()) for need in fed)


def _pass_product(step: Step, program: Program, reading: Reading) -> None:
    """Propagate through a product of computed values: attention mixes the units of its values."""
    index, shape = step.index, program.shapes[step.index]
    reading.sources[index] = (index,)
    if step.operation.kind == "attention":
        query, _, value = (argument.index for argument in _factors(step))
        found = attended(reading.layouts.get(query), _layout(value, program, reading), shape)
        kept = [value]
    else:
        pair = [argument.index for argument in _factors(step)]
        layouts = [_layout(need, program, reading) for need in pair]
        both = product(layouts[0], layouts[1], shape)
        found = None if both is None else both[0]
        kept = [] if both is None else [n for n, own in zip(pair, both[1], strict=True) if own]
    if found is not None:
        reading.layouts[index] = found
    if kept and found is not None:
        reading.writers[index] = union(reading.writers.get(need, ()) for need in kept)
    else:
        reading.blocked[index] = (
            f"it reads a product of computed values ('{step.op}'), which are no layer's units"
            f"{at(step)}"
        )


def _layout(index: int, program: Program, reading: Reading) -> Layout:
    return reading.layouts.get(index) or plain(program.shapes[index])


def _kind(step: Step, reading: Reading) -> str:
    operation = step.operation
    if operation.kind == "item":
        made = reading.kinds.get(step.needs[0], "unknown")
        return "passing" if made == "mixing" else made
    if operation.role == "table":
        return "table" if operands(step, reading)[0] in reading.fed else "unknown"
    if operation.role == "mixing":
        source, weight = operands(step, reading)
        if source in reading.fed and weight >= 0:
            return "mixing"
    if operation.factors:
        fed = [isinstance(a, Ref) and a.index in reading.fed for a in _factors(step)]
        return "product" if all(fed) else "unknown"
    return operation.role if operation.role in {"tail", "passing"} else "unknown"


def _factors(step: Step) -> list[Any]:
    return [step.args[place] for place in step.operation.factors]


def _parameters(step: Step, reading: Reading) -> bool:
    return any(reading.weights.get(need) for need in step.needs if need not in reading.fed)


def _written(step: Step, program: Program, reading: Reading) -> Layout:
    """The layout of what a layer writes: the positions of its input, and new units."""
    shape = program.shapes[step.index]
    if step.operation.role == "table":
        places = reading.layouts.get(operands(step, reading)[0])
        known = (*places, ()) if places is not None else plain(shape)
        return units_on(known, -1, int(shape[-1]))
    before = reading.layouts.get(operands(step, reading)[0])
    if step.layer.axis == 1:
        known = plain(shape) if before is None else (before[0], *plain(shape)[1:])
        return units_on(known, 1, int(shape[1]))
    axis = len(shape) - (2 if swapped(step, reading) else 1)
    known = plain(shape)
    if before is not None and len(before) == len(shape):
        known = tuple(known[a] if a == axis else factors for a, factors in enumerate(before))
    return units_on(known, axis, int(shape[axis]))
