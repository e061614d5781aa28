"""The record of a network family: how its networks are built, initialised and named."""

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
    """Networks of one architecture with a width multiplier.

    ``build(size_factor, **options)`` makes an untrained network in training mode; its options are
    in the docstring of that function. ``layers`` maps the papers' name of a layer to the name of
    the site as :func:`frivolous.trace` gives it, in order of depth. ``image`` is the shape
    (channels, height, width) that the papers used, None where inputs are no images.
    ``schemes`` maps the name of an initialisation to its function; ``default`` is the papers'.
    """

    name: str
    build: Callable[..., nn.Module]
    layers: Mapping[str, str]
    image: tuple[int, int, int] | None
    schemes: Mapping[str, Start]

    def start(self, model: nn.Module, scheme: str, generator: torch.Generator) -> None:
        """Initialise a network of this family in place: draw its weights and set its biases.

        Also sets what :func:`frivolous.families.initialisers.undrawn` left unset. Raises
        :class:`~frivolous.errors.UnknownName` for a scheme that is not in ``schemes``.
        """
        look_up(self.schemes, scheme, "scheme")(model, generator)


Start: TypeAlias = Callable[[nn.Module, torch.Generator], None]
Bias: TypeAlias = "float | Mapping[str, float]"


def starting(spec: Spec | Sequence[Spec] | Mapping[str, Spec], bias: Bias = 0.0) -> Start:
    """Return a function that initialises a model: every parameter and buffer, in place.

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
    """Return a family's own initialisation under ``default``, and each known initialiser.

    >>> list(schemes("he-normal"))[:2]
    ['default', 'glorot-normal']
    """
    return {
        "default": starting(default, bias),
        **{name: starting(name, bias) for name in INITIALISERS},
    }
