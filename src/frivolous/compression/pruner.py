"""The pruner: a network with its pruning groups, and thinner networks made from it.

It holds what stages of a compression share: the coupled ids of all axes, the groups that can be
cut, the reader statistics and rankings of a criterion. ``thin`` makes the graph of a smaller
network, ``module`` the user's module of the same sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from frivolous.compression.coupling.channel_ids import ChannelMask, CoupledAxes
from frivolous.compression.coupling.costs import Path, Sizes, Units, path, sizes_left, sizes_of
from frivolous.compression.coupling.groups import PruningGroup, find_groups
from frivolous.compression.coupling.propagate import read_axes
from frivolous.compression.criteria.calibration import (
    GRADIENT_EXAMPLES,
    ReaderStatistics,
    collect_statistics,
)
from frivolous.compression.criteria.methods import Criterion, Ranking, random_of, rank_units
from frivolous.compression.criteria.mirrored_relu import unmirror_relus
from frivolous.compression.reconstruction.layerwise import (
    Target,
    TargetCollector,
    examples_for,
    fit_layers,
)
from frivolous.compression.reconstruction.least_squares import refit_readers
from frivolous.compression.surgery.biases import add_missing_biases, folded_into_norms
from frivolous.compression.surgery.graph import remove_channels
from frivolous.compression.surgery.module import cut_module, set_evaluation
from frivolous.inputs.batch import Inputs, call_module
from frivolous.inputs.batches import Batches
from frivolous.network import Network
from frivolous.network.module.output_selection import select_output
from frivolous.network.module.wrappers import uncompiled
from frivolous.network.program import Edit
from frivolous.network.rounding import MARGIN, Rounding, apart, finest_of

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PrunedNetwork:
    """A thinner network: how many units of each pruning group it keeps, and its graph."""

    units: Units
    keeping: ChannelMask
    network: Network


class Pruner:
    """A network with its pruning groups, and their statistics and rankings under a criterion."""

    def __init__(
        self,
        model: nn.Module,
        network: Network,
        output: str | int | None,
        *,
        add_biases: bool = False,
    ) -> None:
        self.model, self.whole, self.output = model, network, output
        self.network = add_missing_biases(network, model, everywhere=add_biases)
        self.added = set(self.network.state) - set(network.state)
        self.least: dict[str, int] = {}  # units that stay of a group, where more than one must
        self.counted = sorted(self.added) if add_biases else []
        self._finest: tuple[Network, Network] | None = None
        self.refused: dict[str, str] = {}
        self.cuts: tuple[PruningGroup, ...] = ()
        self.read()
        self.statistics: dict[str, list[ReaderStatistics]] = {}
        self.orders: list[Ranking] = []
        self.targets: list[Target] = []
        self.fit: Batches | None = None
        self.fitted = 0

    # Pruning groups.

    @property
    def finest(self) -> Network:
        """The network in float64."""
        if self._finest is None or self._finest[0] is not self.network:
            self._finest = self.network, finest_of(self.network)
        return self._finest[1]

    def read(self, balanced: Collection[int] = ()) -> None:
        """Find the pruning groups; parts of the values in ``balanced`` stay equally long."""
        self.axes: CoupledAxes = read_axes(self.network.program, self.network.ties, balanced)
        self.cuts, self.refused = find_groups(self.network, self.axes)
        known = [n for along in self.axes.along.values() for n in along if n is not None and n.size]
        self.numbers = 1 + max((int(numbers.max()) for numbers in known), default=0)

    def leave(self, faults: Mapping[str, str]) -> None:
        """Exclude the groups named, for the reasons given."""
        for cut in self.cuts:
            if cut.name in faults:
                self.refused |= dict.fromkeys(cut.places, faults[cut.name])
        self.cuts = tuple(cut for cut in self.cuts if cut.name not in faults)

    def keeping(self, gone: Mapping[str, Indices]) -> ChannelMask:
        """What stays when these units of these groups go."""
        flags = np.zeros(self.numbers, dtype=bool)
        for cut in self.cuts:
            if cut.name in gone:
                flags[cut.number_U[gone[cut.name]]] = True
        return ChannelMask(self.axes, flags)

    # Statistics and rankings.

    def study(self, method: Criterion, fit: Batches, *, seed: int) -> None:
        """Collect the statistics of every reader and rank the units of every group."""
        self.fit = fit
        if method.refits == "affine":
            self.network = self._turned(fit)
        whole = self.sizes().both([cut.units for cut in self.cuts])
        self.fitted = examples_for(float(whole[1]), fit.examples)
        wanted = (
            [TargetCollector(self.network, self.cuts, self.fitted, seed)] if method.fine else []
        )
        self.statistics = collect_statistics(
            *(self.network, self.cuts, fit),
            differentiated=self.fitted if method.fine else GRADIENT_EXAMPLES,
            seed=seed,
            also=wanted,
        )
        self.orders = [
            rank_units(
                *(method, self.statistics[cut.name], self.writers(cut)),
                random_of(seed, cut.name),
                self.parts(cut),
                self.least.get(cut.name, 1),
            )
            for cut in self.cuts
        ]
        self.targets = [target for one in wanted for target in one.targets()]

    def _turned(self, fit: Batches) -> Network:
        """The network with mirrored ReLU pairs rewritten, if rounding explains the difference."""
        network = unmirror_relus(self.network, self.cuts, fit)
        if network is self.network:
            return network
        both = Rounding(self.network), Rounding(network)
        for inputs in fit:
            scores = self.network(inputs), network(inputs)
            noise = max(one.of(inputs, own) for one, own in zip(both, scores, strict=True))
            if not apart(*scores) <= MARGIN * noise:
                return self.network
        return network

    def writers(self, cut: PruningGroup) -> NDArray[np.float64]:
        """The weights that write each unit of a group: shape (U, F)."""
        inner = {(read.weight, read.inner) for read in cut.reads}
        parts = [np.zeros((cut.units, 0))]
        seen: set[str] = set()
        first = {name: names[0] for names in self.network.ties for name in names}
        for index, name in self.network.program.states.items():
            tensor = self.network.state[name]
            own = first.get(name, name)
            if tensor.dim() < 2 or own in seen:
                continue
            seen.add(own)
            for axis, numbers in enumerate(self.axes.along[index]):
                if numbers is None or (name, axis) in inner:
                    continue
                places = [np.flatnonzero(numbers == number) for number in cut.number_U]
                most = min(len(place) for place in places)
                for turn in range(most):
                    rows = tensor.movedim(axis, 0).reshape(tensor.shape[axis], -1).double().cpu()
                    parts.append(rows[[place[turn] for place in places]].numpy())
        return np.concatenate(parts, axis=1)

    def parts(self, cut: PruningGroup) -> list[NDArray[np.bool_]]:
        """Sets of units (U,) of which one must stay: those along the same axis of a weight."""
        unit_of = {number: unit for unit, number in enumerate(cut.number_U.tolist())}
        found: dict[bytes, NDArray[np.bool_]] = {}
        for index in self.network.program.states:
            for numbers in self.axes.along[index]:
                units = [] if numbers is None else [unit_of.get(n) for n in numbers.tolist()]
                if units and None not in units:
                    flags = np.zeros(cut.units, dtype=bool)
                    flags[np.array(units, dtype=np.int64)] = True
                    found[flags.tobytes()] = flags
        return list(found.values())

    def sizes(self) -> Sizes:
        """How parameters and multiply-adds depend on the units kept."""
        return sizes_of(self.network, self.axes, self.cuts, self._parameters())

    def sizes_left(self, keeping: ChannelMask) -> NDArray[np.float64]:
        """Parameters and multiply-adds with exactly these units gone."""
        return sizes_left(self.network, keeping, self._parameters())

    def _parameters(self) -> list[str]:
        return [*(name for name, _ in self.model.named_parameters()), *self.counted]

    def keeping_of(self, units: Units) -> ChannelMask:
        """What stays when each group keeps this many units."""
        pairs = zip(self.cuts, self.orders, units, strict=True)
        return self.keeping(
            {c.name: np.setdiff1d(np.arange(c.units), order.kept(n)) for c, order, n in pairs}
        )

    def path(
        self,
        sizes: Sizes,
        scale: Sequence[float] | None = None,
        worth: tuple[float, float] = (0.5, 0.5),
    ) -> Path:
        """The path from all units to the fewest of each group."""
        costs = [order.cost_K for order in self.orders]
        least = [order.least for order in self.orders]
        return path(costs, sizes, least, scale or [1.0] * len(costs), worth)

    # Thinner networks and modules.

    def thin(self, method: Criterion, units: Units, *, fine: bool) -> PrunedNetwork:
        """The network with this many units of each group, readers fitted as the method does."""
        state = dict(self.network.state)
        for cut, order, count in zip(self.cuts, self.orders, units, strict=True):
            state = refit_readers(
                cut, order.kept(count), self.statistics[cut.name], state, method.refits
            )
        keeping = self.keeping_of(units)
        network = remove_channels(replace(self.network, state=state), keeping)
        if fine and self.targets and self.fit is not None:
            network = fit_layers(network, keeping, self.targets, self.fit, self.fitted)
        return PrunedNetwork(units, keeping, network)

    def module(self, thinner: PrunedNetwork) -> nn.Module:
        """The module of the model's class that computes what a thinner network does."""
        state = dict(thinner.network.state)
        folded_into_norms(thinner.network, state, self.added)
        state = {
            name: tensor
            for name, tensor in state.items()
            if name not in self.added or bool(tensor.any())
        }
        return cut_module(self.model, self.network, thinner.keeping, state)

    def scores(self, module: nn.Module, inputs: Inputs) -> Tensor:
        """The scores that a module gives in evaluation mode, among its outputs."""
        with set_evaluation(module), torch.no_grad(), uncompiled():
            given = call_module(module, inputs)
        return select_output(given, self.output, type(module).__name__)

    def masked_apart(self, thinner: PrunedNetwork, inputs: Inputs) -> float:
        """Largest difference of scores between units silenced and units removed, before any fit.

        As a share of the largest score. Silenced units are set to zero at every site; removed ones
        are cut from the module.
        """
        removed = replace(thinner, network=remove_channels(self.network, thinner.keeping))
        silenced = self.silenced(thinner.keeping, inputs)
        theirs = self.scores(self.module(removed), inputs)
        return apart(silenced, theirs) / (float(silenced.abs().max()) or 1.0)

    def silenced(
        self, keeping: ChannelMask, inputs: Inputs, network: Network | None = None
    ) -> Tensor:
        """The scores with removed units set to zero at every site instead."""
        edits: dict[str, Edit] = {}
        for cut in self.cuts:
            gone = keeping.gone[cut.number_U]
            for name, units_S in cut.places.items():
                silent = np.flatnonzero(gone[units_S] & (units_S >= 0))
                edits[name] = _silenced(silent, self.network.site(name).axis)
        return (network or self.network).run(inputs, edits)


def _silenced(units: Indices, axis: int) -> Callable[[Tensor], Tensor]:
    def edit(value: Tensor) -> Tensor:
        places = torch.as_tensor(units, device=value.device)
        return value.index_fill(axis % value.dim(), places, 0.0)

    return edit
