"""Find the sites of a network: the values where a layer's units can be read and silenced.

A site is where the element-wise tail of a layer ends (bias, normalisation, activation, residual
sum) and an operation that mixes units begins. The search walks over all mixing operations and asks
of each which values it reads; :mod:`~frivolous.network.units.dataflow` has noted whose units these
are. A layer that gets no site is listed with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from frivolous.network.module.diagnostics import at
from frivolous.network.operations import REARRANGING, RESHAPING, SAME
from frivolous.network.program import Program, Step
from frivolous.network.units.axis_layout import Layout, natural, outermost, product, unit_axes
from frivolous.network.units.dataflow import Reading, read
from frivolous.network.units.layers import (
    opaque,
    operands,
    reads_units,
    swapped,
    union,
    unread,
    weights_of,
)
from frivolous.network.units.outgoing_weights import Reader
from frivolous.network.units.relayout import arrangeable, arranged
from frivolous.network.units.residual_streams import Streams, find_streams


@dataclass(frozen=True)
class Site:
    """One layer's units: the value behind its element-wise tail, which other layers read.

    ``name`` is the path of the layer that writes it (``"fc:2"`` for the second call of ``fc``),
    ``depth`` its place in the order of execution, from 0. ``width`` counts units at grain
    ``channel``; ``axis`` is their axis, 1 for (N, C, ...) and -1 for (N, ..., F); ``positions`` are
    the sizes of the other axes but the batch. ``writers`` and ``readers`` name the weights that
    write the units (through every residual sum) and those that read them. ``kind`` is "layer", or
    "residual" for the units of a residual stream, which many layers write and read; those sites are
    named by the module that sums (``"blocks.0.residual"``).
    """

    name: str
    depth: int
    width: int
    axis: int
    positions: tuple[int, ...]
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    kind: str = "layer"

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the value without its batch axis."""
        axis = len(self.positions) if self.axis == -1 else self.axis - 1
        return (*self.positions[:axis], self.width, *self.positions[axis:])


@dataclass(frozen=True)
class Found:
    """What the search found: sites, their values and readers, layers without a site, the program.

    The program is the one searched, with values laid out as (N, ..., U) where a site needs it.
    """

    sites: tuple[Site, ...]
    values: dict[str, int]
    readers: dict[str, tuple[Reader, ...]]
    skipped: tuple[tuple[str, str], ...]
    program: Program


@dataclass(frozen=True)
class _Search:
    """The state of a search for sites: the dataflow, and by value the mixing steps that read it."""

    program: Program
    reading: Reading
    streams: Streams
    steps: Mapping[int, Step]
    layers: dict[int, list[int]]
    residuals: dict[int, list[int]]  # by value of a stream
    seen: dict[int, list[int]]  # by value of a stream: the tails' ends through which it is read
    skipped: dict[tuple[str, str], None]


def find_sites(
    program: Program,
    names: frozenset[str],
    ties: Sequence[tuple[str, ...]] = (),
    residual: bool = False,
) -> Found:
    """Walk back from every mixing operation to the values it reads.

    ``names`` are those of the model's parameters, by which a module's own weight is known, ``ties``
    those of one and the same. With ``residual`` the residual streams that are read are sites too.
    """
    reading = read(program, names, ties)
    streams = find_streams(program, reading)
    steps = {step.index: step for step in program.steps}
    search = _Search(program, reading, streams, steps, {}, {}, {}, {})
    for step in program.steps:
        if opaque(step, program, reading):
            search.skipped[step.module or step.op, unread(step, steps)] = None
        elif reading.kinds[step.index] == "mixing":
            for source in reading.sources.get(operands(step, reading)[0], ()):
                if source in reading.mixed:
                    _note(search, step, source, residual)
    names_of: dict[int, str] = {}
    for source in sorted(search.layers):
        names_of[source] = _free_name([reading.calls[w] for w in reading.writers[source]], names_of)
    kinds = dict.fromkeys(names_of, "layer")
    readers = dict(search.layers)
    for value in sorted(search.residuals) if residual else ():
        place = _stream_place(search, value)
        if reason := _refusal(search, place):
            search.skipped[_stream_name(search, value), reason] = None
        elif place not in names_of:
            names_of[place] = _free_name([_stream_name(search, value)], names_of)
            kinds[place], readers[place] = "residual", search.residuals[value]
    return _found(search, names_of, kinds, readers)


def _note(search: _Search, reader: Step, source: int, residual: bool) -> None:
    """Record a mixing step as a reader of what it reads, or why it is none."""
    reading, call = search.reading, search.reading.calls[reader.index]
    reason = _refusal(search, source)
    if not reads_units(reader, reading):
        reason = f"it mixes positions ('{reader.op}') and no units of a layer{at(reader)}"
    view = search.streams.views.get(source)
    if view and not reason and (not view.activated or view.value in search.streams.carried):
        search.residuals.setdefault(view.value, []).append(reader.index)
        search.seen.setdefault(view.value, []).append(source)
    if not reason and search.streams.shared(source) is not None:
        if residual:
            return
        reason = (
            "it reads a residual stream, which several layers write and read; trace with "
            "`residual=True` to have the stream's units as a site"
        )
    if reason:
        search.skipped[call, reason] = None
    else:
        search.layers.setdefault(source, []).append(reader.index)


