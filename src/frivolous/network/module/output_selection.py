"""Select the output that a network computes from what a model returns."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from frivolous.errors import BadArgument, NotTraceable, look_up

#: The entry that classifiers and language models give their scores in.
SCORES = "logits"


def select_output(given: Any, output: str | int | None, model: str) -> Tensor:
    """The tensor of a model's output that is read.

    ``given`` is what ``model`` (its name, for messages) returns: a tensor, or a mapping, dataclass,
    tuple or list of entries; ``output`` names one by key, field or index. With None it is the
    tensor itself, the entry ``logits``, or the only entry that is a floating-point tensor. Raises
    ``NotTraceable`` where that is ambiguous, ``BadArgument`` for an entry that is no tensor and
    ``UnknownName`` for one that does not exist.

    >>> import torch
    >>> select_output({"logits": torch.ones(2), "state": torch.zeros(1)}, None, "Model")
    tensor([1., 1.])
    >>> select_output((torch.ones(2), torch.zeros(1)), 1, "Model")
    tensor([0.])
    """
    if isinstance(given, Tensor):
        if output is None:
            return given
        raise BadArgument(
            f"`output` is {output!r}, but `model` ({model}) gives one tensor, which has no "
            f"entries. Leave `output` out."
        )
    entries = _entries(given)
    if output is not None:
        entry = look_up(entries, str(output), "output")
        if isinstance(entry, Tensor):
            return entry
        raise BadArgument(
            f"`output` names '{output}', which is of type {type(entry).__name__}; a network is "
            f"read up to one tensor. Pass one of: {_listed(entries)}."
        )
    if isinstance(entries.get(SCORES), Tensor):
        return entries[SCORES]
    scores = {name: entry for name, entry in entries.items() if _numbers(entry)}
    if len(scores) == 1:
        return next(iter(scores.values()))
    raise NotTraceable(_undecided(given, entries, scores, model))


def tensors_of(given: Any) -> dict[str, Tensor]:
    """All floating-point tensors of an output by name or index, nested ones by a dotted path.

    >>> import torch
    >>> sorted(tensors_of({"logits": torch.ones(1), "boxes": (torch.ones(2), 3)}))
    ['boxes.0', 'logits']
    """
    if isinstance(given, Tensor):
        return {"": given} if _numbers(given) else {}
    found = {}
    for name, entry in _entries(given).items():
        for inner, tensor in tensors_of(entry).items():
            found[f"{name}.{inner}" if inner else name] = tensor
    return found


def _undecided(
    given: Any, entries: Mapping[str, Any], scores: Mapping[str, Any], model: str
) -> str:
    what = f"`model` ({model}) returns {type(given).__name__}"
    if not scores:
        return (
            f"{what} without a floating-point tensor in it; a network is read up to one. Wrap it "
            f"in a module whose forward returns its scores, e.g. `return self.model(x).scores`."
        )
    first = next(iter(scores))
    example = first if not first.isdigit() else int(first)
    return (
        f"{what} with {len(scores)} tensors: {_listed(entries)}. A network is read up to one; name "
        f"it, e.g. `output={example!r}`."
    )


def _entries(given: Any) -> dict[str, Any]:
    """The entries of an output by name or index, without those that are None."""
    found: dict[Any, Any] = {}
    if isinstance(given, Mapping):
        found = dict(given)
    elif dataclasses.is_dataclass(given) and not isinstance(given, type):
        found = {f.name: getattr(given, f.name) for f in dataclasses.fields(given)}
    elif isinstance(given, tuple) and hasattr(given, "_fields"):
        found = dict(zip(given._fields, given, strict=True))
    elif isinstance(given, tuple | list):
        found = dict(enumerate(given))
    return {str(name): entry for name, entry in found.items() if entry is not None}


def _numbers(entry: Any) -> bool:
    return isinstance(entry, Tensor) and entry.is_floating_point()


def _listed(entries: Mapping[str, Any]) -> str:
    tensors = {name: entry for name, entry in entries.items() if _numbers(entry)}
    return ", ".join(
        f"{name} ({', '.join(['N', *map(str, entry.shape[1:])])})"
        for name, entry in tensors.items()
    )
