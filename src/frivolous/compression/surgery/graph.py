"""Remove units from a network's graph and weights: the same steps on fewer entries."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from frivolous.compression.coupling.channel_ids import ChannelMask, Flags
from frivolous.compression.coupling.rules import PARTING, argument, parts_along
from frivolous.network import Network
from frivolous.network.operations import CONVOLUTIONS, RESHAPING
from frivolous.network.program import Program, Ref, Step


def remove_channels(network: Network, keeping: ChannelMask) -> Network:
    """The network without what is removed: the same places and names, fewer units."""
    program = network.program
    steps = tuple(_thin_step(step, program, keeping) for step in program.steps)
    shapes = {i: keeping.shape(i, shape) for i, shape in program.shapes.items()}
    state = remove_from_state(network, keeping)
    sites = tuple(
        replace(
            site, width=int(shapes[place][site.axis if site.axis > 0 else len(shapes[place]) - 1])
        )
        for site in network.sites
        for place in [network.places[site.name]]
    )
    return replace(
        network,
        sites=sites,
        program=replace(program, steps=steps, shapes=shapes, _sizes_of={}),
        state=state,
        _plans={},
        _largest={},
    )


def remove_from_state(network: Network, keeping: ChannelMask) -> dict[str, Tensor]:
    """Parameters and buffers without what is removed, by name; others are the same tensors."""
    places = {name: index for index, name in network.program.states.items()}
    groups = {name: group for group in network.ties for name in group}
    state = {}
    for name, tensor in network.state.items():
        known = [places[n] for n in groups.get(name, (name,)) if n in places]
        state[name] = keeping.sliced(known[0], tensor) if known else tensor
    return state


def _thin_step(step: Step, program: Program, keeping: ChannelMask) -> Step:
    if step.op in CONVOLUTIONS:
        return _thin_convolution(step, program, keeping)
    reads = step.args[0].index if step.args and isinstance(step.args[0], Ref) else step.index
    if step.op in PARTING and _cut(keeping, reads):
        return _thin_split(step, keeping)
    if step.op in {"slice", "narrow"} and _cut(keeping, reads):
        return _thin_slice(step, keeping)
    if step.op in RESHAPING | {"expand"} and _cut(keeping, step.index):
        return _thin_view(step, keeping)
    if step.op == "squeeze" and len(step.args) == 1 and _cut(keeping, reads):
        # With one unit left, `squeeze` would drop its axis as well.
        ones = [axis for axis, size in enumerate(program.shapes[reads]) if size == 1]
        return replace(step, target=torch.ops.aten.squeeze.dims, args=(step.args[0], ones))
    if step.op == "response_norm" and _cut(keeping, step.index):
        kept = keeping.along(step.index)[1]
        assert kept is not None
        step = replace(step, target=windowed(kept))
    return step


def _thin_view(step: Step, keeping: ChannelMask) -> Step:
    """A view to fewer entries, where its sizes are written out."""
    places = [i for i, arg in enumerate(step.args) if i and isinstance(arg, list | tuple)]
    if not places:  # `flatten` has no sizes
        return step
    sizes = list(step.args[places[0]])
    for axis, kept in enumerate(keeping.along(step.index)):
        if kept is not None and isinstance(sizes[axis], int) and sizes[axis] != -1:
            sizes[axis] = int(kept.sum())
    return replace(step, args=(*step.args[: places[0]], sizes, *step.args[places[0] + 1 :]))


def _cut(keeping: ChannelMask, index: int) -> bool:
    return any(kept is not None for kept in keeping.along(index))


def _thin_convolution(step: Step, program: Program, keeping: ChannelMask) -> Step:
    """A depthwise convolution with as many groups as it still reads units."""
    _, groups = CONVOLUTIONS[step.op](step.args)
    kept = keeping.along(step.args[0].index)[1]
    if groups == 1 or kept is None or program.shapes[step.args[0].index][1] != groups:
        return step
    place = 8 if step.op == "convolution" else 6
    return replace(step, args=(*step.args[:place], int(kept.sum()), *step.args[place + 1 :]))


def _thin_split(step: Step, keeping: ChannelMask) -> Step:
    """A split into the sizes that are left; ``chunk`` computes them itself."""
    kept = keeping.along(step.args[0].index)
    axis = argument(step, 2, "dim", 0) % len(kept)
    flags = kept[axis]
    if flags is None or step.op == "chunk":
        return step
    parts = [int(flags[start:stop].sum()) for start, stop in parts_along(step, len(flags))]
    target = torch.ops.aten.split_with_sizes.default
    return replace(step, target=target, args=(step.args[0], parts, axis), kwargs={})


def _thin_slice(step: Step, keeping: ChannelMask) -> Step:
    """The same entries of what is left; entries a stride apart are kept together."""
    axis, stride = argument(step, 1, "dim", 0), argument(step, 4, "step", 1)
    flags = keeping.along(step.args[0].index)[axis]
    if flags is None:
        return step
    size = len(flags)
    before = np.concatenate([[0], np.cumsum(flags)])

    def moved(place: int) -> int:
        place = max(place + size, 0) if place < 0 else min(place, size)
        turn = place // stride * stride
        return int(before[turn]) + place - turn

    start = argument(step, 2, "start", None) or 0
    if step.op == "narrow":
        bounds = (moved(start), moved(start + argument(step, 3, "length", size)) - moved(start))
        return replace(step, args=(step.args[0], axis, *bounds), kwargs={})
    stop = argument(step, 3, "end", None)
    bounds = (moved(start), moved(size if stop is None else stop))
    return replace(step, args=(step.args[0], axis, *bounds, stride), kwargs={})


def windowed(kept: Flags) -> Any:
    """Local response normalisation of the units kept, each with its original neighbours."""
    places = torch.as_tensor(np.flatnonzero(kept))

    def run(value: Tensor, size: int, alpha: float, bias: float, beta: float) -> Tensor:
        band = window(places, size).to(value) * (alpha / size)
        squares = torch.einsum("oi,ni...->no...", band, value * value)
        return value / (squares + bias) ** beta

    return run


def window(places: Tensor, size: int) -> Tensor:
    """Which units are in whose window: (units, units) of 0 and 1, for units at these indices."""
    apart = places[None, :] - places[:, None]
    return (apart >= -(size // 2)) & (apart <= (size - 1) // 2)
