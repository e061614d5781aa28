"""What every operation does to the numbers of its axes' entries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from frivolous.compression.coupling.channel_ids import Along, ChannelIds, Numbers
from frivolous.network.module.diagnostics import at
from frivolous.network.operations import Kind
from frivolous.network.program import Step
from frivolous.network.units.propagation import rearranged

COMPUTED = "has weights that are computed from others; make them parameters of their own"
TOGETHER = "works on all units together"
Rule = Callable[[ChannelIds, Step], Along]
Pairs = list[tuple[Numbers | None, Numbers | None]]


def _hold(found: ChannelIds, step: Step, axes: Sequence[Numbers | None], why: str) -> None:
    found.hold(axes, f"'{step.op}' {why}{at(step)}")


def unknown(found: ChannelIds, step: Step) -> Along:
    """Hold all that an operation reads of which nothing is known."""
    for need in step.needs:
        _hold(found, step, found.along.get(need, ()), "may need every unit")
    return (None,) * len(found.program.shapes.get(step.index, ()))


def _same(found: ChannelIds, step: Step) -> Along:
    return found.of(step.args[0])


def _met(found: ChannelIds, step: Step, axes: Sequence[Numbers | None]) -> Numbers | None:
    """Entries that are combined are equal; those that meet an input or a constant are held."""
    numbered = [numbers for numbers in axes if numbers is not None]
    for other in numbered[1:]:
        found.equal(numbered[0], other)
    if len(numbered) < len(axes):
        found.hold(numbered, f"it meets numbers that no layer writes{at(step)}")
    return numbered[0] if numbered else None


def _elementwise(found: ChannelIds, step: Step) -> Along:
    shape = found.shape(step.index)
    operands = [
        (found.shape(need), found.along.get(need, ()))
        for need in step.needs
        if need in found.program.shapes
    ]
    axes: list[Numbers | None] = []
    for place in range(len(shape)):
        back = place - len(shape)
        met = [
            known[back]
            for sizes, known in operands
            if len(sizes) >= -back and sizes[back] == shape[place] and shape[place] != 1
        ]
        own = _met(found, step, met)
        if not met and shape[place] == 1:
            ones = [known[back] for sizes, known in operands if len(sizes) >= -back]
            own = next((numbers for numbers in ones if numbers is not None), None)
        axes.append(own)
    return tuple(axes)


def _sloped(found: ChannelIds, step: Step) -> Along:
    """A ReLU with a slope for each unit, along axis 1, or with one for all."""
    read, slope = found.of(step.args[0]), found.of(step.args[1])
    if slope and slope[0] is not None and len(slope[0]) > 1:
        _met(found, step, [read[1], slope[0]])
    return read


def _convolution(found: ChannelIds, step: Step) -> Along:
    """What it reads is numbered as its weight's inner axis, what it writes as the outer one."""
    read, weight = found.of(step.args[0]), found.of(step.args[1])
    bias = found.of(step.argument(2, "bias"))
    transposed, groups = step.operation.grouping(_all_args(step))
    _hold(found, step, weight[2:], "needs every tap")
    units, out = read[1], found.fresh(found.shape(step.index)[1])
    if bias and bias[0] is not None:
        found.equal(out, bias[0])
    inner, outer = (weight[0], weight[1]) if transposed else (weight[1], weight[0])
    if outer is None:
        _hold(found, step, [out], COMPUTED)
    elif not transposed:
        found.equal(out, outer)
    if units is None or inner is None:
        what = "reads numbers that no layer writes" if units is None else COMPUTED
        _hold(found, step, [units, inner], what)
    depthwise = units is not None and 1 < groups == len(units)
    if depthwise:
        shared = [outer if transposed else inner]
        _hold(found, step, shared, "has a group for each unit")
        pairs: Pairs = [(units, group) for group in out.reshape(groups, -1).T]
        pairs += [(units, inner)] if transposed else []
    else:
        pairs = _by_group(units, inner, out, outer if transposed else None, groups)
    for first, second in pairs:
        if first is not None and second is not None:
            found.equal(first, second)
    return (read[0], out, *(None for _ in read[2:]))


def _by_group(
    units: Numbers | None, inner: Numbers | None, out: Numbers, outer: Numbers | None, groups: int
) -> Pairs:
    """Groups share an axis of their weight, so of each the same places go."""
    written = out.reshape(groups, -1)
    pairs: Pairs = [(one, written[0]) for one in written[1:]]
    pairs.append((written[0], outer))
    if units is not None:
        read = units.reshape(groups, -1)
        pairs += [(one, read[0]) for one in read[1:]]
        if inner is not None:
            pairs += list(zip(read, inner.reshape(-1, read.shape[1]), strict=False))
    return pairs


