"""What every operation does to the numbers of its axes' entries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from frivolous.compression.coupling.channel_ids import Along, ChannelIds, Numbers
from frivolous.network.module.diagnostics import at
from frivolous.network.operations import (
    ACTIVATIONS,
    ALONG,
    ARITHMETIC,
    CONVOLUTIONS,
    POOLING,
    REDUCING,
    RESHAPING,
    SAME,
)
from frivolous.network.program import Step

COMPUTED = "has weights that are computed from others; make them parameters of their own"
Rule = Callable[[ChannelIds, Step], Along]
Pairs = list[tuple[Numbers | None, Numbers | None]]


def argument(step: Step, place: int, name: str, default: Any) -> Any:
    """An argument by its place or its name."""
    if len(step.args) > place:
        return step.args[place]
    return step.kwargs.get(name, default)


def unknown(found: ChannelIds, step: Step) -> Along:
    """Hold all that an operation reads of which nothing is known."""
    for need in step.needs:
        found.hold(found.along.get(need, ()), f"'{step.op}' may need every unit{at(step)}")
    return (None,) * len(found.program.shapes.get(step.index, ()))


def _same(found: ChannelIds, step: Step) -> Along:
    return found.of(step.args[0])


def _elementwise(found: ChannelIds, step: Step) -> Along:
    """Entries that are combined are equal; those that meet an input or a constant are held."""
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
        numbered = [numbers for numbers in met if numbers is not None]
        for other in numbered[1:]:
            found.equal(numbered[0], other)
        if len(numbered) < len(met):
            found.hold(numbered, f"it meets numbers that no layer writes{at(step)}")
        if not met and shape[place] == 1:
            ones = [known[back] for sizes, known in operands if len(sizes) >= -back]
            numbered = [numbers for numbers in ones if numbers is not None][:1]
        axes.append(numbered[0] if numbered else None)
    return tuple(axes)


def _sloped(found: ChannelIds, step: Step) -> Along:
    """A ReLU with a slope for each unit, along axis 1, or with one for all."""
    read, slope = found.of(step.args[0]), found.of(step.args[1])
    if slope and slope[0] is not None and len(slope[0]) > 1:
        _contract(found, step, read[1], slope[0])
    return read


def _held_along(found: ChannelIds, step: Step, places: Sequence[int], axes: Along) -> None:
    found.hold([axes[p] for p in places], f"'{step.op}' works on all units together{at(step)}")


def _convolution(found: ChannelIds, step: Step) -> Along:
    """What it reads is numbered as its weight's inner axis, what it writes as the outer one."""
    read, weight = found.of(step.args[0]), found.of(step.args[1])
    bias = found.of(argument(step, 2, "bias", None))
    transposed, groups = CONVOLUTIONS[step.op](_all_args(step))
    found.hold(weight[2:], f"'{step.op}' needs every tap{at(step)}")
    units, out = read[1], found.fresh(found.shape(step.index)[1])
    if bias and bias[0] is not None:
        found.equal(out, bias[0])
    inner, outer = (weight[0], weight[1]) if transposed else (weight[1], weight[0])
    if outer is None:
        found.hold([out], f"'{step.op}' {COMPUTED}{at(step)}")
    elif not transposed:
        found.equal(out, outer)
    if units is None or inner is None:
        what = "reads numbers that no layer writes" if units is None else COMPUTED
        found.hold([units, inner], f"'{step.op}' {what}{at(step)}")
    depthwise = units is not None and 1 < groups == len(units)
    if depthwise:
        shared = [outer if transposed else inner]
        found.hold(shared, f"'{step.op}' has a group for each unit{at(step)}")
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
    if not step.kwargs:
        return step.args
    target: Any = step.target
    names = [argument.name for argument in target._schema.arguments]
    defaults = {a.name: a.default_value for a in target._schema.arguments}
    values = dict(zip(names, step.args, strict=False)) | step.kwargs
    return tuple(values.get(name, defaults[name]) for name in names)


def _dense(found: ChannelIds, step: Step) -> Along:
    read, weight = found.of(step.args[0]), found.of(step.args[1])
    bias = found.of(argument(step, 2, "bias", None))
    out = weight[0]
    if weight[-1] is None:
        found.hold([read[-1]], f"'{step.op}' {COMPUTED}{at(step)}")
    else:
        _contract(found, step, read[-1], weight[-1])
    if out is None:
        out = found.fresh(found.shape(step.index)[-1])
        found.hold([out], f"'{step.op}' {COMPUTED}{at(step)}")
    if bias and out is not None and bias[0] is not None:
        found.equal(out, bias[0])
    return (*read[:-1], out)


