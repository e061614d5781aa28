"""A network's parameters and buffers: named as in ``state_dict()``, checked when replaced."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from frivolous.errors import BadArgument


def read_state(model: nn.Module) -> tuple[dict[str, Tensor], tuple[tuple[str, ...], ...]]:
    """A model's parameters and persistent buffers (detached), and names that share a tensor."""
    tensors = dict(model.named_parameters(remove_duplicate=False))
    for prefix, module in model.named_modules(remove_duplicate=False):
        for name, buffer in module._buffers.items():
            if buffer is not None and name not in module._non_persistent_buffers_set:
                tensors[f"{prefix}.{name}" if prefix else name] = buffer
    shared: dict[int, list[str]] = {}
    for name, tensor in tensors.items():
        shared.setdefault(id(tensor), []).append(name)
    ties = tuple(tuple(names) for names in shared.values() if len(names) > 1)
    return {name: tensor.detach() for name, tensor in tensors.items()}, ties


def checked(
    state: Mapping[str, Tensor], known: Mapping[str, Tensor], ties: tuple[tuple[str, ...], ...]
) -> dict[str, Tensor]:
    """The state in the order of ``known``; raises for the first entry that does not fit."""
    faults = [
        f"`state` has no '{name}'; the network needs it with shape {tuple(tensor.shape)}"
        for name, tensor in known.items()
        if name not in state
    ]
    faults += [
        f"`state` has '{name}', of shape {tuple(tensor.shape)}, which the network does not know"
        for name, tensor in state.items()
        if name not in known
    ]
    for name, tensor in known.items():
        given = state.get(name)
        if given is not None and given.shape != tensor.shape:
            faults.append(
                f"`state['{name}']` has shape {tuple(given.shape)}; the network's has "
                f"{tuple(tensor.shape)}"
            )
        elif given is not None and given.dtype != tensor.dtype:
            faults.append(
                f"`state['{name}']` is {given.dtype}; the network's is {tensor.dtype}, both of "
                f"shape {tuple(tensor.shape)}"
            )
    for first, *others in ties:
        faults += [
            f"`state['{name}']` differs from `state['{first}']`, with which the model shares one "
            f"tensor"
            for name in others
            if not faults and not torch.equal(state[name], state[first])
        ]
    if faults:
        more = f" ({len(faults) - 1} more like it)" if len(faults) > 1 else ""
        raise BadArgument(
            f"{faults[0]}{more}. Pass the `state_dict()` of a model with the same architecture."
        )
    return {name: state[name] for name in known}
