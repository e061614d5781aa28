"""How networks start: weights drawn, biases set, normalisations that change nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from frivolous.families.initialisers import INITIALISERS, Spec, initialise

Start: TypeAlias = Callable[[nn.Module, torch.Generator], None]
Bias: TypeAlias = "float | Mapping[str, float]"


def starting(spec: Spec | Sequence[Spec] | Mapping[str, Spec], bias: Bias = 0.0) -> Start:
    """Return the function that starts a model so: every parameter and buffer set in place.

    Dense and convolutional layers are drawn by :func:`frivolous.families.initialise`; batch
    normalisations get scale 1, shift 0 and the statistics of a standard normal.

    >>> model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    >>> starting("he-normal")(model, torch.Generator().manual_seed(0))
    """

    def start(model: nn.Module, generator: torch.Generator) -> None:
        initialise(model, spec, generator, bias)
        for module in model.modules():
            if isinstance(module, _BatchNorm):
                module.reset_parameters()

    return start


def schemes(
    default: Spec | Sequence[Spec] | Mapping[str, Spec], bias: Bias = 0.0
) -> Mapping[str, Start]:
    """Return a family's own start under ``default``, and each known initialiser for all layers.

    >>> list(schemes("he-normal"))[:2]
    ['default', 'glorot-normal']
    """
    return {
        "default": starting(default, bias),
        **{name: starting(name, bias) for name in INITIALISERS},
    }
