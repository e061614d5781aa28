"""Untrained networks: how prunable and redundant the units of independent random weights are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from frivolous.families.initialisers import Spec, initialise
from frivolous.families.mlp import MLP


def random_network(
    inputs: int,
    hidden: Sequence[int],
    outputs: int = 2,
    spec: Spec = "lecun-normal",
    *,
    generator: torch.Generator,
) -> MLP:
    """Return an untrained network in float64: independent weights, biases of zero.

    What must hold (Casper et al. 2021, appendix B, which expects a gain of 2 for both counts):

    Prunable. With two outputs, normal weights and sets of silenced units of the last hidden layer
    that do not depend on the outgoing weights, the chance that a label is unchanged, over
    networks, is :func:`untrained_unchanged` of the example's activity: exactly, at any width. It
    tends to :func:`untrained_curve` of the share silenced, whatever the width: a gain of 2.
    The labels of one network hang together, so a test needs many networks: the mean of R of them
    is within 4 * 0.5 / sqrt(R) of the expectation but for one time in 16,000.

    Redundant. Not 2 in general. For normal inputs the covariance is :func:`untrained_covariance`.
    With far more inputs than units its eigenvalues are nearly equal and a share of 0.05 of the
    units is redundant: a gain of 2. With few inputs the components needed stop growing with
    the width: redundant units are the width less nearly a constant, a gain above 2 that tends to 2.

    >>> random_network(3, [4], generator=torch.Generator().manual_seed(0)).hidden
    (4,)
    """
    with torch.device("meta"):
        model = MLP(inputs, hidden, outputs)
    model = model.double().to_empty(device="cpu")
    initialise(model, spec, generator)
    return model


def untrained_unchanged(activity_NU: Tensor, keep_U: Tensor) -> Tensor:
    """Return the chance (N,) that a label of two is unchanged, over normal outgoing weights.

    The difference of the scores before and after has correlation r = sqrt(sum of kept u ** 2 /
    sum of u ** 2) over outgoing weights, so its sign is kept with chance 1 - arccos(r) / pi. An
    example without activity ties before and after: 1.

    >>> untrained_unchanged(torch.tensor([[1.0, 1.0]]), torch.tensor([1, 0])).tolist()
    [0.75]
    """
    power = activity_NU.double() ** 2
    total = power.sum(1)
    kept = (power * keep_U).sum(1)
    ratio = torch.where(total > 0, kept / total.clamp(min=torch.finfo(torch.float64).tiny), 1)
    return 1 - torch.arccos(ratio.clamp(0, 1).sqrt()) / math.pi


def untrained_curve(fractions: np.ndarray | Sequence[float]) -> np.ndarray:
    """Return the expected share of unchanged labels of a wide untrained network with two outputs.

    1 - arccos(sqrt(1 - p)) / pi at fraction p, in the limit of many units. Its area is 3/4; 0.8 is
    crossed at sin(pi / 5) ** 2, that is 0.3455.

    >>> [round(float(share), 4) for share in untrained_curve([0, 0.25, 0.5, 1])]
    [1.0, 0.8333, 0.75, 0.5]
    """
    result: np.ndarray = 1 - np.arccos(np.sqrt(1 - np.asarray(fractions, dtype=float))) / np.pi
    return result


def untrained_covariance(weight_UI: Tensor) -> Tensor:
    """Return the covariance (U, U) of ReLU units without bias over standard normal inputs.

    With weights v, w at the angle a: |v||w| (sin a + (pi - a) cos a - 1) / 2 pi, the first
    arc-cosine kernel (Cho and Saul 2009, section 2.1) less the product of the means.

    >>> round(float(untrained_covariance(torch.eye(2))[0, 0]), 4) == round(0.5 - 0.5 / math.pi, 4)
    True
    """
    weight = weight_UI.detach().double()
    length = weight.norm(dim=1)
    cosine = (weight @ weight.T / (length[:, None] * length)).clamp(-1, 1)
    cosine.fill_diagonal_(1)
    angle = torch.arccos(cosine)
    shape = torch.sin(angle) + (math.pi - angle) * cosine - 1
    return length[:, None] * length * shape / (2 * math.pi)
