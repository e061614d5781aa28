"""Remove units from a module: the same class with smaller layers, no masks and no hooks."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.weight_norm import WeightNorm

from frivolous.compression.coupling.channel_ids import ChannelMask
from frivolous.compression.surgery.graph import window
from frivolous.errors import FrivolousError
from frivolous.families.response_norm import ResponseNorm
from frivolous.network import Network
from frivolous.network.module.copying import copy_module


class CannotCut(FrivolousError):
    """Raised for a module that cannot take the sizes; the message says which and why."""


def cut_module(
    model: nn.Module, network: Network, keeping: ChannelMask, state: Mapping[str, Tensor]
) -> nn.Module:
    """A copy of the model with the thinner state and the sizes of its layers set accordingly.

    ``state`` has all parameters and buffers by name, of the sizes that ``keeping`` leaves, and may
    have biases that the model has not. Raises :class:`CannotCut` for a response normalisation that
    cannot be replaced. Whether the module computes with the new sizes is for the caller to check.
    """
    thin = copy_module(model)
    made: dict[tuple[int, int], Any] = {}
    modules = dict(thin.named_modules(remove_duplicate=False))
    for name, tensor in state.items():
        path, _, own = name.rpartition(".")
        module = modules[path]
        if own in module._parameters:
            old = module._parameters[own]
            key = (id(old), 0)
            if old is None or (old.shape == tensor.shape and torch.equal(old, tensor)):
                if old is not None:
                    continue
                made[key] = nn.Parameter(tensor.clone())
            elif key not in made:
                made[key] = nn.Parameter(tensor.clone(), requires_grad=old.requires_grad)
            module._parameters[own] = made[key]
        elif own in module._buffers:
            module._buffers[own] = tensor.clone()
    with set_evaluation(thin):  # in training, computing a weight may change its own parameters
        for path, module in modules.items():
            _compute_anew(module)
            _set_sizes(module, path)
        _set_groups(thin, network, keeping)
        _set_features(thin, network, keeping)
    _set_windows(thin, network, keeping)
    return thin


@contextlib.contextmanager
def set_evaluation(model: nn.Module) -> Iterator[None]:
    """Every part of a model in evaluation mode inside, and in its own mode afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        for module, _ in modes:
            module.training = False
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _compute_anew(module: nn.Module) -> None:
    """Run the hooks that compute a layer's weight from others before each call, now."""
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, WeightNorm | BasePruningMethod):
            with torch.no_grad():
                hook(module, None)


def _set_sizes(module: nn.Module, path: str) -> None:
    """Set the attributes in which a layer keeps its own sizes."""
    weight: Any = getattr(module, "weight", None)
    sizes: dict[str, int] = {}
    if isinstance(module, nn.Linear):
        sizes = {"out_features": len(weight), "in_features": weight.shape[1]}
    elif isinstance(module, nn.modules.conv._ConvNd) and isinstance(weight, Tensor):
        first, second = weight.shape[:2]
        if module.transposed:
            sizes = {"in_channels": first, "out_channels": second * module.groups}
        else:
            sizes = {"out_channels": first, "in_channels": second * module.groups}
    elif isinstance(module, nn.modules.batchnorm._NormBase):
        own: Any = weight if weight is not None else module.running_mean
        sizes = {} if own is None else {"num_features": len(own)}
    elif isinstance(module, nn.Embedding):
        sizes = {"embedding_dim": weight.shape[1]}
    elif isinstance(module, nn.PReLU):
        sizes = {"num_parameters": len(weight)}
    elif type(module).__name__ == "Conv1D" and hasattr(module, "nf"):
        sizes = {"nf": weight.shape[1], "nx": weight.shape[0]}
    for name, size in sizes.items():
        if hasattr(module, name):
            setattr(module, name, int(size))


def _set_groups(thin: nn.Module, network: Network, keeping: ChannelMask) -> None:
    """Give depthwise convolutions one group per unit that is left."""
    for step in network.program.steps:
        module = _module(thin, step.module)
        if not isinstance(module, nn.modules.conv._ConvNd) or "conv" not in step.op:
            continue
        kept = keeping.along(step.args[0].index)[1]
        before = network.program.shapes[step.args[0].index][1]
        if kept is None or not module.groups == before > 1:
            continue
        module.groups = module.in_channels = int(kept.sum())
        if module.transposed:
            module.out_channels = module.groups * module.weight.shape[1]


def _set_features(thin: nn.Module, network: Network, keeping: ChannelMask) -> None:
    """Set the number of features of normalisations without weights or statistics."""
    for step in network.program.steps:
        module = _module(thin, step.module)
        if "_norm" not in step.op or not isinstance(module, nn.modules.batchnorm._NormBase):
            continue
        kept = keeping.along(step.args[0].index)
        if len(kept) > 1 and (flags := kept[1]) is not None:
            module.num_features = int(flags.sum())


def _set_windows(thin: nn.Module, network: Network, keeping: ChannelMask) -> None:
    """Replace response normalisations by ones in which units keep their neighbours."""
    steps = [step for step in network.program.steps if step.op == "response_norm"]
    calls = Counter(step.module for step in steps if step.module)
    for step in steps:
        kept = keeping.along(step.index)[1]
        if kept is None:
            continue
        if calls[step.module] > 1:
            raise CannotCut(
                f"'{step.module}' normalises several layers, each of which keeps other "
                "neighbours; give each layer a normalisation of its own"
            )
        module = _module(thin, step.module)
        if not isinstance(module, nn.LocalResponseNorm | ResponseNorm):
            raise CannotCut(
                "a local response normalisation outside of a module has no place for the units' "
                "neighbours; use torch.nn.LocalResponseNorm"
            )
        places = torch.as_tensor(np.flatnonzero(kept))
        parent, _, own = step.module.rpartition(".")
        exchanged = windowed_norm(places, *step.args[1:])
        exchanged.train(module.training)
        _module(thin, parent)._modules[own] = exchanged


def windowed_norm(places: Tensor, size: int, alpha: float, bias: float, beta: float) -> nn.Module:
    """Local response normalisation among the units kept, as a graph of PyTorch operations.

    Its one buffer, ``band`` (units, units, 1, 1), sums squares over a unit's original neighbours.
    """
    root = nn.Module()
    band = window(places, size).float() * (alpha / size)
    root.register_buffer("band", band[:, :, None, None])
    graph = fx.Graph()
    value = graph.placeholder("maps")
    weight = graph.get_attr("band")
    squares = graph.call_function(torch.mul, (value, value))
    same = graph.call_method("to", (weight, squares))  # a model of float64 keeps its numbers
    summed = graph.call_function(torch.nn.functional.conv2d, (squares, same))
    shifted = graph.call_function(torch.add, (summed, bias))
    powered = graph.call_function(torch.pow, (shifted, beta))
    graph.output(graph.call_function(torch.div, (value, powered)))
    return fx.GraphModule(root, graph, "WindowedResponseNorm")


def _module(model: nn.Module, path: str) -> nn.Module:
    try:
        return model.get_submodule(path)
    except AttributeError:
        return nn.Module()
