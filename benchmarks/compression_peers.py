"""Other methods of compression, each as the thinner networks it makes of a trained one.

A :class:`Peer` has variants; a variant makes a network for each setting of its grid, from the one
that takes least to the one that takes most, always from a fresh copy of the original.

Torch-Pruning ranks groups of channels by magnitude, by a first-order (Taylor) or by a diagonal
second-order (Hessian) estimate of what the loss gains, either globally or layer by layer to one
share. Gradients are those of the labels of the search examples, taken once: their mean for Taylor,
the mean of their squares for Hessian, which are given to its importance as it reads them. (Its own
``accumulate_grad``, in 1.6.1, keeps the last example alone.) Where the network has a residual
stream, there are variants that leave the stream's width, or all but the hidden layers, as it is.

"interpolative" is the method of Chee et al. (2022), "Model preserving compression for neural
networks", written down plainly: a column-pivoted QR factorisation of the activations that a
layer's reader sees in the original network (a row per example and position) chooses the units, and
the reader's weights take up the interpolation of the others. Layers keep either the columns down
to one relative accuracy, |R_kk| / |R_11| > epsilon, or one share of their units.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise

import numpy as np
import torch
import torch_pruning as tp
from compressible import Trained, scores
from scipy.linalg import qr, solve_triangular
from torch import Tensor, nn

Make = Callable[[float], nn.Module]

RATIOS = (0.001, 0.002, 0.003, 0.005, 0.01, *np.arange(0.02, 0.99, 0.02).round(2).tolist())
FINER = 0.005
EPSILONS = tuple(np.geomspace(1e-4, 0.95, 70).tolist())
IMPORTANCES = {
    "magnitude": tp.importance.MagnitudeImportance,
    "taylor": tp.importance.TaylorImportance,
    "hessian": tp.importance.HessianImportance,
}
ROWS = 20_000
"""So many rows of activations, drawn at random, are factorised at most."""
LEAST_PIVOT = 1e-6
"""Columns whose pivot is smaller, relative to the first, are interpolated whatever is asked for."""


@dataclass(frozen=True)
class Variant:
    """One way to use a method: ``make(setting)`` is its network, ``grid`` the settings in order.

    ``finer`` is the step with which the grid is refined behind a setting that was good enough.
    """

    name: str
    make: Make
    grid: Sequence[float]
    finer: float | None = None


@dataclass(frozen=True)
class Link:
    """A layer whose units may be taken, its normalisation and the layer that reads it."""

    layer: str
    norm: str | None
    reader: str


WEIGHTED = (nn.Conv2d, nn.Linear)


def links(name: str, model: nn.Module) -> list[Link]:
    """The layers of a network with one reader each: all but those that write a residual stream."""
    if name == "resnet56":
        return [
            Link(f"{path}.first", f"{path}.first_norm", f"{path}.second")
            for path, module in model.named_modules()
            if hasattr(module, "second")
        ]
    if name == "transformer":
        return [
            Link(f"{path}.fc1", None, f"{path}.fc2")
            for path, module in model.named_modules()
            if hasattr(module, "fc2")
        ]
    layers = [path for path, module in model.named_modules() if isinstance(module, WEIGHTED)]
    norms = {"conv1": "norm1", "conv2": "norm2"} if name == "digits-conv" else {}
    return [Link(a, norms.get(a), b) for a, b in pairwise(layers)]


def scopes(name: str, model: nn.Module) -> dict[str, set[str]]:
    """The layers whose own units Torch-Pruning is to leave: the scores', the stream's, or more."""
    weighted = {path for path, module in model.named_modules() if isinstance(module, WEIGHTED)}
    last = {"resnet56": "dense", "transformer": "classifier"}
    inner = {link.layer for link in links(name, model)}
    if name not in last:
        return {"": weighted - inner}
    found = {"": {last[name]}, ", hidden layers alone": weighted - inner}
    if name == "transformer":
        heads = {path for path in weighted if path.endswith(("q_proj", "k_proj", "v_proj"))}
        found[", stream kept"] = weighted - inner - heads
    return found


def peers(trained: Trained, examples: int) -> Iterator[tuple[str, list[Variant]]]:
    """Every peer's name and its variants; gradients are of so many search examples."""
    yield "interpolative (Chee et al. 2022)", interpolative(trained)
    mean, squares = gradients(trained, examples)
    for kind, given in (("magnitude", mean), ("taylor", mean), ("hessian", squares)):
        yield f"Torch-Pruning, {kind}", list(_torch_pruning(trained, kind, given))


