"""Network families of the papers, each with a dial for its width, and how their weights start.

A family is a function that makes an untrained network of a given size factor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from frivolous.families.initialisers import INITIALISERS, Initialiser, draw, fixed, initialise
from frivolous.families.mlp import MLP, mlp, parameter_count

__all__ = [
    "FAMILIES",
    "INITIALISERS",
    "MLP",
    "Initialiser",
    "draw",
    "fixed",
    "initialise",
    "mlp",
    "parameter_count",
]

FAMILIES: Mapping[str, Callable[..., nn.Module]] = {
    "mlp": mlp,
}
