"""Unwrap what is passed as a model, and refuse kinds of modules that cannot be traced.

``torch.compile``, ``DataParallel``, ``DistributedDataParallel`` and ``AveragedModel`` put a module
around another without changing what it computes. The module inside is read, pruned and returned.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from frivolous.errors import BadArgument, NotTraceable

#: Classes of PyTorch that wrap a module -> their name for it.
WRAPPERS = {
    "OptimizedModule": "_orig_mod",
    "DataParallel": "module",
    "DistributedDataParallel": "module",
    "AveragedModel": "module",
}


def inside(module: nn.Module) -> nn.Module | None:
    """The module inside a transparent wrapper; None for any other module."""
    for kind in type(module).__mro__:
        if kind.__name__ in WRAPPERS and kind.__module__.partition(".")[0] == "torch":
            return module._modules[WRAPPERS[kind.__name__]]
    return None


def uncompiled() -> AbstractContextManager[Any]:
    """A context in which modules wrapped by ``torch.compile`` run as they are, uncompiled."""
    return torch.compiler.set_stance("force_eager")


def unwrap(model: Any, argument: str = "model") -> nn.Module:
    """The module to read: ``model`` itself, or the one inside transparent wrappers.

    Raises ``BadArgument`` for what is no module and ``NotTraceable``, in one line, for a module
    that cannot be read: TorchScript, quantized layers, layers that have no sizes yet.

    >>> layer = nn.Linear(2, 2)
    >>> unwrap(nn.DataParallel(layer)) is layer
    True
    """
    if isinstance(model, torch.export.ExportedProgram):
        raise BadArgument(
            f"`{argument}` is an ExportedProgram; it must be a torch.nn.Module. Pass the module "
            f"that it was exported from."
        )
    if not isinstance(model, nn.Module):
        raise BadArgument(
            f"`{argument}` is a torch.nn.Module; got {type(model).__name__}. Pass an instance: "
            f"Net()."
        )
    while (inner := inside(model)) is not None:
        model = inner
    for path, module in model.named_modules():
        if why := _refusal(module):
            where = f"'{path}' in " if path else ""
            raise NotTraceable(f"{where}`{argument}` ({type(model).__name__}) {why}.")
    return model


def _refusal(module: nn.Module) -> str:
    """Why a module cannot be read; empty if it can."""
    if isinstance(module, torch.jit.ScriptModule):
        return (
            "is TorchScript, which cannot be read as a graph of layers. Pass the Python module "
            "that it was made from"
        )
    made_of = type(module).__module__.split(".")
    if made_of[:2] == ["torch", "ao"] and "quantized" in made_of:
        return (
            f"is a quantized {type(module).__name__}, whose weights are packed numbers. Pass the "
            f"model before it was converted"
        )
    held = [*module._parameters.values(), *module._buffers.values()]
    if any(isinstance(tensor, UninitializedParameter | UninitializedBuffer) for tensor in held):
        return (
            "has parameters without sizes yet. Run it on a batch once, `model(example_inputs)`, "
            "before you pass it"
        )
    return ""


def own_names(state: Mapping[str, Tensor], known: Mapping[str, Any]) -> Mapping[str, Tensor]:
    """A state dict under the module's own names, where it was saved from a wrapper around it.

    >>> list(own_names({"module.weight": torch.ones(1), "n_averaged": torch.ones(1)}, {"weight"}))
    ['weight']
    """
    first = next((name for name in known if name not in state), None)
    for name in () if first is None else state:
        prefix = name.removesuffix(first or "")
        if prefix != name and set(prefix.split(".")) <= {*WRAPPERS.values(), ""}:
            return {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}
    return state
