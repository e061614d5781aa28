"""What a batch may look like: inputs of three forms, with or without labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from frivolous.errors import BadArgument
from frivolous.network.inputs import Inputs, each

Batch: TypeAlias = tuple[Inputs, Tensor | None]
"""Inputs with the batch on the first axis of every tensor, and labels if there are any."""


def whole(data: Any) -> Batch | None:
    """All examples at once as (inputs, labels), or None for what has to be iterated."""
    if isinstance(data, Tensor | Mapping):
        return parsed(data)
    if not isinstance(data, tuple | list) or len(data) != 2:
        return None
    inputs, labels = data
    if _are_labels(labels):
        return parsed(data)
    if not isinstance(labels, Tensor) or not isinstance(inputs, Tensor):
        return None
    # Two tensors of one form are two batches, such as ``x.split(n)`` gives; of as many examples
    # but another form, the second are labels, and wrong ones.
    alike = inputs.shape[1:] == labels.shape[1:] and inputs.dtype == labels.dtype
    as_many = inputs.shape[:1] == labels.shape[:1]
    return parsed(data) if as_many and not alike else None


def _are_labels(labels: Any) -> bool:
    return (
        isinstance(labels, Tensor)
        and labels.dim() == 1
        and not (labels.is_floating_point() or labels.is_complex())
    )


def parsed(batch: Any) -> Batch:
    """One batch as (inputs, labels or None), or an error that says what is wrong with it."""
    if isinstance(batch, tuple | list) and len(batch) > 1:
        *parts, labels = batch
        inputs = _inputs(parts[0] if len(parts) == 1 else tuple(parts))
        return inputs, _checked_labels(labels, size_of(inputs), len(parts))
    if isinstance(batch, tuple | list) and len(batch) == 1:
        return parsed(batch[0])
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


def form_of(inputs: Inputs) -> str:
    def one(part: Tensor) -> str:
        return f"{part.dtype} of shape ({', '.join(('N', *map(str, part.shape[1:])))})"

    if isinstance(inputs, Tensor):
        return one(inputs)
    if isinstance(inputs, Mapping):
        return ", ".join(f"'{name}' {one(inputs[name])}" for name in sorted(inputs))
    return ", ".join(one(part) for part in inputs)


def joined(batches: Sequence[Batch]) -> Batch:
    """Return several batches of one form as one."""
    first, labels = batches[0]
    if len(batches) == 1:
        return first, labels
    inputs: Inputs
    if isinstance(first, Tensor):
        inputs = torch.cat([part for part, _ in batches])  # type: ignore[misc]
    elif isinstance(first, Mapping):
        inputs = {name: torch.cat([part[name] for part, _ in batches]) for name in first}  # type: ignore[index,call-overload]
    else:
        inputs = tuple(torch.cat(parts) for parts in zip(*(part for part, _ in batches)))  # noqa: B905
    if labels is None:
        return inputs, None
    return inputs, torch.cat([part for _, part in batches if part is not None])


def taken(inputs: Inputs, index: Tensor) -> Inputs:
    """Return the examples of a batch at these places."""
    return each(inputs, lambda part: part[index.to(part.device)])


def size_of(inputs: Inputs) -> int:
    """Return how many examples a batch holds."""
    if isinstance(inputs, Tensor):
        return len(inputs)
    parts = inputs.values() if isinstance(inputs, Mapping) else inputs
    return len(next(iter(parts)))


def moved(inputs: Inputs, device: torch.device) -> Inputs:
    return each(inputs, lambda part: part.to(device))
