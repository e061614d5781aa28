"""How each operation couples channel ids: one rule per operation.

Intuition. To remove channel 3 of a convolution one must also drop its bias, its batch-norm scale
and every weight of later layers that multiplies it. To find them all, each entry of each axis gets
an integer id, and every operation says which ids are one and the same: entries that meet in a sum,
or are multiplied and summed over, must go or stay together. An id is then a channel, and a channel
is removed by deleting every entry that carries its id. (The same relation, drawn as a graph of
layers, is the dependency graph of Fang et al. 2023, "DepGraph: towards any structural pruning".)

Worked example: 8 channels of 3x3 positions, flattened into the 72 columns of a dense layer. Flatten
puts channel c at columns 9 (c - 1) .. 9 c - 1, so ids 1..8 come out as nine 1s, nine 2s, and so on;
the dense layer multiplies column by column, so the columns of its weight get the same ids.

>>> import torch
>>> from torch import nn
>>> from frivolous.compression.coupling.propagate import read_axes
>>> from frivolous.network import trace
>>> model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3))
>>> program = trace(model, torch.zeros(2, 1, 5, 5)).program
>>> axes = read_axes(program)
>>> place = {name: index for index, name in program.states.items()}
>>> axes.along[place["0.weight"]][0]  # output channels of the convolution
array([1, 2, 3, 4, 5, 6, 7, 8])
>>> rows, columns = axes.along[place["3.weight"]]
>>> columns.reshape(8, 9)[:3]  # of the 72 columns those that read channels 1, 2 and 3
array([[1, 1, 1, 1, 1, 1, 1, 1, 1],
       [2, 2, 2, 2, 2, 2, 2, 2, 2],
       [3, 3, 3, 3, 3, 3, 3, 3, 3]])
>>> axes.held[int(rows[0])]  # the three outputs have ids too, but cannot be removed
'the scores are never cut'

So removing channel 2 deletes row 1 of ``0.weight``, entry 1 of ``0.bias`` and columns 9..17 of
``3.weight``.

What a rule does. It reads the ids along the axes of its operands (``found.of``), and returns those
of its result: one array of ids per axis, or None for an axis without channels (examples, positions,
network inputs). On the way it states constraints:

- ``found.equal(first, second)``: these entries go together, pair by pair;
- ``found.hold(axes, reason)``: these entries must stay, and why. An operation that needs all of
  its channels at once (layer norm, softmax over channels), or one whose kind is not in
  :data:`COUPLING`, holds them. A missing rule thus costs compression, never correctness.

The kinds of rules, for a value with ids (None, u, None, None):

==================== ======================================================================
element-wise, sums   result has the ids u; all operands' u become equal (residual streams)
dense, convolution   ids along the contracted axis equal the weight's; the result has its rows'
view, flatten        each id once for every position that is merged with it
concat, split        ids are put one after another, or taken apart
pooling, mean        positions may be pooled; channels that are pooled are held
==================== ======================================================================
"""

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
    """Hold everything that an unknown operation reads: it may need every channel."""
    for need in step.needs:
        _hold(found, step, found.along.get(need, ()), "may need every unit")
    return (None,) * len(found.program.shapes.get(step.index, ()))


def _same(found: ChannelIds, step: Step) -> Along:
    """Copies, casts and dropout: the ids of the operand."""
    return found.of(step.args[0])


def _met(found: ChannelIds, step: Step, axes: Sequence[Numbers | None]) -> Numbers | None:
    """Entries that are combined go together; those that meet an input or a constant are held.

    A sum with an input keeps its entries: the input's channel 3 cannot be removed, so nor can what
    is added to it.
    """
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
        back = place - len(shape)  # broadcasting aligns axes from the last
        met = [  # ids of the operands that are not broadcast along this axis
            known[back]
            for sizes, known in operands
            if len(sizes) >= -back and sizes[back] == shape[place] and shape[place] != 1
        ]
        own = _met(found, step, met)
        if not met and shape[place] == 1:
            # A channel axis of size 1: every operand has it, the first one's id stands for it.
            ones = [known[back] for sizes, known in operands if len(sizes) >= -back]
            own = next((numbers for numbers in ones if numbers is not None), None)
        axes.append(own)
    return tuple(axes)


def _sloped(found: ChannelIds, step: Step) -> Along:
    """PReLU: one slope per channel (axis 1), which goes with it, or one slope for all."""
    read, slope = found.of(step.args[0]), found.of(step.args[1])
    if slope and slope[0] is not None and len(slope[0]) > 1:
        _met(found, step, [read[1], slope[0]])
    return read