def _all_args(step: Step) -> tuple[Any, ...]:
    """The arguments of a convolution by their places, named ones among them."""
    return tuple(step.arguments().values()) if step.kwargs else step.args


def _dense(found: ChannelIds, step: Step) -> Along:
    read, weight = found.of(step.args[0]), found.of(step.args[1])
    bias = found.of(step.argument(2, "bias"))
    out = weight[0]
    if weight[-1] is None:
        _hold(found, step, [read[-1]], COMPUTED)
    else:
        _met(found, step, [read[-1], weight[-1]])
    if out is None:
        out = found.fresh(found.shape(step.index)[-1])
        _hold(found, step, [out], COMPUTED)
    if bias and out is not None and bias[0] is not None:
        found.equal(out, bias[0])
    return (*read[:-1], out)


def _product(found: ChannelIds, step: Step) -> Along:
    first, second = found.of(step.args[0]), found.of(step.args[1])
    if min(len(first), len(second)) < 2:
        return unknown(found, step)
    _met(found, step, [first[-1], second[-2]])
    rank = len(found.shape(step.index))
    batch = []
    for place in range(rank - 2):
        back = place - rank
        met = [axes[back] for axes in (first, second) if len(axes) >= -back]
        numbered = [numbers for numbers in met if numbers is not None and len(numbers) > 1]
        batch.append(_met(found, step, numbered))
    return (*batch, first[-2], second[-1])


def _added_product(found: ChannelIds, step: Step) -> Along:
    bias = found.of(step.args[0])
    first, second = found.of(step.args[1]), found.of(step.args[2])
    _met(found, step, [first[-1], second[-2]])
    out = (*first[:-1], second[-1])
    if bias and bias[-1] is not None and len(bias[-1]) > 1 and out[-1] is not None:
        found.equal(out[-1], bias[-1])
    return out


def _attention(found: ChannelIds, step: Step) -> Along:
    query, key, value = (found.of(argument) for argument in step.args[:3])
    found.hold([query[-1], key[-1]], f"attention is scaled by its number of units{at(step)}")
    for place in range(1, len(value) - 2):
        heads = [axes[place] for axes in (query, key, value)]
        known = [numbers for numbers in heads if numbers is not None and len(numbers) > 1]
        for other in known[1:]:
            if len(other) == len(known[0]):
                found.equal(known[0], other)
        if len({len(numbers) for numbers in known}) > 1 or 0 < len(known) < len(heads):
            found.hold(known, f"its heads are not told apart{at(step)}")
    return (*query[:-1], value[-1])


def _embedding(found: ChannelIds, step: Step) -> Along:
    table, places = found.of(step.args[0]), found.of(step.args[1])
    found.hold([table[0]], f"a table needs every entry{at(step)}")
    return (*places, table[1])


def _per_unit(found: ChannelIds, step: Step) -> Along:
    """A normalisation of every unit by itself, with vectors of one number for each."""
    read = found.of(step.args[0])
    for argument in step.args[1:5]:
        vector = found.of(argument)
        if vector and vector[0] is not None:
            _met(found, step, [read[1], vector[0]])
    return read


def _weight_normed(found: ChannelIds, step: Step) -> Along:
    """A weight as a length for each entry of one axis and directions, which need all the others."""
    directions, lengths = found.of(step.args[0]), found.of(step.args[1])
    axis = step.argument(2, "dim", 0) % len(directions)
    if lengths and lengths[axis] is not None and directions[axis] is not None:
        found.equal(directions[axis], lengths[axis])
    others = [numbers for place, numbers in enumerate(directions) if place != axis]
    found.hold(others, f"the directions of its weights are of length 1 over all of them{at(step)}")
    return tuple(numbers if place == axis else None for place, numbers in enumerate(directions))


def _over_units(found: ChannelIds, step: Step) -> Along:
    """A normalisation over units, which all have a part in it."""
    read = found.of(step.args[0])
    for argument in (*step.args, *step.kwargs.values()):
        _hold(found, step, found.of(argument), TOGETHER)
    return read


def _reduced(found: ChannelIds, step: Step) -> Along:
    read = found.of(step.args[0])
    given = step.argument(1, "dim")
    given = list(range(len(read))) if given is None or given == [] else given
    gone = {a % len(read) for a in (given if isinstance(given, list | tuple) else [given])}
    _hold(found, step, [read[a] for a in sorted(gone)], TOGETHER)
    shape = found.program.shapes[step.index]
    if len(shape) == len(read):
        return tuple(None if a in gone else numbers for a, numbers in enumerate(read))
    return tuple(numbers for a, numbers in enumerate(read) if a not in gone)


def _along_axis(found: ChannelIds, step: Step) -> Along:
    read = found.of(step.args[0])
    _hold(found, step, [read[step.argument(1, "dim", -1)]], TOGETHER)
    return read


