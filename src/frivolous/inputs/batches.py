"""``as_batches``: a user's data as batches that can be read several times and counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from frivolous.devices import as_device
from frivolous.errors import BadArgument
from frivolous.inputs.batch import (
    Batch,
    Inputs,
    batch_size_of,
    concatenate,
    describe,
    map_batch,
    take_examples,
    to_device,
)
from frivolous.inputs.cache import keep, picker
from frivolous.inputs.formats import all_at_once
from frivolous.inputs.loaders import batches_of, ordered
from frivolous.inputs.tally import Tally

BATCH_SIZE = 256

Source = Callable[[], Iterator[Batch]]
Picked = Callable[[Tensor], Iterator[Batch]]


@dataclass(frozen=True)
class Batches:
    """Batches of inputs with labels (or None), iterable as often as needed.

    Iterating gives inputs alone, on ``device``; ``labelled()`` gives (inputs, labels or None).
    ``examples`` is the number of examples in all; ``has_labels`` is whether they have labels.
    ``picked`` gives the examples at any places. Examples of one number in ``repeats``, shape (N,),
    are one example that a sampler gave several times.
    """

    source: Source
    examples: int
    device: torch.device
    has_labels: bool
    picked: Picked
    repeats: Tensor | None = None

    def at(self, index: Tensor) -> Batches:
        """Only the examples at these indices, all different: shape (n,), in this order."""
        return Batches(
            lambda: self.picked(index),
            len(index),
            self.device,
            self.has_labels,
            lambda places: self.picked(index[places]),
            None if self.repeats is None else self.repeats[index],
        )

    def once(self) -> Batches:
        """Every example once, where a sampler gives it first."""
        if self.repeats is None:
            return self
        first = {number: place for place, number in reversed([*enumerate(self.repeats.tolist())])}
        return self.at(torch.tensor(sorted(first.values())))

    def labelled(self) -> Iterator[Batch]:
        """Iterate over (inputs, labels); labels are None where the data has none.

        Raises :class:`BadArgument` where the data gives more or fewer examples than it did first.
        """
        seen = 0
        for inputs, labels in self.source():
            seen += batch_size_of(inputs)
            yield (
                to_device(inputs, self.device),
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
        """The inputs of the first few examples, or of the first batch, on ``device`` if given."""
        few = None if examples is None else torch.arange(min(examples, self.examples))
        found = list(islice(self.source(), 1) if few is None else self.picked(few))
        if not found:
            raise self._changed(0)
        return to_device(concatenate(found)[0], device or self.device)

    @property
    def form(self) -> str:
        """The type and shape of the inputs, such as "torch.float32 of shape (N, 3)"."""
        return describe(self.first(1))


def as_batches(
    data: Any, *, batch_size: int = BATCH_SIZE, device: torch.device | str = "cpu"
) -> Batches:
    """Read ``data`` in any of these forms as :class:`Batches`.

    Inputs are a tensor, a tuple of tensors (a model of several arguments) or a dictionary of
    keyword tensors, in which a key ``labels`` holds labels. Labels are whole numbers of shape (N,)
    or (N, 1), or one-hot, (N, C), of any type; other floats are refused (``labels.long()``).

    - All examples at once, cut into batches of ``batch_size``: a tensor, a dictionary of tensors,
      a pair (inputs, labels), or (first, second, ..., labels).
    - A ``Dataset`` of examples, likewise cut.
    - A ``DataLoader`` or any iterable of batches, taken as they come: each is inputs (a tensor or a
      dictionary), (inputs, labels), (inputs, None), or (first, second, ..., labels) for a model of
      several arguments.

    Every reading gives the same examples. Tensors and a list of batches are used as they are. Of a
    ``DataLoader`` the order is drawn once (one that shuffles all is read in plain order). If some
    examples are the same when read twice, all are read when they are needed, and refused if they
    ever differ. Anything else is read once and copied: augmented examples, an ``IterableDataset``,
    a generator or another iterable. Copies stay in memory up to 2 GiB
    (``frivolous.inputs.cache.IN_MEMORY``); the rest goes to a temporary file.

    Raises:
        BadArgument: no example; data, a batch or labels of another form; batches that differ in
            shape or dtype; labels of another length or for some batches only; no room for copies.

    >>> as_batches(torch.zeros(10, 3), batch_size=4).examples
    10
    >>> [len(x) for x in as_batches((torch.zeros(10, 3), torch.zeros(10).long()), batch_size=4)]
    [4, 4, 2]
    """
    home = as_device(device)
    if isinstance(data, Batches):
        return replace(data, device=home)
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise BadArgument(
            f"`batch_size` is a whole number of at least 1; got {batch_size!r}. Pass e.g. 256."
        )
    tally, repeats = Tally(), None
    together = all_at_once(data)
    if together is not None:
        source, picked = _sliced(together, batch_size)
        tally.read(source())
    elif type(data) in (list, tuple):
        source, picked = _at_hand(list(tally.through(batches_of(data))))
    else:
        source, picked, repeats = _loaded(_iterable(data, batch_size), tally)
    if tally.examples == 0:
        raise BadArgument("`data` holds no example; give at least one batch with one example.")
    return Batches(source, tally.examples, home, tally.has_labels, picked, repeats)


class _Takeable(Protocol):
    """Labelled examples that can be read at any indices: in memory, or decoded as they come."""

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
    first examples only. Raises :class:`BadArgument` for a ``limit`` or ``batch_size`` below 1.

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


def _sliced(together: Batch, batch_size: int) -> tuple[Source, Picked]:
    """How to read all examples, and how to read some, of tensors that hold them all."""
    inputs, labels = together

    def picked(index: Tensor) -> Iterator[Batch]:
        for part in index.split(batch_size) if len(index) else ():
            yield take_examples(inputs, part), None if labels is None else labels[part]

    return lambda: _cut(inputs, labels, batch_size), picked


def _at_hand(batches: Sequence[Batch]) -> tuple[Source, Picked]:
    """The same for batches that can be read again."""
    return lambda: iter(batches), picker(batches)


def _loaded(data: Iterable[Any], tally: Tally) -> tuple[Source, Picked, Tensor | None]:
    """The same for a loader, and its repeats: read on demand if that is safe, else once."""
    found = ordered(data) if isinstance(data, DataLoader) else None
    if found is None:
        return *_at_hand(keep(tally.through(batches_of(data)))), None
    repeats, examples = found.repeats(), len(found.keys)
    if found.steady():
        tally.read(found.first())
        if tally.examples == examples:
            return found.again, found.picked, repeats
        tally.reset()  # examples are left out, so indices do not identify them
    kept = keep(tally.through(found.once()))
    return *_at_hand(kept), repeats if tally.examples == examples else None


def _iterable(data: Any, batch_size: int) -> Iterable[Any]:
    """A data set's loader, or the iterable itself; raises for anything else."""
    if isinstance(data, Dataset) and not isinstance(data, IterableDataset):
        return DataLoader(data, batch_size=batch_size)
    if isinstance(data, Iterable) and not isinstance(data, str | bytes):
        return data
    remedy = "Pass one of these."
    if (
        not isinstance(data, str | bytes)
        and hasattr(data, "__getitem__")
        and hasattr(data, "__len__")
    ):
        remedy = "Pass DataLoader(data, batch_size=64)."
    elif callable(data):
        remedy = "Call it, and pass what it returns."
    raise BadArgument(
        "`data` is a tensor, a pair (inputs, labels), a Dataset or an iterable of batches; "
        f"got {type(data).__name__}. {remedy}"
    )


def _cut(inputs: Inputs, labels: Tensor | None, batch_size: int) -> Iterator[Batch]:
    for start in range(0, batch_size_of(inputs), batch_size):
        chosen = slice(start, start + batch_size)
        yield (
            map_batch(inputs, lambda part, chosen=chosen: part[chosen]),  # type: ignore[misc]
            None if labels is None else labels[chosen],
        )
