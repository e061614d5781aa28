"""A user's data, whatever its form, as batches that can be read several times and counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
)

from frivolous.devices import as_device
from frivolous.errors import BadArgument
from frivolous.forms import Batch, each, form_of, joined, moved, parsed, size_of, taken, whole
from frivolous.network.inputs import Inputs

BATCH_SIZE = 256

Picked = Callable[[Tensor], Iterator[Batch]]


@dataclass(frozen=True)
class Batches:
    """Batches of inputs with labels (or None), iterable as often as needed.

    Iterating gives inputs alone, on ``device``; ``labelled()`` gives (inputs, labels or None).
    ``examples`` is the number of examples in all; ``has_labels`` is whether they have labels.
    ``picked`` gives the examples at any places, where the data can be read out of order.
    """

    source: Callable[[], Iterator[Batch]]
    examples: int
    device: torch.device
    has_labels: bool = False
    picked: Picked | None = None

    def at(self, index: Tensor) -> Batches:
        """Return only the examples at these different places, shape (n,).

        Only they are read where the data can be read out of order: tensors, a ``Dataset``, a
        ``DataLoader`` of one in plain or shuffled order. Anything else is read from its beginning
        to the last of them.
        """
        picked = self.picked or self._read_through
        return Batches(
            lambda: picked(index),
            len(index),
            self.device,
            self.has_labels,
            lambda places: picked(index[places]),
        )

    def _read_through(self, index: Tensor) -> Iterator[Batch]:
        wanted = np.sort(index.numpy())
        last = int(wanted[-1]) if len(wanted) else -1
        start = size = 0
        kept: list[Batch] = []
        for inputs, labels in self.source():
            stop = start + size_of(inputs)
            size = max(size, stop - start)
            here = torch.as_tensor(
                wanted[np.searchsorted(wanted, start) : np.searchsorted(wanted, stop)] - start
            )
            if len(here):
                kept.append((taken(inputs, here), None if labels is None else labels[here]))
            if kept and (stop > last or sum(size_of(part) for part, _ in kept) >= size):
                yield joined(kept)
                kept = []
            start = stop
            if start > last:
                return

    def labelled(self) -> Iterator[Batch]:
        """Iterate over (inputs, labels); labels are None where the data has none.

        Raises :class:`BadArgument` where the data gives more or fewer examples than it did first.
        """
        seen = 0
        for inputs, labels in self.source():
            seen += size_of(inputs)
            yield (
                moved(inputs, self.device),
                None if labels is None else labels.to(self.device),
            )
        if seen != self.examples:
            raise self._changed(seen)

    def _changed(self, seen: int) -> BadArgument:
        return BadArgument(
            f"`data` gave {self.examples} examples when first read and {seen} later; it is read "
            "several times and must give the same examples each time. Pass a list of its batches."
        )

    def __iter__(self) -> Iterator[Inputs]:
        for inputs, _ in self.labelled():
            yield inputs

    def first(self, examples: int | None = None, device: torch.device | None = None) -> Inputs:
        """Return the first batch's inputs, or the first few of them, on ``device`` if given."""
        for inputs, _ in self.source():
            return each(inputs, lambda part: part[:examples].to(device or self.device))
        raise self._changed(0)

    @property
    def form(self) -> str:
        """The type and shape of the inputs, such as "torch.float32 of shape (N, 3)"."""
        return form_of(self.first(1))


