"""The pruner: a network with its pruning groups, and thinner networks made from it.

It holds what stages of a compression share: the coupled ids of all axes, the groups that can be
cut, the reader statistics and rankings of a criterion. ``thin`` makes the graph of a smaller
network, ``module`` the user's module of the same sizes. Before any of that, ``try_out`` removes
units for a test and compares with silencing them, so a group that cannot be cut is found by
running it and not only by the rules.
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
from frivolous.compression.coupling.rules import PARTING
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
from frivolous.errors import NotFinite, one_line
from frivolous.inputs.batch import Inputs, call_module
from frivolous.inputs.batches import Batches
from frivolous.network import Network
from frivolous.network.module.copying import CannotCopy
from frivolous.network.module.output_selection import select_output
from frivolous.network.module.wrappers import uncompiled
from frivolous.network.program import Edit, Ref
from frivolous.network.rounding import MARGIN, Rounding, apart, cast_to, finest_of, least_of

Indices = NDArray[np.int64]
TRIALS = 3
"""Random removals with which each group is tested, next to removing every second unit.

The last one removes all units that may go.
"""


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
        self.evidence: dict[str, list[ReaderStatistics]] = {}
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

    def try_out(self, inputs: Inputs) -> None:
        """Leave out groups with which the module itself does not work; ``refused`` says why.

        A module may compute the sizes of parts from the whole, as ``chunk`` and ``c // 2`` do.
        Where it does not compute what the graph does, the parts that it splits are kept equally
        long, and it is tested again.
        """
        if not bool(torch.isfinite(self.whole(inputs)).all()):
            raise NotFinite(
                "`data` makes the model give scores that are NaN or infinite; nothing can be "
                "fitted to them. Look for inputs that are not finite."
            )
        faults = self._faults(inputs)
        if faults and (parted := self._parted(faults)):
            self.read(parted)
            faults = self._faults(inputs)
        self.leave(faults)

    def leave(self, faults: Mapping[str, str]) -> None:
        """Exclude the groups named, for the reasons given."""
        for cut in self.cuts:
            if cut.name in faults:
                self.refused |= dict.fromkeys(cut.places, faults[cut.name])
        self.cuts = tuple(cut for cut in self.cuts if cut.name not in faults)

    def _parted(self, names: Collection[str]) -> frozenset[int]:
        """The values that are split into parts along an axis with units of these groups."""
        own = {n for cut in self.cuts if cut.name in names for n in cut.number_U.tolist()}
        sources = {
            step.args[0].index
            for step in self.network.program.steps
            if step.operation.kind in PARTING | {"slice", "narrow"}
            and isinstance(step.args[0], Ref)
        }
        return frozenset(
            source
            for source in sources
            if any(
                n is not None and not own.isdisjoint(n.tolist()) for n in self.axes.along[source]
            )
        )

    def _faults(self, inputs: Inputs) -> dict[str, str]:
        """Why groups do not work, by name: tested all together; if that fails, one by one."""
        movable = [cut for cut in self.cuts if cut.units > 1]
        if not movable or not self._tried(movable, inputs):
            return {}
        faults = {cut.name: why for cut in movable if (why := self._alone(cut, inputs))}
        if faults or not self._tried(movable, inputs):
            return faults
        works: list[PruningGroup] = []
        for cut in movable:  # each works by itself: find those that fail with the ones before
            if why := self._tried([*works, cut], inputs):
                faults[cut.name] = why
            else:
                works.append(cut)
        return faults

    def _alone(self, cut: PruningGroup, inputs: Inputs) -> str:
        """Why a group does not work by itself; if it works with two units left, two stay."""
        why = self._tried([cut], inputs)
        if why and cut.units > 2 and self.least.get(cut.name, 1) == 1:
            self.least[cut.name] = 2
            if not self._tried([cut], inputs):
                return ""
            del self.least[cut.name]
        return why

    def _tried(self, cuts: Sequence[PruningGroup], inputs: Inputs) -> str:
        """Why these groups do not work together; empty if they pass every trial."""
        for number in range(TRIALS + 1):
            gone = {cut.name: self._drawn(cut, number) for cut in cuts}
            if why := self.fault(self.keeping(gone), inputs):
                return why
        return ""

    def _drawn(self, cut: PruningGroup, number: int) -> Indices:
        """Units to remove in a trial: every second one, then random ones of any number."""
        if number == 0:
            gone = np.arange(cut.units) % 2 == 1
        else:
            draw = np.random.default_rng([number, cut.units])
            most = cut.units - self.least.get(cut.name, 1)
            gone = draw.permutation(cut.units) < draw.integers(1, most + 1)
            if number == TRIALS:
                gone = draw.permutation(cut.units) < most
        for part in self.parts(cut):
            if gone[part].all():
                gone[np.flatnonzero(part)[0]] = False
        return np.flatnonzero(gone)

    def faults_of(self, keeping: ChannelMask, inputs: Inputs) -> dict[str, str]:
        """Why groups do not work with these units gone, by name; empty if all do."""
        if not (why := self.fault(keeping, inputs)):
            return {}
        alone = {
            cut.name: self.keeping({cut.name: np.flatnonzero(keeping.gone[cut.number_U])})
            for cut in self.cuts
            if keeping.gone[cut.number_U].any()
        }
        found = {name: own for name, one in alone.items() if (own := self.fault(one, inputs))}
        return found or dict.fromkeys(alone, why)

    def fault(self, keeping: ChannelMask, inputs: Inputs) -> str:
        """Why the module with units removed does not equal the module with them silenced.

        Empty if it does. Two scores are equal if they are no further apart than rounding explains,
        as measured on the thinner network with these inputs; silenced and removed units are
        compared in float64.
        """
        try:
            thin = remove_channels(self.network, keeping)
            module = self.module(PrunedNetwork((), keeping, thin))
            ours, theirs = thin(inputs), self.scores(module, inputs)
        except CannotCopy:
            raise
        except Exception as error:  # noqa: BLE001 - a module's forward may raise anything
            return f"the model does not compute with fewer units ({one_line(error)})"
        if ours.shape == theirs.shape and max(
            apart(ours, theirs), apart(ours, self.silenced(keeping, inputs))
        ) <= MARGIN * least_of(ours):
            return ""  # equal but for the last places: rounding need not be measured
        noise = Rounding(thin).of(inputs, ours)
        if ours.shape != theirs.shape or not apart(ours, theirs) <= MARGIN * noise:
            return "with fewer units the model computes something else; its forward counts them"
        finest = self.finest
        least = noise * torch.finfo(finest.dtype).eps / torch.finfo(ours.dtype).eps
        exact = cast_to(finest, inputs)
        removed = remove_channels(finest, keeping)(exact)
        if not apart(self.silenced(keeping, exact, finest), removed) <= MARGIN * least:
            return "with units removed it does not compute what it does with them silenced"
        return ""

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
        self.evidence = collect_statistics(
            *(self.network, self.cuts, fit),
            differentiated=self.fitted if method.fine else GRADIENT_EXAMPLES,
            seed=seed,
            also=wanted,
        )
        self.orders = [
            rank_units(
                *(method, self.evidence[cut.name], self.writers(cut)),
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
                cut, order.kept(count), self.evidence[cut.name], state, method.refits
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
