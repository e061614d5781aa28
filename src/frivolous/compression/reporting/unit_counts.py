"""Units as sites count them, in tables, totals, shares and ``keep``.

Units of a pruning group go together where they are one in several sites (a residual sum) or several
in one site (the groups of a convolution). Outside the search each site's own units count.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from frivolous.compression.coupling.groups import PruningGroup
from frivolous.compression.criteria.methods import Ranking
from frivolous.network import Network


def own_units(cut: PruningGroup, site: str, kept_K: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of a site's units are left with these units of its group: shape (site's width,)."""
    units_S = cut.places[site]
    return (units_S < 0) | np.isin(units_S, kept_K)


def total_units(
    network: Network, cuts: Sequence[PruningGroup], orders: Sequence[Ranking], units: Sequence[int]
) -> int:
    """Units of all sites when each group keeps this many; units that cannot go count as well."""
    total = sum(site.width for site in network.sites)
    for cut, order, count in zip(cuts, orders, units, strict=True):
        if count < cut.units:
            kept = order.kept(count)
            total -= sum(int((~own_units(cut, site, kept)).sum()) for site in cut.places)
    return total


def group_of(cut: PruningGroup, site: str) -> int:
    """How many units of a site go as one; 0 if that differs between units of the group."""
    units_S = cut.places[site]
    counts = np.bincount(units_S[units_S >= 0], minlength=cut.units)
    return int(counts[0]) if (counts == counts[0]).all() else 0
