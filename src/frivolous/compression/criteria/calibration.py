"""Calibration: one pass over data collects what a pruning criterion needs to know of every reader.

Intuition. A *reader* is a layer that multiplies the units of a pruning group by weights. To say
what removing units costs, and how the reader's weights should be corrected, the activity itself is
not needed. Two small matrices per reader are enough: how the features that it reads vary together,
and how much each feature's weights matter to the scores.

Let a reader compute y = W' x from features x (F,) with W (F, R). If removal changes x by d, then y
changes by W' d. With G (R, R) saying how much the outputs matter, the mean squared damage is

    E[ (W' d)' G (W' d) ]  =  tr( M E[d d'] ),    M = W G W'   (``products_FF``)

and E[d d'] follows from the second moments of x, whatever set of units goes.

Worked example. Unit 0 is 1 or 3 and unit 1 is always 2; output 0 reads unit 0 with weight 1 and
output 1 reads unit 1 with weight 2. With G the identity:

>>> import torch
>>> from torch import nn
>>> from frivolous.compression.coupling.groups import find_groups
>>> from frivolous.compression.coupling.propagate import read_axes
>>> from frivolous.inputs.batches import as_batches
>>> from frivolous.network import trace
>>> model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
>>> with torch.no_grad():
...     for layer, rows in ((model[0], [[1.0, 0.0], [0.0, 1.0]]), (model[2], [[1.0, 0], [0, 2.0]])):
...         _ = layer.weight.copy_(torch.tensor(rows)), layer.bias.zero_()
>>> x = torch.tensor([[1.0, 2.0], [3.0, 2.0]])
>>> network = trace(model, x)
>>> groups, _ = find_groups(network, read_axes(network.program))
>>> reader = collect_statistics(network, groups, as_batches(x), differentiated=0)["0"][0]
>>> reader.products_FF  # squared outgoing weights on the diagonal
array([[1., 0.],
       [0., 4.]])
>>> reader.second_FF
array([[5., 4.],
       [4., 4.]])
>>> reader.fitted_FF  # unit 1 does not vary: a bias can take its place
array([[2., 0.],
       [0., 0.]])

Removing unit 0 costs 1 x 5 and removing unit 1 costs 4 x 4 if the reader stays as it is. If the
reader is re-fitted, constant term included, unit 1 costs nothing: its 2 x 2 goes into the bias.

The metric G. An output matters as far as it moves the decision: G is the mean over examples of
g g', with g the gradient of the example's margin (best score less second best) with respect to
the reader's outputs, summed over positions. Moments of inputs and of output gradients, multiplied,
are the Kronecker-factored curvature of Martens and Grosse (2015, "Optimizing neural networks with
Kronecker-factored approximate curvature"), here of margins in place of a loss.

Features. A unit of a dense reader is one feature. Of a convolution it is one feature per tap, and
of a flattened map one per position (``per_unit`` of them, F = U ``per_unit``): 8 channels read by
3x3 taps are 72 features. Above :data:`MOST_FEATURES` a unit is one feature, its values at all taps
and positions being samples of it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frivolous.ablation.predictions import UNCOUNTED, counted, labels
from frivolous.compression.coupling.groups import GroupReader, PruningGroup
from frivolous.compression.criteria.im2col import blocks_of, fits, places_of, rows_at
from frivolous.inputs.batch import Inputs, batch_size_of, map_batch
from frivolous.inputs.batches import Batches
from frivolous.network import Network
from frivolous.network.program import Step
from frivolous.network.rounding import MARGIN, Rounding, cast_to
from frivolous.rng import choose, generator
from frivolous.statistics.moments import Moments, Rows

Numbers = NDArray[np.float64]

SAMPLES = 50_000
"""The most samples (an example at a position) that the moments of one reader are made of."""
PRODUCTS = 4e10
"""Multiply-adds that the moments of one reader may take; exceeded for four samples per feature."""
MOST_FEATURES = 2560
"""The most features for which a reader's taps and positions are features of their own."""
GRADIENT_EXAMPLES = 256
"""Examples whose gradients are taken where nothing else needs gradients."""
GRADIENT_BATCH = 64
"""Examples per backward pass: the gradients of all readers' outputs are held at once."""
NOISE_EXAMPLES = 32
"""Examples on which it is measured how far rounding moves what a layer reads."""


