"""The spec of one image network: what it is, how it is trained and how it is measured.

Its identity is the SHA-256 of its resolved form, as every run's. Raise ``VERSION`` by hand when the
same spec would give other numbers.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

from frivolous.measures import Protocol
from frivolous.studies.cell import Candidate
from frivolous.studies.runs.dense_spec import MeasureSpec, Part

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


class ImageTrainingSpec(Part):
    """The fields of :class:`frivolous.training.single.recipe.LoopRecipe`."""

    optimiser: str = "momentum"
    learning_rate: float
    settings: tuple[tuple[str, float], ...] = ()
    schedule: str = "exponential"
    decay: float = 0.95
    boundaries: tuple[float, ...] = ()
    drop: float = 0.1
    warmup: float = 0.0
    batch_size: int = 128
    epochs: int
    updates_per_epoch: int | None = None
    shuffle: bool = False
    preparation: str = "none"
    weight_decay: float = 0.0
    decayed: tuple[str, ...] = ("*",)
    select: str = "validation"
    patience: int | None = None
    stop_at_train_accuracy: float | None = None
    snapshots: tuple[int, ...] = ()
    average: float | None = None
    precision: str = "float32"


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


class ImageSpec(Part):
    """One image network, trained once and measured once."""

    kind: Literal["image"] = "image"
    version: int = VERSION
    family: ImageFamilySpec
    data: ImageDataSpec
    start: str = "default"
    training: ImageTrainingSpec
    measured: ImageMeasureSpec
    replicate: int
    seed: int = 0

    def resolved(self) -> dict[str, Any]:
        """Return the spec as plain data, every default filled in: what is hashed and stored."""
        return self.model_dump(mode="json")

    def trial(self, candidate: Candidate, replicate: int) -> ImageSpec:
        """Return the spec of a replicate; image networks have nothing to choose."""
        return self.model_copy(update={"replicate": replicate})

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


def measured_layers(
    protocol: Protocol,
    examples: int,
    layers: tuple[str, ...],
    ablated: tuple[str, ...] = (),
    before_normalisation: tuple[str, ...] = (),
    joint_tolerance: float | None = None,
) -> ImageMeasureSpec:
    """Return all that a protocol decides of an image network's measures, by name."""
    decided = set(ImageMeasureSpec.model_fields) - {
        "protocol",
        "examples",
        "layers",
        "ablated",
        "before_normalisation",
        "joint_tolerance",
    }
    return ImageMeasureSpec(
        protocol=protocol.name,
        examples=protocol.examples_used(examples),
        layers=layers,
        ablated=ablated,
        before_normalisation=before_normalisation,
        joint_tolerance=joint_tolerance,
        **{name: getattr(protocol, name) for name in decided},
    )
