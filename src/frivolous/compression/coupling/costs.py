"""How many units to take from each group: one path from the whole network to the least.

The size of a network is a sum over its weights of their number of entries times a coefficient: 1
for parameters, the number of positions where a weight is used for multiply-adds. So it is known for
any number of units without building anything. Example: a 3x3 convolution from a to b channels on
8 x 8 positions has 9 a b parameters and 64 times as many multiply-adds.

The path shrinks one group at a time, always the one that saves most for the least expected cost;
savings are computed at the sizes that the other groups have by then.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from frivolous.compression.coupling.channel_ids import ChannelMask, CoupledAxes
from frivolous.compression.coupling.groups import PruningGroup
from frivolous.network import Network
from frivolous.network.operations import CONVOLUTIONS, MIXING, PRODUCTS
from frivolous.network.program import Ref, Step

Numbers = NDArray[np.float64]
Units = tuple[int, ...]
"""How many units of each pruning group are kept."""

LARGEST_STEP = 0.05
"""Share of a group's units that one step of the path removes at most."""


@dataclass(frozen=True, eq=False)
class Sizes:
    """Parameters and multiply-adds of a network as functions of the units kept of each group.

    Weight t has ``numel`` = product over its axes of (``fixed_TA`` + ``slope_TAC`` @ units), and
    counts ``coefficient_T2`` times: for parameters, and for multiply-adds of one example.
    ``constant_2`` is what depends on no group.
    """

    fixed_TA: Numbers
    slope_TAC: Numbers
    coefficient_T2: Numbers
    constant_2: Numbers

    def both(self, units: Sequence[int] | Numbers) -> Numbers:
        """Parameters and multiply-adds: shape (2,)."""
        axes_TA = self.fixed_TA + self.slope_TAC @ np.asarray(units, dtype=np.float64)
        return np.asarray(axes_TA.prod(axis=1) @ self.coefficient_T2 + self.constant_2)

    def slopes(self, units: Sequence[int] | Numbers) -> Numbers:
        """What one unit more of each group adds to both: shape (C, 2).

        The derivative of a product of axes: each axis's slope times the sizes of the others.
        """
        axes_TA = self.fixed_TA + self.slope_TAC @ np.asarray(units, dtype=np.float64)
        total = np.zeros((self.slope_TAC.shape[2], 2))
        for axis in range(axes_TA.shape[1]):
            others = np.delete(axes_TA, axis, axis=1).prod(axis=1)
            total += np.einsum("tc,t,tk->ck", self.slope_TAC[:, axis], others, self.coefficient_T2)
        return total


def sizes_of(
    network: Network, axes: CoupledAxes, cuts: Sequence[PruningGroup], parameters: Sequence[str]
) -> Sizes:
    """How a network's size depends on its groups; ``parameters`` names what counts as such."""
    cut_of = {n: c for c, cut in enumerate(cuts) for n in cut.number_U.tolist()}
    rows = []
    constant = np.zeros(2)
    for index, tensor, coefficient in _weights(network, parameters):
        if index is None:
            constant += coefficient * tensor.numel()
            continue
        fixed, slope = [], []
        for numbers in axes.along[index]:
            owners = [] if numbers is None else [cut_of.get(n, -1) for n in numbers.tolist()]
            # An axis of 72 with 8 units of one group: 9 entries per unit, and nothing fixed.
            counts = np.bincount([c for c in owners if c >= 0], minlength=len(cuts))
            size = len(owners)
            fixed.append(float(size - counts.sum()))
            slope.append(counts / np.array([cut.units for cut in cuts]))
        if any(part.any() for part in slope):
            rows.append((fixed, slope, coefficient))
        else:
            constant += coefficient * tensor.numel()
    constant[1] += _products(network)
    rank = max((len(fixed) for fixed, _, _ in rows), default=1)
    fixed_TA = np.ones((len(rows), rank))
    slope_TAC = np.zeros((len(rows), rank, len(cuts)))
    for t, (fixed, slope, _) in enumerate(rows):
        fixed_TA[t, : len(fixed)] = fixed
        slope_TAC[t, : len(slope)] = slope
    coefficients = np.array([row[2] for row in rows]).reshape(len(rows), 2)
    return Sizes(fixed_TA, slope_TAC, coefficients, constant)


def sizes_left(network: Network, keeping: ChannelMask, parameters: Sequence[str]) -> Numbers:
    """Parameters and multiply-adds with exactly these units gone: shape (2,).

    :class:`Sizes` knows only how many units are kept, and takes those that only some of a group's
    sites have as spread evenly.
    """
    total = np.array([0.0, _products(network)])
    for index, tensor, coefficient in _weights(network, parameters):
        shape = tuple(tensor.shape)
        total += coefficient * math.prod(shape if index is None else keeping.shape(index, shape))
    return total