def _contract(found: ChannelIds, step: Step, first: Numbers | None, second: Numbers | None) -> None:
    """Entries that are multiplied and summed are equal; those that meet an input are held."""
    if first is not None and second is not None:
        found.equal(first, second)
    else:
        found.hold([first, second], f"it meets numbers that no layer writes{at(step)}")


def _product(found: ChannelIds, step: Step) -> Along:
    first, second = found.of(step.args[0]), found.of(step.args[1])
    if min(len(first), len(second)) < 2:
        return unknown(found, step)
    _contract(found, step, first[-1], second[-2])
    rank = len(found.shape(step.index))
    batch = []
    for place in range(rank - 2):
        back = place - rank
        met = [axes[back] for axes in (first, second) if len(axes) >= -back]
        numbered = [numbers for numbers in met if numbers is not None and len(numbers) > 1]
        if len(numbered) > 1:
            _contract(found, step, numbered[0], numbered[1])
        batch.append(numbered[0] if numbered else None)
    return (*batch, first[-2], second[-1])


def _added_product(found: ChannelIds, step: Step) -> Along:
    bias = found.of(step.args[0])
    first, second = found.of(step.args[1]), found.of(step.args[2])
    _contract(found, step, first[-1], second[-2])
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
            if read[1] is None:
                found.hold(vector, f"it meets numbers that no layer writes{at(step)}")
            else:
                found.equal(read[1], vector[0])
    return read


def _weight_normed(found: ChannelIds, step: Step) -> Along:
    """A weight as a length for each entry of one axis and directions, which need all the others."""
    directions, lengths = found.of(step.args[0]), found.of(step.args[1])
    axis = argument(step, 2, "dim", 0) % len(directions)
    if lengths and lengths[axis] is not None and directions[axis] is not None:
        found.equal(directions[axis], lengths[axis])
    others = [numbers for place, numbers in enumerate(directions) if place != axis]
    found.hold(others, f"the directions of its weights are of length 1 over all of them{at(step)}")
    return tuple(numbers if place == axis else None for place, numbers in enumerate(directions))


def _over_units(found: ChannelIds, step: Step) -> Along:
    """A normalisation over units, which all have a part in it."""
    read = found.of(step.args[0])
    for argument in (*step.args, *step.kwargs.values()):
        axes = found.of(argument)
        found.hold(axes, f"'{step.op}' works on all units together{at(step)}")
    return read


def _reduced(found: ChannelIds, step: Step) -> Along:
    read = found.of(step.args[0])
    given = argument(step, 1, "dim", None)
    given = list(range(len(read))) if given is None or given == [] else given
    gone = {a % len(read) for a in (given if isinstance(given, list | tuple) else [given])}
    _held_along(found, step, sorted(gone), read)
    shape = found.program.shapes[step.index]
    if len(shape) == len(read):
        return tuple(None if a in gone else numbers for a, numbers in enumerate(read))
    return tuple(numbers for a, numbers in enumerate(read) if a not in gone)


def _along_axis(found: ChannelIds, step: Step) -> Along:
    read = found.of(step.args[0])
    _held_along(found, step, [argument(step, 1, "dim", -1) % len(read)], read)
    return read


def _pooled(found: ChannelIds, step: Step) -> Along:
    read = found.of(step.args[0])
    rank = len(found.program.shapes.get(step.index, read))
    last = next(int(letter) for letter in step.op if letter.isdigit())
    found.hold(read[rank - last :], f"'{step.op}' works along it{at(step)}")
    return (*read[: rank - last], *(None for _ in range(last)))


def _moved(found: ChannelIds, step: Step) -> Along:
    read = list(found.of(step.args[0]))
    rank, given = len(read), (*step.args[1:], *step.kwargs.values())
    if step.op in {"t", "mT", "transpose"}:
        if rank < 2:
            return tuple(read)
        one, other = (given[0] % rank, given[1] % rank) if given else (rank - 2, rank - 1)
        read[one], read[other] = read[other], read[one]
    elif step.op == "permute":
        read = [read[a % rank] for a in given[0]]
    elif step.op == "unsqueeze":
        read.insert(given[0] % (rank + 1), None)
    elif step.op == "select":
        axis = given[0] % rank
        _held_along(found, step, [axis], tuple(read))
        del read[axis]
    return tuple(read)


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
    axis = argument(step, 1, "dim", 0) % rank
    known = [found.along[part] for part in parts]
    if any(len(own) != rank for own in known):
        return unknown(found, step)
    axes: list[Numbers | None] = []
    for place in range(rank):
        met = [own[place] for own in known]
        numbered = [numbers for numbers in met if numbers is not None]
        if place != axis:
            for other in numbered[1:]:
                found.equal(numbered[0], other)
            if 0 < len(numbered) < len(met):
                found.hold(numbered, f"it meets numbers that no layer writes{at(step)}")
            axes.append(numbered[0] if numbered else None)
        elif not numbered:
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
    axis = argument(step, 1, "dim", -1) % len(read)
    numbers = read[axis]
    if numbers is not None:
        half = len(numbers) // 2
        found.equal(numbers[:half], numbers[half:])
        read[axis] = numbers[:half]
    return tuple(read)


