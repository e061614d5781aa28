"""Learning-rate schedules: the rate at every update."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol


class Scheduled(Protocol):
    """The fields of a recipe that a schedule reads."""

    @property
    def learning_rate(self) -> float:
        """The rate before any change."""

    @property
    def schedule(self) -> str:
        """A key of ``SCHEDULES``."""

    @property
    def decay(self) -> float:
        """Factor after every epoch."""

    @property
    def boundaries(self) -> tuple[float, ...]:
        """Epochs at which the rate drops."""

    @property
    def drop(self) -> float:
        """Factor at each boundary."""

    @property
    def warmup(self) -> float:
        """Epochs of linear growth from 0."""


def _exponential(recipe: Scheduled, update: int, per_epoch: int) -> float:
    return recipe.decay ** (update // per_epoch)


def _steps(recipe: Scheduled, update: int, per_epoch: int) -> float:
    passed = sum(update >= boundary * per_epoch for boundary in recipe.boundaries)
    return recipe.drop**passed


def _constant(recipe: Scheduled, update: int, per_epoch: int) -> float:
    return 1.0


SCHEDULES: Mapping[str, Callable[[Scheduled, int, int], float]] = {
    "exponential": _exponential,
    "steps": _steps,
    "constant": _constant,
}
"""What the learning rate is multiplied by, given the update (from 0) and the updates per epoch."""


def rate_at(recipe: Scheduled, update: int, per_epoch: int) -> float:
    """Return the learning rate of an update, counted from 0, of ``per_epoch`` updates each epoch.

    The warm-up multiplies the schedule: the first update of a warm-up has the rate 0, as in
    TensorFlow's official ResNet (Casper et al. 2021 give 5 epochs for ImageNet).
    """
    rate = recipe.learning_rate * SCHEDULES[recipe.schedule](recipe, update, per_epoch)
    length = recipe.warmup * per_epoch
    return rate * update / length if update < length else rate