def _pooled(found: ChannelIds, step: Step) -> Along:
    read = found.of(step.args[0])
    rank = len(found.program.shapes.get(step.index, read))
    first = rank - step.operation.dims
    _hold(found, step, read[first:], "works along it")
    return (*read[:first], *(None for _ in read[first:]))


def _moved(found: ChannelIds, step: Step) -> Along:
    return tuple(rearranged(step, found.of(step.args[0]), None))


def _selected(found: ChannelIds, step: Step) -> Along:
    read = found.of(step.args[0])
    axis = step.argument(1, "dim", 0) % len(read)
    _hold(found, step, [read[axis]], TOGETHER)
    return (*read[:axis], *read[axis + 1 :])


def _reshaped(found: ChannelIds, step: Step) -> Along:
    """Axes that are merged or taken apart: a merged axis has a unit's number at each position."""
    read, before = found.of(step.args[0]), found.shape(step.args[0].index)
    after = found.shape(step.index)
    axes: list[Numbers | None] = []
    for ours, theirs in _blocks(before, after):
        axes += _regrouped(found, step, read[ours], before[ours], after[theirs])
    return tuple(axes)


def _blocks(before: Sequence[int], after: Sequence[int]) -> list[tuple[slice, slice]]:
    """The least runs of axes before and after that hold as many entries."""
    found = []
    i = j = 0
    while i < len(before) or j < len(after):
        start, begin = i, j
        ours = theirs = 1
        while True:
            if i < len(before) and (ours <= theirs or j == len(after)):
                ours *= before[i]
                i += 1
            else:
                theirs *= after[j]
                j += 1
            if ours == theirs and i > start and j > begin:
                break
            if i == len(before) and j == len(after):
                break
        found.append((slice(start, i), slice(begin, j)))
    return found


def _regrouped(
    found: ChannelIds, step: Step, read: Along, before: Sequence[int], after: Sequence[int]
) -> list[Numbers | None]:
    places = [place for place, numbers in enumerate(read) if numbers is not None]
    wide = [place for place in places if before[place] > 1]
    if tuple(before) == tuple(after):
        return list(read)
    if not wide:
        return [None] * len(after)
    if len(wide) > 1:
        found.hold(read, f"a view merges axes that both hold units{at(step)}")
        return [None] * len(after)
    (place,) = wide
    spread = np.broadcast_to(
        read[place].reshape([-1 if a == place else 1 for a in range(len(before))]),  # type: ignore[union-attr]
        tuple(before),
    ).reshape(tuple(after))
    # Back along one axis: numbers may vary along one alone.
    varies = [
        axis
        for axis, size in enumerate(after)
        if size > 1 and not (spread == np.take(spread, [0], axis)).all()
    ]
    if not varies:
        found.hold(read, f"a view takes its units apart{at(step)}")
        return [None] * len(after)
    # The outermost: units that a view takes apart, such as those of a head, go together.
    axis = varies[0]
    lines = np.moveaxis(spread, axis, 0).reshape(after[axis], -1)
    for other in lines.T[1:] if len(varies) > 1 else ():
        found.equal(lines[:, 0], other)
    line = lines[:, 0].copy()
    return [line if a == axis else None for a in range(len(after))]


def _expanded(found: ChannelIds, step: Step) -> Along:
    read, before = found.of(step.args[0]), found.shape(step.args[0].index)
    after = found.shape(step.index)
    new = len(after) - len(before)
    return (None,) * new + tuple(
        numbers if size == after[new + axis] else None
        for axis, (numbers, size) in enumerate(zip(read, before, strict=True))
    )


def _joined(found: ChannelIds, step: Step) -> Along:
    parts = [ref.index for ref in step.args[0]]
    rank = len(found.shape(step.index))
    axis = step.argument(1, "dim", 0) % rank
    known = [found.along[part] for part in parts]
    if any(len(own) != rank for own in known):
        return unknown(found, step)
    axes: list[Numbers | None] = []
    for place in range(rank):
        met = [own[place] for own in known]
        if place != axis:
            axes.append(_met(found, step, met))
        elif all(numbers is None for numbers in met):
            axes.append(None)
        else:
            whole = []
            for part, numbers in zip(parts, met, strict=True):
                if numbers is None:
                    numbers = found.fresh(found.shape(part)[axis])  # noqa: PLW2901
                    found.hold([numbers], f"they are no layer's{at(step)}")
                whole.append(numbers)
            axes.append(np.concatenate(whole))
    return tuple(axes)