@dataclass(frozen=True, eq=False)
class ReaderStatistics:
    """One reader of a pruning group: moments of the features it reads, and how much they matter.

    Unit u has the features u ``per_unit`` .. (u + 1) ``per_unit`` - 1 of ``moments`` and of
    ``products_FF``: its values at every tap and position that has a weight of its own. Where those
    are too many, a unit is one feature, its value wherever it is read. ``products_FF`` is W G W',
    row f of W (F, R) being the weights on feature f, and G (R, R) the second moment of the
    margins' gradients with respect to the reader's outputs, or the identity.
    """

    read: GroupReader
    moments: Moments
    products_FF: Numbers
    per_unit: int

    @property
    def second_FF(self) -> Numbers:
        """Second moments about zero, E[x x']: shape (F, F)."""
        mean = self.moments.mean_U
        return self.moments.scatter_UU / max(self.moments.count, 1) + np.outer(mean, mean)

    @property
    def fitted_FF(self) -> Numbers:
        """What a least-squares fit has to explain: the covariance where the reader has a bias.

        A bias takes over any constant; without one, second moments about zero.
        """
        return self.second_FF if self.read.bias is None else self.moments.covariance_UU

    @property
    def unit_second_UU(self) -> Numbers:
        """Second moments about zero of units, mean over their features: shape (U, U)."""
        units = len(self.moments.mean_U) // self.per_unit
        shaped = self.second_FF.reshape(units, self.per_unit, units, self.per_unit)
        return np.asarray(np.einsum("utvt->uv", shaped) / self.per_unit)

    def by_unit(self, matrix_FF: Numbers) -> Numbers:
        """Sum a matrix over the features of each pair of units: shape (U, U)."""
        if self.per_unit == 1:
            return matrix_FF
        units = len(matrix_FF) // self.per_unit
        return matrix_FF.reshape(units, self.per_unit, units, self.per_unit).sum(axis=(1, 3))


def rows_of(read: GroupReader, value: Tensor) -> Tensor:
    """The group's units in a value that is read: shape (samples, U), zeros for units not in it."""
    last = value.movedim(read.axis, -1)
    features = torch.as_tensor(read.features_UP, device=value.device)
    taken = last[..., features.clamp(min=0)]
    if (read.features_UP < 0).any():
        taken = taken * (features >= 0)
    return taken.movedim(-1, -2).reshape(-1, len(features))


def weight_of(network: Network, read: GroupReader) -> Tensor:
    """The weight of a reader, computed where it is made of several parameters."""
    return network.state[read.weight] if read.weight else network.computed(read.made)


def weights_on(read: GroupReader, weight: Tensor) -> Tensor:
    """The weights on each unit: shape (U, P, R, taps); zeros for units that it does not read.

    P are the places at which a unit is read: the nine columns of a flattened 3x3 map. Batched
    matrices, one for each member or head, count as taps.
    """
    rows = weight.movedim(read.inner, 0)
    if not read.convolves:
        rows = rows.movedim(-1, 1)
    rows = rows.reshape(rows.shape[0], rows.shape[1], -1)
    features = torch.as_tensor(read.features_UP, device=weight.device)
    if len(rows) < int(features.max()) + 1:  # a grouped convolution: every group has rows 0, 1, ...
        features = torch.where(features >= 0, features % len(rows), features)
    taken = rows[features.clamp(min=0)]
    return taken * (features >= 0)[:, :, None, None]


class Collector(Protocol):
    """Anything that can be collected in the same pass over the data.

    ``values`` are the places in the program whose values it wants; ``add`` receives them, and the
    gradients of the readers' outputs, batch by batch.
    """

    @property
    def values(self) -> Collection[int]: ...
    def add(
        self, seen: Mapping[int, Tensor], gradients: Mapping[int, Tensor], examples: int
    ) -> None: ...


