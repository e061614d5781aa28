"""A user's data, whatever its form, as batches that can be read several times and counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from frivolous.errors import BadArgument

Inputs = Any
"""A tensor, a tuple of tensors or a dictionary of keyword tensors, the batch on the first axis."""

BATCH_SIZE = 256


@dataclass(frozen=True)
class Batches:
    """Batches of inputs with labels (or None), iterable as often as needed.

    Iterating gives inputs alone, on ``device``; ``labelled()`` gives (inputs, labels or None).
    ``examples`` is the number of examples in all.
    """

    source: Callable[[], Iterator[tuple[Inputs, Tensor | None]]]
    examples: int
    device: torch.device

    def labelled(self) -> Iterator[tuple[Inputs, Tensor | None]]:
        """Iterate over (inputs, labels); labels are None where the data has none."""
        for inputs, labels in self.source():
            yield (
                _move(inputs, self.device),
                None if labels is None else labels.to(self.device),
            )

    def __iter__(self) -> Iterator[Inputs]:
        for inputs, _ in self.labelled():
            yield inputs

    def first(self) -> Inputs:
        """Return the first batch's inputs."""
        return next(iter(self))


def as_batches(
    data: Any, *, batch_size: int = BATCH_SIZE, device: torch.device | str = "cpu"
) -> Batches:
    """Read ``data`` in any of these forms as :class:`Batches`.

    A tensor of inputs; a pair (inputs, labels) of tensors; a ``Dataset`` of examples; a
    ``DataLoader`` or any iterable of batches, each batch being inputs or (inputs, labels), where
    inputs are a tensor, a tuple of tensors or a dictionary of keyword tensors (a key ``labels``
    holds labels). Tensors and datasets are cut into batches of ``batch_size``; batches are taken as they
    come. An iterator that can be read only once is kept in memory.

    Raises:
        BadArgument: no example, a batch of another form, labels of another length.

    >>> as_batches(torch.zeros(10, 3), batch_size=4).examples
    10
    >>> [len(x) for x in as_batches((torch.zeros(10, 3), torch.zeros(10).long()), batch_size=4)]
    [4, 4, 2]
    """
    if batch_size < 1:
        raise BadArgument(f"`batch_size` must be at least 1; got {batch_size}.")
    source = _source(data, batch_size)
    examples = _count(data, source)
    if examples == 0:
        raise BadArgument("`data` holds no example; give at least one batch with one example.")
    return Batches(source, examples, torch.device(device))


def _source(data: Any, batch_size: int) -> Callable[[], Iterator[tuple[Inputs, Tensor | None]]]:
    if isinstance(data, Tensor):
        return lambda: ((part, None) for part in _cut(data, batch_size))
    if _is_labelled_pair(data) and data[0].shape[0] == data[1].shape[0]:
        inputs, labels = data
        return lambda: zip(_cut(inputs, batch_size), labels.split(batch_size), strict=True)
    if isinstance(data, Dataset) and not isinstance(data, torch.utils.data.IterableDataset):
        data = DataLoader(data, batch_size=batch_size)
    if not isinstance(data, Iterable):
        raise BadArgument(
            f"`data` is a tensor, a pair (inputs, labels), a Dataset or an iterable of batches; "
            f"got {type(data).__name__}. Wrap single inputs in a batch."
        )
    if isinstance(data, Iterator):
        data = list(data)
    return lambda: (_parse(batch) for batch in data)


def _cut(inputs: Tensor, batch_size: int) -> tuple[Tensor, ...]:
    # ``split`` of an empty tensor gives one empty part, which would count as a batch.
    return inputs.split(batch_size) if inputs.dim() and len(inputs) else ()


def _is_labelled_pair(data: Any) -> bool:
    return (
        isinstance(data, tuple | list)
        and len(data) == 2
        and all(isinstance(part, Tensor) and part.dim() for part in data)
        and data[1].dim() == 1
        and not data[1].is_floating_point()
    )


def _parse(batch: Any) -> tuple[Inputs, Tensor | None]:
    if isinstance(batch, Tensor):
        return batch, None
    if isinstance(batch, Mapping):
        inputs = dict(batch)
        labels = inputs.pop("labels", None)
        if inputs and all(isinstance(value, Tensor) for value in inputs.values()):
            return inputs, labels
    elif isinstance(batch, tuple | list) and batch:
        if len(batch) == 1:
            return _parse(batch[0])
        *parts, labels = batch
        if isinstance(labels, Tensor) and len(parts) == 1:
            return _parse(parts[0])[0], labels
        if all(isinstance(part, Tensor) for part in batch):
            return tuple(parts), labels
    raise BadArgument(
        "`data` must give batches that are inputs or (inputs, labels), inputs being a tensor or a "
        f"dictionary of tensors; got a {type(batch).__name__}. Map your batches to that form."
    )


def _count(data: Any, source: Callable[[], Iterator[tuple[Inputs, Tensor | None]]]) -> int:
    if isinstance(data, Tensor):
        return len(data) if data.dim() else 0
    total = 0
    for inputs, labels in source():
        size = _size(inputs)
        if labels is not None and len(labels) != size:
            raise BadArgument(
                f"`data` has a batch of {size} inputs with {len(labels)} labels; give one "
                "label for each input."
            )
        total += size
    return total


def _size(inputs: Inputs) -> int:
    if isinstance(inputs, Tensor):
        return len(inputs)
    parts = inputs.values() if isinstance(inputs, Mapping) else inputs
    return len(next(iter(parts)))


def _move(inputs: Inputs, device: torch.device) -> Inputs:
    if isinstance(inputs, Tensor):
        return inputs.to(device)
    if isinstance(inputs, Mapping):
        return {name: value.to(device) for name, value in inputs.items()}
    return tuple(value.to(device) for value in inputs)
