"""The places of a network where a layer's units can be read and silenced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from frivolous.network.program import Program
from frivolous.network.readers import Reader
from frivolous.network.reading import Reading, operands, read, union, weights_of


@dataclass(frozen=True)
class Site:
    """One layer's units: the value that leaves its element-wise tail and that others read.

    ``name`` is the path of the layer that writes it (``"fc:2"`` for the second call of ``fc``),
    ``depth`` its place in the order of execution, from 0. ``width`` counts units at grain
    ``channel``; ``axis`` is their axis, 1 for (N, C, ...) and -1 for (N, ..., F); ``positions`` are
    the sizes of the other axes but the batch. ``writers`` and ``readers`` name the weights that
    write the units (through every residual sum) and those that read them.
    """

    name: str
    depth: int
    width: int
    axis: int
    positions: tuple[int, ...]
    writers: tuple[str, ...]
    readers: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the value without its batch axis."""
        axis = len(self.positions) if self.axis == -1 else self.axis - 1
        return (*self.positions[:axis], self.width, *self.positions[axis:])


@dataclass(frozen=True)
class Found:
    """Sites, the value that each is, who reads it, and the layers that could not be given one."""

    sites: tuple[Site, ...]
    values: dict[str, int]
    readers: dict[str, tuple[Reader, ...]]
    skipped: tuple[tuple[str, str], ...]


def find_sites(program: Program, names: frozenset[str]) -> Found:
    """Walk back from every mixing operation to the values it reads.

    ``names`` are those of the model's parameters, by which a module's own weight is known.
    """
    reading = read(program, names)
    readers: dict[int, list[int]] = {}
    skipped: dict[tuple[str, str], None] = {}
    for step in program.steps:
        if reading.kinds[step.index] != "mixing":
            continue
        for source in reading.sources.get(operands(step, reading)[0], ()):
            if source not in reading.mixed:
                continue
            reason = _refusal(program, reading, source)
            if reason:
                skipped[reading.calls[step.index], reason] = None
            else:
                readers.setdefault(source, []).append(step.index)
    values: dict[str, int] = {}
    for source in sorted(readers):
        name = _free_name([reading.calls[w] for w in reading.writers[source]], values)
        values[name] = source
    sites = tuple(
        _site(name, depth, source, readers[source], program, reading)
        for depth, (name, source) in enumerate(values.items())
    )
    steps = {step.index: step for step in program.steps}
    read_by = {
        name: tuple(Reader(step, *operands(steps[step], reading)) for step in readers[source])
        for name, source in values.items()
    }
    return Found(sites, values, read_by, tuple(skipped))


def _site(
    name: str, depth: int, source: int, readers: list[int], program: Program, reading: Reading
) -> Site:
    steps = {step.index: step for step in program.steps}
    axis, shape = reading.axis[source], program.shapes[source]
    return Site(
        name=name,
        depth=depth,
        width=int(shape[axis]),
        axis=-1 if axis == len(shape) - 1 else axis,
        positions=tuple(int(size) for i, size in enumerate(shape) if i not in {0, axis}),
        writers=union(weights_of(steps[writer], reading) for writer in reading.writers[source]),
        readers=union(weights_of(steps[reader], reading) for reader in readers),
    )


def _refusal(program: Program, reading: Reading, source: int) -> str:
    """Why a value cannot be a site; empty when it can."""
    if source in reading.blocked:
        return reading.blocked[source]
    if not reading.writers.get(source):
        return "no layer is known that writes what it reads"
    if source not in reading.axis:
        return "the axis of the units that it reads is not known"
    if not program.dtypes[source].is_floating_point:
        return f"it reads {program.dtypes[source]} values, not floating-point ones"
    try:
        placed = program.batch_axis(source) == 0 and reading.axis[source] != 0
    except LookupError:
        placed = False
    return "" if placed else "the examples are not along axis 0 of what it reads"


def _free_name(candidates: Sequence[str], taken: dict[str, int]) -> str:
    """The first writer that names no other site yet; else the first one, numbered."""
    for name in candidates:
        if name not in taken:
            return name
    base, number = candidates[0].split(":")[0], 2
    while f"{base}:{number}" in taken:
        number += 1
    return f"{base}:{number}"
