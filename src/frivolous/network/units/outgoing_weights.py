"""The weights that read each unit of a site, through views, pooling and concatenation.

Between a site and the layer that reads it units may be flattened, concatenated with others or
moved. Which weight belongs to which unit is found by sending numbers through these operations: the
site's activity is replaced by the number of each unit, 1 to U, all other values by 0, and whatever
arrives at the reader names the unit of each feature. Example: units (1, 2) of 2 positions each,
flattened behind three features of another layer, arrive as 0 0 0 1 1 2 2: rows 3 and 4 of the
reader's weights read unit 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from frivolous.network.operations import Kind
from frivolous.network.program import Program, Step, Values, execute, needed


@dataclass(frozen=True)
class Reader:
    """An operation that mixes a site's units, as its place in the program.

    ``swapped`` where it has its weight where others have their input, as in ``weight @ input``.
    """

    step: int
    swapped: bool


def _alike(value: Tensor, axes: Sequence[int]) -> Tensor:
    """The number that all along these axes have, kept as axes of size 1; 0 where several have one.

    Zeros, such as those of a padded border, are no unit's.
    """
    top = value
    for axis in axes:
        top = top.amax(axis, keepdim=True)
    other = (value != top) & (value != 0)
    for axis in axes:
        other = other.any(axis, keepdim=True)
    return top.masked_fill(other, 0.0)


def _reduced(value: Tensor, axes: Any = None, keepdim: bool = False, **_: Any) -> Tensor:
    """In place of a sum, a mean or the like."""
    chosen = [axes] if isinstance(axes, int) else list(axes or range(value.dim()))
    found = _alike(value, chosen)
    places = {axis % value.dim() for axis in chosen}
    shape = [size for axis, size in enumerate(found.shape) if axis not in places]
    return found if keepdim else found.reshape(shape)


def _along(value: Tensor, axis: int, *_: Any, **__: Any) -> Tensor:
    """In place of a softmax or a running sum along an axis."""
    return torch.where(value != 0, _alike(value, [axis]), value)


#: Kinds of operations behind which a unit has its number everywhere, also in types of few digits.
_STAYING: frozenset[Kind] = frozenset(["pool", "average_pool", "copy"])
#: Kinds of operations that would change a unit's number, and what keeps it.
_KEEPING: dict[Kind, Callable[..., Tensor]] = {
    "reduce": _reduced,
    "extreme": _reduced,
    "along": _along,
    "response_norm": lambda value, *_: value,
}


def reader_products(
    program: Program, state: Mapping[str, Tensor], source: int, axis: int, readers: Sequence[Reader]
) -> Tensor:
    """Products of the rows of weights that read each unit: shape (U, U), float64.

    With W (U, R) the weights on each unit, of all readers, all taps of a convolution and all
    positions of a flattened feature map: W W'. The diagonal holds squared outgoing norms.
    ``source`` is the site's value and ``axis`` that of its units.
    """
    shape = program.shapes[source]
    width = int(shape[axis])
    total = torch.zeros(width, width, dtype=torch.float64)
    steps = {step.index: step for step in program.steps}
    pairs = [_operands(steps[reader.step], reader.swapped) for reader in readers]
    numbers = _unit_numbers(program, state, source, axis, [read for read, _ in pairs])
    for reader, (read, weight) in zip(readers, pairs, strict=True):
        step = steps[reader.step]
        weights = program.computed(state, weight)
        rows, groups = _rows(step, reader.swapped, weights)
        held = _features(step, _of_one(program, read, numbers[read]), weights, len(rows))
        feature, unit, place = _units_read(held, len(shape) > 2)
        outputs = place * groups + feature // (len(rows) // groups)
        total += _products(rows.to("cpu", torch.float64)[feature], unit, outputs, width)
    return total


def _products(rows_FR: Tensor, unit_F: Tensor, outputs_F: Tensor, width: int) -> Tensor:
    """Sum the products of rows over the positions that a unit's features come from, one by one.

    ``outputs_F`` numbers the outputs that read a feature: groups of a convolution, or its positions
    where units are unfolded into maps. Features that no output reads together have no product.
    """
    order = unit_F.argsort(stable=True)
    unit = unit_F[order]
    first = torch.searchsorted(unit, unit)  # where the features of the same unit begin
    turn = torch.arange(len(unit)) - first
    total = torch.zeros(width, width, dtype=torch.float64)
    for position in range(int(turn.max()) + 1 if len(turn) else 0):
        here = turn == position
        rows, outputs = rows_FR[order[here]], outputs_F[order[here]]
        total[unit[here][:, None], unit[here]] += (rows @ rows.T) * (outputs[:, None] == outputs)
    return total


def _unit_numbers(
    program: Program,
    state: Mapping[str, Tensor],
    source: int,
    axis: int,
    wanted: Sequence[int],
) -> dict[int, Tensor]:
    """The unit at each entry of the values ``wanted``: numbers from 1 on, 0 where there is none.

    Runs the graph with the site's activity replaced by the numbers of its units: what arrives at a
    reader says which unit each of its features is.
    """
    batch = 2
    shape = program.shape_of(source, batch)
    along = [1] * len(shape)
    along[axis] = shape[axis]
    numbers = torch.arange(1.0, shape[axis] + 1, dtype=torch.float64)
    values: Values = {
        **program.constants,
        **program.sizes_of(batch),
        source: numbers.view(along).expand(shape).clone(),
    }
    reached = {source}
    for step in needed(program.steps, set(wanted)):
        if reached.isdisjoint(step.needs):
            continue
        for need in step.needs:
            if need not in values:
                values[need] = _beside(program, state, need, batch)
        reached.add(step.index)
        if step.operation.role == "tail" or step.operation.kind in _STAYING or _whole(step, values):
            given = _through(step, values, reached)
            if step.index in program.shapes:
                given = _spread(given, program.shape_of(step.index, batch))
            values[step.index] = given
            continue
        keep = _KEEPING.get(step.operation.kind)
        plan = program.plan([step if keep is None else replace(step, target=keep)], [step.index])
        found = execute(plan, dict(values), {})[step.index]
        if keep is None and not step.operation.known:
            needs, units = reached.intersection(step.needs), shape[axis]
            renamed = {need: _renamed(values[need], units) for need in needs}
            found = _moved(found, execute(plan, {**values, **renamed}, {})[step.index], units)
        exact = isinstance(found, Tensor) and found.is_floating_point()
        values[step.index] = found.double() if exact else found
    return {index: values[index] for index in wanted}


def _beside(program: Program, state: Mapping[str, Tensor], index: int, batch: int) -> Tensor:
    """A stand-in for a value that no unit of the site reaches: zeros, or indices.

    Places that depend on the inputs count as the first.
    """
    kind = program.dtypes[index]
    if kind.is_floating_point or kind.is_complex:
        return torch.zeros(program.shape_of(index, batch), dtype=torch.float64)
    if index not in program.fed():
        return program.computed(state, index, batch).cpu()
    return torch.zeros(program.shape_of(index, batch), dtype=kind)


def _spread(given: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Numbers where an operand has them; zeros where the result has another shape.

    The units of another layer may gate what is read here, or a gated unit may halve their number.
    """
    try:
        return given.expand(shape).clone() if given.shape != shape else given
    except RuntimeError:
        return given.new_zeros(shape)


