"""Network families of the papers, each with a width multiplier and initialisers.

A :class:`Family` builds untrained networks of any size factor, initialises them, and maps the
papers' names of their layers to sites.
"""

from __future__ import annotations

from collections.abc import Mapping

from frivolous.families.alexnet import ALEXNET
from frivolous.families.conv import CONV_2, CONV_4, CONV_6
from frivolous.families.family import Family
from frivolous.families.inception import INCEPTION
from frivolous.families.initialisers import INITIALISERS, Initialiser, draw, fixed, initialise
from frivolous.families.lenet import LENET
from frivolous.families.mlp import MLP, MLP_FAMILY, mlp, parameter_count
from frivolous.families.resnet import RESNET18, RESNET56
from frivolous.families.vgg import VGG19_BN

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
    "inception": INCEPTION,
    "lenet-300-100": LENET,
    "conv-2": CONV_2,
    "conv-4": CONV_4,
    "conv-6": CONV_6,
    "vgg19-bn": VGG19_BN,
}
