"""Trials: units removed for a test, before any search.

The rules of :mod:`frivolous.compression.coupling` say which units can go. Whether the user's own
code then runs with fewer of them is known only by running it: a number written in its ``forward``,
or the size of a part computed from the whole, breaks it. So some units are removed from a copy of
the module, and what it gives is compared with the graph whose units are silenced. What differs by
more than rounding is left out of the search, with the reason.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from frivolous.compression.coupling.channel_ids import ChannelMask
from frivolous.compression.coupling.groups import PruningGroup
from frivolous.compression.coupling.rules import PARTING
from frivolous.compression.pruner import PrunedNetwork, Pruner
from frivolous.compression.surgery.graph import remove_channels
from frivolous.errors import NotFinite, one_line
from frivolous.inputs.batch import Inputs
from frivolous.network.module.copying import CannotCopy
from frivolous.network.program import Ref
from frivolous.network.rounding import MARGIN, Rounding, apart, cast_to, least_of

Indices = NDArray[np.int64]
TRIALS = 3
"""Random removals with which each group is tested, next to removing every second unit.

The last one removes all units that may go.
"""


def try_out(pruner: Pruner, inputs: Inputs) -> None:
    """Leave out groups with which the module itself does not work; ``refused`` says why.

    A module may compute the sizes of parts from the whole, as ``chunk`` and ``c // 2`` do.
    Where it does not compute what the graph does, the parts that it splits are kept equally
    long, and it is tested again.
    """
    if not bool(torch.isfinite(pruner.whole(inputs)).all()):
        raise NotFinite(
            "`data` makes the model give scores that are NaN or infinite; nothing can be "
            "fitted to them. Look for inputs that are not finite."
        )
    faults = _faults(pruner, inputs)
    if faults and (parted := _parted(pruner, faults)):
        pruner.read(parted)
        faults = _faults(pruner, inputs)
    pruner.leave(faults)


def _parted(pruner: Pruner, names: Collection[str]) -> frozenset[int]:
    """The values that are split into parts along an axis with units of these groups."""
    own = {n for cut in pruner.cuts if cut.name in names for n in cut.number_U.tolist()}
    sources = {
        step.args[0].index
        for step in pruner.network.program.steps
        if step.operation.kind in PARTING | {"slice", "narrow"} and isinstance(step.args[0], Ref)
    }
    return frozenset(
        source
        for source in sources
        if any(n is not None and not own.isdisjoint(n.tolist()) for n in pruner.axes.along[source])
    )


def _faults(pruner: Pruner, inputs: Inputs) -> dict[str, str]:
    """Why groups do not work, by name: tested all together; if that fails, one by one."""
    movable = [cut for cut in pruner.cuts if cut.units > 1]
    if not movable or not _tried(pruner, movable, inputs):
        return {}
    faults = {cut.name: why for cut in movable if (why := _alone(pruner, cut, inputs))}
    if faults or not _tried(pruner, movable, inputs):
        return faults
    works: list[PruningGroup] = []
    for cut in movable:  # each works by itself: find those that fail with the ones before
        if why := _tried(pruner, [*works, cut], inputs):
            faults[cut.name] = why
        else:
            works.append(cut)
    return faults


def _alone(pruner: Pruner, cut: PruningGroup, inputs: Inputs) -> str:
    """Why a group does not work by itself; if it works with two units left, two stay."""
    why = _tried(pruner, [cut], inputs)
    if why and cut.units > 2 and pruner.least.get(cut.name, 1) == 1:
        pruner.least[cut.name] = 2
        if not _tried(pruner, [cut], inputs):
            return ""
        del pruner.least[cut.name]
    return why


def _tried(pruner: Pruner, cuts: Sequence[PruningGroup], inputs: Inputs) -> str:
    """Why these groups do not work together; empty if they pass every trial."""
    for number in range(TRIALS + 1):
        gone = {cut.name: _drawn(pruner, cut, number) for cut in cuts}
        if why := _fault(pruner, pruner.keeping(gone), inputs):
            return why
    return ""


def _drawn(pruner: Pruner, cut: PruningGroup, number: int) -> Indices:
    """Units to remove in a trial: every second one, then random ones of any number."""
    if number == 0:
        gone = np.arange(cut.units) % 2 == 1
    else:
        draw = np.random.default_rng([number, cut.units])
        most = cut.units - pruner.least.get(cut.name, 1)
        gone = draw.permutation(cut.units) < draw.integers(1, most + 1)
        if number == TRIALS:
            gone = draw.permutation(cut.units) < most
    for part in pruner.parts(cut):
        if gone[part].all():
            gone[np.flatnonzero(part)[0]] = False
    return np.flatnonzero(gone)


def faults_of(pruner: Pruner, keeping: ChannelMask, inputs: Inputs) -> dict[str, str]:
    """Why groups do not work with these units gone, by name; empty if all do."""
    if not (why := _fault(pruner, keeping, inputs)):
        return {}
    alone = {
        cut.name: pruner.keeping({cut.name: np.flatnonzero(keeping.gone[cut.number_U])})
        for cut in pruner.cuts
        if keeping.gone[cut.number_U].any()
    }
    found = {name: own for name, one in alone.items() if (own := _fault(pruner, one, inputs))}
    return found or dict.fromkeys(alone, why)


def _fault(pruner: Pruner, keeping: ChannelMask, inputs: Inputs) -> str:
    """Why the module with units removed does not equal the module with them silenced.

    Empty if it does. Two scores are equal if they are no further apart than rounding explains,
    as measured on the thinner network with these inputs; silenced and removed units are
    compared in float64.
    """
    try:
        thin = remove_channels(pruner.network, keeping)
        module = pruner.module(PrunedNetwork((), keeping, thin))
        ours, theirs = thin(inputs), pruner.scores(module, inputs)
    except CannotCopy:
        raise
    except Exception as error:  # noqa: BLE001 - a module's forward may raise anything
        return f"the model does not compute with fewer units ({one_line(error)})"
    if ours.shape == theirs.shape and max(
        apart(ours, theirs), apart(ours, pruner.silenced(keeping, inputs))
    ) <= MARGIN * least_of(ours):
        return ""  # equal but for the last places: rounding need not be measured
    noise = Rounding(thin).of(inputs, ours)
    if ours.shape != theirs.shape or not apart(ours, theirs) <= MARGIN * noise:
        return "with fewer units the model computes something else; its forward counts them"
    finest = pruner.finest
    least = noise * torch.finfo(finest.dtype).eps / torch.finfo(ours.dtype).eps
    exact = cast_to(finest, inputs)
    removed = remove_channels(finest, keeping)(exact)
    if not apart(pruner.silenced(keeping, exact, finest), removed) <= MARGIN * least:
        return "with units removed it does not compute what it does with them silenced"
    return ""
