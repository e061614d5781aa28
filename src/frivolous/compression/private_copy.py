"""Private copies of a user's module, so that the user's own is never run, timed or trained."""

from __future__ import annotations

from torch import nn

from frivolous.network.module.copying import copy_module

CALLED = (
    *("_forward_pre_hooks", "_forward_hooks"),
    *("_backward_pre_hooks", "_backward_hooks"),
)
"""Attributes that hold the hooks called when a module runs."""


def sharing(module: nn.Module) -> nn.Module:
    """A copy with the same parameters and buffers, for tracing, which writes none of them.

    What a forward pass assigns or appends to stays in the copy.
    """
    twin = copy_module(module)
    for mine, own in zip(module.modules(), twin.modules(), strict=True):
        own._parameters.update(mine._parameters)
        own._buffers.update(mine._buffers)
    return twin


def private_copy(model: nn.Module) -> tuple[nn.Module, tuple[str, ...]]:
    """A copy without the user's hooks, and the paths of the modules that had some.

    A copied hook would still call the user's function. The hooks that PyTorch's own utilities put
    in place (weight and spectral normalisation, pruning) compute weights, so they stay.

    >>> layer = nn.Linear(2, 2)
    >>> handle = layer.register_forward_hook(print)
    >>> own, silenced = private_copy(nn.Sequential(layer))
    >>> silenced, len(own[0]._forward_hooks), len(layer._forward_hooks)
    (('0',), 0, 1)
    """
    own = copy_module(model)
    silenced = [path for path, part in own.named_modules() if _silence(part)]
    return own, tuple(silenced)


def _silence(module: nn.Module) -> bool:
    """Remove a module's hooks, except PyTorch's own; returns whether there were any."""
    found = False
    for table in CALLED:
        hooks = getattr(module, table, {})
        for key in [key for key, hook in hooks.items() if not _of_torch(hook)]:
            del hooks[key]
            found = True
    return found


def _of_torch(hook: object) -> bool:
    module = getattr(hook, "__module__", None) or type(hook).__module__
    return str(module).split(".")[0] == "torch"
