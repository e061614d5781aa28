"""The search for the smallest network within a tolerance, or for one of a given size.

Everything is fitted on the search examples alone, which gives one path of thinner and thinner
networks. Networks along it are then tested on held-out examples in order, starting from the least
pruned, until one of them changes too many labels (see
:mod:`frivolous.compression.search.label_test`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from frivolous.compression.coupling.costs import Path, Sizes, Units
from frivolous.compression.criteria.methods import Criterion
from frivolous.compression.pruner import PrunedNetwork, Pruner
from frivolous.compression.search.estimates import estimate_search, estimate_statistics
from frivolous.compression.search.label_test import (
    ChangedLabels,
    Reference,
    changed_by,
    divergence,
    reference_of,
)
from frivolous.inputs.batches import Batches
from frivolous.network import Network
from frivolous.network.rounding import MARGIN, Rounding, apart

STEP, STEP_OF_HEAVY = 0.94, 0.82
"""Size of each network of the sequence as a share of the one before it."""
HEAVY = 1e11
"""Multiply-adds of all held-out examples from which on larger steps are taken."""
FIRST = (0.001, 0.01)
"""Expected costs of the sequence's first networks as shares of the tolerance."""
REMEASURED = 64
"""The most pruning groups for which each one's cost is measured in the thinner network."""
ROUNDED = 1024
"""The fewest examples on which the network's own rounding is measured; whole batches."""

Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Found:
    """The network selected, what it changes on held-out examples, and those tested before."""

    thinner: PrunedNetwork
    changed: ChangedLabels
    asked: tuple[tuple[Units, ChangedLabels], ...]


