"""Network families of the papers, each with a dial for its width, and how their weights start.

A :class:`Family` makes untrained networks of any size factor, starts them, and knows the papers'
names of their layers.
"""

from __future__ import annotations

from collections.abc import Mapping

from frivolous.families.alexnet import ALEXNET
from frivolous.families.family import Family
from frivolous.families.initialisers import INITIALISERS, Initialiser, draw, fixed, initialise
from frivolous.families.mlp import MLP, MLP_FAMILY, mlp, parameter_count
from frivolous.families.resnet import RESNET18, RESNET56

__all__ = [
    "FAMILIES",
    "INITIALISERS",
    "MLP",
    "Family",
    "Initialiser",
    "draw",
    "fixed",
    "initialise",
    "mlp",
    "parameter_count",
]

FAMILIES: Mapping[str, Family] = {
    "mlp": MLP_FAMILY,
    "alexnet": ALEXNET,
    "resnet56": RESNET56,
    "resnet18": RESNET18,
}
