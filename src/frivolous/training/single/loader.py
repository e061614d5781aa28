"""Batches of training examples: their order, their place in memory and their preparation."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

import torch
from torch import Tensor

from frivolous.data.images.encoded import EncodedExamples
from frivolous.data.images.transforms import PREPARATIONS
from frivolous.data.splits import Examples
from frivolous.errors import BadArgument, look_up
from frivolous.rng import generator
from frivolous.training.single.process_group import ProcessGroup, SingleProcess, mark
from frivolous.training.single.recipe import LoopRecipe

Source = Examples | EncodedExamples
Part = tuple[int, int, int]
"""A pass over the training examples, and the first and last (exclusive) position in it."""

MEMORY_SHARE = 0.5
"""Examples stay on an accelerator if they fill at most this share of its free memory."""


def placed(examples: Source, device: torch.device) -> Source:
    """Return the examples on the device if its memory has room, else where they are."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        inputs = examples.inputs
        if inputs.numel() * inputs.element_size() > MEMORY_SHARE * free:
            return examples
    return examples.to(device)


def one_after_another(
    examples: Source, size: int, first: int = 0, step: int = 1
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the examples once, in order, as batches (inputs, labels) of at most ``size``.

    Of the batches, those numbered ``first``, ``first + step`` and so on. Files are decoded ahead,
    as for a test.
    """
    starts = range(first * size, len(examples), step * size)
    parts = [slice(start, start + size) for start in starts]
    if isinstance(examples, EncodedExamples):
        yield from examples.batches(parts)
    else:
        for part in parts:
            yield examples.inputs[part], examples.labels[part]


def sent(value: Tensor, device: torch.device) -> Tensor:
    """Return the tensor on ``device``; copies to an accelerator overlap with work on the CPU."""
    if value.device == device:
        return value
    if device.type == "cuda" and value.device.type == "cpu":
        value = value.pin_memory()
    return value.to(device, non_blocking=True)


def layout_for(device: torch.device, precision: str) -> torch.memory_format:
    """Return the memory format with which convolutions are fast: of images and of weights.

    On a CPU ``channels_last`` is 1.2 to 1.3 times as fast, and so it is for the low-precision
    products of an accelerator; its 32-bit kernels, and repeatable pooling, are made for the
    contiguous format.
    """
    narrow = precision == "bfloat16"
    side_by_side = device.type == "cpu" or narrow
    return torch.channels_last if side_by_side else torch.contiguous_format


def laid_out(inputs: Tensor, precision: str) -> Tensor:
    """Return inputs in the memory format for their device; unchanged if they are no images."""
    if inputs.dim() != 4:
        return inputs
    return inputs.contiguous(memory_format=layout_for(inputs.device, precision))


class BatchLoader:
    """The batches that a recipe's updates read; each depends on the update's number alone.

    Update b reads the examples at the positions b * batch_size and on of the training examples
    repeated without end; ``shuffle`` gives pass p over them an order of its own, drawn from
    (seed, "order", p). What a preparation draws comes from (seed, "augment", b), the random crops
    of images that are decoded from files from the seed, the pass and the image. Of several
    processes each reads its share of every batch, and draws for itself.
    """

    def __init__(
        self,
        examples: Source,
        recipe: LoopRecipe,
        seed: int,
        device: torch.device,
        processes: ProcessGroup | None = None,
    ) -> None:
        if recipe.batch_size > len(examples):
            raise BadArgument(
                f"`batch_size` {recipe.batch_size} is larger than the training data "
                f"({len(examples)} examples); take at most that."
            )
        self.processes = processes or SingleProcess()
        if recipe.batch_size % self.processes.size:
            raise BadArgument(
                f"`batch_size` {recipe.batch_size} cannot be shared by {self.processes.size} "
                "processes equally; take a multiple of their number."
            )
        self.examples = placed(examples, device)
        self.recipe, self.seed, self.device = recipe, seed, device
        self.preparation = look_up(PREPARATIONS, recipe.preparation, "preparation")
        self.orders: dict[int, Tensor] = {}

    def batches(self, start: int, stop: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the prepared inputs and the labels of the updates from ``start`` to ``stop``."""
        plans = [self._parts(update) for update in range(start, stop)]
        pieces = self._pieces([part for plan in plans for part in plan])
        for update, plan in enumerate(plans, start):
            found = [next(pieces) for _ in plan]
            inputs = sent(_joined([inputs for inputs, _ in found]), self.device)
            labels = sent(_joined([labels for _, labels in found]), self.device)
            yield laid_out(self._prepared(inputs, update), self.recipe.precision), labels

    def _prepared(self, inputs: Tensor, update: int) -> Tensor:
        drawn = generator(self.seed, "augment", update, *mark(self.processes))
        return self.preparation.train(inputs, drawn)

    def _parts(self, update: int) -> list[Part]:
        """Return the parts of one or two passes that an update reads in this process."""
        total, size = len(self.examples), self.recipe.batch_size // self.processes.size
        turn, first = divmod(update * self.recipe.batch_size + self.processes.rank * size, total)
        if first + size <= total:
            return [(turn, first, first + size)]
        return [(turn, first, total), (turn + 1, 0, first + size - total)]

    def _pieces(self, parts: list[Part]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the inputs and labels of each part; files are decoded ahead within a pass."""
        if isinstance(self.examples, EncodedExamples):
            for turn, together in groupby(parts, key=itemgetter(0)):
                indices = [self._index(*part) for part in together]
                yield from self.examples.batches(
                    indices, augment=self.preparation.augmented, seed=self.seed, epoch=turn
                )
            return
        for part in parts:
            index = self._index(*part)
            yield self.examples.inputs[index], self.examples.labels[index]

    def _index(self, turn: int, first: int, stop: int) -> Tensor | slice:
        return self._order(turn)[first:stop] if self.recipe.shuffle else slice(first, stop)

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
