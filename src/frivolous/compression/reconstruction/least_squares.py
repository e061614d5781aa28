"""Re-fit the readers of a pruning group to the units that are kept, by least squares.

With K the features kept and D those removed, the best linear prediction is x_D = A' x_K + c with
A = C_KK^-1 C_KD. Putting it in place of x_D, a reader y = W' x + b becomes one of x_K alone, with
W_K + A W_D and b + W_D' c. So one prediction serves every output of the reader.

>>> covariance = np.array([[1.0, 2.0], [2.0, 4.0]])  # feature 1 is twice feature 0, less 1
>>> kept, gone = np.array([0]), np.array([1])
>>> weights, constants = prediction(np.array([1.0, 1.0]), covariance, kept, gone, constant=True)
>>> weights.tolist(), constants.tolist()
([[2.0]], [-1.0])
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from torch import Tensor

from frivolous.compression.coupling.groups import GroupReader, PruningGroup
from frivolous.compression.criteria.calibration import ReaderStatistics, weights_on
from frivolous.compression.criteria.methods import features_of

Numbers = NDArray[np.float64]
Indices = NDArray[np.int64]

EXACT = 1e-12
"""Share of its variance to which a unit that is a linear function of others is predicted."""


def prediction(
    mean_F: Numbers,
    second_FF: Numbers,
    kept_K: Indices,
    gone_G: Indices,
    *,
    constant: bool,
) -> tuple[Numbers, Numbers]:
    """Weights (K, G) and constants (G,) that predict removed features from those kept.

    ``second_FF`` is the covariance, or second moments about zero where there is no ``constant``.
    Kept features that depend linearly on each other share their part.
    """
    scale_K = np.sqrt(np.diagonal(second_FF)[kept_K])
    acting = scale_K > 0
    weights = np.zeros((len(kept_K), len(gone_G)))
    if acting.any() and len(gone_G):
        inner = kept_K[acting]
        scale = scale_K[acting]
        correlation = second_FF[np.ix_(inner, inner)] / scale[:, None] / scale
        right = second_FF[np.ix_(inner, gone_G)] / scale[:, None]
        weights[acting] = _solved(correlation, right) / scale[:, None]
    constants = mean_F[gone_G] - mean_F[kept_K] @ weights if constant else np.zeros(len(gone_G))
    return weights, constants


def _solved(correlation: Numbers, right: Numbers) -> Numbers:
    """Solve least squares; where kept units are nearly dependent, by the spectrum."""
    try:
        factor = cho_factor(correlation, lower=True)
        if np.abs(np.diagonal(factor[0])).min() > 1e-5:
            return np.asarray(cho_solve(factor, right))
    except np.linalg.LinAlgError:
        pass  # not of full rank: solved by the spectrum below
    values, vectors = np.linalg.eigh(correlation)
    inverse = np.where(values > EXACT * values.max(), 1 / np.maximum(values, 1e-300), 0.0)
    return np.asarray((vectors * inverse) @ (vectors.T @ right))


def refit_readers(
    cut: PruningGroup,
    kept_K: Indices,
    statistics: Sequence[ReaderStatistics],
    state: Mapping[str, Tensor],
    how: str,
) -> dict[str, Tensor]:
    """The state with the weights of the group's readers fitted to the units kept.

    ``how`` is "affine", with a constant term where the reader has a bias; "linear", without one and
    for whole units; or "none". All tensors keep their sizes; weights on removed units have no
    effect.
    """
    changed: dict[str, Tensor] = dict(state)
    if how == "none" or len(kept_K) == cut.units:
        return changed
    gone_G = np.setdiff1d(np.arange(cut.units), kept_K)
    for one in statistics:
        if one.read.refits:
            _refit(one, kept_K, gone_G, changed, how)
    return changed


def _refit(
    one: ReaderStatistics,
    kept_K: Indices,
    gone_G: Indices,
    state: MutableMapping[str, Tensor],
    how: str,
) -> None:
    read, weight = one.read, state[one.read.weight]
    rows_UPRT = weights_on(read, weight.double())
    units, places, outputs, taps = rows_UPRT.shape
    per_unit = 1 if how == "linear" else one.per_unit
    constant = how == "affine" and read.bias is not None
    if how == "linear":
        second, mean = one.unit_second_UU, np.zeros(units)
    else:
        second = one.fitted_FF
        mean = one.moments.mean_U
    kept, gone = features_of(kept_K, per_unit), features_of(gone_G, per_unit)
    weights, constants = prediction(mean, second, kept, gone, constant=constant)
    # One row of weights per feature: of one place and tap of a unit, or of all of them together.
    flat = rows_UPRT.movedim(2, -1).reshape(units * per_unit, -1)
    lost = flat[torch.as_tensor(gone)]
    more = (torch.as_tensor(weights).to(lost) @ lost).reshape(-1, places, taps, outputs)
    state[read.weight] = _with_more(read, weight, kept_K, more.movedim(-1, 2))
    if constant and read.bias is not None:
        # Constants of all taps add up, as they do away from padded borders.
        offset = torch.as_tensor(constants).to(lost) @ lost
        bias = state[read.bias]
        total = offset.reshape(-1, outputs).sum(dim=0)
        state[read.bias] = (bias.double() + total).to(bias.dtype)


def _with_more(read: GroupReader, weight: Tensor, kept_K: Indices, more_KPRT: Tensor) -> Tensor:
    """The weight with ``more_KPRT`` added on the units kept."""
    rows = weight.movedim(read.inner, 0).double()
    shape = rows.shape
    rows = rows.reshape(shape[0], shape[1], -1).clone()
    features = read.features_UP[kept_K]
    there = torch.as_tensor(features >= 0)
    rows.index_add_(0, torch.as_tensor(features[features >= 0]).to(rows.device), more_KPRT[there])
    return rows.reshape(shape).movedim(0, read.inner).to(weight.dtype).contiguous()
