"""Units taken out of a network in three ways, which have to agree."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from frivolous.compression.coupling.channel_ids import ChannelMask
from frivolous.compression.coupling.groups import PruningGroup
from frivolous.compression.coupling.propagate import read_axes
from frivolous.compression.pruner import Pruner
from frivolous.compression.surgery.biases import add_missing_biases
from frivolous.compression.surgery.graph import remove_channels, remove_from_state
from frivolous.compression.surgery.module import cut_module
from frivolous.network import Network, trace

Gone = Mapping[str, NDArray[np.int64]]
CLOSE = 1e-5


@dataclass(frozen=True)
class Removed:
    """Scores with units silenced at their sites, left out of the graph, and cut from the module."""

    whole: Tensor
    silenced: Tensor
    graph: Tensor
    module: Tensor
    cut: nn.Module

    @property
    def apart(self) -> tuple[float, float]:
        """How far graph and module are from the silenced network, of the largest score."""
        scale = max(float(self.silenced.abs().max()), 1e-3)
        return tuple(  # type: ignore[return-value]
            float((one - self.silenced).abs().max()) / scale for one in (self.graph, self.module)
        )


def bench_of(
    model: nn.Module, inputs: Any, output: str | int | None = None, *, add_biases: bool = False
) -> Pruner:
    """A workbench of a model read by a batch."""
    network = trace(model, inputs, residual=True, output=output)
    return Pruner(model, network, output, add_biases=add_biases)


@torch.no_grad()
def rounding_of(model: nn.Module, x: Tensor) -> float:
    """How far a score of a module lies from what its copy of another precision gives."""
    scores = model(x)
    digit = torch.finfo(scores.dtype).eps
    other = torch.float32 if scores.dtype == torch.float64 else torch.float64
    beside = copy.deepcopy(model).to(other)(x.to(other))
    scale = min(1.0, digit / torch.finfo(other).eps)
    measured = scale * float((beside.double() - scores.double()).abs().max())
    return max(measured, 4 * digit * float(scores.abs().max()))


def half_of(cut: PruningGroup, seed: int = 0) -> NDArray[np.int64]:
    """Half of the units of a cut, but not all of them."""
    return np.sort(np.random.default_rng(seed).permutation(cut.units)[: cut.units // 2])


def masked(keep_U: Tensor, axis: int, value: Tensor) -> Tensor:
    """The value with some units set to zero."""
    shape = [1] * value.dim()
    shape[axis] = -1
    return value * keep_U.to(value).reshape(shape)


def removed(pruner: Pruner, gone: Gone, inputs: Any) -> Removed:
    """The same units silenced, left out and cut."""
    network = add_missing_biases(pruner.whole, pruner.model, everywhere=False)
    axes = read_axes(network.program, network.ties)
    flags = np.zeros(pruner.numbers, dtype=bool)
    edits = {}
    for cut in pruner.cuts:
        if cut.name not in gone:
            continue
        flags[cut.number_U[gone[cut.name]]] = True
        for name, unit_S in cut.places.items():
            keep = torch.as_tensor(~np.isin(unit_S, gone[cut.name]))
            edits[name] = partial(masked, keep, network.site(name).axis)
    keeping = ChannelMask(axes, flags)
    state = {
        name: tensor
        for name, tensor in remove_from_state(network, keeping).items()
        if name in pruner.whole.state
    }
    module = cut_module(pruner.model, network, keeping, state)
    return Removed(
        network(inputs),
        network.run(inputs, edits),
        remove_channels(network, keeping)(inputs),
        pruner.scores(module, inputs),
        module,
    )


def refused(pruner: Pruner) -> dict[str, str]:
    """The reasons without the lines of code that they name."""
    return {name: why.split(" at ")[0] for name, why in pruner.refused.items()}


def widths(network: Network) -> dict[str, int]:
    """Units of every site."""
    return {site.name: site.width for site in network.sites}
