"""The activity of one site, as its measures read it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from frivolous.measures import redundancy
from frivolous.measures.conventions import Protocol

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SiteActivity:
    """Moments of U units over samples, and the conventions under which they are measured.

    ``active_rate_U`` is the share of samples with a non-zero activity, in [0, 1]. ``smooth`` asks
    for counts without steps, on which intervals over examples rest
    (:func:`frivolous.measures.redundancy.redundant_level`).

    >>> copies = SiteActivity(np.ones((2, 2)), np.zeros(2), np.ones(2), Protocol())
    >>> copies.redundant, copies.width
    (1, 2)
    """

    covariance_UU: Numbers
    mean_U: Numbers
    active_rate_U: Numbers
    protocol: Protocol
    smooth: bool = False

    @property
    def width(self) -> int:
        """Number of units."""
        return len(self.mean_U)

    @cached_property
    def redundant(self) -> float:
        """Redundant units; once for all measures, as the spectrum costs the most."""
        spectrum, protocol = redundancy.spectrum(self.covariance_UU), self.protocol
        if self.smooth:
            # A constant more or less, as `count_crossing` adds, does not change a spread.
            return redundancy.redundant_level(spectrum, protocol.unexplained)
        return redundancy.redundant_units(spectrum, protocol.unexplained, protocol.count_crossing)
