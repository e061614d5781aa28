"""What surgery did to a module, as plain data: shapes, sizes of layers, modules replaced."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx, nn

from frivolous.network.state_dict import read_state

SIZES = frozenset(
    {
        *("in_features", "out_features", "in_channels", "out_channels", "groups"),
        *("num_features", "embedding_dim", "num_parameters", "nf", "nx"),
    }
)
"""Attributes of layers that surgery sets; all others stay."""

IDLE = frozenset({"training", "inplace", "p", "momentum", "num_batches_tracked"})
"""Attributes of layers that do not matter in evaluation mode."""

Spec = dict[str, Any]


def spec_of(module: nn.Module) -> Spec:
    """Everything that a module of the original sizes needs to take a thinner module's weights.

    ``state`` has the shape and dtype of every parameter and persistent buffer, ``ties`` the names
    that share one, ``layers`` the class of every module by its path with its constants, ``windows``
    the response normalisations that were exchanged.

    >>> spec_of(nn.Sequential(nn.Linear(3, 2)))["state"]["0.bias"]
    {'shape': [2], 'dtype': 'float32'}
    """
    state, ties = read_state(module)
    windows = windows_of(module)
    return {
        "state": {
            name: {"shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch.")}
            for name, tensor in state.items()
        },
        "ties": [list(names) for names in ties],
        "layers": {
            path: {"class": type(part).__name__, "constants": constants_of(part)}
            for path, part in module.named_modules(remove_duplicate=False)
            if path not in windows
        },
        "windows": windows,
    }


def constants_of(module: nn.Module) -> dict[str, Any]:
    """The plain numbers and words of a layer of PyTorch's, or of one with sizes, by name.

    >>> constants_of(nn.Linear(3, 2))
    {'in_features': 3, 'out_features': 2}
    """
    own = type(module).__module__.startswith("torch.nn.")
    return {
        name: plain(value)
        for name, value in vars(module).items()
        if not name.startswith("_") and name not in IDLE and (own or name in SIZES)
        if isinstance(value, bool | int | float | str) or _is_sizes(value)
    }


def _is_sizes(value: Any) -> bool:
    return isinstance(value, tuple | list) and all(isinstance(item, int) for item in value)


def plain(value: Any) -> Any:
    """A value as JSON has it: arrays and tuples as lists, NumPy numbers as Python's.

    >>> plain({"a": (1, torch.Size([2]))})
    {'a': [1, [2]]}
    """
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value.tolist() if hasattr(value, "tolist") else value


def windows_of(module: nn.Module) -> dict[str, Spec]:
    """The response normalisations that surgery replaced, by path, with their constants."""
    found = {}
    for path, part in module.named_modules(remove_duplicate=False):
        if isinstance(part, fx.GraphModule) and set(dict(part.named_buffers())) == {"band"}:
            added = [node for node in part.graph.nodes if node.target is torch.add]
            raised = [node for node in part.graph.nodes if node.target is torch.pow]
            if len(added) == len(raised) == 1:
                bias, beta = (float(nodes[0].args[1]) for nodes in (added, raised))
                found[path] = {"units": len(part.band), "bias": bias, "beta": beta}  # type: ignore[arg-type]
    return found
