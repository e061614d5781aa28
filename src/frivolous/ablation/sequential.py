"""Ablation curves with only as many examples and fractions as a given precision needs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from frivolous.ablation.curves import AblationCurve, checked_fractions, groups_of, plans_of
from frivolous.ablation.label_agreement import AblationTrials
from frivolous.ablation.masks import count_units
from frivolous.ablation.predictions import NO_LABEL
from frivolous.errors import BadArgument, Interrupted
from frivolous.inputs.batches import Batches
from frivolous.measures.confidence_sequence import PrunableSequence
from frivolous.measures.curve import Draws
from frivolous.network import Network
from frivolous.rng import generator

FIRST = 128
"""Examples in the first round."""
GROWTH = 8
"""Each later round adds 1 / GROWTH of the examples so far."""


def check_precision(precision: float) -> float:
    """A precision, a share of the units above 0 and below a half; raises for another number."""
    number = float(precision)
    if 0 < number < 0.5:
        return number
    raise BadArgument(
        f"`precision` is how far bounds may lie from the share of prunable units, above 0 and "
        f"below 0.5; got {number:g}. Pass 0.01 for one percent of a site's units."
    )


def shuffled(examples: int, seed: int) -> torch.Tensor:
    """The order in which examples are used: shape (examples,), from the seed alone."""
    return torch.randperm(examples, generator=generator("examples taken", seed))


def precise_curves(
    network: Network,
    batches: Batches,
    *,
    precision: float,
    tolerance: float = 0.2,
    draw: Draws = "best",
    level: float = 0.95,
    sites: Sequence[str] | None = None,
    together: bool = True,
    mean_of_sites: str | None = None,
    fractions: Sequence[float],
    draws: int = 3,
    grain: str = "channel",
    seed: int = 0,
    tell: Callable[[int, int], None] = lambda curves, examples: None,
    **silencing: Any,
) -> dict[str, AblationCurve]:
    """Follow each curve until its crossing is known to ``precision``, a share of its units.

    Examples come in a random order, in growing rounds; after each, fractions that can no longer be
    next to the crossing are left out, and curves whose crossing is known. So the examples taken,
    ``AblationCurve.examples``, depend on the curve and not on how many there are. The bounds are
    those of a confidence sequence: with probability ``level`` each curve's hold, though the number
    of examples was chosen by looking. Where the data end first, they are wider than ``precision``.

    ``mean_of_sites`` names a curve to be made of the sites' own, averaged example by example.
    ``tell`` gets the curves still followed and the examples taken. Stopped by Ctrl-C it raises
    :class:`frivolous.errors.Interrupted` with the curves so far; their bounds hold as well. The
    other arguments, among them ``silencing``, are those of
    :func:`frivolous.ablation.curves.ablation_curves`.

    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    >>> from frivolous.inputs.batches import as_batches
    >>> from frivolous.network import trace
    >>> data = as_batches(torch.randn(500, 2, generator=torch.Generator().manual_seed(0)))
    >>> found = precise_curves(trace(model, data.first()), data, precision=0.3, fractions=(0, 1))
    >>> found["0"].crossing.high - found["0"].crossing.low <= 0.6
    True
    """
    check_precision(precision)
    fractions = checked_fractions(fractions)
    groups = groups_of(network, sites, together)
    plans, places = plans_of(groups, fractions, draws, grain, seed)
    members = {name: [places[name]] for name in groups}
    own = [name for name, group in groups.items() if len(group) == 1]
    if mean_of_sites is not None:
        members[mean_of_sites] = [places[name] for name in own]
    curves = {
        name: _Curve(
            found, PrunableSequence(fractions, draws, draw, tolerance, precision, level=level)
        )
        for name, found in members.items()
    }
    trials = AblationTrials(network, plans, grain=grain, **silencing)
    most = labels_each(network)
    order = shuffled(batches.examples, seed)
    counts = {
        name: sum(count_units(site, grain) for site in group) for name, group in groups.items()
    }
    whole = sum(counts[name] for name in own)

    def found() -> dict[str, AblationCurve]:
        replacement = silencing.get("replacement", "zero")
        return {
            name: curve.found(
                site=name,
                grain=grain,
                replacement=replacement,
                units=counts.get(name, whole),
                fractions=fractions,
            )
            for name, curve in curves.items()
        }

    start = 0
    while start < len(order) and (open_curves := [c for c in curves.values() if not c.rule.done]):
        tell(len(open_curves), start)
        stop = start + max(FIRST, start // GROWTH)
        wanted = sorted(set().union(*(curve.plans() for curve in open_curves)))
        try:
            kept_PN, labels_N = _tried(trials, wanted, batches.at(order[start:stop]))
        except KeyboardInterrupt:
            if not start:
                raise
            raise Interrupted("stopped while units were silenced", found()) from None
        rows = dict(zip(wanted, kept_PN, strict=True))
        for curve in open_curves:
            curve.add(rows, labels_N, most)
        start = stop
    return found()


def _tried(
    trials: AblationTrials, wanted: Sequence[int], batches: Batches
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Unchanged labels of each example under each plan (plans, N), and its labels (N,)."""
    parts = [trials.kept(inputs, wanted) for inputs in batches]
    kept, labels = zip(*parts, strict=True)
    return torch.cat(kept, dim=1).cpu().numpy(), torch.cat(labels).cpu().numpy()


def labels_each(network: Network) -> int:
    """The number of labels per example: one, or one at every position."""
    program = network.program
    return math.prod(program.shape_of(program.output, 1)[1:-1])


@dataclass(frozen=True)
class _Curve:
    """A curve that is followed: the plans it averages, and what is known of it so far.

    ``members`` are numbers of plans, each of shape (draws, fractions).
    """

    members: Sequence[NDArray[np.int64]]
    rule: PrunableSequence

    def plans(self) -> set[int]:
        """The plans that can still change the bounds."""
        return {
            int(plans_DF[draw, at])
            for draw in self.rule.open
            for at in self.rule.curves[draw].needed
            for plans_DF in self.members
        }

    def add(
        self, rows: Mapping[int, NDArray[np.int64]], labels: NDArray[np.int64], most: int
    ) -> None:
        """Take in the labels of new examples that each plan keeps."""
        # Their sum is out of as many times the labels: a share of that is the mean over members.
        times = len(self.members)
        for draw in self.rule.open:
            order = self.rule.curves[draw]
            kept = {
                at: np.sum([rows[int(plans_DF[draw, at])] for plans_DF in self.members], axis=0)
                for at in order.needed
            }
            order.add(kept, labels * times, most * times)

    def found(self, **named: Any) -> AblationCurve:
        """The curve as known so far."""
        orders = self.rule.curves
        kept, labels, seen = (
            np.array([getattr(order, name) for order in orders])
            for name in ("kept_F", "labels_F", "examples_F")
        )
        if not labels.all():
            raise BadArgument(NO_LABEL)
        return AblationCurve(
            **named,
            unchanged=kept * seen / labels,
            examples=int(seen.max()),
            seen=seen,
            crossing=self.rule.interval,
        )
