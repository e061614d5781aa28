"""Wide networks built from narrow ones, with known answers: the papers' proofs as networks.

Each construction is an ordinary :class:`frivolous.families.MLP` that computes what a narrow one
computes, with a record of what must hold for its prunable and its redundant units. They are the
oracle of the tests and the benchmarks: no other room uses them.
"""

from __future__ import annotations

from frivolous.constructions.blocked import only_more_prunable
from frivolous.constructions.bounds import curve_bounds
from frivolous.constructions.construction import Construction, Copies, Mirrored
from frivolous.constructions.copied import more_of_both, only_more_redundant
from frivolous.constructions.exact_curves import (
    diluted_curve,
    exact_counts,
    exact_curve,
    silenced_scores,
)
from frivolous.constructions.mirrored import neither
from frivolous.constructions.parity import Parity, parity
from frivolous.constructions.untrained import (
    random_network,
    untrained_covariance,
    untrained_curve,
    untrained_unchanged,
)

__all__ = [
    "Construction",
    "Copies",
    "Mirrored",
    "Parity",
    "curve_bounds",
    "diluted_curve",
    "exact_counts",
    "exact_curve",
    "more_of_both",
    "neither",
    "only_more_prunable",
    "only_more_redundant",
    "parity",
    "random_network",
    "silenced_scores",
    "untrained_covariance",
    "untrained_curve",
    "untrained_unchanged",
]
