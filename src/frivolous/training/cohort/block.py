"""A block of networks of one shape in training: their states and updates, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from frivolous.training.cohort.optimisers import Optimiser, Step, first_slots
from frivolous.training.cohort.recipe import Recipe
from frivolous.training.cohort.stacked_mlp import (
    Features,
    State,
    accuracy,
    forward,
    per_network_product,
    signals,
)

SMALL_PRODUCT = 2**22
"""Products of fewer multiply-adds use one thread: waking a second one costs as much."""


@dataclass(frozen=True)
class Task:
    """The data of a block: features and labels of training and validation examples."""

    train: Features
    train_labels: Tensor
    validation: Features
    validation_labels: Tensor


class Block:
    """The state of a block in training."""

    def __init__(
        self,
        stacked: State,
        recipes: Sequence[Recipe],
        optimiser: Optimiser,
        task: Task,
        *,
        wide: bool,
    ) -> None:
        self.state, self.task, self.wide = stacked, task, wide
        self.recipe, self.optimiser = recipes[0], optimiser
        some = next(iter(stacked.values()))
        self.dtype = some.dtype
        self.decays = some.new_tensor([r.decay for r in recipes], dtype=torch.float64)
        self.rates = some.new_tensor([r.learning_rate for r in recipes], dtype=torch.float64)
        self.settings = {
            name: some.new_tensor([r.setting(name) for r in recipes]) for name in optimiser.settings
        }
        self.slots = {
            name: first_slots(optimiser, value, self.settings) for name, value in stacked.items()
        }
        self.best = {name: value.clone() for name, value in stacked.items()}
        self.best_accuracy = some.new_full((len(recipes),), -1.0, dtype=torch.float64)
        self.best_epoch = torch.zeros(len(recipes), dtype=torch.long)
        self.history: list[Tensor] = []
        self.updates = 0

    def evaluate(self, epoch: int) -> None:
        """Compute validation accuracies; keep the states that are better than any before."""
        found = accuracy(self.state, self.task.validation, self.task.validation_labels)
        self.history.append(found.cpu())
        for k in (found > self.best_accuracy).nonzero().flatten().tolist():
            self.best_accuracy[k] = found[k]
            self.best_epoch[k] = epoch
            for name, value in self.state.items():
                self.best[name][k] = value[k]

    def train_epoch(self, epoch: int) -> None:
        """Apply the epoch's updates, on the next batches of the examples repeated without end."""
        rates = (self.rates * self.decays**epoch).to(self.dtype)
        total = len(self.task.train_labels)
        for _ in range(self.recipe.updates_per_epoch):
            first = self.updates * self.recipe.batch_size % total
            parts = _wrap(first, self.recipe.batch_size, total)
            self.updates += 1
            self._update(parts, rates)

    def _update(self, parts: list[slice], rates: Tensor) -> None:
        batch = _join([self.task.train.take(part) for part in parts])
        labels = torch.cat([self.task.train_labels[part] for part in parts])
        activity = forward(self.state, batch)
        errors = signals(self.state, activity, labels)
        for layer, error in enumerate(errors):
            self._step(f"layers.{layer}.bias", error.sum(1), rates)
            name = f"layers.{layer}.weight"
            if layer == 0 and self.wide:
                self._step_on_examples(name, error, parts, rates)
            else:
                below = activity[layer - 1] if layer else batch.rows
                self._step(name, per_network_product(error.transpose(1, 2), below), rates)

    def _step(self, name: str, gradient: Tensor, rates: Tensor) -> None:
        shape = (-1, *[1] * (gradient.dim() - 1))
        settings = {key: value.view(shape) for key, value in self.settings.items()}
        step = Step(rates.view(shape), settings, self.updates)
        self.optimiser.update(self.state[name], gradient, self.slots[name], step)

    def _step_on_examples(
        self, name: str, error: Tensor, parts: list[slice], rates: Tensor
    ) -> None:
        """Update coordinates (K, units, N): the gradient is the error at the batch's columns."""
        rates = rates.view(-1, 1, 1)
        signal, start = error.transpose(1, 2), 0
        velocity = self.slots[name][0] if self.slots[name] else None
        target = self.state[name] if velocity is None else velocity
        if velocity is not None:
            velocity.mul_(self.settings["momentum"].view(-1, 1, 1))
        for part in parts:
            stop = start + part.stop - part.start
            piece = signal[:, :, start:stop]
            target[:, :, part] += piece * -rates if velocity is None else piece
            start = stop
        if velocity is not None:
            self.state[name].addcmul_(velocity, -rates)


def _wrap(first: int, size: int, total: int) -> list[slice]:
    """Return the slices of ``size`` consecutive examples from ``first``, going on at the start."""
    stop = first + size
    if stop <= total:
        return [slice(first, stop)]
    return [slice(first, total), slice(0, stop - total)]


def _join(parts: list[Features]) -> Features:
    if len(parts) == 1:
        return parts[0]
    offsets = [part.offsets for part in parts if part.offsets is not None]
    return Features(
        torch.cat([part.rows for part in parts]), torch.cat(offsets, 1) if offsets else None
    )


@contextmanager
def threads_for(weight: Tensor, recipe: Recipe) -> Iterator[None]:
    """A context with one thread where a network's products are small; restores the number after."""
    size = recipe.batch_size * weight.shape[1] * weight.shape[2]
    before = torch.get_num_threads()
    if size < SMALL_PRODUCT:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