def _convolution(found: ChannelIds, step: Step) -> Along:
    """What it reads has the ids of its weight's inner axis, what it writes those of the outer one.

    The weight is (out, in / groups, taps), transposed (in, out / groups, taps).
    """
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
        # One group per channel: the output channels of group i go with input channel i.
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
    """Couple the channels of a grouped convolution: every group loses the same places.

    All groups share the inner axis of the weight, (out, in / groups, taps): with 8 inputs in 2
    groups, inner entry 0 multiplies inputs 0 and 4, so these two go together. As many outputs must
    then go from each group, and those at the same places do.
    """
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
    """The arguments of a convolution in the order of its schema, keyword arguments included."""
    return tuple(step.arguments().values()) if step.kwargs else step.args


def _dense(found: ChannelIds, step: Step) -> Along:
    """A dense layer, weight (out, in): columns go with what it reads, rows with what it writes."""
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
    """A matrix product (..., N, K) x (..., K, M): K is contracted, leading axes go in pairs."""
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
    """``addmm``: a matrix product and a bias along its last axis."""
    bias = found.of(step.args[0])
    first, second = found.of(step.args[1]), found.of(step.args[2])
    _met(found, step, [first[-1], second[-2]])
    out = (*first[:-1], second[-1])
    if bias and bias[-1] is not None and len(bias[-1]) > 1 and out[-1] is not None:
        found.equal(out[-1], bias[-1])
    return out


def _attention(found: ChannelIds, step: Step) -> Along:
    """Whole heads may go, and features of the values; those of queries and keys are held.

    Scores are divided by the square root of the number of query features, which a thinner head
    would change.
    """
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
    """A table (entries, units): its units may go, its entries are indices of the inputs."""
    table, places = found.of(step.args[0]), found.of(step.args[1])
    found.hold([table[0]], f"a table needs every entry{at(step)}")
    return (*places, table[1])


def _per_unit(found: ChannelIds, step: Step) -> Along:
    """Batch norm and its kin: each channel by itself, and its scale, shift and moments with it."""
    read = found.of(step.args[0])
    for argument in step.args[1:5]:
        vector = found.of(argument)
        if vector and vector[0] is not None:
            _met(found, step, [read[1], vector[0]])
    return read


def _weight_normed(found: ChannelIds, step: Step) -> Along:
    """Weight norm, w = g v / |v|: g goes along one axis; |v| needs every entry of the others."""
    directions, lengths = found.of(step.args[0]), found.of(step.args[1])
    axis = step.argument(2, "dim", 0) % len(directions)
    if lengths and lengths[axis] is not None and directions[axis] is not None:
        found.equal(directions[axis], lengths[axis])
    others = [numbers for place, numbers in enumerate(directions) if place != axis]
    found.hold(others, f"the directions of its weights are of length 1 over all of them{at(step)}")
    return tuple(numbers if place == axis else None for place, numbers in enumerate(directions))


def _over_units(found: ChannelIds, step: Step) -> Along:
    """Layer norm and its kin: mean and variance are over all channels, so all must stay."""
    read = found.of(step.args[0])
    for argument in (*step.args, *step.kwargs.values()):
        _hold(found, step, found.of(argument), TOGETHER)
    return read


def _reduced(found: ChannelIds, step: Step) -> Along:
    """A mean or sum: reduced axes must keep all their entries, and have no ids afterwards."""
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
    """A softmax or cumulative sum: the axis that it runs along must keep all its entries."""
    read = found.of(step.args[0])
    _hold(found, step, [read[step.argument(1, "dim", -1)]], TOGETHER)
    return read


def _pooled(found: ChannelIds, step: Step) -> Along:
    """Pooling over the last d axes, d from its name (``avg_pool2d``): these hold positions."""
    read = found.of(step.args[0])
    rank = len(found.program.shapes.get(step.index, read))
    first = rank - step.operation.dims
    _hold(found, step, read[first:], "works along it")
    return (*read[:first], *(None for _ in read[first:]))


def _moved(found: ChannelIds, step: Step) -> Along:
    """Transposes and the like: ids move with their axes."""
    return tuple(rearranged(step, found.of(step.args[0]), None))


def _selected(found: ChannelIds, step: Step) -> Along:
    read = found.of(step.args[0])
    axis = step.argument(1, "dim", 0) % len(read)
    _hold(found, step, [read[axis]], TOGETHER)
    return (*read[:axis], *read[axis + 1 :])