def _split(found: ChannelIds, step: Step) -> Along:
    """Parts of an axis; those of ``chunk``, whose sizes are worked out anew, stay of one size."""
    read = found.of(step.args[0])
    axis = argument(step, 2, "dim", 0) % len(read)
    numbers = read[axis]
    if numbers is not None and (step.op == "chunk" or step.args[0].index in found.balanced):
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
    if made is None or made.op not in PARTING:
        shape = found.program.shapes.get(step.index, ())
        return tuple(read) if len(read) == len(shape) else (None,) * len(shape)
    rank = len(read)
    axis = argument(made, 2, "dim", 0) % rank
    if read[axis] is not None:
        start, stop = list(parts_along(made, len(read[axis])))[step.args[1]]
        read[axis] = read[axis][start:stop]
    return tuple(read)


def parts_along(split: Step, size: int) -> Iterator[tuple[int, int]]:
    """Where each part of an axis of this size begins and ends."""
    given = split.args[1] if len(split.args) > 1 else next(iter(split.kwargs.values()))
    if split.op == "chunk":
        given = -(-size // given)
    start = 0
    for part in given if isinstance(given, list | tuple) else [given] * -(-size // given):
        yield start, min(start + part, size)
        start += part


def _sliced(found: ChannelIds, step: Step) -> Along:
    """A part of an axis; entries within a stride go together, so that the part stays what it is."""
    read, shape = list(found.of(step.args[0])), found.shape(step.index)
    axis = argument(step, 1, "dim", 0) % len(read)
    numbers = read[axis]
    if numbers is not None and shape[axis] != len(numbers):
        start = argument(step, 2, "start", 0) or 0
        size, stride = len(numbers), argument(step, 4, "step", 1)
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


#: Operations that give parts of an axis.
PARTING = frozenset(["split", "split_with_sizes", "chunk"])

RULES: dict[str, Rule] = {
    **dict.fromkeys(ACTIVATIONS | ARITHMETIC, _elementwise),
    "prelu": _sloped,
    **dict.fromkeys(SAME | {"lift_fresh_copy", "alpha_dropout", "feature_dropout"}, _same),
    **dict.fromkeys(CONVOLUTIONS, _convolution),
    **dict.fromkeys(("batch_norm", "native_batch_norm", "instance_norm"), _per_unit),
    **dict.fromkeys(
        (
            "_native_batch_norm_legit_no_training",
            "cudnn_batch_norm",
            "_native_batch_norm_legit",
        ),
        _per_unit,
    ),
    **dict.fromkeys(
        ("layer_norm", "native_layer_norm", "group_norm", "native_group_norm", "rms_norm"),
        _over_units,
    ),
    **dict.fromkeys(POOLING, _pooled),
    **dict.fromkeys(RESHAPING, _reshaped),
    **dict.fromkeys(REDUCING, _reduced),
    **dict.fromkeys(ALONG, _along_axis),
    **dict.fromkeys(("permute", "transpose", "t", "mT", "unsqueeze", "select"), _moved),
    **dict.fromkeys(("expand", "expand_as"), _expanded),
    **dict.fromkeys(("cat", "concat"), _joined),
    **dict.fromkeys(PARTING, _split),
    **dict.fromkeys(("slice", "narrow"), _sliced),
    **dict.fromkeys(("pad", "constant_pad_nd"), _padded),
    **dict.fromkeys(("mm", "bmm", "matmul"), _product),
    "linear": _dense,
    "addmm": _added_product,
    "scaled_dot_product_attention": _attention,
    "embedding": _embedding,
    "response_norm": _same,
    "_weight_norm_interface": _weight_normed,
    "_weight_norm": _weight_normed,
    "squeeze": _reshaped,
    "glu": _glued,
    "getitem": _taken,
}