class Search:
    """One method's search on one network."""

    def __init__(
        self,
        pruner: Pruner,
        method: Criterion,
        batches: Batches,
        held: Reference,
        *,
        worth: tuple[float, float] = (0.5, 0.5),
        seed: int = 0,
        say: Say = lambda line: None,
        seconds: float = 0.0,
    ) -> None:
        self.pruner, self.method, self.held, self.worth, self.say = pruner, method, held, worth, say
        self.seconds = seconds  # of one example in the whole network
        ahead = estimate_statistics(pruner, batches, seconds, method.fine)
        say(f"statistics of every reader: {ahead}")
        pruner.study(method, batches, seed=seed)
        self.batches = batches
        self.sizes: Sizes = pruner.sizes()
        self.whole: Units = tuple(cut.units for cut in pruner.cuts)
        self.path: Path = pruner.path(self.sizes, worth=worth)

    def size(self, units: Sequence[int]) -> float:
        """The size of a choice of units as a share of the whole: 1 for the whole network."""
        share = self.sizes.both(units) / np.maximum(self.sizes.both(self.whole), 1)
        return float(share @ np.asarray(self.worth))

    def exact(self) -> Found:
        """Remove only what leaves all scores equal, to the rounding of the network itself."""
        turns = [1.0] * len(self.path).bit_length()
        ahead = estimate_search(self.pruner, turns, self.batches.examples, self.seconds, fine=False)
        self.say(f"units without which the scores stay as they are: {ahead}")
        network = self.pruner.network
        shown = reference_of(network, self.batches)
        free = MARGIN * max(_rounding(self.pruner.whole, self.held), _rounding(network, shown))
        low, high = 0, len(self.path) - 1
        while low < high:
            middle = (low + high + 1) // 2
            thinner = self._plain(self.path.units[middle])
            if _furthest(thinner, shown) <= free:
                low = middle
            else:
                high = middle - 1
        asked: list[tuple[Units, ChangedLabels]] = []
        for place in range(low, -1, -1):
            thinner = self._plain(self.path.units[place])
            changed = changed_by(thinner.network, self.held)
            asked.append((thinner.units, changed))
            if changed.count == 0 and _furthest(thinner, self.held) <= free:
                break
        return Found(thinner, changed, tuple(asked))

    def _plain(self, units: Units) -> PrunedNetwork:
        return self.pruner.thin(self.method, units, fine=False)

    def within(self, tolerance: float) -> Found:
        """The smallest network of the sequence whose bound is within the tolerance."""
        if len(self.pruner.cuts) <= REMEASURED and self.method.refits != "none":
            self._remeasure(tolerance)
        whole = self._plain(self.whole)
        best = Found(whole, changed_by(whole.network, self.held), ())
        asked: list[tuple[Units, ChangedLabels]] = []
        sequence = list(self._sequence(tolerance))
        shares = [self.size(units) for units in sequence]
        held = self.held.batches.examples
        self.say(f"search: {estimate_search(self.pruner, shares, held, self.seconds)}")
        for units in sequence:
            self.say(f"networks of {self.size(units):.0%} of the size")
            thinner = self.pruner.thin(self.method, units, fine=self.method.fine)
            changed = changed_by(thinner.network, self.held)
            asked.append((units, changed))
            if changed.high > tolerance:
                break
            best = Found(thinner, changed, ())
        return Found(best.thinner, best.changed, tuple(asked))

    def _sequence(self, tolerance: float) -> Iterator[Units]:
        """Networks along the path: two with hardly any cost, then each a step smaller."""
        costs = self.path.cost
        first = [
            int(np.searchsorted(costs, share * tolerance, side="right")) - 1 for share in FIRST
        ]
        start = first[-1]
        for place in sorted({place for place in first if place > 0}):
            yield self.path.units[place]
        work = float(self.sizes.both(self.whole)[1]) * self.held.batches.examples
        step = STEP if work < HEAVY else STEP_OF_HEAVY
        last = self.size(self.path.units[start])
        for place in range(start + 1, len(self.path)):
            units = self.path.units[place]
            if (size := self.size(units)) <= step * last or place == len(self.path) - 1:
                last = size
                yield units

    def _remeasure(self, tolerance: float) -> None:
        """Rescale the cost of each group by what restoring it in a thinner network gains."""
        place = int(np.searchsorted(self.path.cost, tolerance / 4))
        units = self.path.units[min(place, len(self.path) - 1)]
        order = torch.linspace(0, self.batches.examples - 1, min(256, self.batches.examples))
        shown = reference_of(self.pruner.network, self.batches.at(order.long().unique()))
        whole = divergence(self._plain(units).network, shown)
        scale = np.ones(len(units))
        for c, order_c in enumerate(self.pruner.orders):
            expected = order_c.cost_K[units[c]]
            if units[c] == self.whole[c] or expected <= 0:
                continue
            self.say(f"what units of {self.pruner.cuts[c].name} are worth")
            back = tuple(self.whole[c] if k == c else n for k, n in enumerate(units))
            scale[c] = (whole - divergence(self._plain(back).network, shown)) / expected
        known = scale[scale > 0]
        middle = float(np.median(known)) if len(known) else 1.0
        # The square root is a compromise: each scale is one measurement, at one size.
        self.path = self.pruner.path(
            self.sizes, np.sqrt(np.clip(scale / middle, 1 / 16, 16)).tolist(), self.worth
        )

    def of_size(self, fits: Callable[[Units], bool]) -> Found | None:
        """The first network of the path that fits; None if the smallest does not."""
        low, high = 0, len(self.path) - 1
        if not fits(self.path.units[high]):
            return None
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if fits(self.path.units[middle]) else (middle + 1, high)
        return self.of_units(self.path.units[low])

    def of_units(self, units: Units) -> Found:
        """The network with exactly these numbers of units."""
        self.say("readers fitted")
        thinner = self.pruner.thin(self.method, units, fine=self.method.fine)
        return Found(thinner, changed_by(thinner.network, self.held), ())


def _furthest(thinner: PrunedNetwork, shown: Reference) -> float:
    """The largest distance of any score from the whole network's."""
    pairs = zip(shown.batches, shown.scores, strict=True)
    return max(apart(thinner.network(inputs), scores) for inputs, scores in pairs)


def _rounding(network: Network, shown: Reference) -> float:
    """How far rounding moves a network's scores on some of the examples."""
    rounding, largest, seen = Rounding(network), 0.0, 0
    for inputs, scores in zip(shown.batches, shown.scores, strict=True):
        largest, seen = max(largest, rounding.of(inputs, scores)), seen + len(scores)
        if seen >= ROUNDED:
            break
    return largest
