"""The trainer: all state of a training that changes from update to update."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from frivolous.training.single.determinism import reseed
from frivolous.training.single.evaluation import accuracy, narrowed
from frivolous.training.single.heartbeat import Heartbeat
from frivolous.training.single.history import EpochRecord, Failure
from frivolous.training.single.loader import BatchLoader, Source
from frivolous.training.single.optimisers import make_updates
from frivolous.training.single.process_group import Forward, ProcessGroup, mark
from frivolous.training.single.recipe import LOOP_SETTINGS
from frivolous.training.single.schedules import rate_at

State = dict[str, Tensor]

LOOKS = 50
"""Updates between two reads of the losses on an accelerator: each read waits for it."""


class Trainer:
    """The state of one network's training."""

    def __init__(
        self,
        model: nn.Module,
        feed: BatchLoader,
        validation: Source,
        *,
        processes: ProcessGroup,
        compiled: bool,
    ) -> None:
        recipe = feed.recipe
        self.model, self.feed, self.validation, self.recipe = model, feed, validation, recipe
        self.processes = processes
        self.forward: Forward = torch.compile(model) if compiled else model
        self.joined = processes.joined(model, self.forward)
        self.live = model.state_dict()
        self.parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self.updates = make_updates(
            recipe.optimiser,
            {name: recipe.setting(name) for name in LOOP_SETTINGS[recipe.optimiser]},
            self.parameters,
            weight_decay=recipe.weight_decay,
            decayed=recipe.decayed,
        )
        self.per_epoch = recipe.updates_per_epoch or len(feed.examples) // recipe.batch_size
        self.average = copied(self.live) if recipe.average is not None else None
        self.best: State = {}
        self.best_epoch = 0
        self.snapshots: dict[int, State] = {}
        self.history: list[EpochRecord] = []
        self.failed: Failure | None = None
        self.update = 0
        self.loss_sum, self.last_loss = 0.0, math.nan
        self.pending: list[Tensor] = []

    def go(self, clock: Heartbeat) -> None:
        """Train to the end."""
        while True:
            epoch, within = divmod(self.update, self.per_epoch)
            if within == 0 and len(self.history) == epoch:
                self._evaluate(epoch)
                clock.beat(self.done)
            if self._over():
                break
            self._train_to((epoch + 1) * self.per_epoch, clock)
        clock.end()

    @property
    def done(self) -> float:
        """The share of the updates that are done."""
        return self.update / (self.per_epoch * self.recipe.epochs)

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

    def _train_to(self, stop: int, clock: Heartbeat) -> None:
        self.model.train()
        for inputs, labels in self.feed.batches(self.update, stop):
            self._step(inputs, labels)
            if len(self.pending) >= LOOKS or inputs.device.type == "cpu":
                self._look()
                if self.failed is not None:
                    return
                clock.beat(self.done)
        self._look()

    def _step(self, inputs: Tensor, labels: Tensor) -> None:
        reseed(self.feed.device, self.feed.seed, "dropout", self.update, *mark(self.processes))
        with narrowed(inputs.device, self.recipe.precision):
            scores = self.joined(inputs)
        loss = nn.functional.cross_entropy(scores.float(), labels)
        for parameter in self.parameters.values():
            parameter.grad = None
        self.processes.backward(loss)
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

    def _look(self) -> None:
        """Read the losses of the last updates; record the first that is not finite."""
        if not self.pending:
            return
        # Failure in one process is failure in all: each sees the mean of their losses.
        losses = (self.processes.total(torch.stack(self.pending)) / self.processes.size).tolist()
        first = self.update - len(losses) + 1
        self.pending.clear()
        for number, loss in enumerate(losses, first):
            if not math.isfinite(loss):
                self.failed = Failure(number, loss)
                return
            self.loss_sum += loss
            self.last_loss = loss

    def _evaluate(self, epoch: int) -> None:
        """Record the accuracies; keep the state if it is the one to keep, or a snapshot."""
        self.model.eval()
        self._agree_on_statistics()
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
            self.best, self.best_epoch = copied(shown), epoch
        before = self.recipe.epochs - epoch
        if before in self.recipe.snapshots:
            self.snapshots[before] = copied(shown)

    def _agree_on_statistics(self) -> None:
        """Broadcast the first process's buffers: each process has seen other examples."""
        for state in (self.live, self.average or {}):
            trained = self.parameters.keys()
            self.processes.as_the_first(state[name] for name in state if name not in trained)

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
            self.processes,
            preparation=self.recipe.preparation,
            precision=self.recipe.precision,
        )


def copied(state: State) -> State:
    """Return a copy of a state."""
    return {name: value.detach().clone() for name, value in state.items()}


def _computed_with(model: nn.Module, state: State) -> Forward:
    def forward(inputs: Tensor) -> Tensor:
        scores: Tensor = torch.func.functional_call(model, state, (inputs,))
        return scores

    return forward
