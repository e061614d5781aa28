"""Rewrite mirrored ReLU pairs, relu(-z) = relu(z) - z, when another unit supplies z exactly.

If unit i gives z itself, since its sum is never below zero, and unit k gives relu(b - a z), then k
can be mirrored, with the readers of i taking over the linear part:

    relu(b - a z) = relu(a z - b) + b - a z

Example: hidden units z (always positive) and relu(2 - z) with outgoing weights 1 and 1 become z and
relu(z - 2) with weights 0 and 1, and 2 in the reader's bias: nothing reads the first unit any more.
Wide networks that encode a unit as a shifted and a mirrored one (see
:func:`frivolous.constructions.neither`) become the narrow unit again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from frivolous.compression.coupling.groups import GroupReader, PruningGroup
from frivolous.inputs.batches import Batches
from frivolous.network import Network
from frivolous.network.operations import CONVOLUTIONS
from frivolous.network.program import Ref, Step

PARALLEL = 1e-6
"""How far the cosine of two units' weights may be from -1."""
MAX_OUTGOING_RATIO = 0.5
"""The most that the other unit's outgoing weights may keep of their length."""


@dataclass(frozen=True)
class _Written:
    """A group whose units one layer writes just before a ReLU; ``weight``, ``bias`` name it."""

    cut: PruningGroup
    site: str
    weight: str
    bias: str


def unmirror_relus(network: Network, cuts: Sequence[PruningGroup], batches: Batches) -> Network:
    """Rewrite mirrored ReLU pairs; the same function on these examples.

    Returns the network itself if there are none. Reads the examples only where a layer has units
    with opposite weights.
    """
    state = dict(network.state)
    changed = False
    for cut in cuts:
        written = _written(network, cut)
        pairs = [] if written is None else _opposite(state[written.weight])
        if written is None or not pairs:
            continue
        low_U = _lowest(network, written.site, batches)
        done: set[int] = set()
        for on, other in pairs:
            fresh = other not in done and float(low_U[on]) > 0
            if fresh and _turn(state, written, cut.reads, on, other):
                done |= {on, other}
                changed = True
    return network.with_weights(state) if changed else network


def _written(network: Network, cut: PruningGroup) -> _Written | None:
    """The layer that alone writes a group's units before a ReLU, if readers read just that."""
    program = network.program
    steps = {step.index: step for step in program.steps}
    if len(cut.places) != 1:
        return None
    (site,) = cut.places
    place = network.places[site]
    relu = steps.get(place)
    layer = steps.get(relu.needs[0]) if relu is not None and relu.op == "relu" else None
    if layer is None or not (layer.op == "linear" or layer.op in CONVOLUTIONS):
        return None
    if sum(layer.index in step.needs for step in program.steps) != 1:
        return None
    names = [_state_name(layer, network, argument) for argument in (1, 2)]
    whole = all(read.refits and read.bias is not None and read.value == place for read in cut.reads)
    if not whole or names[0] is None or names[1] is None:
        return None
    transposed = layer.op in CONVOLUTIONS and CONVOLUTIONS[layer.op](layer.args) != (False, 1)
    return None if transposed else _Written(cut, site, names[0], names[1])


def _state_name(step: Step, network: Network, argument: int) -> str | None:
    given = step.args[argument] if len(step.args) > argument else None
    return network.program.states.get(given.index) if isinstance(given, Ref) else None


def _opposite(weight: Tensor) -> list[tuple[int, int]]:
    """Pairs of units whose incoming weights are opposite, in both orders."""
    rows = torch.nn.functional.normalize(weight.detach().double().flatten(1), dim=1)
    cosine = rows @ rows.T
    return [(int(i), int(k)) for i, k in (cosine < PARALLEL - 1).nonzero()]


def _lowest(network: Network, site: str, batches: Batches) -> Tensor:
    """The lowest activity of each unit: shape (U,)."""
    axis = network.site(site).axis
    found: list[Tensor] = []
    for inputs in batches:
        value = network.until(site, inputs).value.movedim(axis, -1)
        found.append(value.flatten(0, -2).amin(dim=0))
    return torch.stack(found).amin(dim=0)


def _turn(
    state: dict[str, Tensor], written: _Written, reads: Sequence[GroupReader], on: int, other: int
) -> bool:
    """Mirror ``other`` in ``state`` if that makes readers need the unit that is on less."""
    weight, bias = state[written.weight].double(), state[written.bias].double()
    ratio = weight[other].norm() / weight[on].norm()
    constant = bias[other] + ratio * bias[on]
    new: dict[str, Tensor] = {}
    before = after = 0.0
    for read in reads:
        rows = state[read.weight].double().movedim(read.inner, 0).clone()
        if rows.dim() > 2:
            return False  # beyond a padded border nothing is constant
        before += float(rows[on].square().sum())
        rows[on] -= ratio * rows[other]
        after += float(rows[on].square().sum())
        assert read.bias is not None
        shifted = state[read.bias].double() + constant * rows[other]
        new[read.weight] = rows.movedim(0, read.inner)
        new[read.bias] = shifted
    if after > MAX_OUTGOING_RATIO**2 * before or not before:
        return False
    weight, bias = weight.clone(), bias.clone()
    weight[other], bias[other] = -weight[other], -bias[other]
    for name, tensor in ({written.weight: weight, written.bias: bias} | new).items():
        state[name] = tensor.to(state[name].dtype).contiguous()
    return True
