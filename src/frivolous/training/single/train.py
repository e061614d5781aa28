"""Train one network of any shape by a recipe; resumes bit for bit after a kill at any moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from frivolous.data.splits import Splits
from frivolous.devices import as_device
from frivolous.errors import BadArgument
from frivolous.training.single.checkpoint import (
    checksum,
    data_fingerprint,
    read_checkpoint,
    write_checkpoint,
)
from frivolous.training.single.determinism import controlled
from frivolous.training.single.evaluation import accuracy
from frivolous.training.single.fabric import FabricGroup
from frivolous.training.single.heartbeat import Heartbeat
from frivolous.training.single.history import EpochRecord, Failure
from frivolous.training.single.loader import BatchLoader, layout_for, placed
from frivolous.training.single.process_group import ProcessGroup, SingleProcess
from frivolous.training.single.recipe import LoopRecipe
from frivolous.training.single.trainer import Trainer
from frivolous.training.single.trainer_state import captured, restore

__all__ = ["EpochRecord", "Failure", "Result", "train_network"]

MOST_TRAINING_LOOKED_AT = 50_000
"""The final training accuracy is of at most this many of the first examples."""

State = dict[str, Tensor]


@dataclass(frozen=True)
class Result:
    """One trained network: the state its recipe selects, and how it got there.

    ``state`` holds parameters and buffers by name, on the CPU. ``validation_accuracy`` and
    ``train_accuracy`` (test preparation, first 50,000 training examples) are that state's, shares
    in [0, 1]. ``epochs`` counts those that were trained. ``snapshots`` are states by the number
    of epochs before the end. ``failed`` says where a loss or a score was not finite; then
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
    fabric: Any = None,
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
        compile: compute by ``torch.compile``: other kernels, so the same function to rounding only,
            and other draws of dropout. Compiling takes about a minute at first.
        fabric: a launched ``Fabric`` (see :func:`~frivolous.training.single.fabric.make_fabric`):
            every process calls this function with the same arguments, works on the device that
            Fabric gives it in place of ``device``, and returns the same result. Gradients are
            averaged, so that it is the training of one process to rounding, save for what each
            process has of its own: augmentation, dropout, and the statistics of batch normalisation
            (the running ones are the first process's). ``checkpoint`` is a file that all of them
            can see.

    Raises:
        BadArgument: a batch larger than the data or not to be shared equally, a weight decay that
            fits no parameter, a device that is not there, or a checkpoint of another training.
        FrivolousError: the checkpoint cannot be written.
    """
    processes: ProcessGroup = SingleProcess() if fabric is None else FabricGroup(fabric)
    place = as_device(device if fabric is None else fabric.device)
    if every < 0:
        raise BadArgument(f"`every` is seconds, at least 0; got {every}.")
    feed = BatchLoader(splits.train, recipe, seed, place, processes)
    path = None if checkpoint is None else Path(checkpoint)
    identity = _identity(model, recipe, splits, seed, processes) if path else {}
    model.to(place)
    _lay_out(model, layout_for(place, recipe.precision))
    with controlled(place):
        validation = placed(splits.validation, place)
        run = Trainer(model, feed, validation, processes=processes, compiled=compile)
        if path is not None:
            _go_on(run, path, identity)

        def save() -> None:
            if path is not None and processes.rank == 0:
                tensors, facts = captured(run)
                write_checkpoint(path, tensors, {**facts, "identity": identity})

        run.go(Heartbeat(processes, progress, save if path else None, every))
        result = _result(model, run)
    _lay_out(model, torch.contiguous_format)
    return result


def _identity(
    model: nn.Module, recipe: LoopRecipe, splits: Splits, seed: int, processes: ProcessGroup
) -> dict[str, object]:
    """Return what must be equal for a checkpoint to belong to a training."""
    alone = {
        "recipe": asdict(recipe),
        "seed": seed,
        "data": data_fingerprint(splits),
        "untrained network": checksum(model.state_dict()),
    }
    return alone if processes.size == 1 else {**alone, "number of processes": processes.size}


def _go_on(run: Trainer, path: Path, identity: Mapping[str, object]) -> None:
    """Resume from the checkpoint; the first process reads it before the others."""
    if run.processes.rank > 0:
        run.processes.wait()
    found = read_checkpoint(path, identity)
    if run.processes.rank == 0:
        run.processes.wait()
    if found is not None:
        restore(run, *found)


def _lay_out(model: nn.Module, layout: torch.memory_format) -> None:
    """Give the weights of two-dimensional convolutions a memory format."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = module.weight.data.contiguous(memory_format=layout)


def _result(model: nn.Module, run: Trainer) -> Result:
    model.load_state_dict(run.best)
    model.eval()
    best = run.history[run.best_epoch]
    trained_on = best.train_accuracy
    if trained_on is None:
        trained_on = accuracy(
            model,
            run.feed.examples.first(MOST_TRAINING_LOOKED_AT),
            run.feed.device,
            run.processes,
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