def _whole(step: Step, values: Values) -> bool:
    """Whether a step takes one of several results of a normalisation, for which one stands."""
    return step.operation.kind == "item" and isinstance(values[step.needs[0]], Tensor)


def _renamed(value: Any, units: int) -> Any:
    """Units under other numbers: none has its old rank, or the sum of others; 0 stays."""
    if isinstance(value, tuple | list):
        return type(value)(_renamed(part, units) for part in value)
    if not value.is_floating_point():
        return value
    return torch.where(value > 0, (value % units + 1.0) ** 1.5, value)


def _moved(found: Any, renamed: Any, units: int) -> Any:
    """Numbers that an operation moved, whatever they are; 0 where it worked something out of them.

    ``renamed`` is what it gives for the units under other numbers.
    """
    if isinstance(found, tuple | list):
        return type(found)(
            _moved(one, other, units) for one, other in zip(found, renamed, strict=True)
        )
    if not isinstance(found, Tensor) or not found.is_floating_point():
        return found
    return found.masked_fill((_renamed(found, units) - renamed).abs() > 1e-9, 0.0)


def _through(step: Step, values: Values, reached: set[int]) -> Tensor:
    """The numbers behind a normalisation, a pooling or the like: of the largest value it reads.

    A residual stream is read through such steps; smaller values are its statistics. What is pooled
    or resized is one unit's at all positions, or nobody's.
    """
    if step.operation.kind == "copy":
        return values[step.args[0].index]
    value: Tensor = max((values[need] for need in step.needs if need in reached), key=Tensor.numel)
    if step.operation.kind in _STAYING:
        return _alike(value, range(-step.operation.dims, 0))
    return value


