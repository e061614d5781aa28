"""The history of a training: accuracies and losses by epoch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EpochRecord:
    """What was measured before an epoch, or after the last: accuracies as shares in [0, 1].

    ``train_loss`` is the mean loss of the updates since the previous record, None in the first;
    ``train_accuracy`` is None where the recipe does not watch it.
    """

    epoch: int
    validation_accuracy: float
    train_accuracy: float | None
    train_loss: float | None


@dataclass(frozen=True)
class Failure:
    """Where a training met a number that is not finite: the update, from 1, and its loss.

    If the loss is finite, scores on the evaluated examples were not.
    """

    step: int
    loss: float
