"""Pruning groups: units of one site, or of several that share them, and the layers that read them.

Sites whose units have ids in common are one group: all layers that write a residual stream, or the
two sides of a depthwise convolution. Removing a unit of the group removes it at all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frivolous.compression.coupling.channel_ids import CoupledAxes
from frivolous.network import Network
from frivolous.network.operations import OPERATIONS, Kind
from frivolous.network.program import Program, Ref, Step

Indices = NDArray[np.int64]
TURNING: frozenset[Kind] = frozenset(["transpose", "permute"])


@dataclass(frozen=True, eq=False)
class GroupReader:
    """A layer that mixes the units of a pruning group.

    ``step`` is its place in the program and ``value`` what it reads, with units along ``axis``;
    row u of ``features_UP`` has the indices of unit u there, -1 for a unit that is not among them
    (several for a feature map that was flattened). ``weight`` and ``bias`` are names in the state,
    ``weight`` "" for one that is computed; ``made`` is the weight's place in the program and
    ``inner`` its axis along which the units are. ``refits`` is False for a layer whose weights
    cannot be re-fitted for this group alone; ``why`` says the reason.
    """

    step: int
    op: str
    value: int
    axis: int
    features_UP: Indices
    weight: str
    bias: str | None
    inner: int
    refits: bool
    why: str = ""
    made: int = -1

    @property
    def convolves(self) -> bool:
        """Whether it is a convolution."""
        return OPERATIONS[self.op].kind == "convolution"


@dataclass(frozen=True, eq=False)
class PruningGroup:
    """Units that are removed together, because several sites share them.

    ``number_U`` has the id of each unit in
    :class:`~frivolous.compression.coupling.channel_ids.CoupledAxes`; ``places`` maps each site to
    the group's unit at each of the site's own, -1 for another group's.
    """

    name: str
    number_U: Indices
    places: Mapping[str, Indices]
    reads: tuple[GroupReader, ...]

    @property
    def units(self) -> int:
        """The number of units."""
        return len(self.number_U)


def find_groups(
    network: Network, axes: CoupledAxes
) -> tuple[tuple[PruningGroup, ...], dict[str, str]]:
    """All pruning groups in order of execution, and the reason for sites that cannot be cut."""
    program = network.program
    numbers, refused = {}, {}
    for site in network.sites:
        along = axes.along[network.places[site.name]]
        found = along[site.axis if site.axis > 0 else len(along) - 1]
        if found is None:
            refused[site.name] = "its units are not told apart from positions"
        elif held := [axes.held[n] for n in found.tolist() if n in axes.held]:
            refused[site.name] = held[0]
        else:
            numbers[site.name] = found
    fed = program.fed()
    layers = [layer for step in program.steps if (layer := _layer(step, network, axes, fed))]
    cuts = []
    for names in _sharing(numbers):
        own = np.unique(np.concatenate([numbers[name] for name in names]))
        own = _in_order(own, [numbers[name] for name in names])
        reads = tuple(read for layer in layers if (read := _read(layer, own)))
        if not reads:
            refused |= dict.fromkeys(names, "no layer is known that reads it")
            continue
        places = {name: _placed(numbers[name], own) for name in names}
        cuts.append(PruningGroup(names[0], own, places, reads))
    return tuple(cuts), refused


def _sharing(numbers: Mapping[str, Indices]) -> list[list[str]]:
    """Sites that have units in common, list by list, in order."""
    groups: list[tuple[list[str], set[int]]] = []
    for name, found in numbers.items():
        mine, names = set(found.tolist()), [name]
        apart = []
        for others, theirs in groups:
            if mine.isdisjoint(theirs):
                apart.append((others, theirs))
            else:
                names, mine = others + names, mine | theirs
        groups = [*apart, (names, mine)]
    order = {name: place for place, name in enumerate(numbers)}
    found_groups = [sorted(names, key=order.__getitem__) for names, _ in groups]
    return sorted(found_groups, key=lambda names: order[names[0]])


def _in_order(own: Indices, sites: Sequence[Indices]) -> Indices:
    """The ids in the order in which the sites have them first."""
    seen = dict.fromkeys(number for site in sites for number in site.tolist())
    assert len(seen) == len(own)
    return np.array(list(seen), dtype=np.int64)


def _placed(numbers: Indices, own: Indices) -> Indices:
    place = {number: unit for unit, number in enumerate(own.tolist())}
    return np.array([place.get(number, -1) for number in numbers.tolist()], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class _Layer:
    """A mixing step with weights of its own, and the ids that it reads."""

    step: Step
    value: int
    axis: int
    number_F: Indices
    weight: str
    bias: str | None
    inner: int
    why: str
    made: int


def _layer(step: Step, network: Network, axes: CoupledAxes, fed: Collection[int]) -> _Layer | None:
    if step.operation.role != "mixing":
        return None
    rule, program, kind = step.layer, network.program, step.operation.kind
    pair = step.args[rule.input], step.args[rule.weight]
    if not all(isinstance(item, Ref) for item in pair):
        return None
    value, weight = pair[0].index, pair[1].index
    # Units are along axis 1 of what a convolution reads, and along the last of all others.
    axis = rule.axis if rule.axis > 0 else len(axes.along[value]) - 1
    numbers = axes.along[value][axis] if axes.along[value] else None
    if numbers is None or value not in fed or weight in fed:
        return None
    inner, why = 1, ""
    if kind == "convolution":
        transposed, groups = step.operation.grouping(step.args)
        inner = 0 if transposed else 1
        if groups == len(numbers) > 1:
            return None  # depthwise: it goes with its units
        why = "its groups read units apart" if groups > 1 else ""
    elif kind != "linear":
        inner = len(program.shapes[weight]) - 2
    # A weight can be re-fitted if it is a parameter as it is, used here alone.
    own, transposed = _parameter(weight, program)
    name = program.states.get(own)
    if name is None or (kind != "convolution" and len(program.shapes[weight]) != 2):
        why, name, own = "its weights are computed", "", weight
    elif transposed:
        inner = 1 - inner
    given = step.argument(rule.bias, "bias")
    added = _parameter(given.index, program)[0] if isinstance(given, Ref) else -1
    bias = program.states.get(added)
    if added >= 0 and bias is None:
        why = why or "its bias is computed"
    if name and _uses(own, network) > 1:
        why = why or "its weights are those of several calls"
    if bias and _uses(added, network) > 1:
        why = why or "its bias is that of several calls"
    return _Layer(step, value, axis, numbers, name, bias, inner, why, own)


def _parameter(index: int, program: Program) -> tuple[int, bool]:
    """The parameter that a weight is, and whether it is transposed on the way.

    Copies and conversions, such as those of autocast, are looked through.
    """
    steps = {step.index: step for step in program.steps}
    transposed = False
    while (made := steps.get(index)) is not None:
        if made.operation.kind in TURNING and len(program.shapes[made.index]) == 2:
            transposed = not transposed
        elif made.operation.kind != "copy":
            break
        index = made.args[0].index
    return index, transposed


def _uses(index: int, network: Network) -> int:
    """How many steps use a weight, by any of its names, as it is or transposed."""
    states, steps = network.program.states, network.program.steps
    names = next((tied for tied in network.ties if states.get(index) in tied), ())
    return sum(
        _readers(other, steps) for other in states if other == index or states[other] in names
    )


def _readers(index: int, steps: Sequence[Step]) -> int:
    total = 0
    for step in steps:
        times = step.needs.count(index)
        same = step.operation.kind in TURNING | {"copy"}
        total += _readers(step.index, steps) if same and times else times
    return total


def _read(layer: _Layer, own: Indices) -> GroupReader | None:
    """How a layer reads the units of a group; None if it reads none of them."""
    unit_F = _placed(layer.number_F, own)  # of each feature, the group's unit, or -1
    counts = np.bincount(unit_F[unit_F >= 0], minlength=len(own))
    if not counts.any():
        return None
    most = int(counts.max())
    features = np.full((len(own), most), -1, dtype=np.int64)
    why = layer.why
    if set(counts.tolist()) - {0, most}:
        why = why or "it reads some units at more positions than others"
    for unit in range(len(own)):  # of a flattened 3x3 map, the nine features of the unit
        found = np.flatnonzero(unit_F == unit)
        features[unit, : len(found)] = found
    return GroupReader(
        layer.step.index,
        layer.step.op,
        layer.value,
        layer.axis,
        features,
        layer.weight,
        layer.bias,
        layer.inner,
        not why,
        why,
        layer.made,
    )
