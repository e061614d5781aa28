"""Propagate channel ids through a graph: which entries can only be removed together.

Every entry of every axis that holds units has an id; operations make ids equal (see
:mod:`~frivolous.compression.coupling.rules`): what a convolution writes has the ids of its weight's
first axis, a sum those of both terms, a flattened feature map the id of its unit once for every
position. Entries that an operation needs (those of the output, of a normalisation over units, of a
view that splits units) are held, each with the reason. The rest can be cut: all entries of one id
at once, and the rest of the network is the same function of what remains.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from frivolous.compression.coupling.channel_ids import Along, ChannelIds, CoupledAxes
from frivolous.compression.coupling.rules import RULES, unknown
from frivolous.network.program import Program


def read_axes(
    program: Program, ties: Sequence[tuple[str, ...]] = (), balanced: Collection[int] = ()
) -> CoupledAxes:
    """Assign ids to the entries of a program's axes and follow them through all its steps.

    ``ties`` are names of one and the same weight, ``balanced`` values that are split into equal
    parts that must stay equal, since the module computes the sizes from the whole.
    """
    found = ChannelIds(program, balanced)
    first = {name: names[0] for names in ties for name in names}
    known: dict[str, Along] = {}
    for index, name in program.states.items():
        own = first.get(name, name)
        if own not in known:
            known[own] = tuple(found.fresh(size) for size in found.shape(index))
        found.along[index] = known[own]
    for index in (*program.inputs, *program.constants):
        shape = found.shape(index) if index in program.shapes else ()
        found.along[index] = (None,) * len(shape)
    for step in program.steps:
        axes = RULES.get(step.op, unknown)(found, step)
        found.along[step.index] = axes if found.fits(axes, step) else unknown(found, step)
    found.hold(found.along[program.output], "the scores are never cut")
    return found.settled()
