"""Copy a module so that it shares nothing with the original, also where ``deepcopy`` refuses."""

from __future__ import annotations

import copy
from collections import deque
from typing import Any, TypeVar

from torch import Tensor, nn

from frivolous.errors import FrivolousError, one_line

Module = TypeVar("Module", bound=nn.Module)


class CannotCopy(FrivolousError):
    """Raised for a parameter or buffer that cannot be copied; the message names it."""


def copy_module(module: Module) -> Module:
    """A copy of a module: its own parameters and buffers, shared where the module shares them.

    Where ``copy.deepcopy`` refuses, modules and containers are rebuilt part by part: tensors that a
    ``forward`` stored are copied without their history, and what cannot be copied at all, such as a
    lock, an open file or a generator, stays the original's. Raises :class:`CannotCopy` for a
    parameter or buffer that refuses.

    >>> import torch
    >>> layer = nn.Linear(2, 2)
    >>> layer.seen = layer(torch.ones(1, 2))
    >>> twin = copy_module(layer)
    >>> twin.seen is layer.seen, torch.equal(twin.seen, layer.seen), twin.seen.requires_grad
    (False, True, False)
    """
    found: Module = _copied(module, {}, type(module).__name__)
    return found


def _copied(value: Any, memo: dict[int, Any], path: str) -> Any:
    if id(value) in memo:
        return memo[id(value)]
    trial = dict(memo)  # one that fails leaves half-made copies in it
    try:
        found = copy.deepcopy(value, trial)
    except Exception:  # noqa: BLE001 - anything may be raised by what a module holds
        return _in_parts(value, memo, path)
    memo.update(trial)
    return found


def _in_parts(value: Any, memo: dict[int, Any], path: str) -> Any:
    """A copy made of copies of what ``value`` holds; the value itself if it holds nothing known."""
    made: Any = value
    if isinstance(value, Tensor):
        made = _without_history(value, path)
        memo[id(value)] = made
    elif isinstance(value, nn.Module):
        made = memo[id(value)] = object.__new__(type(value))
        vars(made).update(_entries(vars(value), memo, path))
    elif type(value) is tuple:
        made = tuple(_copied(item, memo, path) for item in value)
    elif isinstance(value, dict | list | deque):
        made = memo[id(value)] = copy.copy(value)
        if isinstance(value, dict):
            made.update(_entries(value, memo, path))
        else:
            for place, item in enumerate(value):
                made[place] = _copied(item, memo, path)
    elif hasattr(value, "__dict__") and not hasattr(type(value), "__deepcopy__"):
        made = _object(value, memo, path)
    return made


def _without_history(value: Tensor, path: str) -> Tensor:
    try:
        return value.detach().clone()
    except Exception as error:
        raise CannotCopy(
            f"`model` cannot be copied: {path}, a {type(value).__name__} of shape "
            f"{tuple(value.shape)}, has no copy ({one_line(error)}). Keep it as a plain tensor."
        ) from error


def _entries(held: dict[Any, Any], memo: dict[int, Any], path: str) -> dict[Any, Any]:
    tables = ("_parameters", "_buffers", "_modules")
    return {
        key: _copied(item, memo, path if key in tables else f"{path}.{key}")
        for key, item in held.items()
    }


def _object(value: Any, memo: dict[int, Any], path: str) -> Any:
    """A plain object with copies of its attributes, or the object itself."""
    try:
        made = copy.copy(value)
    except Exception:  # noqa: BLE001 - an open file, a lock, or a class that says no
        return value
    if made is not value:
        memo[id(value)] = made
        vars(made).update(_entries(vars(value), memo, path))
    return made
