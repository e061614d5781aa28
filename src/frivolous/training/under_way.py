"""A training under way: all that changes from update to update, and how it is kept and restored."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from frivolous.training.controlled import reseed
from frivolous.training.evaluation import Forward, accuracy, narrowed
from frivolous.training.feed import Feed, Source
from frivolous.training.schedules import rate_at
from frivolous.training.update_rules import LOOP_OPTIMISERS, make_updates

State = dict[str, Tensor]

LOOKS = 50
"""Updates between two looks at the losses on an accelerator: each look waits for it."""

BEAT = 1.0  # seconds between calls of `progress` within an epoch


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


class UnderWay:
    """The moving parts of one network's training."""

    def __init__(self, model: nn.Module, feed: Feed, validation: Source, *, compiled: bool) -> None:
        recipe = feed.recipe
        self.model, self.feed, self.validation, self.recipe = model, feed, validation, recipe
        self.forward: Forward = torch.compile(model) if compiled else model
        self.live = model.state_dict()
        self.parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.updates = make_updates(
            recipe.optimiser,
            {name: recipe.setting(name) for name in LOOP_OPTIMISERS[recipe.optimiser]},
            self.parameters,
            weight_decay=recipe.weight_decay,
            decayed=recipe.decayed,
        )
        self.per_epoch = recipe.updates_per_epoch or len(feed.examples) // recipe.batch_size
        self.average = _copied(self.live) if recipe.average is not None else None
        self.best: State = {}
        self.best_epoch = 0
        self.snapshots: dict[int, State] = {}
        self.history: list[EpochRecord] = []
        self.failed: Failure | None = None
        self.update = 0
        self.loss_sum, self.last_loss = 0.0, math.nan
        self.pending: list[Tensor] = []

    def go(
        self,
        progress: Callable[[float], None] | None,
        save: Callable[[], None] | None,
        every: float,
    ) -> None:
        """Train to the end; call ``save`` every so many seconds, between two updates."""
        clock = _Clock(progress, save, every)
        while True:
            epoch, within = divmod(self.update, self.per_epoch)
            if within == 0 and len(self.history) == epoch:
                self._evaluate(epoch)
                clock.beat(self)
            if self._over():
                break
            self._train_to((epoch + 1) * self.per_epoch, clock)
        clock.end()

    def _over(self) -> bool:
        record = self.history[-1]
        share = self.recipe.stop_at_train_accuracy
        patience = self.recipe.patience
        # In the middle of an epoch, as after a resume, the record is the one before it: it did not
        # end the training then and does not now.
        return (
            self.failed is not None
            or record.epoch == self.recipe.epochs
            or (patience is not None and record.epoch - self.best_epoch >= patience)
            or (share is not None and (record.train_accuracy or 0.0) >= share)
        )

    def _train_to(self, stop: int, clock: _Clock) -> None:
        self.model.train()
        for inputs, labels in self.feed.batches(self.update, stop):
            self._step(inputs, labels)
            if len(self.pending) >= LOOKS or inputs.device.type == "cpu":
                self.look()
            if self.failed is None:
                clock.beat(self)
            if self.failed is not None:
                return
        self.look()

    def _step(self, inputs: Tensor, labels: Tensor) -> None:
        reseed(self.feed.device, self.feed.seed, "dropout", self.update)
        with narrowed(inputs.device, self.recipe.precision):
            scores = self.forward(inputs)
        loss = nn.functional.cross_entropy(scores.float(), labels)
        for parameter in self.parameters.values():
            parameter.grad = None
        loss.backward()
        rate = rate_at(self.recipe, self.update, self.per_epoch)
        for group in self.updates.param_groups:
            group["lr"] = rate
        self.updates.step()
        self.update += 1
        self.pending.append(loss.detach())
        if self.average is not None:
            self._move_average()

    @torch.no_grad()
    def _move_average(self) -> None:
        assert self.average is not None
        assert self.recipe.average is not None
        decay = min(self.recipe.average, (1 + self.update) / (10 + self.update))
        names = [name for name, value in self.live.items() if value.is_floating_point()]
        torch._foreach_lerp_(
            [self.average[name] for name in names], [self.live[name] for name in names], 1 - decay
        )
        for name in self.live.keys() - names:
            self.average[name].copy_(self.live[name])

    def look(self) -> None:
        """Read the losses of the last updates; note the first that is no finite number."""
        losses = torch.stack(self.pending).tolist() if self.pending else []
        first = self.update - len(losses) + 1
        self.pending.clear()
        for number, loss in enumerate(losses, first):
            if not math.isfinite(loss):
                self.failed = Failure(number, loss)
                return
            self.loss_sum += loss
            self.last_loss = loss

    def _evaluate(self, epoch: int) -> None:
        """Note the accuracies; keep the state where it is the one to keep, or a snapshot."""
        self.model.eval()
        shown = self.live if self.average is None else self.average
        validation = self._accuracy(shown, self.validation)
        watch = self.recipe.watches_training
        trained_on = self._accuracy(shown, self.feed.examples) if watch else None
        loss = self.loss_sum / self.per_epoch if epoch else None
        self.loss_sum = 0.0
        self.history.append(EpochRecord(epoch, validation, trained_on, loss))
        if not math.isfinite(validation + (trained_on or 0.0)):
            self.failed = Failure(self.update, self.last_loss)
            if self.best:
                return
        if self._better(self.history[-1]):
            self.best, self.best_epoch = _copied(shown), epoch
        before = self.recipe.epochs - epoch
        if before in self.recipe.snapshots:
            self.snapshots[before] = _copied(shown)

    def _better(self, record: EpochRecord) -> bool:
        if self.recipe.select == "last" or not self.best:
            return True
        best = self.history[self.best_epoch]
        if self.recipe.select == "train":
            return (record.train_accuracy or 0.0) > (best.train_accuracy or 0.0)
        return record.validation_accuracy > best.validation_accuracy

    def _accuracy(self, state: State, examples: Source) -> float:
        forward = self.forward
        if state is not self.live:
            forward = _computed_with(self.model, state)
        return accuracy(
            forward,
            examples,
            self.feed.device,
            preparation=self.recipe.preparation,
            precision=self.recipe.precision,
        )

    def captured(self) -> tuple[State, dict[str, Any]]:
        """Return the tensors and the facts from which :meth:`restore` goes on."""
        tensors = {f"live/{name}": value for name, value in self.live.items()}
        for name, parameter in self.parameters.items():
            for slot, value in self.updates.state.get(parameter, {}).items():
                if isinstance(value, Tensor):
                    tensors[f"slot/{slot}/{name}"] = value
        kept = {"average": self.average or {}, "best": self.best}
        kept |= {f"snapshot {before}": state for before, state in self.snapshots.items()}
        for kind, state in kept.items():
            tensors |= {f"{kind}/{name}": value for name, value in state.items()}
        facts = {
            "update": self.update,
            "best_epoch": self.best_epoch,
            "loss_sum": self.loss_sum,
            "last_loss": self.last_loss,
            "history": [dataclasses.asdict(record) for record in self.history],
        }
        return tensors, facts

    @torch.no_grad()
    def restore(self, tensors: State, facts: Mapping[str, Any]) -> None:
        """Take up a training where :meth:`captured` left it."""
        parts: dict[str, State] = {}
        for full, value in tensors.items():
            kind, _, name = full.partition("/")
            parts.setdefault(kind, {})[name] = value
        for name, value in parts["live"].items():
            self.live[name].copy_(value)
        for full, value in parts.get("slot", {}).items():
            slot, _, name = full.partition("/")
            parameter = self.parameters[name]
            self.updates.state[parameter][slot] = _like(parameter, value)
        if self.average is not None:
            self.average = self._taken(parts["average"])
        self.best = self._taken(parts.get("best", {}))
        kept = [int(kind.split()[1]) for kind in parts if kind.startswith("snapshot")]
        self.snapshots = {
            before: self._taken(parts[f"snapshot {before}"])
            for before in sorted(kept, reverse=True)
        }
        self.update, self.best_epoch = facts["update"], facts["best_epoch"]
        self.loss_sum, self.last_loss = facts["loss_sum"], facts["last_loss"]
        self.history = [EpochRecord(**record) for record in facts["history"]]

    def _taken(self, state: State) -> State:
        return {n: _like(value, state[n]) for n, value in self.live.items() if n in state}


