"""Dense networks with ReLU between the layers, and the papers' family of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from frivolous.errors import BadArgument


class MLP(nn.Module):
    """A dense network: hidden layers of ReLU units, then a layer of scores without activation.

    ``score(x) = W_L relu(... relu(W_0 x + b_0) ...) + b_L``. The layers are ``self.layers``, so
    that parameters are called ``layers.0.weight``, ``layers.0.bias`` and so on.

    Shapes: (N, inputs) to (N, outputs). Weights start as ``torch.nn.Linear`` leaves them;
    :func:`frivolous.families.initialise` draws them anew from a generator.

    Raises :class:`BadArgument` for a size that is no whole number of at least 1, and where there
    is no hidden layer.

    >>> import torch
    >>> network = MLP(3, [8, 4], 2)
    >>> network(torch.zeros(5, 3)).shape
    torch.Size([5, 2])
    >>> [tuple(layer.weight.shape) for layer in network.layers]
    [(8, 3), (4, 8), (2, 4)]
    """

    def __init__(self, inputs: int, hidden: Sequence[int], outputs: int, bias: bool = True) -> None:
        super().__init__()
        self.inputs = _size("inputs", inputs)
        self.hidden = _hidden("hidden", hidden)
        self.outputs = _size("outputs", outputs)
        sizes = (self.inputs, *self.hidden, self.outputs)
        self.layers = nn.ModuleList(
            nn.Linear(read, written, bias=bias) for read, written in pairwise(sizes)
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the scores (N, outputs) of inputs (N, inputs)."""
        value = inputs
        for layer in self.layers[:-1]:
            value = nn.functional.relu(layer(value))
        scores: Tensor = self.layers[-1](value)
        return scores

    def extra_repr(self) -> str:
        """Return the sizes, as they are given to the constructor."""
        return f"inputs={self.inputs}, hidden={self.hidden}, outputs={self.outputs}"


def mlp(inputs: int, size_factor: float, outputs: int = 2, base: Sequence[int] = (128,)) -> MLP:
    """Return the papers' dense network, its hidden layers ``int(n * size_factor)`` units wide.

    ``base`` holds the widths at size factor 1: one layer of 128 in the papers, so that size
    factors 1/4 to 4 give 32 to 512 units (Casper et al. 2021, section 4).

    Raises :class:`BadArgument` where a layer would be left without a unit.

    >>> mlp(10, 1 / 4).hidden
    (32,)
    >>> parameter_count(mlp(10, 1 / 4))
    418
    """
    widths = _hidden("base", base)
    if not (math.isfinite(size_factor) and size_factor > 0):
        raise BadArgument(
            f"`size_factor` is a positive number; got {size_factor}. "
            "For a network a quarter as wide pass 0.25."
        )
    scaled = tuple(int(width * size_factor) for width in widths)
    for width, left in zip(widths, scaled, strict=True):
        if left < 1:
            raise BadArgument(
                f"`size_factor` {size_factor} leaves a layer of {width} units without any; "
                f"every layer keeps at least one. Pass {1 / width:g} or more, or a wider `base`."
            )
    return MLP(inputs, scaled, outputs)


def parameter_count(model: nn.Module) -> int:
    """Return how many numbers of a model training may change (shared ones counted once).

    >>> parameter_count(MLP(3, [4], 2))
    26
    """
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def _size(name: str, value: int) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < 1:
        raise BadArgument(
            f"`{name}` is a whole number of at least 1; got {value!r}. "
            "Pass how many there are, such as 2."
        )
    return int(value)


def _hidden(name: str, widths: Sequence[int]) -> tuple[int, ...]:
    if not hasattr(widths, "__len__") or len(widths) == 0:
        raise BadArgument(
            f"`{name}` lists the units of every hidden layer, at least one layer; "
            f"got {widths!r}. For one layer of 128 units pass (128,)."
        )
    return tuple(_size(f"{name}[{i}]", width) for i, width in enumerate(widths))