def as_batches(
    data: Any, *, batch_size: int = BATCH_SIZE, device: torch.device | str = "cpu"
) -> Batches:
    """Read ``data`` in any of these forms as :class:`Batches`.

    Inputs are a tensor, a tuple of tensors (a model of several arguments) or a dictionary of
    keyword tensors, in which a key ``labels`` holds labels; labels are whole numbers, shape (N,).

    - All examples at once, cut into batches of ``batch_size``: a tensor, a dictionary of tensors,
      or a pair (inputs, labels).
    - A ``Dataset`` of examples, likewise cut.
    - A ``DataLoader`` or any iterable of batches, taken as they come: each is inputs (a tensor or a
      dictionary), (inputs, labels), (inputs, None), or (first, second, ..., labels) for a model of
      several arguments. An iterator that can be read only once is kept in memory.

    Raises:
        BadArgument: no example; data, a batch or labels of another form; batches that differ in
            shape or dtype; labels of another length or for some batches only.

    >>> as_batches(torch.zeros(10, 3), batch_size=4).examples
    10
    >>> [len(x) for x in as_batches((torch.zeros(10, 3), torch.zeros(10).long()), batch_size=4)]
    [4, 4, 2]
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise BadArgument(
            f"`batch_size` is a whole number of at least 1; got {batch_size!r}. Pass e.g. 256."
        )
    source, picked = _source(data, batch_size)
    examples, has_labels = _counted(source)
    if examples == 0:
        raise BadArgument("`data` holds no example; give at least one batch with one example.")
    return Batches(source, examples, as_device(device), has_labels, picked)


class _Takeable(Protocol):
    """Labelled examples that give the inputs at any places: in memory, or decoded as they come."""

    @property
    def labels(self) -> Tensor: ...
    def __len__(self) -> int: ...
    def take(self, index: Tensor) -> Tensor: ...


def prepared(
    examples: _Takeable,
    prepare: Callable[[Tensor], Tensor],
    *,
    batch_size: int = BATCH_SIZE,
    device: torch.device | str = "cpu",
    limit: int | None = None,
) -> Batches:
    """Read labelled examples as :class:`Batches`, each batch prepared when it is read.

    For images that are stored as bytes, (N, C, H, W), and become a network's float inputs by
    ``prepare``, such as ``PREPARATIONS["alexnet"].test``: only one prepared batch is in memory.
    ``prepare`` works on ``device`` and gives the same each time it is called; ``limit`` takes the
    first so many examples. Raises :class:`BadArgument` for a ``limit`` or ``batch_size`` below 1.

    >>> from frivolous.data import Examples
    >>> images = Examples(torch.full((3, 1, 2, 2), 255, dtype=torch.uint8), torch.tensor([0, 1, 0]))
    >>> batches = prepared(images, lambda batch: batch / 255, batch_size=2)
    >>> batches.examples, [x.amax().item() for x in batches]
    (3, [1.0, 1.0])
    """
    home = as_device(device)
    for name, number in (("batch_size", batch_size), ("limit", 1 if limit is None else limit)):
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise BadArgument(f"`{name}` is a whole number of at least 1; got {number!r}.")
    count = len(examples) if limit is None else min(limit, len(examples))

    def picked(places: Tensor) -> Iterator[Batch]:
        for index in places.split(batch_size):
            yield prepare(examples.take(index).to(home)), examples.labels[index]

    return Batches(lambda: picked(torch.arange(count)), count, home, True, picked)


def _source(data: Any, batch_size: int) -> tuple[Callable[[], Iterator[Batch]], Picked | None]:
    """How to read all batches, and how to read some examples alone if that is possible."""
    together = whole(data)
    if together is not None:
        inputs, labels = together
        return lambda: _cut(inputs, labels, batch_size), lambda index: _cut(
            taken(inputs, index), None if labels is None else labels[index], batch_size
        )
    if isinstance(data, Dataset) and not isinstance(data, IterableDataset):
        # With a generator of its own a loader leaves the global one alone.
        data = DataLoader(data, batch_size=batch_size, generator=torch.Generator())
    if not isinstance(data, Iterable) or isinstance(data, str | bytes):
        raise BadArgument(
            "`data` is a tensor, a pair (inputs, labels), a Dataset or an iterable of batches; "
            f"got {type(data).__name__}. Wrap single inputs in a batch."
        )
    if isinstance(data, Iterator):
        data = list(data)

    def read(batches: Iterable[Any] = data) -> Iterator[Batch]:
        # A loader may end on a batch without examples, which no statistic can use.
        return (found for batch in batches if size_of((found := parsed(batch))[0]))

    if not _gives_each_example_once(data):
        return read, None

    def picked(index: Tensor) -> Iterator[Batch]:
        return read(
            DataLoader(
                Subset(data.dataset, index.tolist()),
                batch_size=data.batch_size,
                num_workers=data.num_workers,
                collate_fn=data.collate_fn,
                generator=torch.Generator(),
            )
        )

    return read, picked


def _gives_each_example_once(data: Any) -> bool:
    """Whether the data is a loader of a whole ``Dataset``, in plain or in shuffled order."""
    if not isinstance(data, DataLoader) or isinstance(data.dataset, IterableDataset):
        return False
    order = data.sampler
    plain = type(order) is SequentialSampler or (
        type(order) is RandomSampler
        and not order.replacement
        and order.num_samples == len(data.dataset)  # type: ignore[arg-type]
    )
    return plain and type(data.batch_sampler) is BatchSampler and not data.drop_last


def _cut(inputs: Inputs, labels: Tensor | None, batch_size: int) -> Iterator[Batch]:
    for start in range(0, size_of(inputs), batch_size):
        chosen = slice(start, start + batch_size)
        yield (
            each(inputs, lambda part, chosen=chosen: part[chosen]),  # type: ignore[misc]
            None if labels is None else labels[chosen],
        )


def _counted(source: Callable[[], Iterator[Batch]]) -> tuple[int, bool]:
    """Count examples and see whether they have labels; batches must be alike."""
    total, first, labelled = 0, "", set()
    for inputs, labels in source():
        form = form_of(inputs)
        if first and form != first:
            raise BadArgument(
                f"`data` has batches of different forms, {first} and then {form}; all must agree "
                "but for the number of examples N. Pad, crop or convert them."
            )
        first, total = form, total + size_of(inputs)
        labelled.add(labels is not None)
    if len(labelled) > 1:
        raise BadArgument(
            "`data` has labels for some batches only; they serve the accuracy. Give labels with "
            "every batch, or with none."
        )
    return total, labelled == {True}
