"""Measures: pure functions of numbers. Curves and covariances in, counts out; they know no model.

Each module is one measure and is used under its own name: ``curve.crossing``,
``redundancy.redundant_units``, ``similarity.similarity``, ``unit_kinds.silent_units``,
``gain.gain``. The conventions under which a number was computed are a record of
:mod:`~frivolous.measures.conventions`.

>>> from frivolous.measures import curve
>>> curve.crossing((0.0, 0.5, 1.0), (1.0, 1.0, 0.5), tolerance=0.25)
0.75
"""

from __future__ import annotations

from frivolous.measures import (
    conventions,
    curve,
    elimination,
    gain,
    reconstruction,
    redundancy,
    similarity,
    unit_kinds,
)
from frivolous.measures.conventions import AS_PUBLISHED, AS_PUBLISHED_IMAGENET, AS_WRITTEN, Protocol

__all__ = [
    "AS_PUBLISHED",
    "AS_PUBLISHED_IMAGENET",
    "AS_WRITTEN",
    "Protocol",
    "conventions",
    "curve",
    "elimination",
    "gain",
    "reconstruction",
    "redundancy",
    "similarity",
    "unit_kinds",
]
