"""Read the examples of a ``DataLoader`` in one order, the same at every reading."""

from __future__ import annotations

import random
import zlib
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
)

from frivolous.errors import BadArgument
from frivolous.inputs.batch import Batch, all_tensors, batch_size_of, describe
from frivolous.inputs.formats import parsed
from frivolous.rng import generator

PROBED = 64
"""The number of examples read twice, to see whether they are the same both times."""
GROUP = 8
"""The number of them read at a time."""

Places = Sequence[Sequence[int]]


class Ordered:
    """A loader's data set in a fixed order: ``keys`` of its examples, ``batches`` of indices."""

    def __init__(self, loader: DataLoader[Any], order: Iterable[Sequence[Any]]) -> None:
        self.loader = loader
        self.keys: list[Any] = []
        self.batches: list[range] = []
        for keys in order:
            self.batches.append(range(len(self.keys), len(self.keys) + len(keys)))
            self.keys.extend(map(_key, keys))
        self.marks: list[int] = []

    def once(self, batches: Places | None = None) -> Iterator[Batch]:
        """Read batches of the examples at these indices, by default all, without any check."""
        loader = self.loader
        order = [[self.keys[at] for at in places] for places in self._all(batches)]
        return batches_of(
            DataLoader(
                loader.dataset,
                batch_sampler=order,
                num_workers=loader.num_workers,
                collate_fn=loader.collate_fn,
                timeout=loader.timeout,
                worker_init_fn=loader.worker_init_fn,
                multiprocessing_context=loader.multiprocessing_context,
                prefetch_factor=loader.prefetch_factor,
                # With a generator of its own, a loader does not draw from the global one.
                generator=torch.Generator(),
            )
        )

    def _all(self, batches: Places | None) -> Places:
        return self.batches if batches is None else batches

    def first(self) -> Iterator[Batch]:
        """Read all batches and record the examples, for comparison with later readings."""
        self.marks = []
        for batch in self.once():
            self.marks += _marks(batch)
            yield batch

    def again(self, batches: Places | None = None) -> Iterator[Batch]:
        """Read batches of the examples at these indices; raises if they have changed."""
        batches = self._all(batches)
        for places, batch in zip(batches, self.once(batches), strict=False):
            if _marks(batch) != [self.marks[at] for at in places]:
                raise BadArgument(
                    f"`data` gave other examples at places {places[0]} to {places[-1]} than when "
                    "first read; it is read several times and must give the same examples each "
                    "time. Pass a list of its batches."
                )
            yield batch

    def picked(self, index: Tensor) -> Iterator[Batch]:
        """Read the examples at these indices again, in batches of the size of the largest."""
        parts = index.split(max(map(len, self.batches))) if len(index) else ()
        return self.again([part.tolist() for part in parts])

    def repeats(self) -> Tensor | None:
        """Number the examples by their keys, shape (N,); None if no key occurs twice."""
        numbers: dict[Any, int] = {}
        if not all(isinstance(key, Hashable) for key in self.keys):
            return None
        found = [numbers.setdefault(key, len(numbers)) for key in self.keys]
        return torch.tensor(found) if len(numbers) < len(found) else None

    def steady(self) -> bool:
        """Whether examples are the same when read again, and in any company.

        ``PROBED`` of them, spread over the data, are read in two groupings: that reveals what an
        example or a batch draws at random (augmentation), and what depends on the rest of a batch.
        """
        count = len(self.keys)
        chosen = np.linspace(0, count - 1, min(PROBED, count)).round().astype(int).tolist()
        steps = -(-len(chosen) // GROUP)
        groups = [chosen[at : at + GROUP] for at in range(0, len(chosen), GROUP)]
        groups += [chosen[at::steps] for at in range(steps)]
        seen: dict[int, int] = {}
        # Within one reading, since workers start every reading with the same seed.
        with _generators_as_they_were():
            found = list(self.once(groups))
        if [batch_size_of(inputs) for inputs, _ in found] != [len(group) for group in groups]:
            return False
        return all(
            seen.setdefault(place, mark) == mark
            for group, batch in zip(groups, found, strict=True)
            for place, mark in zip(group, _marks(batch), strict=True)
        )


def ordered(loader: DataLoader[Any]) -> Ordered | None:
    """Draw a loader's order once; None if its examples have no keys to read them by.

    A loader that shuffles all examples is read in plain order. Which ones ``drop_last`` leaves out
    is drawn from a generator of our own, so that the global one stays untouched.
    """
    if type(loader) is not DataLoader or isinstance(loader.dataset, IterableDataset):
        return None
    if loader.batch_sampler is None:
        return None
    sampler: Iterable[Sequence[Any]] = loader.batch_sampler
    order = loader.sampler
    if type(sampler) is BatchSampler and type(order) is RandomSampler and not order.replacement:
        size = len(loader.dataset)  # type: ignore[arg-type]
        if order.num_samples == size:
            left_out = size % sampler.batch_size if sampler.drop_last else 0
            chosen = torch.randperm(size, generator=generator("loader"))[: size - left_out]
            sampler = BatchSampler(chosen.sort().values.tolist(), sampler.batch_size, False)
    return Ordered(loader, sampler)


def batches_of(loader: Iterable[Any]) -> Iterator[Batch]:
    """Read batches; drops empty ones, on which a loader may end."""
    return (found for batch in loader if batch_size_of((found := parsed(batch))[0]))


def _key(key: Any) -> Any:
    """A hashable key that is equal for equal numbers, which tensors are not."""
    return key.item() if isinstance(key, Tensor) and key.numel() == 1 else key


def _marks(batch: Batch) -> list[int]:
    """A checksum of the bytes and the form of each example; equal for equal ones."""
    inputs, _ = batch
    parts = [part.detach().cpu().contiguous() for part in all_tensors(batch)]
    marks = [zlib.crc32(describe(inputs).encode())] * batch_size_of(inputs)
    for part in parts:
        rows = part.view(len(part), part[0].numel(), 1).view(torch.uint8).numpy()
        marks = [zlib.crc32(row, mark) for row, mark in zip(rows, marks, strict=True)]
    return marks


@contextmanager
def _generators_as_they_were() -> Iterator[None]:
    """Restore the global generators afterwards, from which a data set may draw."""
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        random.setstate(states[1])
        np.random.set_state(states[2])  # noqa: NPY002 - what data sets draw from
