"""Which units of a neural network does it not need, and what is left without them?

The public names are loaded on first use, so that ``import frivolous`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from frivolous import studies
    from frivolous.compression.compress import compress
    from frivolous.compression.export.load import load_compressed
    from frivolous.measurement.measure import measure
    from frivolous.measurement.result import load_measurement
    from frivolous.network import trace

__all__ = ["compress", "load_compressed", "load_measurement", "measure", "studies", "trace"]

_HOMES = {
    "compress": ("frivolous.compression.compress", "compress"),
    "load_compressed": ("frivolous.compression.export.load", "load_compressed"),
    "load_measurement": ("frivolous.measurement.result", "load_measurement"),
    "measure": ("frivolous.measurement.measure", "measure"),
    "trace": ("frivolous.network", "trace"),
}


def __getattr__(name: str) -> Any:
    if name == "studies":
        # The package is the registry: see frivolous.studies.
        return importlib.import_module("frivolous.studies")
    if name not in _HOMES:
        raise AttributeError(f"module 'frivolous' has no attribute '{name}'")
    module, attribute = _HOMES[name]
    return getattr(importlib.import_module(module), attribute)
