"""A user's data, whatever its form, as batches that can be read several times and counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from frivolous.devices import as_device
from frivolous.errors import BadArgument

Inputs: TypeAlias = Tensor | tuple[Tensor, ...] | Mapping[str, Tensor]
"""A tensor, a tuple of tensors or a dictionary of keyword tensors, the batch on the first axis."""

Batch: TypeAlias = tuple[Inputs, Tensor | None]

BATCH_SIZE = 256


@dataclass(frozen=True)
class Batches:
    """Batches of inputs with labels (or None), iterable as often as needed.

    Iterating gives inputs alone, on ``device``; ``labelled()`` gives (inputs, labels or None).
    ``examples`` is the number of examples in all; ``has_labels`` is whether they have labels.
    """

    source: Callable[[], Iterator[Batch]]
    examples: int
    device: torch.device
    has_labels: bool = False

    def labelled(self) -> Iterator[Batch]:
        """Iterate over (inputs, labels); labels are None where the data has none.

        Raises :class:`BadArgument` where the data gives more or fewer examples than it did first.
        """
        seen = 0
        for inputs, labels in self.source():
            seen += size_of(inputs)
            yield (
                _moved(inputs, self.device),
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
            return _each(inputs, lambda part: part[:examples].to(device or self.device))
        raise self._changed(0)

    @property
    def form(self) -> str:
        """The type and shape of the inputs, such as "torch.float32 of shape (N, 3)"."""
        return _form(self.first(1))


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
    source = _source(data, batch_size)
    examples, has_labels = _counted(source)
    if examples == 0:
        raise BadArgument("`data` holds no example; give at least one batch with one example.")
    return Batches(source, examples, as_device(device), has_labels)


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

    def read() -> Iterator[Batch]:
        for start in range(0, count, batch_size):
            index = torch.arange(start, min(start + batch_size, count))
            yield prepare(examples.take(index).to(home)), examples.labels[index]

    return Batches(read, count, home, has_labels=True)


def _source(data: Any, batch_size: int) -> Callable[[], Iterator[Batch]]:
    whole = _whole(data)
    if whole is not None:
        inputs, labels = whole
        return lambda: _cut(inputs, labels, batch_size)
    if isinstance(data, Dataset) and not isinstance(data, IterableDataset):
        data = DataLoader(data, batch_size=batch_size)
    if not isinstance(data, Iterable) or isinstance(data, str | bytes):
        raise BadArgument(
            "`data` is a tensor, a pair (inputs, labels), a Dataset or an iterable of batches; "
            f"got {type(data).__name__}. Wrap single inputs in a batch."
        )
    if isinstance(data, Iterator):
        data = list(data)
    # A loader may end on a batch without examples, which no statistic can use.
    return lambda: (parsed for batch in data if size_of((parsed := _parsed(batch))[0]))


def _whole(data: Any) -> Batch | None:
    """All examples at once as (inputs, labels), or None for what has to be iterated."""
    if isinstance(data, Tensor | Mapping):
        return _parsed(data)
    if not isinstance(data, tuple | list) or len(data) != 2:
        return None
    inputs, labels = data
    if _are_labels(labels):
        return _parsed(data)
    if not isinstance(labels, Tensor) or not isinstance(inputs, Tensor):
        return None
    # Two tensors of one form are two batches, such as ``x.split(n)`` gives; of as many examples
    # but another form, the second are labels, and wrong ones.
    alike = inputs.shape[1:] == labels.shape[1:] and inputs.dtype == labels.dtype
    as_many = inputs.shape[:1] == labels.shape[:1]
    return _parsed(data) if as_many and not alike else None


def _are_labels(labels: Any) -> bool:
    return (
        isinstance(labels, Tensor)
        and labels.dim() == 1
        and not (labels.is_floating_point() or labels.is_complex())
    )


def _parsed(batch: Any) -> Batch:
    """One batch as (inputs, labels or None), or an error that says what is wrong with it."""
    if isinstance(batch, tuple | list) and len(batch) > 1:
        *parts, labels = batch
        inputs = _inputs(parts[0] if len(parts) == 1 else tuple(parts))
        return inputs, _checked_labels(labels, size_of(inputs), len(parts))
    if isinstance(batch, tuple | list) and len(batch) == 1:
        return _parsed(batch[0])
    if isinstance(batch, Mapping) and "labels" in batch:
        inputs = _inputs({name: value for name, value in batch.items() if name != "labels"})
        return inputs, _checked_labels(batch["labels"], size_of(inputs), 1)
    return _inputs(batch), None


def _inputs(inputs: Any) -> Inputs:
    parts: list[Any]
    if isinstance(inputs, Mapping):
        parts = list(inputs.values())
        inputs = dict(inputs)
    elif isinstance(inputs, tuple | list):
        parts = list(inputs)
        inputs = tuple(inputs)
    else:
        parts = [inputs]
    wrong = [part for part in parts if not isinstance(part, Tensor)]
    if wrong or not parts:
        got = f"a {type(wrong[0]).__name__}" if wrong else "nothing"
        raise BadArgument(
            "`data` must give batches that are inputs or (inputs, labels), inputs being a tensor, "
            f"a tuple of tensors or a dictionary of tensors; got {got}. Map your batches to that "
            "form, e.g. with torch.as_tensor."
        )
    sizes = [len(part) if part.dim() else -1 for part in parts]
    if min(sizes) < 0 or len(set(sizes)) > 1:
        shapes = ", ".join(str(tuple(part.shape)) for part in parts)
        raise BadArgument(
            f"`data` must have the examples along the first axis of every tensor, as many in each; "
            f"got the shape{'s' * (len(parts) > 1)} {shapes}. For one example add an axis: x[None]."
        )
    given: Inputs = inputs
    return given


def _checked_labels(labels: Any, size: int, parts: int) -> Tensor | None:
    if labels is None:
        return None
    if not _are_labels(labels):
        got = (
            f"{labels.dtype} of shape {tuple(labels.shape)}"
            if isinstance(labels, Tensor)
            else type(labels).__name__
        )
        raise BadArgument(
            "`data` has labels that are no tensor of whole numbers, one class per example, shape "
            f"(N,); got {got}. Pass class numbers, or no labels as (inputs, None)"
            + (", for two inputs ((first, second), None)." if parts == 1 else ".")
        )
    if len(labels) != size:
        raise BadArgument(
            f"`data` has {size} inputs with {len(labels)} labels; give one label for each input."
        )
    return labels


def _cut(inputs: Inputs, labels: Tensor | None, batch_size: int) -> Iterator[Batch]:
    for start in range(0, size_of(inputs), batch_size):
        chosen = slice(start, start + batch_size)
        yield (
            _each(inputs, lambda part, chosen=chosen: part[chosen]),  # type: ignore[misc]
            None if labels is None else labels[chosen],
        )


def _counted(source: Callable[[], Iterator[Batch]]) -> tuple[int, bool]:
    """Count examples and see whether they have labels; batches must be alike."""
    total, first, labelled = 0, "", set()
    for inputs, labels in source():
        form = _form(inputs)
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


def _form(inputs: Inputs) -> str:
    def one(part: Tensor) -> str:
        return f"{part.dtype} of shape ({', '.join(('N', *map(str, part.shape[1:])))})"

    if isinstance(inputs, Tensor):
        return one(inputs)
    if isinstance(inputs, Mapping):
        return ", ".join(f"'{name}' {one(inputs[name])}" for name in sorted(inputs))
    return ", ".join(one(part) for part in inputs)


def _each(inputs: Inputs, change: Callable[[Tensor], Tensor]) -> Inputs:
    if isinstance(inputs, Tensor):
        return change(inputs)
    if isinstance(inputs, Mapping):
        return {name: change(value) for name, value in inputs.items()}
    return tuple(change(value) for value in inputs)


def taken(inputs: Inputs, index: Tensor) -> Inputs:
    """Return the examples of a batch at these places."""
    return _each(inputs, lambda part: part[index.to(part.device)])


def size_of(inputs: Inputs) -> int:
    """Return how many examples a batch holds."""
    if isinstance(inputs, Tensor):
        return len(inputs)
    parts = inputs.values() if isinstance(inputs, Mapping) else inputs
    return len(next(iter(parts)))


def _moved(inputs: Inputs, device: torch.device) -> Inputs:
    return _each(inputs, lambda part: part.to(device))