def _reshaped(found: ChannelIds, step: Step) -> Along:
    """Merge or split axes: a merged axis repeats a channel's id once for each position.

    The shapes are cut into the smallest blocks of axes with equally many entries, (N, 8, 3, 3) ->
    (N, 72) into N -> N and (8, 3, 3) -> 72, and each block is regrouped by itself.
    """
    read, before = found.of(step.args[0]), found.shape(step.args[0].index)
    after = found.shape(step.index)
    axes: list[Numbers | None] = []
    for ours, theirs in _blocks(before, after):
        axes += _regrouped(found, step, read[ours], before[ours], after[theirs])
    return tuple(axes)


def _blocks(before: Sequence[int], after: Sequence[int]) -> list[tuple[slice, slice]]:
    """The shortest runs of axes before and after that have equally many entries.

    >>> _blocks((7, 8, 3, 3), (7, 72))
    [(slice(0, 1, None), slice(0, 1, None)), (slice(1, 4, None), slice(1, 2, None))]
    """
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
    """Ids along the axes ``after`` a view, given those along the axes ``before`` it.

    Write each entry's id into an array of shape ``before``, view it as ``after``, and see along
    which axis the ids vary. Ids (1..8) of (8, 3, 3) become 72 entries that vary along the one axis.
    Of heads, 12 ids viewed as (3, 4) vary along both; only an axis can carry ids, so the 4 of a
    head become one id and the head goes as a whole.
    """
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
    # An id belongs to entries of one axis, so look for the axes along which the ids differ.
    varies = [
        axis
        for axis, size in enumerate(after)
        if size > 1 and not (spread == np.take(spread, [0], axis)).all()
    ]
    if not varies:
        found.hold(read, f"a view takes its units apart{at(step)}")
        return [None] * len(after)
    # Take the outermost of them: channels that a view splits off, such as a head's, go together.
    axis = varies[0]
    lines = np.moveaxis(spread, axis, 0).reshape(after[axis], -1)
    for other in lines.T[1:] if len(varies) > 1 else ():
        found.equal(lines[:, 0], other)
    line = lines[:, 0].copy()
    return [line if a == axis else None for a in range(len(after))]


def _expanded(found: ChannelIds, step: Step) -> Along:
    """``expand``: axes that grow from size 1, and new ones, hold copies and have no ids."""
    read, before = found.of(step.args[0]), found.shape(step.args[0].index)
    after = found.shape(step.index)
    new = len(after) - len(before)
    return (None,) * new + tuple(
        numbers if size == after[new + axis] else None
        for axis, (numbers, size) in enumerate(zip(read, before, strict=True))
    )


def _joined(found: ChannelIds, step: Step) -> Along:
    """Concatenation: ids follow one another along its axis, and are equal along all others.

    Ids (1, 2) and (3, 4, 5) give (1, 2, 3, 4, 5): each part's channels can still go by themselves.
    """
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
    """Gated linear unit: each channel of the first half goes with its gate in the second."""
    read = list(found.of(step.args[0]))
    axis = step.argument(1, "dim", -1) % len(read)
    numbers = read[axis]
    if numbers is not None:
        half = len(numbers) // 2
        found.equal(numbers[:half], numbers[half:])
        read[axis] = numbers[:half]
    return tuple(read)


def _split(found: ChannelIds, step: Step) -> Along:
    """Parts of an axis; those of ``chunk``, which recomputes their sizes, stay equally long."""
    read = found.of(step.args[0])
    axis = step.argument(2, "dim", 0) % len(read)
    numbers = read[axis]
    balanced = step.operation.kind == "chunk" or step.args[0].index in found.balanced
    if numbers is not None and balanced:
        bounds = list(parts_along(step, len(numbers)))
        _balance(found, step, [numbers[start:stop] for start, stop in bounds])
    return read


def _balance(found: ChannelIds, step: Step, parts: Sequence[Numbers]) -> None:
    """Let all parts of an axis lose the same places, so that they stay equally long."""
    if len({len(part) for part in parts}) > 1:
        found.hold(parts, f"its parts are not of one size{at(step)}")
        return
    for part in parts[1:]:
        found.equal(parts[0], part)


def _taken(found: ChannelIds, step: Step) -> Along:
    """One of several results of an operation (``getitem``)."""
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
    """Start and end of each part of an axis of this size."""
    given = split.args[1] if len(split.args) > 1 else next(iter(split.kwargs.values()))
    if split.operation.kind == "chunk":
        given = -(-size // given)
    start = 0
    for part in given if isinstance(given, list | tuple) else [given] * -(-size // given):
        yield start, min(start + part, size)
        start += part


def _sliced(found: ChannelIds, step: Step) -> Along:
    """A slice of an axis; entries within a stride go together, so that it selects the same ones."""
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
    """Padding: of positions it changes nothing; an axis padded with more channels is held."""
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
