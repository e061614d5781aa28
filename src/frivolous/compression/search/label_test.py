"""How many labels a thinner network changes, and the bound that held-out examples give.

Thinner networks are tested in an order fixed in advance, from the one that changes least: each on
all examples at the full level, as long as the one before it passed. In such a fixed sequence of
tests no level is spent on the earlier ones: the chance that any network that passes changes more
labels than the tolerance is at most the level (Maurer, Hothorn and Lehmacher 1995).

Example: with 1000 held-out examples and a tolerance of 2%, a network passes with at most 12 changed
labels, 1.2%, since 12 of 1000 bound the share at 1.94% and 13 at more than 2%.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy.stats import beta
from torch import Tensor

from frivolous.ablation.predictions import UNCOUNTED, intact_labels, labels
from frivolous.inputs.batches import Batches
from frivolous.network import Network

LEVEL = 0.05


@dataclass(frozen=True)
class ChangedLabels:
    """How many of ``examples`` have another label; ``high`` bounds the share from above (95%)."""

    count: float
    examples: int

    @property
    def share(self) -> float:
        """Share of labels that changed."""
        return self.count / self.examples

    @property
    def high(self) -> float:
        """One-sided upper bound at 95% (Clopper and Pearson 1934)."""
        return clopper_pearson_upper(self.count, self.examples)


def clopper_pearson_upper(count: float, examples: int, level: float = LEVEL) -> float:
    """The one-sided upper bound of a share (Clopper and Pearson 1934).

    >>> round(clopper_pearson_upper(0, 149), 4), round(clopper_pearson_upper(12, 1000), 4)
    (0.0199, 0.0194)
    """
    if count >= examples:
        return 1.0
    return float(beta.ppf(1 - level, count + 1, examples - count))


def most_changed(tolerance: float, examples: int) -> int:
    """The most changed labels whose bound is within the tolerance.

    Returns -1 if even zero changed labels cannot meet the tolerance.

    >>> most_changed(0.02, 1000), most_changed(0.02, 100)
    (12, -1)
    """
    count = -1
    while count < examples and clopper_pearson_upper(count + 1, examples) <= tolerance:
        count += 1
    return count


def examples_needed(tolerance: float) -> int:
    """The fewest examples with which zero changed labels show a share within the tolerance.

    >>> examples_needed(0.02)
    149
    """
    count = 1
    while clopper_pearson_upper(0, count) > tolerance:
        count += 1 + count // 64
    while count > 1 and clopper_pearson_upper(0, count - 1) <= tolerance:
        count -= 1
    return count


@dataclass(frozen=True, eq=False)
class Reference:
    """The whole network's labels and scores on some examples, batch by batch."""

    batches: Batches
    labels: tuple[Tensor, ...]
    scores: tuple[Tensor, ...]


@torch.no_grad()
def reference_of(
    network: Network, batches: Batches, scores: Sequence[Tensor] | None = None
) -> Reference:
    """Labels and scores of the whole network; ``scores`` of all batches if already computed."""
    found, kept = [], []
    for number, inputs in enumerate(batches):
        output = network(inputs) if scores is None else scores[number]
        found.append(intact_labels(network, inputs, output))
        kept.append(output)
    return Reference(batches, tuple(found), tuple(kept))


@torch.no_grad()
def changed_by(thin: Network, intact: Reference) -> ChangedLabels:
    """How many labels a thinner network changes; a sequence counts by its share of positions."""
    count, examples = 0.0, 0
    for inputs, own in zip(intact.batches, intact.labels, strict=True):
        counted = own != UNCOUNTED
        other = ((labels(thin(inputs)) != own) & counted).reshape(len(own), -1)
        each = counted.reshape(len(own), -1).sum(dim=1).clamp(min=1)
        count += float((other.sum(dim=1) / each).sum())
        examples += len(own)
    return ChangedLabels(count, examples)


@torch.no_grad()
def divergence(thin: Network, intact: Reference, most: int = 256) -> float:
    """Mean Kullback-Leibler divergence of the class probabilities, in nats, on a few examples."""
    total, seen = 0.0, 0
    for inputs, own in zip(intact.batches, intact.scores, strict=True):
        ours = torch.log_softmax(thin(inputs).double(), dim=-1)
        theirs = torch.log_softmax(own.double(), dim=-1)
        total += float((theirs.exp() * (theirs - ours)).sum(-1).reshape(len(own), -1).mean(1).sum())
        seen += len(own)
        if seen >= most:
            break
    return total / seen


def furthest(found: Sequence[ChangedLabels], tolerance: float) -> int:
    """How many networks of a fixed sequence pass before the first that does not."""
    passed = 0
    for one in found:
        if one.high > tolerance:
            break
        passed += 1
    return passed
