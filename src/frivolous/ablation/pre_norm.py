"""The value of a site's units when their layer is silenced before normalisation and activation."""

from __future__ import annotations

import torch
from torch import Tensor

from frivolous.errors import BadArgument
from frivolous.inputs.batch import Inputs
from frivolous.network import Network


@torch.no_grad()
def value_of_zeroed_layer(network: Network, site: str, inputs: Inputs) -> Tensor:
    """The value of each unit of ``site`` when the output of its layer is zero: shape (U,).

    A site lies behind its layer's tail (normalisation, activation), where a silenced unit gives
    zero. The original code's ResNet18 on ImageNet silences its initial convolution before batch
    normalisation and ReLU instead: a silenced unit then gives relu(beta - gamma * mean /
    sqrt(variance + eps)). Pass the result as ``silenced_as={site: value}``.

    ``inputs`` is any batch of one example or more: the value does not depend on it. Raises
    :class:`BadArgument` for a site whose value still depends on the inputs or on the position, such
    as one behind a layer norm of several layers' sum or behind a residual sum with the input.

    >>> from torch import nn
    >>> from frivolous.network import trace
    >>> norm = nn.BatchNorm1d(3)
    >>> norm.bias.data = torch.tensor([-1.0, 0.0, 2.0])
    >>> model = nn.Sequential(nn.Linear(2, 3), norm, nn.ReLU(), nn.Linear(3, 2))
    >>> network = trace(model, torch.zeros(2, 2))
    >>> value_of_zeroed_layer(network, "0", torch.zeros(2, 2)).tolist()
    [0.0, 0.0, 2.0]
    """
    found = network.site(site)
    biases = {name.removesuffix("weight") + "bias" for name in found.writers}
    silent = network.with_weights(
        {
            name: torch.zeros_like(value) if name in biases.union(found.writers) else value
            for name, value in network.state.items()
        }
    )
    value = silent.until(site, inputs).at(site)
    units = value.movedim(found.axis, -1).reshape(-1, found.width)
    if not bool((units == units[0]).all()):
        raise BadArgument(
            f"`site` '{site}' does not give the same value for all examples and positions when its "
            "layer gives zero; no one number per unit stands for it. Leave it out for zero."
        )
    return units[0].clone()
