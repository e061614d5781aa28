"""Batches of training examples: their order, their place in memory and their preparation."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from frivolous.data.examples import Examples
from frivolous.data.preparation import PREPARATIONS
from frivolous.errors import BadArgument
from frivolous.seeds import generator
from frivolous.training.loop_recipe import LoopRecipe

MEMORY_SHARE = 0.5
"""Examples stay on an accelerator when they fill at most this share of its free memory."""


def placed(examples: Examples, device: torch.device) -> Examples:
    """Return the examples on the device where its memory has room, else where they are."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        inputs = examples.inputs
        if inputs.numel() * inputs.element_size() > MEMORY_SHARE * free:
            return examples
    return examples.to(device)


def sent(value: Tensor, device: torch.device) -> Tensor:
    """Return the tensor on ``device``; to an accelerator it goes while the CPU does other work."""
    if value.device == device:
        return value
    if device.type == "cuda" and value.device.type == "cpu":
        value = value.pin_memory()
    return value.to(device, non_blocking=True)


def laid_out(inputs: Tensor) -> Tensor:
    """Return inputs with the channels of a pixel side by side: convolutions are faster so."""
    if inputs.dim() == 4:
        return inputs.contiguous(memory_format=torch.channels_last)
    return inputs


class Feed:
    """The batches that a recipe's updates read, each known by the update's number alone.

    Update b reads the examples at the positions b * batch_size and on of the training examples
    repeated without end; ``shuffle`` gives pass p over them an order of its own, drawn from
    (seed, "order", p). What a preparation draws comes from (seed, "augment", b).
    """

    def __init__(
        self, examples: Examples, recipe: LoopRecipe, seed: int, device: torch.device
    ) -> None:
        if recipe.batch_size > len(examples):
            raise BadArgument(
                f"`batch_size` {recipe.batch_size} is larger than the training data "
                f"({len(examples)} examples); take at most that."
            )
        self.examples = placed(examples, device)
        self.recipe, self.seed, self.device = recipe, seed, device
        self.prepare = PREPARATIONS[recipe.preparation].train
        self.orders: dict[int, Tensor] = {}

    def batches(self, start: int, stop: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Give the prepared inputs and the labels of the updates from ``start`` to ``stop``."""
        for update in range(start, stop):
            parts = [self._read(*part) for part in self._parts(update)]
            inputs = _joined([inputs for inputs, _ in parts])
            labels = _joined([labels for _, labels in parts])
            drawn = generator(self.seed, "augment", update)
            yield (
                laid_out(self.prepare(sent(inputs, self.device), drawn)),
                sent(labels, self.device),
            )

    def _parts(self, update: int) -> list[tuple[int, int, int]]:
        """Return (pass, first, stop) of the one or two runs of examples an update reads."""
        total, size = len(self.examples), self.recipe.batch_size
        turn, first = divmod(update * size, total)
        if first + size <= total:
            return [(turn, first, first + size)]
        return [(turn, first, total), (turn + 1, 0, first + size - total)]

    def _read(self, turn: int, first: int, stop: int) -> tuple[Tensor, Tensor]:
        if not self.recipe.shuffle:
            return self.examples.inputs[first:stop], self.examples.labels[first:stop]
        index = self._order(turn)[first:stop]
        return self.examples.inputs[index], self.examples.labels[index]

    def _order(self, turn: int) -> Tensor:
        if turn not in self.orders:
            drawn = generator(self.seed, "order", turn)
            order = torch.randperm(len(self.examples), generator=drawn)
            # A batch reads from two passes at most: the one before the last is done with.
            self.orders = {k: v for k, v in self.orders.items() if k == turn - 1}
            self.orders[turn] = order.to(self.examples.inputs.device)
        return self.orders[turn]


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)
