"""Find the units a network does not need, and remove them.

The public names are loaded on first use, so that ``import frivolous`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from frivolous import errors, studies
    from frivolous.compression.compress import compress
    from frivolous.compression.export.load import load_compressed
    from frivolous.compression.result import Compression
    from frivolous.measurement.measure import measure
    from frivolous.measurement.result import Measurement, load_measurement
    from frivolous.network import Network, trace
    from frivolous.studies.result import StudyResult

__all__ = [
    "Compression",
    "Measurement",
    "Network",
    "StudyResult",
    "compress",
    "errors",
    "load_compressed",
    "load_measurement",
    "measure",
    "studies",
    "trace",
]

_MODULES = ("errors", "studies")  # studies is its own registry: see frivolous.studies

_HOMES = {
    "Compression": "frivolous.compression.result",
    "Measurement": "frivolous.measurement.result",
    "Network": "frivolous.network",
    "StudyResult": "frivolous.studies.result",
    "compress": "frivolous.compression.compress",
    "load_compressed": "frivolous.compression.export.load",
    "load_measurement": "frivolous.measurement.result",
    "measure": "frivolous.measurement.measure",
    "trace": "frivolous.network",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"frivolous.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'frivolous' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