def collect_statistics(
    network: Network,
    cuts: Sequence[PruningGroup],
    batches: Batches,
    *,
    differentiated: int = GRADIENT_EXAMPLES,
    seed: int = 0,
    also: Sequence[Collector] = (),
) -> dict[str, list[ReaderStatistics]]:
    """Statistics of every reader of every pruning group, by group name, from one pass over data.

    The collectors in ``also`` share the pass. Gradients are taken of the first ``differentiated``
    examples; with 0, all outputs of a reader matter alike (G is the identity).
    """
    reads = [(cut, read) for cut in cuts for read in cut.reads]
    moments = MomentCollector(network, reads, batches.examples, seed)
    squares = GradientCollector(network, {read.step for _, read in reads})
    collectors: list[Collector] = [moments, squares, *also]
    wanted = {index for one in collectors for index in one.values}
    left = differentiated
    moments.measure_rounding(batches.first(NOISE_EXAMPLES))
    for inputs in batches:
        for part, counts in _parts(inputs, left):
            if counts:
                seen, gradients = gradients_of(network, wanted, squares.steps, part)
            else:
                seen, gradients = network.values(part, wanted)[1], {}
            for one in collectors:
                one.add(seen, gradients, batch_size_of(part))
        left -= batch_size_of(inputs)
    found: dict[str, list[ReaderStatistics]] = {cut.name: [] for cut in cuts}
    for (cut, read), known in zip(reads, moments.moments(), strict=True):
        per_unit = len(known.mean_U) // cut.units
        metric = squares.mean(read.step)
        products = products_of(read, weight_of(network, read), per_unit, metric)
        found[cut.name].append(ReaderStatistics(read, known, products, per_unit))
    return found


def _parts(inputs: Inputs, most: int) -> Iterator[tuple[Inputs, bool]]:
    """Split a batch: its first ``most`` examples in small parts that need gradients, then the rest.

    Yields each part and whether gradients are to be taken of it.
    """
    count = batch_size_of(inputs)
    first = max(0, min(count, most))
    for start in range(0, first, GRADIENT_BATCH):
        yield part_of(inputs, slice(start, min(start + GRADIENT_BATCH, first))), True
    if count > first:
        yield part_of(inputs, slice(first, count)), False


def gradients_of(
    network: Network, wanted: Collection[int], steps: Collection[int], inputs: Inputs
) -> tuple[dict[int, Tensor], dict[int, Tensor]]:
    """Values, and the gradient of every example's relative margin at the outputs of some steps.

    The margin m is the best score less the second best; an error of that size changes the label.
    So errors are measured relative to it: the gradient is of m / sqrt(m0^2 + 0.1 mean(m0^2)), with
    m0 the margin held constant. The tenth keeps an example of nearly no margin from counting for
    all the others.
    """
    leaves: dict[int, Tensor] = {}
    seen: dict[int, Tensor] = {}

    def watch(index: int) -> Any:
        def add(value: Tensor) -> Tensor:
            if index in wanted:
                seen[index] = value.detach()
            if index not in steps:
                return value
            # Adding a leaf of zeros changes no value, and its gradient is that of the output.
            leaves[index] = torch.zeros_like(value, requires_grad=True)
            return value + leaves[index]

        return add

    scores = network.differentiable(inputs, {i: watch(i) for i in {*wanted, *steps}})
    counts = counted(labels(scores.detach()), inputs) != UNCOUNTED
    best = scores.topk(2, dim=-1).values
    margin = (best[..., 0] - best[..., 1])[counts]
    square = margin.detach().square()
    (margin / (square + 0.1 * square.mean()).sqrt()).sum().backward()
    return seen, {
        index: torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
        for index, leaf in leaves.items()
    }