def gradients(trained: Trained, examples: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The mean over search examples of the loss's gradient and of its square, by parameter."""
    model = copy.deepcopy(trained.model)
    inputs, labels = (part[:examples] for part in trained.search)
    parameters = dict(model.named_parameters())
    mean = {name: torch.zeros_like(value) for name, value in parameters.items()}
    squares = {name: torch.zeros_like(value) for name, value in parameters.items()}
    for x, y in zip(inputs.split(1), labels.split(1), strict=True):
        loss = nn.functional.cross_entropy(scores(model, x), y)
        found = torch.autograd.grad(loss, list(parameters.values()))
        for name, gradient in zip(parameters, found, strict=True):
            mean[name] += gradient / len(inputs)
            squares[name] += gradient**2 / len(inputs)
    return mean, squares


def _torch_pruning(trained: Trained, kind: str, given: dict[str, Tensor]) -> Iterator[Variant]:
    """Global and uniform ratios, in every scope of what may be taken."""
    for scope, ignored in scopes(trained.name, trained.model).items():
        for ranked in ("global", "uniform"):
            make = partial(
                _torch_pruned, trained, kind, given, everywhere=ranked == "global", ignored=ignored
            )
            yield Variant(f"{ranked}{scope}", make, RATIOS, FINER)


def _torch_pruned(
    trained: Trained,
    kind: str,
    given: dict[str, Tensor],
    ratio: float,
    *,
    everywhere: bool,
    ignored: set[str],
) -> nn.Module:
    """What Torch-Pruning leaves of a fresh copy of the network at a pruning ratio."""
    model = copy.deepcopy(trained.model)
    for name, parameter in model.named_parameters():
        parameter.grad = given[name].clone()
    attentions = [module for module in model.modules() if hasattr(module, "q_proj")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of parameters outside layers, which it finds by itself
        pruner = tp.pruner.BasePruner(
            model,
            trained.example,
            IMPORTANCES[kind](),
            global_pruning=everywhere,
            pruning_ratio=ratio,
            ignored_layers=[model.get_submodule(path) for path in sorted(ignored)],
            num_heads={
                getattr(attention, part): attention.num_attention_heads
                for attention in attentions
                for part in ("q_proj", "k_proj", "v_proj")
            },
            # Its defaults for these are dictionaries that all pruners of a process share.
            in_channel_groups={},
            out_channel_groups={},
            output_transform=lambda found: getattr(found, "logits", found),
        )
        pruner.step()
    for attention in attentions:  # how many heads stays as it is, and so does the scaling
        attention.head_dim = attention.q_proj.out_features // attention.num_attention_heads
    model.zero_grad()
    return model.eval()


def interpolative(trained: Trained, examples: int = 1_000) -> list[Variant]:
    """The method of Chee et al. by a relative accuracy and by a share of every layer's units."""

    @cache
    def found() -> list[tuple[Link, np.ndarray, np.ndarray]]:
        return _factorised(trained, examples)

    def thinner(count: Callable[[np.ndarray], int]) -> nn.Module:
        model = copy.deepcopy(trained.model)
        for link, R, pivots in found():
            pivot_sizes = np.abs(np.diagonal(R)) / max(abs(R[0, 0]), 1e-30)
            rank = int((pivot_sizes > LEAST_PIVOT).sum())
            _keep(model, link, R, pivots, max(1, min(count(pivot_sizes), rank)))
        return model

    return [
        Variant("accuracy", lambda eps: thinner(lambda sizes: int((sizes > eps).sum())), EPSILONS),
        Variant("share", lambda r: thinner(lambda s: round(len(s) * (1 - r))), RATIOS, FINER),
    ]


@torch.no_grad()
def _factorised(trained: Trained, examples: int) -> list[tuple[Link, np.ndarray, np.ndarray]]:
    """Every link with R and the pivots of the activations that its reader sees, in float64."""
    model = copy.deepcopy(trained.model)
    order = np.random.default_rng(0)
    seen: dict[str, list[Tensor]] = {}
    chain = links(trained.name, model)
    for link in chain:
        units = model.get_submodule(link.layer).weight.shape[0]

        def look(_: nn.Module, given: tuple[Tensor, ...], at: str = link.layer, n: int = units):
            value = given[0]
            if value.shape[-1] == n and value.ndim <= 3:
                rows = value.reshape(-1, n)
            else:  # feature maps, perhaps flattened
                rows = value.reshape(len(value), n, -1).movedim(1, -1).reshape(-1, n)
            keep = order.permutation(len(rows))[: -(-ROWS * len(value) // examples)]
            seen.setdefault(at, []).append(rows[np.sort(keep)])

        model.get_submodule(link.reader).register_forward_pre_hook(look)
    for part in trained.search[0][:examples].split(250):
        scores(model, part)
    found = []
    for link in chain:
        values = torch.cat(seen[link.layer]).double().numpy()
        R, pivots = qr(values, mode="r", pivoting=True, check_finite=False)
        found.append((link, R[: values.shape[1]], pivots))
    return found


@torch.no_grad()
def _keep(model: nn.Module, link: Link, R: np.ndarray, pivots: np.ndarray, count: int) -> None:
    """Keep the first pivots of a layer; what read the others reads their interpolation instead."""
    layer, reader = model.get_submodule(link.layer), model.get_submodule(link.reader)
    weight = reader.weight
    units = len(pivots)
    T = np.zeros((count, units))  # activations are those kept, times this
    T[:, pivots[:count]] = np.eye(count)
    T[:, pivots[count:]] = solve_triangular(R[:count, :count], R[:count, count:])
    order = np.argsort(pivots[:count])  # neighbours stay neighbours
    kept, T = torch.from_numpy(pivots[:count][order]).long(), torch.from_numpy(T[order])
    read = weight.double().reshape(len(weight), units, -1)
    merged = torch.einsum("oup,ku->okp", read, T).to(weight.dtype)
    _slice(layer, kept)
    if link.norm is not None:
        _slice(model.get_submodule(link.norm), kept)
    if isinstance(reader, nn.Linear):
        reader.weight = nn.Parameter(merged.flatten(1))
        reader.in_features = reader.weight.shape[1]
    else:
        reader.weight = nn.Parameter(merged.reshape(len(weight), count, *weight.shape[2:]))
        reader.in_channels = count


def _slice(module: nn.Module, kept: Tensor) -> None:
    """Keep some of the units that a layer or a normalisation writes."""
    for name in ("weight", "bias"):
        value = getattr(module, name)
        if value is not None:
            setattr(module, name, nn.Parameter(value[kept].clone()))
    for name in ("running_mean", "running_var"):
        if hasattr(module, name):
            setattr(module, name, getattr(module, name)[kept].clone())
    for name in ("out_features", "out_channels", "num_features"):
        if hasattr(module, name):
            setattr(module, name, len(kept))
