"""The examples of a ``DataLoader`` in one order, the same at every reading."""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
)

from frivolous.forms import Batch, form_of, joined, parsed, size_of, tensors_of

PROBED = 64
"""Examples that are read twice, to see whether they are the same both times."""
GROUP = 8
"""Of so many at a time."""


@dataclass(frozen=True)
class Ordered:
    """A loader's data set read in one order: keys of its examples, batch by batch."""

    loader: DataLoader[Any]
    order: Sequence[Sequence[Any]]

    @property
    def keys(self) -> list[Any]:
        """The keys of all examples, one after another."""
        return list(chain.from_iterable(self.order))

    def read(self, order: Sequence[Sequence[Any]] | None = None) -> Iterator[Batch]:
        """Read batches of examples with these keys, by default all."""
        loader = self.loader
        return batches_of(
            DataLoader(
                loader.dataset,
                batch_sampler=self.order if order is None else order,  # type: ignore[arg-type]
                num_workers=loader.num_workers,
                collate_fn=loader.collate_fn,
                timeout=loader.timeout,
                worker_init_fn=loader.worker_init_fn,
                multiprocessing_context=loader.multiprocessing_context,
                prefetch_factor=loader.prefetch_factor,
                # With a generator of its own a loader leaves the global one alone.
                generator=torch.Generator(),
            )
        )

    def picked(self, index: Tensor) -> Iterator[Batch]:
        """Read the examples at these places alone, in batches as large as the largest."""
        keys, size = self.keys, max(map(len, self.order), default=1)
        parts = index.split(size) if len(index) else ()
        return self.read([[keys[at] for at in part.tolist()] for part in parts])

    def repeats(self) -> Tensor | None:
        """Number the examples by their keys, shape (N,); None where no key comes twice."""
        keys, numbers = self.keys, dict[Any, int]()
        if not all(isinstance(key, Hashable) for key in keys):
            return None
        found = [numbers.setdefault(key, len(numbers)) for key in keys]
        return torch.tensor(found) if len(numbers) < len(found) else None

    def steady(self) -> bool:
        """Whether examples are the same when read again, and in whatever company.

        ``PROBED`` of them, spread over the data, are read in two groupings: so is found out what an
        example or a batch draws at random (augmentation), and what depends on the rest of a batch.
        """
        keys = self.keys
        places = np.linspace(0, len(keys) - 1, min(PROBED, len(keys))).round().astype(int)
        count = -(-len(places) // GROUP)
        groups = [places[at : at + GROUP] for at in range(0, len(places), GROUP)]
        others = [places[at::count] for at in range(count)]
        # Within one reading, as workers begin every reading with the same seed.
        with _generators_as_they_were():
            found = list(self.read([[keys[at] for at in group] for group in groups + others]))
        sizes = [size_of(inputs) for inputs, _ in found]
        if sizes != [len(group) for group in groups + others]:
            return False
        if len({(form_of(inputs), labels is None) for inputs, labels in found}) > 1:
            return False
        if not found:
            return True
        back = torch.as_tensor(np.argsort(np.concatenate(others), kind="stable"))
        return _equal(joined(found[:count]), joined(found[count:]), back)


def ordered(loader: DataLoader[Any]) -> Ordered | None:
    """Draw a loader's order once; None where its examples have no keys to be read by.

    All examples in shuffled order are taken in plain order, so that nothing is drawn.
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
            plain = SequentialSampler(range(size))
            sampler = BatchSampler(plain, sampler.batch_size, sampler.drop_last)
    return Ordered(loader, [[_key(key) for key in keys] for keys in sampler])


def batches_of(loader: Iterable[Any]) -> Iterator[Batch]:
    """Read batches; one without examples, on which a loader may end, is of no use."""
    return (found for batch in loader if size_of((found := parsed(batch))[0]))


def _key(key: Any) -> Any:
    """A key that equals another of the same number, which tensors do not."""
    return key.item() if isinstance(key, Tensor) and key.numel() == 1 else key


def _equal(one: Batch, other: Batch, back: Tensor) -> bool:
    """Whether two batches are the same once the other's examples are put in this order."""
    here = tensors_of(one)
    there = [part[back.to(part.device)] for part in tensors_of(other)]
    return all(torch.equal(*pair) for pair in zip(here, there, strict=True))


@contextmanager
def _generators_as_they_were() -> Iterator[None]:
    """Leave the global generators, of which a data set may draw, as they were."""
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        random.setstate(states[1])
        np.random.set_state(states[2])  # noqa: NPY002 - what data sets draw from
