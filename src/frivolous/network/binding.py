"""Batches as users pass them: a tensor, a tuple of tensors, or a dict of keyword tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from frivolous.errors import BadArgument
from frivolous.network.program import Program, Values

Inputs: TypeAlias = Tensor | tuple[Tensor, ...] | Mapping[str, Tensor]


def each(inputs: Inputs, change: Callable[[Tensor], Tensor]) -> Inputs:
    """The batch with every tensor of it changed."""
    if isinstance(inputs, Tensor):
        return change(inputs)
    if isinstance(inputs, Mapping):
        return {name: change(value) for name, value in inputs.items()}
    return tuple(change(value) for value in inputs)


def called(module: nn.Module, inputs: Inputs) -> Any:
    """What a module gives for a batch, passed as the module takes it."""
    if isinstance(inputs, Mapping):
        return module(**inputs)
    return module(*(inputs if isinstance(inputs, tuple) else (inputs,)))


def parts_of(inputs: Inputs, argument: str) -> tuple[tuple[Tensor, ...], tuple[str, ...]]:
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


def as_values(inputs: Inputs, program: Program, device: torch.device) -> tuple[Values, int]:
    """The inputs' values in a program, and the batch's size; a batch that does not fit is named."""
    parts, keywords = parts_of(inputs, "inputs")
    if sorted(keywords) != sorted(program.keywords) or len(parts) != len(program.inputs):
        raise BadArgument(
            f"`inputs` is {_form(parts, keywords)}; the network was traced with "
            f"{_form(program.inputs, program.keywords)}. Pass the same form, or trace again."
        )
    if keywords:
        given = dict(zip(keywords, parts, strict=True))
        parts = tuple(given[name] for name in program.keywords)
    for place, (part, index) in enumerate(zip(parts, program.inputs, strict=True)):
        name = f"['{program.keywords[place]}']" if keywords else f"[{place}]" * (len(parts) > 1)
        shape = program.shapes[index][1:]
        if tuple(part.shape[1:]) != shape or part.dtype != program.dtypes[index]:
            expected = ", ".join(("N", *map(str, shape)))
            raise BadArgument(
                f"`inputs`{name} is {part.dtype} of shape {tuple(part.shape)}; the network was "
                f"traced with {program.dtypes[index]} of shape ({expected}). Convert it, or trace "
                f"the model again with such an example."
            )
    values = {index: part.to(device) for index, part in zip(program.inputs, parts, strict=True)}
    return values, int(parts[0].shape[0])


def _form(parts: tuple[Any, ...], keywords: tuple[str, ...]) -> str:
    if keywords:
        return f"a dict of {', '.join(keywords)}"
    return "one tensor" if len(parts) == 1 else f"a tuple of {len(parts)} tensors"
