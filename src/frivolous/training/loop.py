"""One network of any shape, trained by a recipe; killed at any moment, it goes on to the bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from frivolous.data.examples import Splits
from frivolous.devices import as_device
from frivolous.errors import BadArgument
from frivolous.training.checkpoint import (
    checksum,
    data_fingerprint,
    read_checkpoint,
    write_checkpoint,
)
from frivolous.training.controlled import controlled
from frivolous.training.evaluation import accuracy
from frivolous.training.feed import Feed, placed
from frivolous.training.loop_recipe import LoopRecipe
from frivolous.training.under_way import EpochRecord, Failure, UnderWay

__all__ = ["EpochRecord", "Failure", "Result", "train_network"]

MOST_TRAINING_LOOKED_AT = 50_000
"""The final accuracy on the training data is that of at most so many of its first examples."""

State = dict[str, Tensor]


@dataclass(frozen=True)
class Result:
    """One trained network: the state its recipe selects, and how it got there.

    ``state`` holds parameters and buffers by name, on the CPU. ``validation_accuracy`` and
    ``train_accuracy`` (test preparation, first 50,000 training examples) are that state's, shares
    from 0 to 1. ``epochs`` counts those that were trained. ``snapshots`` are states by the number
    of epochs before the end. ``failed`` says where a loss or a score was no finite number; then
    ``state`` is the best one before.
    """

    state: State
    validation_accuracy: float
    train_accuracy: float
    best_epoch: int
    epochs: int
    history: tuple[EpochRecord, ...]
    snapshots: dict[int, State]
    failed: Failure | None


def train_network(
    model: nn.Module,
    recipe: LoopRecipe,
    splits: Splits,
    *,
    seed: int,
    device: torch.device | str = "cpu",
    checkpoint: Path | str | None = None,
    every: float = 60.0,
    progress: Callable[[float], None] | None = None,
    compile: bool = False,
) -> Result:
    """Train a network in place; leave it on the device, in evaluation mode, in the selected state.

    The same model, recipe, data and seed give the same weights on one device, bit for bit (with
    the same number of threads, and the same ``compile``). No global seed changes for the caller.

    Args:
        model: an untrained network; what it computes from prepared inputs (N, ...) are scores
            (N, classes). Parameters with ``requires_grad=False`` stay as they are.
        recipe: how to train it.
        splits: data; ``train`` and ``validation`` are looked at.
        seed: of the examples' order, of augmentation and of dropout.
        device: where to train.
        checkpoint: a file to go on from and to write to; :func:`forget` removes it once the result
            is stored. Killed at any moment and called again with the same arguments, training
            gives the weights it would have given.
        every: seconds between two writings of the checkpoint.
        progress: called now and then with the share of the training done since the last call; the
            shares add up to 1.
        compile: compute by ``torch.compile``: other kernels, so the same function to rounding only.

    Raises:
        BadArgument: a batch larger than the data, a weight decay that fits no parameter, a device
            that is not there, or a checkpoint of another training.
        FrivolousError: the checkpoint cannot be written.
    """
    place = as_device(device)
    if every < 0:
        raise BadArgument(f"`every` is seconds, at least 0; got {every}.")
    feed = Feed(splits.train, recipe, seed, place)
    identity = _identity(model, recipe, splits, seed) if checkpoint is not None else {}
    model.to(place)
    _lay_out(model, torch.channels_last)
    with controlled(place):
        run = UnderWay(model, feed, placed(splits.validation, place), compiled=compile)
        if checkpoint is None:
            run.go(progress, None, every)
        else:
            path = Path(checkpoint)
            found = read_checkpoint(path, identity)
            if found is not None:
                run.restore(*found)

            def save() -> None:
                tensors, facts = run.captured()
                write_checkpoint(path, tensors, {**facts, "identity": identity})

            run.go(progress, save, every)
        result = _result(model, run, feed)
    _lay_out(model, torch.contiguous_format)
    return result


def _identity(model: nn.Module, recipe: LoopRecipe, splits: Splits, seed: int) -> dict[str, object]:
    """Return what must agree for a checkpoint to belong to a training."""
    return {
        "recipe": recipe.as_json(),
        "seed": seed,
        "data": data_fingerprint(splits),
        "untrained network": checksum(model.state_dict()),
    }


def _lay_out(model: nn.Module, layout: torch.memory_format) -> None:
    """Give the weights of two-dimensional convolutions a layout in memory."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = module.weight.data.contiguous(memory_format=layout)


def _result(model: nn.Module, run: UnderWay, feed: Feed) -> Result:
    model.load_state_dict(run.best)
    model.eval()
    best = run.history[run.best_epoch]
    trained_on = best.train_accuracy
    if trained_on is None:
        trained_on = accuracy(
            model,
            feed.examples.first(MOST_TRAINING_LOOKED_AT),
            feed.device,
            preparation=run.recipe.preparation,
            precision=run.recipe.precision,
        )
    return Result(
        state=_on_cpu(run.best),
        validation_accuracy=best.validation_accuracy,
        train_accuracy=trained_on,
        best_epoch=run.best_epoch,
        epochs=run.update // run.per_epoch,
        history=tuple(run.history),
        snapshots={before: _on_cpu(state) for before, state in run.snapshots.items()},
        failed=run.failed,
    )


def _on_cpu(state: State) -> State:
    return {name: value.detach().cpu().contiguous() for name, value in state.items()}
