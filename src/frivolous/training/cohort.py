"""Dense networks that differ only in seed, sigma, learning rate or setting, trained at once.

A network's result does not depend on its cohort: the same spec gives the same weights, bit for bit
on one machine, whoever trains beside it. So a cohort that was cut short goes on without the
networks it has finished.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from frivolous.data.examples import Examples, Splits
from frivolous.errors import BadArgument
from frivolous.training.dense import Features, State, accuracy, forward, signals
from frivolous.training.optimisers import OPTIMISERS, Optimiser, first_slots
from frivolous.training.recipe import Recipe

BLOCK_BYTES = 4 * 2**20
"""Networks trained side by side fit into about this much memory, so that they stay in cache."""

SMALL_PRODUCT = 2**22
"""A product of fewer multiply-adds is done by one thread: waking a second one costs as much."""

Progress = Callable[[float], None]


@dataclass(frozen=True)
class Trained:
    """One trained network: its best state by validation accuracy, and how it got there."""

    state: State
    validation_accuracy: float
    best_epoch: int
    history: tuple[float, ...]
    diverged: bool


def train_cohort(
    states: Sequence[State],
    recipes: Sequence[Recipe],
    splits: Splits,
    *,
    wide: bool | None = None,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> Iterator[Trained]:
    """Train K dense ReLU networks of one shape on the same batches; yield them in order.

    Args:
        states: K initial states of :class:`~frivolous.families.mlp.MLP` networks of one shape
            (``layers.i.weight`` (out, in), ``layers.i.bias`` (out,)); they are not changed. States
            that share a first layer's tensor share the work on it.
        recipes: K recipes that agree in optimiser, epochs, batch size and updates per epoch.
        splits: data; only ``train`` and ``validation`` are looked at.
        wide: train the first layer in the coordinates of the training examples (exact to rounding;
            see ``training.dense``). Default: when that is cheaper and the optimiser allows it.
        device: where to train; the states come back on the CPU.
        progress: called with the number of networks' worth of training done since the last call.

    Raises:
        BadArgument: networks of different shapes, recipes that do not go together, a batch larger
            than the training data, or ``wide=True`` with an optimiser whose updates are not linear.
    """
    optimiser = _check(states, recipes, splits, wide)
    splits = splits.to(device)
    if wide is None:
        wide = optimiser.linear and splits.train.inputs.shape[1] > len(splits.train)
    block = _block_size(states[0], splits, wide, len(optimiser.slots))
    offsets = _Offsets(splits) if wide else None
    for start in range(0, len(states), block):
        stop = start + block
        yield from _train_block(
            list(states[start:stop]), recipes[start:stop], splits, offsets, optimiser, progress
        )


def _check(
    states: Sequence[State], recipes: Sequence[Recipe], splits: Splits, wide: bool | None
) -> Optimiser:
    if not states or len(states) != len(recipes):
        raise BadArgument(
            f"`states` and `recipes` must be as many, at least one; got {len(states)} and "
            f"{len(recipes)}."
        )
    shapes = {tuple((name, tuple(value.shape)) for name, value in s.items()) for s in states}
    if len(shapes) > 1:
        raise BadArgument("`states` must have one shape; train each width by itself.")
    if len({recipe.together() for recipe in recipes}) > 1:
        raise BadArgument(
            "`recipes` of a cohort must agree in optimiser, epochs, batch size and updates per "
            "epoch; train the others in a cohort of their own."
        )
    if recipes[0].batch_size > len(splits.train):
        raise BadArgument(
            f"`batch_size` {recipes[0].batch_size} is larger than the training data "
            f"({len(splits.train)} examples); take at most that."
        )
    optimiser = OPTIMISERS[recipes[0].optimiser]
    if wide and not optimiser.linear:
        raise BadArgument(
            f"`wide` needs an optimiser whose updates are linear in the gradients; "
            f"{recipes[0].optimiser} is not. Pass wide=False."
        )
    return optimiser


def _block_size(state: State, splits: Splits, wide: bool, slots: int) -> int:
    if splits.train.inputs.device.type != "cpu":
        return 64
    units = state["layers.0.weight"].shape[0]
    numbers = sum(value.numel() for value in state.values()) * (1 + slots)
    if wide:
        numbers = units * len(splits.train) * (1 + slots)
    numbers += 3 * 128 * units
    return max(1, BLOCK_BYTES // (4 * numbers))


class _Offsets:
    """The fixed part X W0' of the wide first layer, computed once for networks that share W0."""

    def __init__(self, splits: Splits) -> None:
        self.inputs = torch.cat([splits.train.inputs, splits.validation.inputs])
        self.gram = self.inputs @ splits.train.inputs.T
        self.known: dict[int, tuple[Tensor, Tensor]] = {}

    def of(self, weight: Tensor) -> Tensor:
        key = weight.data_ptr()
        if key not in self.known:
            # The weight is kept beside its product: its address stays taken, so the key stays true.
            product = self.inputs @ weight.to(self.inputs.device).T
            self.known[key] = (weight, product)
        return self.known[key][1]


