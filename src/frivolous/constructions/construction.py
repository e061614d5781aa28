"""The record of a construction, and the parts that all of them share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from frivolous.errors import BadArgument
from frivolous.families.mlp import MLP

Silenced: TypeAlias = Mapping[int, "Sequence[int] | Tensor"]
Curve: TypeAlias = Literal["diluted", "averaged", "balanced", "mirrored"]


@dataclass(frozen=True)
class Copies:
    """How a layer of wide units reaches the next: copies of the narrow units, in blocks.

    ``weights`` holds the outgoing weights of each block, (next width, narrow width); units after
    the last block reach nothing. With ``keep`` 1 for a unit that is left and 0 for a silenced one,
    the layer passes on ``relu(z) @ (sum_i weights[i] * keep[i]).T``.
    """

    weights: tuple[Tensor, ...]

    def __call__(self, before_NU: Tensor, keep_V: Tensor) -> Tensor:
        """Return what reaches the next layer, without its bias."""
        units = before_NU.shape[1]
        weight = torch.zeros_like(self.weights[0])
        for i, block in enumerate(self.weights):
            weight = weight + block * keep_V[i * units : (i + 1) * units]
        return torch.relu(before_NU) @ weight.T


@dataclass(frozen=True)
class Mirrored:
    """How a layer of mirrored units reaches the next: ``relu(z) = relu(z + s) + relu(-z) - s``."""

    weight: Tensor
    shift: float

    def __call__(self, before_NU: Tensor, keep_V: Tensor) -> Tensor:
        """Return what reaches the next layer, without its bias."""
        units = before_NU.shape[1]
        lifted = torch.relu(before_NU + self.shift) * keep_V[:units] - self.shift
        return (lifted + torch.relu(-before_NU) * keep_V[units:]) @ self.weight.T


@dataclass(frozen=True)
class Construction:
    """A wide network that computes what a narrow one does, and what must hold for it.

    One entry of a tuple for each hidden layer, the first first:

    ``output_tolerance``: bound of the difference of any score, wide less narrow, by rounding alone.
    ``silenceable``: units of the wide network that can all be silenced together, in every layer at
    once, without any change of the scores (at least these).
    ``rank``, ``narrow_rank``: rank of the centred activity, so that width less rank units are
    redundant at tolerance 0.
    ``spectrum``: eigenvalues of the wide network's covariance (divided by N), largest first.
    ``curve``: how unchanged labels depend on the units silenced: see :func:`curve_bounds`.
    ``passes``: what reaches the next layer when units are silenced, in terms of the narrow network.
    ``inputs``, ``narrow_inputs``: the data on which all of this holds, as each network reads it.

    What is said of labels holds where no two best scores are within rounding of each other.
    """

    name: str
    claim: str
    narrow: MLP
    wide: MLP
    inputs: Tensor
    narrow_inputs: Tensor
    output_tolerance: float
    silenceable: tuple[Tensor, ...]
    rank: tuple[int, ...]
    narrow_rank: tuple[int, ...]
    spectrum: tuple[Tensor, ...]
    curve: Curve
    passes: tuple[Copies | Mirrored, ...]

    def scores_without(self, silenced: Silenced) -> Tensor:
        """Return the scores that the wide network must give with these units silenced.

        ``silenced`` maps a hidden layer (0 is the first) to indices of the wide network's units.
        Computed from the narrow network's weights alone; exact up to rounding for any set, in
        any layers at once.
        """
        (weight, offset), *others = parts(self.narrow)
        before = self.narrow_inputs @ weight.T + offset
        for layer, onward in enumerate(self.passes):
            keep = torch.ones(self.wide.hidden[layer], dtype=before.dtype)
            keep[torch.as_tensor(silenced.get(layer, ()), dtype=torch.long)] = 0
            before = onward(before, keep) + others[layer][1]
        return before


def parts(model: MLP) -> list[tuple[Tensor, Tensor]]:
    """Return each layer's weight and bias, detached; a missing bias is zero."""
    found = []
    for layer in model.layers:
        weight = layer.get_parameter("weight").detach()
        bias = weight.new_zeros(len(weight))
        if layer.bias is not None:
            bias = layer.get_parameter("bias").detach()
        found.append((weight, bias))
    return found