class _Clock:
    """Calls what is to be called now and then."""

    def __init__(
        self,
        progress: Callable[[float], None] | None,
        save: Callable[[], None] | None,
        every: float,
    ) -> None:
        self.progress, self.save, self.every = progress, save, every
        self.told, self.told_at, self.saved_at = 0.0, -math.inf, time.monotonic()

    def beat(self, run: UnderWay) -> None:
        """Between two updates: tell of progress and save, where it is time."""
        now = time.monotonic()
        if self.save is not None and now - self.saved_at >= self.every:
            run.look()
            if run.failed is not None:
                return  # what is saved is sound
            self.save()
            self.saved_at = time.monotonic()
        if self.progress is not None and now - self.told_at >= BEAT:
            done = run.update / (run.per_epoch * run.recipe.epochs)
            self.progress(done - self.told)
            self.told, self.told_at = done, now

    def end(self) -> None:
        """Tell of what is left: a training that ends early is done all the same."""
        if self.progress is not None and self.told < 1:
            self.progress(1 - self.told)


def _copied(state: State) -> State:
    return {name: value.detach().clone() for name, value in state.items()}


def _like(tensor: Tensor, value: Tensor) -> Tensor:
    """Return a stored value with the device and the layout in memory of ``tensor``."""
    if value.shape != tensor.shape:
        return value.to(tensor.device)
    return torch.empty_like(tensor, dtype=value.dtype).copy_(value)


def _computed_with(model: nn.Module, state: State) -> Forward:
    def forward(inputs: Tensor) -> Tensor:
        scores: Tensor = torch.func.functional_call(model, state, (inputs,))
        return scores

    return forward
