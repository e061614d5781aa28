"""Bind a batch to the inputs of a program, and check its structure, shapes and types."""

from __future__ import annotations

from typing import Any

import torch

from frivolous.errors import BadArgument
from frivolous.inputs.batch import Inputs, flatten_batch
from frivolous.network.program import Program, Values


def as_values(inputs: Inputs, program: Program, device: torch.device) -> tuple[Values, int]:
    """The inputs' values by place in the program, and the batch size; raises for a misfit."""
    parts, keywords = flatten_batch(inputs, "inputs")
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
