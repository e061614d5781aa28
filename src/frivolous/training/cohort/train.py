"""Train dense networks together that differ only in seed, sigma, learning rate or settings.

A network's result does not depend on its cohort: the same spec gives the same weights, bit for bit
on one machine, whatever else is in the cohort. So an interrupted cohort continues without the
networks that are finished.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from frivolous.data.splits import Examples, Splits
from frivolous.errors import BadArgument
from frivolous.training.cohort.block import Block, Task, threads_for
from frivolous.training.cohort.optimisers import OPTIMISERS, Optimiser
from frivolous.training.cohort.recipe import Recipe
from frivolous.training.cohort.stacked_mlp import Features, State, accuracy

BLOCK_BYTES = 4 * 2**20
"""The most memory of networks trained side by side, so that they stay in the cache."""

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
            see :mod:`~frivolous.training.cohort.stacked_mlp`). Default: when that is cheaper and
            the optimiser allows it.
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
            # The weight is kept too: its address stays in use, so the key stays valid.
            product = self.inputs @ weight.to(self.inputs.device).T
            self.known[key] = (weight, product)
        return self.known[key][1]


def _task(states: list[State], splits: Splits, offsets: _Offsets | None) -> Task:
    count = len(splits.train)
    if offsets is None:
        train, validation = Features(splits.train.inputs), Features(splits.validation.inputs)
    else:
        fixed = torch.stack([offsets.of(state["layers.0.weight"]) for state in states])
        both = Features(offsets.gram, fixed)
        train, validation = both.take(slice(count)), both.take(slice(count, None))
    return Task(train, splits.train.labels, validation, splits.validation.labels)


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
    block = Block(stacked, recipes, optimiser, task, wide=offsets is not None)
    recipe = recipes[0]
    with threads_for(stacked["layers.0.weight"], recipe):
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


def accuracy_on(state: State, examples: Examples) -> float:
    """Return one network's share of right labels on ``examples``."""
    single = {name: value.unsqueeze(0) for name, value in state.items()}
    return float(accuracy(single, Features(examples.inputs), examples.labels)[0])