class GradientCollector:
    """Collects the second moments G (R, R) of the gradients at readers' outputs."""

    def __init__(self, network: Network, steps: Collection[int]) -> None:
        self.steps = frozenset(steps)
        self.layers = {step.index: step for step in network.program.steps}
        self.total: dict[int, Tensor] = {}
        self.count = 0

    @property
    def values(self) -> Collection[int]:
        """None: gradients alone are needed."""
        return ()

    def add(
        self, seen: Mapping[int, Tensor], gradients: Mapping[int, Tensor], examples: int
    ) -> None:
        """Take in some examples."""
        for index, gradient in gradients.items():
            rows = gradient.movedim(self.layers[index].layer.axis, -1).flatten(0, -2)
            self.total[index] = self.total.get(index, 0) + (rows.T @ rows).double()
        self.count += examples if gradients else 0

    def mean(self, step: int) -> Tensor | None:
        """The sum over positions, mean over examples; None without gradients."""
        return self.total[step] / self.count if step in self.total else None


def products_of(
    read: GroupReader, weight: Tensor, per_unit: int, gradient_RR: Tensor | None = None
) -> Numbers:
    """M = W G W', how much each pair of features matters: shape (F, F), float64.

    Without gradients G is the identity. Where a unit is one feature (``per_unit`` 1), its weights
    at all places and taps are one long row.
    """
    rows = weights_on(read, weight.detach().double().cpu())
    units, places, outputs, taps = rows.shape
    metric = None if gradient_RR is None else _of_group(gradient_RR, outputs)
    told_apart = per_unit == places * taps
    flat = rows.movedim(2, -1).reshape(-1, outputs).numpy()
    weighed = flat if metric is None else flat @ metric
    if not told_apart:
        flat, weighed = flat.reshape(units, -1), weighed.reshape(units, -1)
    total = weighed @ flat.T
    return np.asarray((total + total.T) / 2)  # symmetric to the last bit


def _of_group(gradient_RR: Tensor, outputs: int) -> Numbers:
    """The metric of a reader's outputs; of a grouped transposed convolution, of its first group."""
    return np.asarray(gradient_RR.double().cpu().numpy()[:outputs, :outputs])


def features_per_unit(network: Network, cut: PruningGroup, read: GroupReader, step: Step) -> int:
    """How many features a unit is for a reader (taps x places); 1 where they would be too many."""
    if not read.refits or not fits(step):
        return 1
    own = read.features_UP.shape[1] * math.prod(network.state[read.weight].shape[2:])
    return own if own * cut.units <= MOST_FEATURES else 1


def samples_of(features: int) -> int:
    """The most samples that the moments of this many features are made of.

    F features cost F^2 multiply-adds per sample, so :data:`PRODUCTS` allows PRODUCTS / F^2 samples;
    at least 4 F, so that the moments have full rank with room to spare, at most :data:`SAMPLES`.

    >>> samples_of(72), samples_of(2048), samples_of(2560)
    (50000, 9536, 10240)
    """
    return int(np.clip(PRODUCTS / features**2, 4 * features, SAMPLES))