def _of_one(program: Program, index: int, value: Tensor) -> Tensor:
    """The first of two examples of a value, along the axis of the batch."""
    try:
        axis = program.batch_axis(index) or 0
    except LookupError:
        axis = 0
    return value.narrow(axis, 0, value.shape[axis] // 2)


def _features(step: Step, numbers: Tensor, weight: Tensor, features: int) -> Tensor:
    """What each feature of a mixing operation's input holds: (features, positions).

    Of a weight with matrices along other axes, one for each head say, the features of every matrix
    come one after another, as the groups of a convolution do.
    """
    if step.operation.kind == "convolution":
        return numbers.movedim(1, 0).reshape(features, -1)
    each = weight.shape[:-2]
    own = features // math.prod(each)
    axis = numbers.dim() - 1
    if numbers.shape[axis] != own:
        axis = numbers.dim() - 2  # weight @ input
    last = numbers.movedim(axis, -1)
    if math.prod(each) > 1:
        several = torch.broadcast_shapes(last.shape[:-2], each)
        last = last.expand(*several, *last.shape[-2:])
        matrices = [len(several) - len(each) + i for i, size in enumerate(each) if size > 1]
        last = last.movedim([*matrices, last.dim() - 1], [*range(len(matrices) + 1)])
    else:
        last = last.movedim(-1, 0)
    return last.reshape(features, -1)


def _units_read(held: Tensor, positions: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Features of a mixing operation's input, the unit of the site that each holds, and where.

    Of a site with ``positions`` a feature holds one unit: the largest number over examples and
    positions, since a padded border gives 0. Units of a dense layer may be unfolded into feature
    maps, several into each, at positions of their own.
    """
    if positions:
        held = held.amax(dim=1, keepdim=True)
    whole = held.round()
    there = ((whole - held).abs() < 1e-6) & (whole > 0)
    feature, place = there.nonzero(as_tuple=True)
    return feature, whole[there].long() - 1, place


def _operands(step: Step, swapped: bool) -> tuple[int, int]:
    """Input and weight of a mixing operation."""
    read, weight = (step.args[at].index for at in (step.layer.input, step.layer.weight))
    return (weight, read) if swapped else (read, weight)


def _rows(step: Step, swapped: bool, weight: Tensor) -> tuple[Tensor, int]:
    """All weights on each feature of the input, shape (features, R), and the number of groups.

    A weight of several matrices has as many groups.
    """
    if step.operation.kind != "convolution":
        if weight.dim() < 2:
            return weight.reshape(-1, 1), 1
        out_first = (step.operation.kind == "linear") != swapped
        rows = weight.mT if out_first else weight
        return rows.reshape(-1, rows.shape[-1]), math.prod(weight.shape[:-2])
    transposed, groups = step.operation.grouping(step.args)
    if transposed:
        return weight.reshape(len(weight), -1), groups
    parts = weight.reshape(groups, len(weight) // groups, weight.shape[1], -1)
    return parts.transpose(1, 2).reshape(groups * weight.shape[1], -1), groups
