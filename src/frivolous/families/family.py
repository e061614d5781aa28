"""The record of a network family: how its networks are made, started and read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from frivolous.errors import look_up
from frivolous.families.starting import Start


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
