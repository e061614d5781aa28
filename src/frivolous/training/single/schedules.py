"""Learning-rate schedules: the rate at every update."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frivolous.training.single.recipe import LoopRecipe


def _exponential(recipe: LoopRecipe, update: int, per_epoch: int) -> float:
    return recipe.decay ** (update // per_epoch)


def _steps(recipe: LoopRecipe, update: int, per_epoch: int) -> float:
    passed = sum(update >= boundary * per_epoch for boundary in recipe.boundaries)
    return recipe.drop**passed


def _constant(recipe: LoopRecipe, update: int, per_epoch: int) -> float:
    return 1.0


SCHEDULES: Mapping[str, Callable[[LoopRecipe, int, int], float]] = {
    "exponential": _exponential,
    "steps": _steps,
    "constant": _constant,
}
"""What the learning rate is multiplied by, given the update (from 0) and the updates per epoch."""


def rate_at(recipe: LoopRecipe, update: int, per_epoch: int) -> float:
    """Return the learning rate of an update, counted from 0, of ``per_epoch`` updates each epoch.

    The warm-up multiplies the schedule: the first update of a warm-up has the rate 0, as in
    TensorFlow's official ResNet (Casper et al. 2021 give 5 epochs for ImageNet).
    """
    rate = recipe.learning_rate * SCHEDULES[recipe.schedule](recipe, update, per_epoch)
    length = recipe.warmup * per_epoch
    return rate * update / length if update < length else rate
