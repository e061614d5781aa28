"""A model as a graph of sites: read once, run in whole or in parts."""

from __future__ import annotations

from frivolous.network.alive import Alive
from frivolous.network.sites import Site
from frivolous.network.split import Network
from frivolous.network.trace import trace

__all__ = ["Alive", "Network", "Site", "trace"]