class MomentCollector:
    """Collects the moments of what each reader reads, once for all readers of the same features."""

    def __init__(
        self,
        network: Network,
        reads: Sequence[tuple[PruningGroup, GroupReader]],
        examples: int,
        seed: int,
    ) -> None:
        self.network, self.examples = network, examples
        self.steps = {step.index: step for step in network.program.steps}
        self.keys: list[Any] = []
        self.first: dict[Any, tuple[PruningGroup, GroupReader, int]] = {}
        for cut, read in reads:
            step = self.steps[read.step]
            per_unit = features_per_unit(network, cut, read, step)
            # Two convolutions read the same features only with the same kernel, stride and padding.
            shared = (network.state[read.weight].shape[2:], step.args[3:]) if per_unit > 1 else ()
            self.keys.append((cut.name, read.value, read.features_UP.tobytes(), str(shared)))
            self.first.setdefault(self.keys[-1], (cut, read, per_unit))
        self.rows = {k: Rows(cut.units * per_unit) for k, (cut, _, per_unit) in self.first.items()}
        self.seed, self.draws = seed, {key: self._draw(seed, key) for key in self.first}
        self.noise: dict[Any, Numbers] = {}
        self.values = {index for _, read in reads for index in (read.value, read.step)}

    def add(
        self, seen: Mapping[int, Tensor], gradients: Mapping[int, Tensor], examples: int
    ) -> None:
        """Take in some examples."""
        for key, (cut, read, per_unit) in self.first.items():
            features = cut.units * per_unit
            # Each batch gives its share of the samples, so that they come from all the data.
            most = max(1, round(samples_of(features) * examples / self.examples))
            step = self.steps[read.step]
            samples = _samples(self.network, step, read, per_unit, seen, most, self.draws[key])
            self.rows[key].add(samples if samples.dtype == torch.float64 else samples.float())

    @torch.no_grad()
    def measure_rounding(self, inputs: Inputs) -> None:
        """Measure on a few examples how far rounding alone moves every feature."""
        both = Rounding(self.network)
        ours = self.network.values(inputs, self.values)[1]
        theirs = both.beside.values(cast_to(both.beside, inputs), self.values)[1]
        for key, (cut, read, per_unit) in self.first.items():
            most, step = samples_of(cut.units * per_unit), self.steps[read.step]
            rows = [
                _samples(self.network, step, read, per_unit, seen, most, self._draw(self.seed, key))
                for seen in (ours, theirs)
            ]
            self.noise[key] = both.scale * noise_of(*rows).cpu().numpy()

    def moments(self) -> list[Moments]:
        """One for each reader; a feature that varies by rounding alone does not vary."""
        found = {
            key: _without_noise(own.moments(), self.noise[key]) for key, own in self.rows.items()
        }
        return [found[key] for key in self.keys]

    @staticmethod
    def _draw(seed: int, key: Any) -> torch.Generator:
        return generator(seed, "evidence", *key[:2], key[3])


def noise_of(first_NF: Tensor, second_NF: Tensor) -> Tensor:
    """The root mean square of what lies between features in two precisions: shape (F,), float64.

    0 where one of them is not finite.
    """
    apart = (first_NF.double() - second_NF.double()).square().mean(dim=0).sqrt()
    return apart.nan_to_num(0.0, 0.0, 0.0)


def _without_noise(found: Moments, noise_F: Numbers) -> Moments:
    """The moments with nothing left of what rounding explains.

    A feature may be the difference of two equal numbers, or the same for every example. Fitted to
    its rounding a layer would have weights as large as the inverse of that.
    """
    most_F = (MARGIN * noise_F) ** 2
    still_F = found.variance_U <= most_F
    none_F = still_F & (found.mean_U**2 + found.variance_U <= most_F)
    if not still_F.any():
        return found
    scatter = np.where(still_F[:, None] | still_F, 0.0, found.scatter_UU)
    return replace(found, scatter_UU=scatter, mean_U=np.where(none_F, 0.0, found.mean_U))


def _samples(
    network: Network,
    step: Step,
    read: GroupReader,
    per_unit: int,
    seen: Mapping[int, Tensor],
    most: int,
    draw: torch.Generator,
) -> Tensor:
    """At most ``most`` random samples of what a reader reads in a batch: shape (samples, F)."""
    value, output = seen[read.value], seen[read.step]
    if per_unit == 1:
        samples = rows_of(read, value)
        if len(samples) > most:
            samples = samples[
                torch.as_tensor(choose(len(samples), most, draw), device=value.device)
            ]
        return samples
    places = places_of(read, output)
    available = len(output) * places
    chosen = np.sort(choose(available, min(most, available), draw))
    example, place = (torch.as_tensor(part, device=value.device) for part in divmod(chosen, places))
    # Rows as im2col lays them out, taps last; then the columns that are the group's own units.
    kernel = network.state[read.weight].shape[2:]
    rows = rows_at(step, read, kernel, value, example, place)
    blocks = blocks_of(read, math.prod(kernel)).ravel()
    taken = rows[:, torch.as_tensor(np.maximum(blocks, 0), device=value.device)]
    return (
        taken * torch.as_tensor(blocks >= 0, device=value.device) if (blocks < 0).any() else taken
    )


def part_of(inputs: Inputs, chosen: slice) -> Inputs:
    """A slice of a batch's examples."""
    return map_batch(inputs, lambda part: part[chosen])
