"""Exact ablation curves: every set of units of a layer silenced."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import scipy.stats
import torch
from torch import Tensor

from frivolous.constructions.construction import Silenced, parts, pre_activations
from frivolous.errors import BadArgument
from frivolous.families.mlp import MLP

MOST_UNITS = 16


def silenced_scores(model: MLP, inputs: Tensor, silenced: Silenced) -> Tensor:
    """Return the scores (N, C) of a dense network with units of its hidden layers set to zero.

    >>> model = MLP(2, [3], 2)
    >>> x = torch.ones(1, 2)
    >>> torch.equal(silenced_scores(model, x, {0: [0, 1, 2]})[0], model.layers[1].bias)
    True
    """
    value = inputs
    layers = parts(model)
    for i, (weight, bias) in enumerate(layers):
        value = value @ weight.T + bias
        if i < len(layers) - 1:
            keep = torch.ones(len(weight), dtype=value.dtype)
            keep[torch.as_tensor(silenced.get(i, ()), dtype=torch.long)] = 0
            value = torch.relu(value) * keep
    return value


def exact_counts(model: MLP, inputs: Tensor, layer: int = -1) -> np.ndarray:
    """Return how many labels are unchanged, summed over every set of k silenced units, k = 0 to U.

    ``layer`` is the index of a hidden layer. Entry k is a whole number out of
    ``comb(U, k) * N``. All 2 ** U sets are tried, so at most 16 units.

    >>> exact_counts(MLP(2, [3], 1), torch.ones(5, 2)).tolist()
    [5, 15, 15, 5]
    """
    layer = hidden_layer(model, layer)
    before, scores = pre_activations(model, inputs)
    return _count(parts(model)[layer + 1 :], torch.relu(before[layer]), scores.argmax(1))


def exact_curve(model: MLP, inputs: Tensor, layer: int = -1) -> np.ndarray:
    """Return the expected share of unchanged labels when k random units of a layer go, k = 0 to U.

    >>> exact_curve(MLP(2, [3], 1), torch.ones(5, 2)).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    counts = exact_counts(model, inputs, layer)
    width = len(counts) - 1
    return counts / np.array([math.comb(width, k) * len(inputs) for k in range(width + 1)])


def diluted_curve(curve_K: np.ndarray, width: int) -> np.ndarray:
    """Return the expected curve of a layer of ``width`` units of which only the first matter.

    ``curve_K`` is the curve of those alone, from none to all silenced. With k of all units
    silenced, the number among the first is hypergeometric. Averaged over k = 0 to width, the
    diluted curve has the mean of the curve itself, exactly.

    >>> diluted_curve(np.array([1.0, 0.0]), 2).tolist()
    [1.0, 0.5, 0.0]
    """
    units = len(curve_K) - 1
    if width < units:
        raise BadArgument(
            f"`width` is at least the {units} units of the curve; got {width}. "
            "Pass the width of the wide layer."
        )
    hits = np.arange(units + 1)
    weights = scipy.stats.hypergeom.pmf(hits, width, units, np.arange(width + 1)[:, None])
    result: np.ndarray = weights @ curve_K
    return result


def hidden_layer(model: MLP, layer: int) -> int:
    """Return the index of a hidden layer counted from the first, or raise BadArgument."""
    layers = len(model.hidden)
    if not -layers <= layer < layers:
        raise BadArgument(
            f"`layer` is the index of one of {layers} hidden layers; got {layer}. "
            "Pass 0 for the first and -1 for the last."
        )
    return layer % layers


def _count(
    layers: list[tuple[Tensor, Tensor]], activity_NU: Tensor, labels_N: Tensor
) -> np.ndarray:
    """Return the unchanged labels of all subsets by size, several subsets at once."""
    width = activity_NU.shape[1]
    totals = np.zeros(width + 1, dtype=np.int64)
    for keep_SU in keep_masks(width, activity_NU.dtype):
        value = keep_SU[:, None, :] * activity_NU
        for i, (weight, bias) in enumerate(layers):
            value = (torch.relu(value) if i else value) @ weight.T + bias
        unchanged = (value.argmax(2) == labels_N).sum(1).numpy()
        np.add.at(totals, width - keep_SU.sum(1).long().numpy(), unchanged)
    return totals


def keep_masks(width: int, dtype: torch.dtype, at_once: int = 256) -> Iterator[Tensor]:
    """Yield every mask of 1 for units that are left and 0 for silenced ones, (S, width) each."""
    if width > MOST_UNITS:
        raise BadArgument(
            f"`layer` has {width} units; every set is tried, so {MOST_UNITS} are the most. "
            "Draw sets at random for wider layers."
        )
    bits = torch.arange(width)
    for start in range(0, 1 << width, at_once):
        numbers = torch.arange(start, min(start + at_once, 1 << width))
        yield ((numbers[:, None] >> bits) & 1).to(dtype)