def network(layers: Sequence[tuple[Tensor, Tensor]], bias: bool = True) -> MLP:
    """Return the dense network of these weights and biases, without a random draw."""
    weights = [weight for weight, _ in layers]
    with torch.device("meta"):
        model = MLP(weights[0].shape[1], [len(w) for w in weights[:-1]], len(weights[-1]), bias)
    model = model.to(weights[0].dtype).to_empty(device="cpu")
    with torch.no_grad():
        for layer, (weight, offset) in zip(model.layers, layers, strict=True):
            layer.get_parameter("weight").copy_(weight)
            if bias:
                layer.get_parameter("bias").copy_(offset)
    return model


def pre_activations(model: MLP, inputs: Tensor) -> tuple[list[Tensor], Tensor]:
    """Return every hidden layer's value before the ReLU, (N, U) each, and the scores."""
    value, before = inputs, []
    for weight, bias in parts(model):
        before.append(value @ weight.T + bias)
        value = torch.relu(before[-1])
    return before[:-1], before[-1]


def covariance(activity_NU: Tensor) -> Tensor:
    """Return the covariance of the units (U, U) in float64, divided by N."""
    centred = activity_NU.double() - activity_NU.double().mean(0)
    return centred.T @ centred / len(centred)


def rank_of(activity_NU: Tensor) -> int:
    """Return the rank of the centred activity: how many units are linearly independent."""
    centred = activity_NU.double() - activity_NU.double().mean(0)
    scale = activity_NU.abs().max().item() * max(activity_NU.shape)
    values = torch.linalg.svdvals(centred)
    return int((values > scale * torch.finfo(activity_NU.dtype).eps).sum())


def eigenvalues(covariance_UU: Tensor) -> Tensor:
    """Return the eigenvalues of a covariance, largest first, none below zero."""
    return torch.linalg.eigvalsh(covariance_UU).flip(0).clamp(min=0)


def rounding(model: MLP, inputs: Tensor) -> float:
    """Return a bound of the rounding error of a network's scores on these inputs.

    Higham 2002, section 3.1, layer by layer: ``e' = |W| e + (n + 4) eps (|W| |u| + |b|)``.
    """
    eps = torch.finfo(inputs.dtype).eps
    value, error = inputs, torch.zeros_like(inputs)
    for weight, bias in parts(model):
        size = weight.abs()
        terms = value.abs() @ size.T + bias.abs()
        error = error @ size.T + (weight.shape[1] + 4) * eps * terms
        value = torch.relu(value @ weight.T + bias)
    return float(error.max())


def check(narrow: MLP, inputs: Tensor) -> None:
    """Raise :class:`BadArgument` unless these are a dense network and inputs for it."""
    if not isinstance(narrow, MLP):
        raise BadArgument(
            f"`narrow` is a frivolous.families.MLP; got {type(narrow).__name__}. "
            "Copy the weights of other dense networks into one."
        )
    if inputs.ndim != 2 or inputs.shape[1] != narrow.inputs or len(inputs) < 2:
        raise BadArgument(
            f"`inputs` has the shape (examples, {narrow.inputs}) with at least 2 examples; "
            f"got {tuple(inputs.shape)}. Pass one row for each example."
        )
    dtype = parts(narrow)[0][0].dtype
    if inputs.dtype != dtype:
        raise BadArgument(
            f"`inputs` has the type of the weights, {dtype}; got {inputs.dtype}. "
            "Pass narrow.double() and inputs.double() for exact answers."
        )
    if not bool(inputs.isfinite().all()):
        raise BadArgument("`inputs` is finite; got NaN or infinity. Leave such examples out.")


def check_factor(factor: int) -> None:
    """Raise :class:`BadArgument` unless the wide network has room for something more."""
    if not isinstance(factor, int) or factor < 2:
        raise BadArgument(
            f"`factor` is a whole number of at least 2; got {factor}. "
            "For a network twice as wide pass 2."
        )