@dataclass(frozen=True)
class _Task:
    """What a block's networks read: features and labels of training and validation examples."""

    train: Features
    train_labels: Tensor
    validation: Features
    validation_labels: Tensor


def _task(states: list[State], splits: Splits, offsets: _Offsets | None) -> _Task:
    count = len(splits.train)
    if offsets is None:
        train, validation = Features(splits.train.inputs), Features(splits.validation.inputs)
    else:
        fixed = torch.stack([offsets.of(state["layers.0.weight"]) for state in states])
        both = Features(offsets.gram, fixed)
        train, validation = both.take(slice(count)), both.take(slice(count, None))
    return _Task(train, splits.train.labels, validation, splits.validation.labels)


@contextmanager
def _threads_for(weight: Tensor, recipe: Recipe) -> Iterator[None]:
    """Compute with one thread where a network's products are small; restore the number after."""
    size = recipe.batch_size * weight.shape[1] * weight.shape[2]
    before = torch.get_num_threads()
    if size < SMALL_PRODUCT:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _train_block(
    states: list[State],
    recipes: Sequence[Recipe],
    splits: Splits,
    offsets: _Offsets | None,
    optimiser: Optimiser,
    progress: Progress | None,
) -> Iterator[Trained]:
    task = _task(states, splits, offsets)
    device = splits.train.inputs.device
    stacked = {
        name: torch.stack([state[name] for state in states]).to(device) for name in states[0]
    }
    if offsets is not None:
        units = stacked["layers.0.weight"].shape[1]
        stacked["layers.0.weight"] = torch.zeros(
            len(states), units, len(splits.train), device=device, dtype=splits.train.inputs.dtype
        )
    block = _Block(stacked, recipes, optimiser, task, wide=offsets is not None)
    recipe = recipes[0]
    with _threads_for(stacked["layers.0.weight"], recipe):
        block.evaluate(0)
        for epoch in range(recipe.epochs):
            block.train_epoch(epoch)
            block.evaluate(epoch + 1)
            if progress is not None:
                progress(len(states) / recipe.epochs)
    for k, state in enumerate(states):
        best = {name: value[k].cpu() for name, value in block.best.items()}
        if offsets is not None:
            change = block.best["layers.0.weight"][k] @ splits.train.inputs
            best["layers.0.weight"] = state["layers.0.weight"] + change.cpu()
        history = tuple(float(row[k]) for row in block.history)
        top = int(block.best_epoch[k])
        yield Trained(best, history[top], top, history, any(map(math.isnan, history)))


class _Block:
    """The moving parts of a block in training."""

    def __init__(
        self,
        stacked: State,
        recipes: Sequence[Recipe],
        optimiser: Optimiser,
        task: _Task,
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
        """Note the validation accuracy; keep the states that are better than any before."""
        found = accuracy(self.state, self.task.validation, self.task.validation_labels)
        self.history.append(found.cpu())
        for k in (found > self.best_accuracy).nonzero().flatten().tolist():
            self.best_accuracy[k] = found[k]
            self.best_epoch[k] = epoch
            for name, value in self.state.items():
                self.best[name][k] = value[k]

    def train_epoch(self, epoch: int) -> None:
        """Take the epoch's updates on the next batches of the examples, repeated without end."""
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
            elif layer == 0:
                rows = batch.rows
                gradient = torch.empty_like(self.state[name])
                for k in range(len(error)):
                    torch.mm(error[k].T, rows, out=gradient[k])
                self._step(name, gradient, rates)
            else:
                below = activity[layer - 1]
                gradient = torch.empty_like(self.state[name])
                for k in range(len(error)):
                    torch.mm(error[k].T, below[k], out=gradient[k])
                self._step(name, gradient, rates)

    def _step(self, name: str, gradient: Tensor, rates: Tensor) -> None:
        shape = (-1, *[1] * (gradient.dim() - 1))
        settings = {key: value.view(shape) for key, value in self.settings.items()}
        self.optimiser.update(
            self.state[name], gradient, self.slots[name], rates.view(shape), settings, self.updates
        )

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


def test_accuracy(state: State, examples: Examples) -> float:
    """Return one network's share of right labels on ``examples``."""
    single = {name: value.unsqueeze(0) for name, value in state.items()}
    return float(accuracy(single, Features(examples.inputs), examples.labels)[0])
