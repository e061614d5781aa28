"""The spec of one image network: what it is, how it is trained and how it is measured.

Raise ``VERSION`` by hand when the same spec would give other numbers.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from frivolous.studies.runs.spec import MeasureSpec, Part, Spec
from frivolous.training.single.recipe import LoopRecipe

VERSION = 1

PER_SECOND = 2.5e7
"""Products per second on two cores, between AlexNets on CIFAR-10 and small networks on digits."""

Value = str | bool | int | float | None | tuple[int, ...] | tuple[float, ...] | tuple[str, ...]
Options = tuple[tuple[str, Value], ...]


class ImageFamilySpec(Part):
    """A family of ``frivolous.families`` at a size factor, with what its builder is given."""

    name: str
    size_factor: float
    options: Options = ()


class ImageDataSpec(Part):
    """A source of ``frivolous.data`` with its options; ``random_labels`` by the run's seed."""

    name: str
    options: Options = ()
    random_labels: bool = False


class ImageMeasureSpec(MeasureSpec):
    """How it is measured: what the protocol decides, at which of the family's layers.

    ``ablated``: those of the layers that are ablated, empty for all. ``before_normalisation``:
    layers whose units are silenced before batch normalisation and activation, so that a silenced
    unit gives what these make of zero.
    """

    sites: str = "together"
    layers: tuple[str, ...] = ()
    ablated: tuple[str, ...] = ()
    before_normalisation: tuple[str, ...] = ()
    pairs_below: float | None = None


class ImageSpec(Spec):
    """One image network, trained once and measured once."""

    kind: Literal["image"] = "image"
    version: int = VERSION
    family: ImageFamilySpec
    data: ImageDataSpec
    start: str = "default"
    training: LoopRecipe
    measured: ImageMeasureSpec
    replicate: int
    seed: int = 0

    @property
    def width(self) -> int:
        """Units of the measured layers in all."""
        return _size(self.family)[0]

    @property
    def parameters(self) -> int:
        """Numbers that training may change."""
        return _size(self.family)[1]

    @property
    def cost(self) -> float:
        """Rough seconds on two cores, all epochs: images read times what the weights cost.

        The search for the effective width, where asked for, outweighs all other measuring.
        """
        training, measured = self.training, self.measured
        images = training.epochs * (training.updates_per_epoch or 100) * training.batch_size
        if measured.joint_tolerance is not None:
            sites = len(measured.ablated or measured.layers) + 1
            images += measured.examples * measured.draws * len(measured.fractions) * sites
        return images * (_size(self.family)[1] ** 0.75 + 20_000) / PER_SECOND


@lru_cache(maxsize=256)
def _size(family: ImageFamilySpec) -> tuple[int, int]:
    """Return units of a family's dense and convolution layers but the last, and parameters."""
    import torch
    from torch import nn

    from frivolous.families import FAMILIES, parameter_count

    with torch.device("meta"):
        model = FAMILIES[family.name].build(family.size_factor, **dict(family.options))
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    units = sum(int(m.weight.shape[0]) for m in layers[:-1])
    return units, parameter_count(model)
