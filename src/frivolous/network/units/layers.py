"""Layers: the input and the weights of a mixing operation, and the name of its call."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from frivolous.network.module.diagnostics import at
from frivolous.network.operations import RESPONSE_CHAIN
from frivolous.network.program import Program, Ref, Step
from frivolous.network.units.axis_layout import UNIT, holds, unit_axes

if TYPE_CHECKING:
    from frivolous.network.units.dataflow import Reading

#: Endings of what a weight is computed from, next to it in its module.
PARTS = ("orig", "mask", "g", "v", "u")


def operands(step: Step, reading: Reading) -> tuple[int, int]:
    """Input and weight of a mixing operation; weight -1 where an input reaches both."""
    rule = step.layer
    pair = [step.args[rule.input], step.args[rule.weight]]
    first, second = (item.index if isinstance(item, Ref) else -1 for item in pair)
    if rule.symmetric and first not in reading.fed:
        first, second = second, first
    if rule.symmetric and second in reading.fed:
        return first, -1
    return first, second


def weights_of(step: Step, reading: Reading) -> tuple[str, ...]:
    """Names of the parameters that a mixing operation's weight is made of.

    Where names share a parameter, the layer's own.
    """
    own = f"{step.module}.weight"
    names = reading.weights.get(operands(step, reading)[1], ())
    return tuple(own if own in reading.ties.get(name, ()) else name for name in names)


def reads_units(step: Step, reading: Reading) -> bool:
    """Whether a mixing operation sums over the units of its input, and not over its positions."""
    layout = reading.layouts.get(operands(step, reading)[0])
    if layout is None or not unit_axes(layout):
        return True
    axis = 1 if step.layer.axis == 1 else -2 if swapped(step, reading) else -1
    return len(layout) >= 2 and holds(layout[axis], UNIT)


def swapped(step: Step, reading: Reading) -> bool:
    """Whether a mixing operation has its weight where others have their input."""
    argument = step.args[step.layer.input]
    return isinstance(argument, Ref) and argument.index not in reading.fed


def call_name(step: Step, reading: Reading, names: frozenset[str], counts: dict[str, int]) -> str:
    """The name of a layer's call: module path, or the weight's own name; ':2' for a second call."""
    weights = [made_of(name, names) for name in weights_of(step, reading)]
    name = layer_name(step, weights, names)
    counts[name] = counts.get(name, 0) + 1
    return name if counts[name] == 1 else f"{name}:{counts[name]}"


def layer_name(step: Step, weights: Sequence[str], names: Collection[str] = ()) -> str:
    """The module's path where the layer is the module's own; else the name of its first weight.

    It is the module's own if the module's weight is among ``weights``, which the step's weight is
    made of, or among ``names``.
    """
    own = f"{step.module}.weight"
    if step.module and (own in names or own in weights):
        return step.module
    name = (*weights, step.module or step.op)[0]
    return name.removesuffix(".weight") or name


def made_of(name: str, names: frozenset[str]) -> str:
    """The weight that a parameter or buffer is a part of, where that is computed; else itself.

    ``torch.nn.utils`` names the parts of "weight" like this: parametrizations, pruning, spectral
    and weight normalisation.

    >>> made_of("fc.parametrizations.weight.original0", frozenset())
    'fc.weight'
    >>> made_of("fc.weight_g", frozenset(["fc.weight_g", "fc.weight_v"]))
    'fc.weight'
    >>> made_of("cell.weight_ih", frozenset(["cell.weight_ih"]))
    'cell.weight_ih'
    """
    head, mark, tail = name.rpartition("parametrizations.")
    if mark:
        return head + tail.split(".")[0]
    whole, _, part = name.rpartition("_")
    known = {ending for ending in PARTS if f"{whole}_{ending}" in names}
    computed = whole not in names and ("orig" in known or {"g", "v"} <= known)
    return whole if computed and part in PARTS else name


def opaque(step: Step, program: Program, reading: Reading) -> bool:
    """Whether a step in no table combines what layers wrote with weights of its own."""
    matrices = [
        need
        for need in step.needs
        if reading.weights.get(need) and len(program.shapes.get(need, ())) > 1
    ]
    unknown = reading.kinds[step.index] == "unknown"
    return bool(unknown and matrices and reading.mixed.intersection(step.needs))


def unread(step: Step, steps: Mapping[int, Step]) -> str:
    """Why nothing is known of the units behind a step: its operation, also of several results."""
    while step.operation.kind == "item" and step.needs[0] in steps:
        step = steps[step.needs[0]]
    return (
        f"it reads through '{step.op}', which is in none of the tables of operations "
        f"that keep units apart{at(step)}"
    )


def response_input(step: Step, steps: dict[int, Step]) -> int | None:
    """The input of a local response normalisation that ends at this division, else None.

    ``F.local_response_norm`` exports as x / (k + a * pooled(x * x)) ** b.
    """
    if step.op != "div" or not all(isinstance(arg, Ref) for arg in step.args[:2]):
        return None
    above, below = step.args[0].index, steps.get(step.args[1].index)
    if below is None or below.op != "pow" or not isinstance(below.args[0], Ref):
        return None
    link = steps.get(below.args[0].index)
    while link is not None and link.op in RESPONSE_CHAIN:
        refs = [arg.index for arg in link.args if isinstance(arg, Ref)]
        if link.op == "mul" and refs == [above, above]:
            return above
        if len(refs) != 1:
            return None
        link = steps.get(refs[0])
    return None


def union(groups: Iterable[tuple[Any, ...]]) -> tuple[Any, ...]:
    """All items of all groups, each once, in order of first appearance."""
    return tuple(dict.fromkeys(item for group in groups for item in group))