def _found(
    search: _Search,
    names: Mapping[int, str],
    kinds: Mapping[int, str],
    readers: Mapping[int, list[int]],
) -> Found:
    """The sites in order of execution, with values rearranged where needed."""
    places = {source: _settled(search, source) for source in sorted(names)}
    crooked = [place for place in places.values() if not _straight(search, place)]
    layouts = search.reading.layouts
    program, moved = arranged(search.program, {place: layouts[place] for place in crooked})
    axes = {index: outermost(layout) for index, layout in layouts.items()}
    known = {index: axis for index, axis in axes.items() if axis is not None}
    program = replace(program, outermost=known)
    sites, values, read_by = [], {}, {}
    for depth, (source, place) in enumerate(places.items()):
        shape = program.shapes[moved.get(place, place)]
        axis = len(shape) - 1 if place in moved else unit_axes(layouts[place])[0]
        values[names[source]] = moved.get(place, place)
        read_by[names[source]] = tuple(
            Reader(layer, swapped(search.steps[layer], search.reading)) for layer in readers[source]
        )
        site = Site(
            name=names[source],
            depth=depth,
            width=int(shape[axis]),
            axis=-1 if axis == len(shape) - 1 else axis,
            positions=tuple(int(size) for i, size in enumerate(shape) if i not in {0, axis}),
            writers=_weights(search, search.reading.writers[source]),
            readers=_weights(search, readers[source]),
            kind=kinds[source],
        )
        sites.append(site)
    return Found(tuple(sites), values, read_by, tuple(search.skipped), program)


def _weights(search: _Search, layers: Sequence[int]) -> tuple[str, ...]:
    return union(weights_of(search.steps[layer], search.reading) for layer in layers)


def _settled(search: _Search, source: int) -> int:
    """The first place behind a value that has its units along one axis; itself if there is none.

    Attention with a single head has no axis of heads: its units are along one axis only behind the
    view that merges heads.
    """
    place, layouts = source, search.reading.layouts
    made = layouts[source]
    single = len(made) if search.reading.kinds[source] != "product" else int(made[-2] == ())
    while not _straight(search, place) or layouts[place].count(()) > single:
        after = [step for step in search.program.steps if place in step.needs]
        known = len(after) == 1 and after[0].index in layouts
        if not known or after[0].op not in RESHAPING | REARRANGING | SAME:
            return source
        place = after[0].index
    return place if _counts(layouts[place]) == _counts(made) else source


def _counts(layout: Layout) -> tuple[int, int]:
    """Entries per example, and along axes with units; the latter is more if positions are there."""
    sizes = [product(factors)[0] for factors in layout]
    return math.prod(sizes), math.prod(sizes[axis] for axis in unit_axes(layout))


def _straight(search: _Search, place: int) -> bool:
    """Whether a value is (N, ...) with its units along one axis."""
    return natural(search.reading.layouts[place])


def _stream_place(search: _Search, value: int) -> int:
    """Where a stream's units are silenced: where later sums read it, else where its tail ends."""
    ends = dict.fromkeys(search.seen[value])
    return value if value in search.streams.carried or len(ends) > 1 else next(iter(ends))


def _stream_name(search: _Search, value: int) -> str:
    """The path of the module that sums; of the layer that writes it if nothing was added yet."""
    start = search.streams.views[value].start
    path = search.steps[start].module
    if start not in search.streams.sums:
        path = next((search.reading.calls[w] for w in search.reading.writers[start]), path)
    return f"{path}.residual" if path else "residual"


def _refusal(search: _Search, source: int) -> str:
    """Why a value cannot be a site; empty if it can."""
    program, reading = search.program, search.reading
    layout, where = reading.layouts.get(source), at(search.steps[source])
    if source in reading.blocked:
        return reading.blocked[source]
    if not reading.writers.get(source):
        return f"no layer is known that writes what it reads{where}"
    if layout is None or not unit_axes(layout):
        return f"the axis of the units that it reads is not known{where}"
    if not program.dtypes[source].is_floating_point:
        return f"it reads {program.dtypes[source]} values, not floating-point ones{where}"
    if arrangeable(layout):
        return ""
    return f"the examples are not along an axis of what it reads{where}"


def _free_name(candidates: Sequence[str], taken: Mapping[int, str]) -> str:
    """The first writer that names no other site yet; else the first one, numbered."""
    names = set(taken.values())
    for name in candidates:
        if name not in names:
            return name
    base, number = candidates[0].split(":")[0], 2
    while f"{base}:{number}" in names:
        number += 1
    return f"{base}:{number}"
