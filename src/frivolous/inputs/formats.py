"""The forms that a batch may have: inputs of three forms, with or without labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Number
from typing import Any

import torch
from torch import Tensor

from frivolous.errors import BadArgument
from frivolous.inputs.batch import Batch, Inputs, batch_size_of


def all_at_once(data: Any) -> Batch | None:
    """All examples at once as (inputs, labels), or None for what has to be iterated.

    Two tensors of one form are two batches, such as ``x.split(n)`` gives, unless the second is of
    class numbers (N,) or the only one-hot one of the two.
    """
    if isinstance(data, Tensor | Mapping):
        return parsed(data)
    if not isinstance(data, tuple | list) or len(data) < 2:
        return None
    *parts, labels = data
    if labels is None or (isinstance(labels, Tensor) and _belong_together(parts, labels)):
        return parsed(data)
    return None


def _belong_together(parts: Sequence[Any], labels: Tensor) -> bool:
    """Whether these are inputs and their labels, right or wrong; else they are batches."""
    are_labels = class_numbers(labels) is not None
    first = parts[0]
    if len(parts) == 1 and isinstance(first, tuple | list | Mapping):
        # If the first is a labelled batch, or a tuple of one tensor, the second is a batch as well.
        another = _has_labels(first) or (not isinstance(first, Mapping) and len(first) < 2)
        return are_labels or not another
    if not all(isinstance(part, Tensor) for part in parts):
        return False
    differ = len({(part.shape[1:], part.dtype) for part in (*parts, labels)}) > 1
    as_many = len({part.shape[:1] for part in (*parts, labels)}) == 1
    if len(parts) > 1:
        return are_labels and as_many and differ
    if are_labels and (labels.dim() == 1 or differ):
        return True
    one_hot = are_labels and labels.shape[1] > 1 and class_numbers(first) is None
    return as_many and (differ or one_hot)


def _has_labels(batch: Any) -> bool:
    if isinstance(batch, Mapping):
        return "labels" in batch
    return len(batch) > 1 and class_numbers(batch[-1]) is not None


def class_numbers(labels: Any) -> Tensor | None:
    """The class of each example, shape (N,), or None for what cannot be labels.

    Labels are whole numbers of shape (N,) or (N, 1), or one-hot of shape (N, C), C >= 2, of any
    type: a single 1 in each row, and zeros.

    >>> class_numbers(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    tensor([1, 0])
    >>> class_numbers(torch.tensor([[3], [2]]))
    tensor([3, 2])
    """
    if not isinstance(labels, Tensor) or labels.is_complex() or labels.dim() not in (1, 2):
        return None
    if labels.dim() == 2 and labels.shape[1] > 1:
        ones = labels == 1
        alone = bool((ones.sum(1) == 1).all()) and bool((ones | (labels == 0)).all())
        return ones.int().argmax(1) if alone else None
    if labels.is_floating_point() or (labels.dim() == 2 and not labels.shape[1]):
        return None
    return labels.flatten()


def parsed(batch: Any) -> Batch:
    """Parse one batch as (inputs, labels or None); the error says what is wrong with it."""
    if isinstance(batch, tuple | list) and len(batch) > 1:
        *parts, labels = batch
        inputs = _inputs(parts[0] if len(parts) == 1 else tuple(parts))
        without = "((first, second), None)"
        if len(parts) == 1:
            without = f"(inputs, None), for two inputs {without}"
        return inputs, _checked_labels(labels, batch_size_of(inputs), without)
    if isinstance(batch, tuple | list) and len(batch) == 1:
        return parsed(batch[0])
    if isinstance(batch, Mapping) and "labels" in batch:
        inputs = _inputs({name: value for name, value in batch.items() if name != "labels"})
        without = "the dictionary without `labels`"
        return inputs, _checked_labels(batch["labels"], batch_size_of(inputs), without)
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
            f"a tuple of tensors or a dictionary of tensors; got {got}. Convert what is no tensor, "
            "e.g. with torch.as_tensor, or leave it out."
        )
    sizes = [len(part) if part.dim() else -1 for part in parts]
    if min(sizes) < 0 or len(set(sizes)) > 1:
        remedy = (
            "For one example add an axis: x[None]" if min(sizes) < 0 else "Give as many in each"
        )
        shapes = ", ".join(str(tuple(part.shape)) for part in parts)
        raise BadArgument(
            f"`data` must have the examples along the first axis of every tensor, as many in each; "
            f"got the shape{'s' * (len(parts) > 1)} {shapes}. {remedy}."
        )
    given: Inputs = inputs
    return given


def _checked_labels(labels: Any, size: int, without: str) -> Tensor | None:
    """Labels as class numbers; ``without`` is the form of a batch that has none."""
    if labels is None:
        return None
    numbers = class_numbers(labels)
    if numbers is None:
        raise _no_labels(labels, without)
    if len(numbers) != size:
        raise BadArgument(
            f"`data` has {size} inputs with {len(numbers)} labels; give one label for each input."
        )
    return numbers


def _no_labels(labels: Any, without: str) -> BadArgument:
    got, remedy = type(labels).__name__, "Pass class numbers"
    if isinstance(labels, Tensor):
        got = f"{labels.dtype} of shape {tuple(labels.shape)}"
        if (
            labels.dim() == 2
            and labels.shape[1] > 1
            and bool(((labels == 0) | (labels == 1)).all())
        ):
            return BadArgument(
                f"`data` has multilabel targets, {got}: 0 or 1 for each class, not a single 1 for "
                "each example; a label here is one class per example, that of the best score. "
                f"Leave them out: {without}."
            )
        whole_numbers = labels.is_floating_point() and bool((labels == labels.long()).all())
        if whole_numbers and class_numbers(labels.long()) is not None:
            remedy = "Pass labels.long()"
    elif class_numbers(_converted(labels)) is not None:
        remedy = "Pass torch.as_tensor(labels)"
    if isinstance(labels, Number) or (isinstance(labels, Tensor) and not labels.dim()):
        remedy = "For single examples pass DataLoader(list(data), batch_size=64)"
    return BadArgument(
        "`data` has labels that are no tensor of whole numbers, one class per example, shape (N,), "
        f"(N, 1) or one-hot (N, C); got {got}. {remedy}, or no labels as {without}."
    )


def _converted(labels: Any) -> Tensor | None:
    try:
        return torch.tensor(labels)
    except (TypeError, ValueError, RuntimeError):
        return None
