"""A batch as a tree of tensors: a tensor, a tuple of tensors, or a dict of keyword tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from frivolous.errors import BadArgument

Inputs: TypeAlias = Tensor | tuple[Tensor, ...] | Mapping[str, Tensor]
Batch: TypeAlias = tuple[Inputs, Tensor | None]
"""Inputs with the batch on the first axis of every tensor, and labels if there are any."""


def map_batch(inputs: Inputs, change: Callable[[Tensor], Tensor]) -> Inputs:
    """The batch with a function applied to every tensor."""
    if isinstance(inputs, Tensor):
        return change(inputs)
    if isinstance(inputs, Mapping):
        return {name: change(value) for name, value in inputs.items()}
    return tuple(change(value) for value in inputs)


def call_module(module: nn.Module, inputs: Inputs) -> Any:
    """Call a module on a batch, with positional or keyword arguments as it takes them."""
    if isinstance(inputs, Mapping):
        return module(**inputs)
    return module(*(inputs if isinstance(inputs, tuple) else (inputs,)))


def flatten_batch(inputs: Inputs, argument: str) -> tuple[tuple[Tensor, ...], tuple[str, ...]]:
    """The tensors of a batch and their keywords, () where they are positional."""
    keywords: tuple[str, ...] = ()
    parts: tuple[Any, ...]
    if isinstance(inputs, Mapping):
        keywords, parts = tuple(inputs), tuple(inputs.values())
    elif isinstance(inputs, tuple):
        parts = inputs
    else:
        parts = (inputs,)
    for place, part in enumerate(parts):
        where = f"['{keywords[place]}']" if keywords else f"[{place}]" if len(parts) > 1 else ""
        if not isinstance(part, Tensor):
            raise BadArgument(
                f"`{argument}`{where} is of type {type(part).__name__}; a batch is a tensor, a "
                f"tuple of tensors or a dict of keyword tensors. Leave out what is no tensor."
            )
        if part.dim() == 0 or part.shape[0] == 0:
            raise BadArgument(
                f"`{argument}`{where} has shape {tuple(part.shape)}; its first axis is the batch "
                f"and needs at least one example."
            )
    if not parts:
        raise BadArgument(f"`{argument}` is empty; pass a batch of at least one example.")
    sizes = [part.shape[0] for part in parts]
    if len(set(sizes)) > 1:
        raise BadArgument(
            f"the tensors of `{argument}` have {', '.join(map(str, sizes))} examples; the first "
            f"axis of each is the batch and must be of one size."
        )
    return parts, keywords


def describe(inputs: Inputs) -> str:
    """The types and shapes of the inputs, such as "torch.float32 of shape (N, 3)"."""

    def one(part: Tensor) -> str:
        return f"{part.dtype} of shape ({', '.join(('N', *map(str, part.shape[1:])))})"

    if isinstance(inputs, Tensor):
        return one(inputs)
    if isinstance(inputs, Mapping):
        return ", ".join(f"'{name}' {one(inputs[name])}" for name in sorted(inputs))
    return ", ".join(one(part) for part in inputs)


def all_tensors(batch: Batch) -> list[Tensor]:
    """The inputs' tensors and the labels, if there are any."""
    inputs, labels = batch
    if isinstance(inputs, Tensor):
        parts = [inputs]
    else:
        parts = list(inputs.values() if isinstance(inputs, Mapping) else inputs)
    return parts if labels is None else [*parts, labels]


def concatenate(batches: Sequence[Batch]) -> Batch:
    """Concatenate several batches of one form."""
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


def take_examples(inputs: Inputs, index: Tensor) -> Inputs:
    """The examples of a batch at these indices."""
    return map_batch(inputs, lambda part: part[index.to(part.device)])


def batch_size_of(inputs: Inputs) -> int:
    """The number of examples in a batch."""
    if isinstance(inputs, Tensor):
        return len(inputs)
    parts = inputs.values() if isinstance(inputs, Mapping) else inputs
    return len(next(iter(parts)))


def to_device(inputs: Inputs, device: torch.device) -> Inputs:
    """The batch with every tensor on ``device``."""
    return map_batch(inputs, lambda part: part.to(device))


def repeat_examples(inputs: Inputs, examples: int) -> Inputs:
    """A batch of this many examples, repeating the given ones as needed."""

    def one(part: Tensor) -> Tensor:
        times = -(-examples // len(part))
        return part.repeat(times, *(1 for _ in part.shape[1:]))[:examples]

    return map_batch(inputs, one)
