"""What a training saw of itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EpochRecord:
    """What was seen before an epoch, or after the last: accuracies as shares from 0 to 1.

    ``train_loss`` is the mean loss of the updates since the record before, None in the first;
    ``train_accuracy`` is None where the recipe does not watch it.
    """

    epoch: int
    validation_accuracy: float
    train_accuracy: float | None
    train_loss: float | None


@dataclass(frozen=True)
class Failure:
    """Where a training met what is no finite number: the update, from 1, and its loss.

    A loss that is finite stands for scores on the evaluated examples that were not.
    """

    step: int
    loss: float
