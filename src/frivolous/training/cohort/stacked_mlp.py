"""Forward and backward pass of K dense ReLU networks of one shape, on the same batch.

The large products are done network by network, so that a network's numbers do not depend, to the
last bit, on the others in the cohort; everything element-wise runs over all K at once.

Wide inputs. With more input dimensions D than training examples N, a first layer trained by a
linear rule (SGD, momentum) never leaves W0 + A X, where X (N, D) are the training inputs: every
gradient is a combination of rows of X. Training A (units, N) instead of W (units, D) is the same
computation to rounding, with the Gram matrix X X' in place of the inputs: D / N times cheaper (ten
times with 10,000 dimensions and 1,000 examples), and the gradient of A for a batch is the layer's
error signal itself, without any product.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

State = dict[str, Tensor]


@dataclass(frozen=True)
class Features:
    """What a first layer reads of a set of examples.

    ``rows`` (N, D) is multiplied by the first layer's weights; ``offsets`` (K, N, units), if any,
    is added to the product: the part of the first layer that does not change in training.
    """

    rows: Tensor
    offsets: Tensor | None = None

    def take(self, index: slice) -> Features:
        """Return the features of some of the examples."""
        offsets = None if self.offsets is None else self.offsets[:, index]
        return Features(self.rows[index], offsets)


def per_network_product(left: Tensor, right: Tensor) -> Tensor:
    """Return left[k] @ right[k] for every network k, each by a product of its own.

    ``left`` is (K, N, D), ``right`` is (K, D, M); one of them may be (N, D) or (D, M), shared.
    """
    networks = len(left if left.dim() == 3 else right)
    out = right.new_empty(networks, left.shape[-2], right.shape[-1])
    for k in range(networks):
        one = left[k] if left.dim() == 3 else left
        other = right[k] if right.dim() == 3 else right
        torch.mm(one, other, out=out[k])
    return out


def forward(state: State, features: Features) -> list[Tensor]:
    """Return the activity of every layer, the last being the scores: each (K, N, units)."""
    depth = sum(name.endswith("weight") for name in state)
    activity: list[Tensor] = []
    for layer in range(depth):
        weight = state[f"layers.{layer}.weight"].transpose(1, 2)
        below = activity[-1] if layer else features.rows
        value = per_network_product(below, weight)
        if layer == 0 and features.offsets is not None:
            value += features.offsets
        value += state[f"layers.{layer}.bias"].unsqueeze(1)
        activity.append(value.relu_() if layer < depth - 1 else value)
    return activity


def signals(state: State, activity: list[Tensor], labels: Tensor) -> list[Tensor]:
    """Return the gradient of the mean cross-entropy at every layer's sum: (K, N, units) each."""
    scores = activity[-1]
    signal = torch.softmax(scores, dim=2)
    signal[:, torch.arange(len(labels), device=labels.device), labels] -= 1
    signal /= len(labels)
    result = [signal]
    for layer in range(len(activity) - 1, 0, -1):
        back = per_network_product(result[0], state[f"layers.{layer}.weight"])
        result.insert(0, torch.ops.aten.threshold_backward(back, activity[layer - 1], 0))
    return result


def accuracy(state: State, features: Features, labels: Tensor) -> Tensor:
    """Return each network's share of right labels (K,), NaN where a score is not finite.

    Network by network: one network's pass over all examples fits into the cache, that of all K does
    not.
    """
    found = []
    for k in range(len(next(iter(state.values())))):
        one = {name: value[k : k + 1] for name, value in state.items()}
        offsets = None if features.offsets is None else features.offsets[k : k + 1]
        scores = forward(one, Features(features.rows, offsets))[-1][0]
        right = (scores.argmax(1) == labels).double().mean()
        found.append(torch.where(scores.isfinite().all(), right, float("nan")))
    return torch.stack(found)
