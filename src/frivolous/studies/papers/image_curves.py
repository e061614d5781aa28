"""Curves of image networks, and the scales at which they run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from frivolous.errors import look_up
from frivolous.measures import Protocol
from frivolous.studies.cell import Candidate, Cell
from frivolous.studies.runs.image_spec import (
    ImageDataSpec,
    ImageFamilySpec,
    ImageSpec,
    ImageTrainingSpec,
    Options,
    measured_layers,
)


@dataclass(frozen=True)
class Source:
    """Data of a scale: a source, its options, and how many examples it trains and tests on."""

    name: str
    options: Options
    train: int
    test: int


@dataclass(frozen=True)
class ImageScale:
    """How large a curve is run.

    ``family`` are options that replace the curve's own, ``training`` fields that replace those of
    its recipe. Batches are divided by ``batch_divisor`` and hold ``least_batch`` at least;
    ``rate`` multiplies the learning rate.
    """

    source: Source
    replicates: int = 3
    family: Options = ()
    training: Options = ()
    batch_divisor: float = 1.0
    least_batch: int = 1
    rate: float = 1.0
    shrinks: str = ""

    @property
    def instead(self) -> str:
        """What data stand in for the paper's."""
        return "handwritten digits" if self.source.name == "digits" else ""


@dataclass(frozen=True)
class ImageCurve:
    """One curve: a family of networks, how they are trained, and at which scales.

    ``recipe`` gives the training at the papers' scale for a size factor. ``scales`` by name.
    ``start`` is a scheme of the family. ``sizes`` are those published, empty for all.
    ``layers`` are measured; ``ablated`` and ``before_normalisation`` as
    :class:`ImageMeasureSpec` has them. ``idle_updates`` of every epoch are left out.
    ``joint_tolerance``: measure the effective width too.
    """

    name: str
    family: str
    recipe: Callable[[float], ImageTrainingSpec]
    scales: dict[str, ImageScale] = field(hash=False)
    layers: tuple[str, ...]
    options: Options = ()
    start: str = "default"
    random_labels: bool = False
    sizes: tuple[float, ...] = ()
    protocol: Protocol | None = None
    ablated: tuple[str, ...] = ()
    before_normalisation: tuple[str, ...] = ()
    idle_updates: int = 0
    epochs: int | None = None
    joint_tolerance: float | None = None

    def scale(self, name: str) -> ImageScale:
        """Return the curve's scale of that name."""
        return look_up(self.scales, name, "scale")

    def shortened(self, epochs: int) -> ImageCurve:
        """Return the same curve trained for fewer epochs."""
        return replace(self, epochs=epochs)

    def named(self, name: str) -> ImageCurve:
        """Return the same networks under another legend name."""
        return replace(self, name=name)

    def with_options(self, options: Options) -> ImageCurve:
        """Return the same networks with further options of their family."""
        return replace(self, options=(*self.options, *options))

    def cell(
        self, size_factor: float, scale: str, replicates: int | None, seed: int, protocol: Protocol
    ) -> Cell:
        """Return the curve's networks at one size factor.

        Networks have nothing to choose: the one candidate is the recipe's own learning rate. The
        curve's own protocol, where it has one, comes before the study's.
        """
        size = self.scale(scale)
        training = self._training(size, size_factor)
        conventions = self.protocol or protocol
        # The original loops drop the last batch, of the size that the network was trained with.
        conventions = replace(conventions, batch_size=training.batch_size)
        options = dict(self.options) | dict(size.family)
        data = dict(size.source.options) | {"seed": seed}
        count = size.replicates if replicates is None else replicates
        prototype = ImageSpec(
            family=ImageFamilySpec(
                name=self.family, size_factor=size_factor, options=tuple(sorted(options.items()))
            ),
            data=ImageDataSpec(
                name=size.source.name,
                options=tuple(sorted(data.items())),
                random_labels=self.random_labels,
            ),
            start=self.start,
            training=training,
            measured=measured_layers(
                conventions,
                size.source.test,
                self.layers,
                self.ablated,
                self.before_normalisation,
                self.joint_tolerance,
            ),
            replicate=0,
            seed=seed,
        )
        candidates = (Candidate(training.learning_rate, 1.0),)
        return Cell(self.name, size_factor, candidates, count, count, prototype)

    def _training(self, size: ImageScale, size_factor: float) -> ImageTrainingSpec:
        """Return the recipe at a scale: batches divided, fields replaced, epochs cut."""
        whole = self.recipe(size_factor)
        batch = max(size.least_batch, int(whole.batch_size / size.batch_divisor))
        rate = whole.learning_rate * size.rate
        changed = {"batch_size": batch, "learning_rate": rate} | dict(size.training)
        fields = whole.model_dump() | changed
        if self.epochs is not None:
            fields["epochs"] = min(self.epochs, int(str(fields["epochs"])))
        fields["updates_per_epoch"] = max(1, size.source.train // batch - self.idle_updates)
        return ImageTrainingSpec(**fields)
