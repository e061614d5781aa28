"""One forward pass over a program: what every value holds of whose units."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from frivolous.network.axes import units_axis
from frivolous.network.operations import MIXING, PASSING, RESPONSE_CHAIN, TAIL
from frivolous.network.program import Program, Ref, Step


@dataclass
class Reading:
    """What is known of every value, filled in by one forward pass over the steps."""

    fed: set[int] = field(default_factory=set)  # an input reaches it
    mixed: set[int] = field(default_factory=set)  # a mixing operation lies upstream
    axis: dict[int, int] = field(default_factory=dict)  # of the units
    sources: dict[int, tuple[int, ...]] = field(default_factory=dict)  # nearest ends of tails
    blocked: dict[int, str] = field(default_factory=dict)  # why nothing is known behind it
    weights: dict[int, tuple[str, ...]] = field(default_factory=dict)  # parameters upstream
    writers: dict[int, tuple[int, ...]] = field(default_factory=dict)  # mixing steps that write it
    kinds: dict[int, str] = field(default_factory=dict)
    calls: dict[int, str] = field(default_factory=dict)  # mixing step -> name of its layer's call


def read(program: Program, names: frozenset[str]) -> Reading:
    """Note for every value whether an input and a layer reach it, its units and their writers."""
    reading = Reading(fed=set(program.inputs))
    reading.weights.update({index: (name,) for index, name in program.states.items()})
    counts: dict[str, int] = {}
    steps = {step.index: step for step in program.steps}
    for step in program.steps:
        index = step.index
        if reading.fed.intersection(step.needs):
            reading.fed.add(index)
        else:
            reading.weights[index] = union(reading.weights.get(need, ()) for need in step.needs)
        kind = reading.kinds[index] = _kind(step, reading)
        if (
            kind == "mixing"
            or (index in reading.fed and kind == "unknown" and _parameters(step, reading))
            or reading.mixed.intersection(step.needs)
        ):
            reading.mixed.add(index)
        if kind == "mixing":
            reading.sources[index] = reading.writers[index] = (index,)
            reading.calls[index] = _call(step, reading, names, counts)
            reading.axis[index] = _mixing_axis(step, program, reading)
        elif index in reading.fed:
            _pass_on(step, kind, program, reading, steps)
    return reading


def _pass_on(
    step: Step, kind: str, program: Program, reading: Reading, steps: dict[int, Step]
) -> None:
    """Note for a step that mixes nothing what it reads, who wrote it and where the units are."""
    index = step.index
    fed = [need for need in step.needs if need in reading.fed and need not in program.sizes]
    squared = _response_input(step, steps)
    if squared is not None:
        fed, kind = [squared], "passing"
    axis = units_axis(step, fed, program, reading.axis)
    if kind == "passing" and axis is None and any(need in reading.axis for need in fed):
        kind = "unknown"
    if kind == "unknown":
        reading.sources[index] = (index,)
        reading.blocked[index] = (
            f"it reads through '{step.op}', which is in none of the tables of operations "
            f"that keep units apart{_at(step)}"
        )
        return
    reading.writers[index] = union(reading.writers.get(need, ()) for need in fed)
    if axis is not None:
        reading.axis[index] = axis
    if kind == "tail":
        reading.sources[index] = (index,)
    else:
        reading.sources[index] = union(reading.sources.get(need, ()) for need in fed)


def _kind(step: Step, reading: Reading) -> str:
    if step.op == "getitem":
        made = reading.kinds.get(step.needs[0], "unknown")
        return "passing" if made == "mixing" else made
    if step.op in MIXING:
        source, weight = operands(step, reading)
        return "mixing" if source in reading.fed and weight >= 0 else "unknown"
    if step.op in TAIL:
        return "tail"
    return "passing" if step.op in PASSING else "unknown"


def operands(step: Step, reading: Reading) -> tuple[int, int]:
    """Input and weight of a mixing operation; weight -1 where an input reaches both."""
    rule = MIXING[step.op]
    pair = [step.args[rule.input], step.args[rule.weight]]
    first, second = (item.index if isinstance(item, Ref) else -1 for item in pair)
    if rule.symmetric and first not in reading.fed:
        first, second = second, first
    if rule.symmetric and second in reading.fed:
        return first, -1
    return first, second


def _response_input(step: Step, steps: dict[int, Step]) -> int | None:
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


def _call(step: Step, reading: Reading, names: frozenset[str], counts: dict[str, int]) -> str:
    """The name of a layer's call: module path, or the weight's own name; ':2' the second time."""
    weights = weights_of(step, reading)
    own = f"{step.module}.weight" if step.module else "weight"
    parametrised = f"{step.module}.parametrizations.weight.original"
    layer = step.module and (own in names or any(w.startswith(parametrised) for w in weights))
    name = step.module if layer else (weights or (step.module or step.op,))[0]
    counts[name] = counts.get(name, 0) + 1
    return name if counts[name] == 1 else f"{name}:{counts[name]}"


def weights_of(step: Step, reading: Reading) -> tuple[str, ...]:
    """Names of the parameters that a mixing operation's weight is made of."""
    return reading.weights.get(operands(step, reading)[1], ())


def _parameters(step: Step, reading: Reading) -> bool:
    return any(reading.weights.get(need) for need in step.needs if need not in reading.fed)


def union(groups: Iterable[tuple[Any, ...]]) -> tuple[Any, ...]:
    """All items of all groups, each once, in the order in which they come."""
    return tuple(dict.fromkeys(item for group in groups for item in group))


def _at(step: Step) -> str:
    lines = [line.strip() for line in step.line.splitlines() if line.strip()]
    return f" ({lines[-1]})" if lines else ""


def _mixing_axis(step: Step, program: Program, reading: Reading) -> int:
    rule, rank = MIXING[step.op], len(program.shapes[step.index])
    if rule.axis == 1:
        return 1
    argument = step.args[rule.input]
    swapped = isinstance(argument, Ref) and argument.index not in reading.fed
    return rank - 2 if swapped else rank - 1
