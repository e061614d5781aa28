"""The record of a network family: how its networks are made, started and read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from frivolous.errors import look_up
from frivolous.families.initialisers import INITIALISERS, Spec, initialise


@dataclass(frozen=True)
class Family:
    """Networks of one architecture, with a dial for their width.

    ``build(size_factor, **options)`` makes an untrained network in training mode; its options are
    in the docstring of that function. ``layers`` maps the papers' name of a layer to the name of
    the site as :func:`frivolous.trace` gives it, in order of depth. ``image`` is the shape
    (channels, height, width) that the papers fed it, None where inputs are no images.
    ``schemes`` maps the name of a start to the function that draws it; ``default`` is the papers'.
    """

    name: str
    build: Callable[..., nn.Module]
    layers: Mapping[str, str]
    image: tuple[int, int, int] | None
    schemes: Mapping[str, Start]

    def start(self, model: nn.Module, scheme: str, generator: torch.Generator) -> None:
        """Draw the weights of a network of this family and set its biases, in place.

        Also what :func:`frivolous.families.initialisers.undrawn` left unset is set. Raises
        :class:`~frivolous.errors.UnknownName` for a scheme that is not in ``schemes``.
        """
        look_up(self.schemes, scheme, "scheme")(model, generator)


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
