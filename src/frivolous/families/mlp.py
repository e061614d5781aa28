"""Dense networks with ReLU between the layers, and the papers' family of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from frivolous.families.family import Family, schemes
from frivolous.families.initialisers import fixed, initialise
from frivolous.families.sizes import scaled, whole_number, widths_of


class MLP(nn.Module):
    """A dense network: hidden layers of ReLU units, then a layer of scores without activation.

    ``score(x) = W_L relu(... relu(W_0 x + b_0) ...) + b_L``. The layers are ``self.layers``, so
    that parameters are called ``layers.0.weight``, ``layers.0.bias`` and so on.

    Shapes: (N, inputs) to (N, outputs). Weights start as ``torch.nn.Linear`` leaves them;
    :func:`frivolous.families.initialise` draws them again from a generator.

    Raises :class:`~frivolous.errors.BadArgument` for a size that is no whole number of at least 1,
    and where there is no hidden layer.

    >>> import torch
    >>> network = MLP(3, [8, 4], 2)
    >>> network(torch.zeros(5, 3)).shape
    torch.Size([5, 2])
    >>> [tuple(layer.weight.shape) for layer in network.layers]
    [(8, 3), (4, 8), (2, 4)]
    """

    def __init__(self, inputs: int, hidden: Sequence[int], outputs: int, bias: bool = True) -> None:
        super().__init__()
        self.inputs = whole_number("inputs", inputs)
        self.hidden = widths_of("hidden", hidden)
        self.outputs = whole_number("outputs", outputs)
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

    Raises :class:`~frivolous.errors.BadArgument` where a layer would be left without a unit.

    >>> mlp(10, 1 / 4).hidden
    (32,)
    >>> parameter_count(mlp(10, 1 / 4))
    418
    """
    return MLP(inputs, scaled(widths_of("base", base), size_factor), outputs)


def build_mlp(
    size_factor: float, *, inputs: int, classes: int = 2, base: Sequence[int] = (128,)
) -> MLP:
    """Return :func:`mlp`, built with the arguments that every family takes."""
    return mlp(inputs, size_factor, classes, base)


def parameter_count(model: nn.Module) -> int:
    """Return the number of trainable parameters of a model (shared ones counted once)."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def _as_published(model: nn.Module, generator: torch.Generator) -> None:
    """Initialise as the original code does: a smaller scale below the scores, biases 0.

    The text has a standard deviation of 0.01; the original code one of 1e-3 for the hidden layer
    and 1e-2 for the scores, both times the factor of the experiment on initialisation.
    """
    layers = sum(isinstance(module, nn.Linear) for module in model.modules())
    spec = [*[fixed(1e-3)] * (layers - 1), fixed(1e-2)]
    initialise(model, spec, generator)


MLP_FAMILY = Family(
    name="mlp",
    build=build_mlp,
    layers={"hidden": "layers.0"},
    image=None,
    schemes={**schemes("lecun-truncated"), "default": _as_published},
)
