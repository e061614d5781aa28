"""Bounds of a construction's ablation curve, from the narrow network alone."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from frivolous.constructions.construction import Construction, Mirrored, parts, pre_activations
from frivolous.constructions.exact_curves import (
    diluted_curve,
    exact_curve,
    hidden_layer,
    keep_masks,
)


def curve_bounds(construction: Construction, layer: int = -1) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and highest possible exact curve of the wide network, from 0 to U units.

    ``diluted``: both are the diluted curve of the narrow network, in any layer. The others speak
    of the last hidden layer and answer 0 and 1 for earlier ones. ``averaged`` with f copies: at
    most f times as many labels are lost as the diluted curve loses, for scores are the mean of f
    scores of the narrow network and a label that all of them have is kept. ``balanced`` and
    ``mirrored``: silencing a unit without its partner adds an imbalance to the scores; a label is
    kept only if its class has an imbalance within the spread of all other terms from the largest.

    >>> from frivolous.constructions import more_of_both
    >>> from frivolous.families import MLP
    >>> made = more_of_both(MLP(2, [1], 1), torch.eye(2))
    >>> [bound.tolist() for bound in curve_bounds(made)]
    [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    narrow, wide = construction.narrow, construction.wide
    layer = hidden_layer(narrow, layer)
    width = wide.hidden[layer]
    lowest, highest = np.zeros(width + 1), np.ones(width + 1)
    if construction.curve == "diluted":
        diluted = diluted_curve(exact_curve(narrow, construction.narrow_inputs, layer), width)
        return diluted, diluted
    if layer < len(narrow.hidden) - 1:
        return lowest, highest
    if construction.curve == "averaged":
        diluted = diluted_curve(exact_curve(narrow, construction.narrow_inputs, layer), width)
        copies = width // narrow.hidden[layer]
        return np.clip(1 - copies * (1 - diluted), 0, 1), highest
    return lowest, _ceiling(construction)


def _ceiling(construction: Construction) -> np.ndarray:
    """Return the share of labels that no imbalance decides otherwise, for each number silenced."""
    before, scores = pre_activations(construction.narrow, construction.narrow_inputs)
    labels = scores.argmax(1, keepdim=True)
    bias = parts(construction.narrow)[-1][1]
    width = construction.wide.hidden[-1]
    totals = np.zeros(width + 1)
    for keep_SV in keep_masks(width, before[-1].dtype):
        rest, imbalance = _apart(construction, before[-1], keep_SV)
        spread = (rest + bias).amax(2) - (rest + bias).amin(2)
        own = imbalance.gather(2, labels.expand(len(keep_SV), -1, -1)).squeeze(2)
        undecided = (imbalance.amax(2) - own <= spread).sum(1)
        np.add.at(totals, width - keep_SV.sum(1).long().numpy(), undecided.numpy())
    return totals / [math.comb(width, k) * len(labels) for k in range(width + 1)]


def _apart(construction: Construction, before: Tensor, keep_SV: Tensor) -> tuple[Tensor, Tensor]:
    """Return what reaches each score (S, N, C), and of it what grows with balance or shift."""
    onward = construction.passes[-1]
    units = before.shape[1]
    first, second = keep_SV[:, None, :units], keep_SV[:, None, units:]
    activity = torch.relu(before)
    if isinstance(onward, Mirrored):
        lost = before * (1 - first) + torch.relu(-before) * (1 - second)
        imbalance = -onward.shift * (1 - first) @ onward.weight.T
        return (activity - lost) @ onward.weight.T, imbalance.expand(-1, len(before), -1)
    one, two = onward.weights
    shared = activity * (first + second) / 2
    return shared @ (one + two).T, activity * (first - second) / 2 @ (one - two).T