def _glued(found: ChannelIds, step: Step) -> Along:
    """Gated units: each of the first half goes with one of the second."""
    read = list(found.of(step.args[0]))
    axis = step.argument(1, "dim", -1) % len(read)
    numbers = read[axis]
    if numbers is not None:
        half = len(numbers) // 2
        found.equal(numbers[:half], numbers[half:])
        read[axis] = numbers[:half]
    return tuple(read)


def _split(found: ChannelIds, step: Step) -> Along:
    """Parts of an axis; those of ``chunk``, whose sizes are worked out anew, stay of one size."""
    read = found.of(step.args[0])
    axis = step.argument(2, "dim", 0) % len(read)
    numbers = read[axis]
    balanced = step.operation.kind == "chunk" or step.args[0].index in found.balanced
    if numbers is not None and balanced:
        bounds = list(parts_along(step, len(numbers)))
        _balance(found, step, [numbers[start:stop] for start, stop in bounds])
    return read


def _balance(found: ChannelIds, step: Step, parts: Sequence[Numbers]) -> None:
    """Let parts of an axis lose the same places, so that they stay of one size."""
    if len({len(part) for part in parts}) > 1:
        found.hold(parts, f"its parts are not of one size{at(step)}")
        return
    for part in parts[1:]:
        found.equal(parts[0], part)


def _taken(found: ChannelIds, step: Step) -> Along:
    """One of the values that an operation gives."""
    made = next((s for s in found.program.steps if s.index == step.args[0].index), None)
    read = list(found.along.get(step.args[0].index, ()))
    if made is None or made.operation.kind not in PARTING:
        shape = found.program.shapes.get(step.index, ())
        return tuple(read) if len(read) == len(shape) else (None,) * len(shape)
    rank = len(read)
    axis = made.argument(2, "dim", 0) % rank
    if read[axis] is not None:
        start, stop = list(parts_along(made, len(read[axis])))[step.args[1]]
        read[axis] = read[axis][start:stop]
    return tuple(read)


def parts_along(split: Step, size: int) -> Iterator[tuple[int, int]]:
    """Where each part of an axis of this size begins and ends."""
    given = split.args[1] if len(split.args) > 1 else next(iter(split.kwargs.values()))
    if split.operation.kind == "chunk":
        given = -(-size // given)
    start = 0
    for part in given if isinstance(given, list | tuple) else [given] * -(-size // given):
        yield start, min(start + part, size)
        start += part


def _sliced(found: ChannelIds, step: Step) -> Along:
    """A part of an axis; entries within a stride go together, so that the part stays what it is."""
    read, shape = list(found.of(step.args[0])), found.shape(step.index)
    axis = step.argument(1, "dim", 0) % len(read)
    numbers = read[axis]
    if numbers is not None and shape[axis] != len(numbers):
        start = step.argument(2, "start", 0) or 0
        size, stride = len(numbers), step.argument(4, "step", 1)
        first = max(start + size, 0) if start < 0 else min(start, size)
        read[axis] = numbers[first::stride][: shape[axis]]
        if stride > 1:
            _balance(found, step, [numbers[turn::stride] for turn in range(stride)])
        elif step.args[0].index in found.balanced:
            part = shape[axis]
            _balance(found, step, [numbers[at : at + part] for at in range(0, size, part)])
    return tuple(read)


def _padded(found: ChannelIds, step: Step) -> Along:
    read, before, after = (
        list(found.of(step.args[0])), found.shape(step.args[0].index), found.shape(step.index)
    )  # fmt: skip
    for axis, numbers in enumerate(read):
        if before[axis] != after[axis] and numbers is not None:
            found.hold([numbers], f"it is padded with units{at(step)}")
            read[axis] = None
    return tuple(read)


#: Kinds of operations that give parts of an axis.
PARTING: frozenset[Kind] = frozenset(["split", "chunk"])

COUPLING: dict[Kind, Rule] = {
    "elementwise": _elementwise,
    "slope": _sloped,
    "gate": _glued,
    **dict.fromkeys(("copy", "dropout", "response_norm"), _same),
    **dict.fromkeys(("batch_norm", "instance_norm"), _per_unit),
    "layer_norm": _over_units,
    "linear": _dense,
    "convolution": _convolution,
    "product": _product,
    "added_product": _added_product,
    "attention": _attention,
    "table": _embedding,
    "weight_norm": _weight_normed,
    **dict.fromkeys(("pool", "average_pool"), _pooled),
    **dict.fromkeys(("reduce", "extreme"), _reduced),
    "along": _along_axis,
    **dict.fromkeys(("reshape", "squeeze"), _reshaped),
    **dict.fromkeys(("transpose", "permute", "unsqueeze"), _moved),
    "select": _selected,
    "expand": _expanded,
    "concat": _joined,
    **dict.fromkeys(PARTING, _split),
    "item": _taken,
    **dict.fromkeys(("slice", "narrow"), _sliced),
    "pad": _padded,
}
