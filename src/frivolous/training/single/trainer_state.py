"""Convert trainer state to and from checkpoint tensors and facts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from frivolous.training.single.history import EpochRecord
from frivolous.training.single.trainer import State, Trainer


def captured(run: Trainer) -> tuple[State, dict[str, Any]]:
    """Return the tensors and the facts from which :func:`restore` continues."""
    tensors = {f"live/{name}": value for name, value in run.live.items()}
    for name, parameter in run.parameters.items():
        for slot, value in run.updates.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                tensors[f"slot/{slot}/{name}"] = value
    kept = {"average": run.average or {}, "best": run.best}
    kept |= {f"snapshot {before}": state for before, state in run.snapshots.items()}
    for kind, state in kept.items():
        tensors |= {f"{kind}/{name}": value for name, value in state.items()}
    facts = {
        "update": run.update,
        "best_epoch": run.best_epoch,
        "loss_sum": run.loss_sum,
        "last_loss": run.last_loss,
        "history": [dataclasses.asdict(record) for record in run.history],
    }
    return tensors, facts


@torch.no_grad()
def restore(run: Trainer, tensors: State, facts: Mapping[str, Any]) -> None:
    """Continue a training where :func:`captured` left it; ``run`` has made no update yet."""
    parts: dict[str, State] = {}
    for full, value in tensors.items():
        kind, _, name = full.partition("/")
        parts.setdefault(kind, {})[name] = value
    for name, value in parts["live"].items():
        run.live[name].copy_(value)
    for full, value in parts.get("slot", {}).items():
        slot, _, name = full.partition("/")
        parameter = run.parameters[name]
        run.updates.state[parameter][slot] = _like(parameter, value)
    if run.average is not None:
        run.average = _placed(run, parts["average"])
    run.best = _placed(run, parts.get("best", {}))
    kept = [int(kind.split()[1]) for kind in parts if kind.startswith("snapshot")]
    run.snapshots = {
        before: _placed(run, parts[f"snapshot {before}"]) for before in sorted(kept, reverse=True)
    }
    run.update, run.best_epoch = facts["update"], facts["best_epoch"]
    run.loss_sum, run.last_loss = facts["loss_sum"], facts["last_loss"]
    run.history = [EpochRecord(**record) for record in facts["history"]]


def _placed(run: Trainer, state: State) -> State:
    return {n: _like(value, state[n]) for n, value in run.live.items() if n in state}


def _like(tensor: Tensor, value: Tensor) -> Tensor:
    """Return a stored value with the device and the memory format of ``tensor``."""
    if value.shape != tensor.shape:
        return value.to(tensor.device)
    return torch.empty_like(tensor, dtype=value.dtype).copy_(value)
