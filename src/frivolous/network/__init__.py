"""A model as a graph of sites: traced once, then run in whole or in parts."""

from __future__ import annotations

from frivolous.network.frontier import Frontier
from frivolous.network.network import Network
from frivolous.network.trace import trace
from frivolous.network.units.sites import Site

__all__ = ["Frontier", "Network", "Site", "trace"]