def _weights(
    network: Network, parameters: Sequence[str]
) -> Iterator[tuple[int | None, Tensor, Numbers]]:
    """Each weight's place in the program (None if it has none), its tensor, and what it counts.

    Per entry: 1 if it is a parameter, and the multiply-adds that use it.
    """
    places = {name: index for index, name in network.program.states.items()}
    used, counted = _uses(network), frozenset(parameters)
    first = {names[0]: names for names in network.ties}
    repeated = {name for names in network.ties for name in names[1:]}
    for name, tensor in network.state.items():
        if name in repeated:
            continue
        known = [places[n] for n in first.get(name, (name,)) if n in places]
        uses = float(sum(used.get(index, 0.0) for index in known))
        yield (
            known[0] if known else None, tensor, np.array([float(name in counted), uses])
        )  # fmt: skip


def _uses(network: Network) -> dict[int, float]:
    """How often each entry of a weight is multiplied for one example, by the weight's place."""
    program = network.program
    made = {step.index: step for step in program.steps}
    found: dict[int, float] = {}
    for step in program.steps:
        if step.op not in MIXING:
            continue
        weight = step.args[MIXING[step.op].weight]
        if not isinstance(weight, Ref):
            continue
        index = weight.index
        while index in made and len(made[index].needs) == 1:
            index = made[index].needs[0]
        if index not in program.states:
            continue
        found[index] = found.get(index, 0.0) + _positions(step, network)
    return found


def _positions(step: Step, network: Network) -> float:
    """The number of positions of an example at which a weight is used."""
    program = network.program
    transposed = step.op in CONVOLUTIONS and CONVOLUTIONS[step.op](step.args)[0]
    where = step.args[MIXING[step.op].input].index if transposed else step.index
    shape = program.shape_of(where, 1)
    return math.prod(shape) / shape[1 if step.op in CONVOLUTIONS else -1]


def _products(network: Network) -> float:
    """Multiply-adds of products of computed values, such as attention, for one example."""
    program, total = network.program, 0.0
    for step in program.steps:
        if step.op not in PRODUCTS:
            continue
        factors = [step.args[place] for place in PRODUCTS[step.op]]
        if any(not isinstance(f, Ref) or f.index in program.states for f in factors):
            continue
        shapes = [program.shape_of(factor.index, 1) for factor in factors]
        if len(shapes) == 3:  # attention: scores, then their mixture of values
            queries, width = math.prod(shapes[0][:-1]), shapes[0][-1]
            total += queries * shapes[1][-2] * (width + shapes[2][-1])
        else:
            total += math.prod(program.shape_of(step.index, 1)) * shapes[0][-1]
    return total


@dataclass(frozen=True, eq=False)
class Path:
    """Choices of units from all to the fewest, and the expected cost of each."""

    units: tuple[Units, ...]
    cost: Numbers

    def __len__(self) -> int:
        return len(self.units)


def path(
    costs: Sequence[Numbers],
    sizes: Sizes,
    least: Sequence[int],
    scale: Sequence[float],
    worth: tuple[float, float] = (0.5, 0.5),
) -> Path:
    """Shrink one group after another, the best saving per expected cost first.

    ``costs[c][k]`` is expected with k units of group c, times ``scale[c]``; ``least`` units stay.
    The saving is in shares of parameters and of multiply-adds, weighted by ``worth``.
    """
    whole = sizes.both([len(cost) - 1 for cost in costs])
    units = [len(cost) - 1 for cost in costs]
    corners = [_corners(cost * s, low) for cost, s, low in zip(costs, scale, least, strict=True)]
    found, spent = [tuple(units)], [0.0]
    while True:
        slopes = sizes.slopes(units) / np.maximum(whole, 1) @ np.asarray(worth)
        best, rate = -1, np.inf
        for c, corner in enumerate(corners):
            if units[c] > least[c] and (r := corner[units[c]] / max(slopes[c], 1e-30)) < rate:
                best, rate = c, r
        if best < 0:
            return Path(tuple(found), np.array(spent))
        step = max(1, int(LARGEST_STEP * (len(costs[best]) - 1)))
        target = max(units[best] - step, least[best])
        # Stop where the price per unit changes: another group may be cheaper from there on.
        while target < units[best] - 1 and corners[best][target + 1] > corners[best][units[best]]:
            target += 1
        spent.append(spent[-1] + float(corners[best][target + 1 : units[best] + 1].sum()))
        units[best] = target
        found.append(tuple(units))


def _corners(cost_K: Numbers, least: int) -> Numbers:
    """The price of the k-th unit by the lower convex hull of the cost: shape (U + 1,).

    Example: removing one of two units costs 4, removing both costs 4 as well. Unit by unit the
    first looks dear; along the hull both cost 2, so a cheap unit behind a dear one is not missed.

    >>> _corners(np.array([4.0, 4.0, 0.0]), least=0)  # cost with 0, 1 and 2 units kept
    array([0., 2., 2.])
    """
    hull = [len(cost_K) - 1]
    for k in range(len(cost_K) - 2, least - 1, -1):
        while len(hull) > 1 and _price(cost_K, hull[-2], hull[-1]) >= _price(cost_K, hull[-1], k):
            hull.pop()
        hull.append(k)
    price = np.zeros(len(cost_K))
    for high, low in pairwise(hull):
        price[low + 1 : high + 1] = _price(cost_K, high, low)
    return np.maximum(price, 0.0)


def _price(cost_K: Numbers, high: int, low: int) -> float:
    return float(cost_K[low] - cost_K[high]) / (high - low)
