"""Effective width: the fewest units of a site that keep the labels, their readers re-fitted.

Example: a site has 128 units. They are removed in the order of joint elimination, and after each
removal the next layer is re-fitted to the units left. If the labels of at most 2% of the examples
change with 17 units and of more with 16, the effective width is 17. The search tries eight numbers
of units per pass over the data, spread over the range that is still open.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frivolous.ablation.label_agreement import labels_kept
from frivolous.ablation.predictions import UNCOUNTED, intact_labels, per_example
from frivolous.errors import BadArgument
from frivolous.inputs.batch import Inputs
from frivolous.measures import validation
from frivolous.measures.curve import Interval, Method, proportion
from frivolous.measures.elimination import Elimination, eliminate
from frivolous.measures.reconstruction import Reconstructor, reconstructor
from frivolous.network import Network, Site
from frivolous.network.program import Edit
from frivolous.rng import deal
from frivolous.statistics.moments import Moments, pool
from frivolous.statistics.streaming import Activity

TRIED = 8
"""Numbers of units tried in one pass over the data; each pass leaves a ninth of the range."""
MATRIX_BYTES = 2**29
"""The most bytes of prediction matrices in one pass."""


@dataclass(frozen=True, eq=False)
class EffectiveWidth:
    """The fewest units of a site that keep the labels, and the order in which the others go.

    ``units`` is the fewest found that leave at least ``1 - tolerance`` of the labels unchanged.
    ``tried_K`` units were kept, in rising order, and ``unchanged_K`` of ``examples`` labels stayed
    (of several labels per example, their share times ``examples``); 0 and all units are among them.
    ``elimination`` is the order on all examples. ``apart``: readers were fitted on one half of the
    examples and labels compared on the other, each half in its turn; False where a site is too wide
    for its examples to be kept in groups.
    """

    site: str
    width: int
    tolerance: float
    units: int
    tried_K: NDArray[np.int64]
    unchanged_K: NDArray[np.float64]
    examples: int
    elimination: Elimination
    apart: bool
    method: Method = "wilson"

    @property
    def bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Bounds (low, high) of the share of unchanged labels, for each number of units tried."""
        return proportion(self.unchanged_K, self.examples, method=self.method)

    @property
    def low(self) -> int:
        """The fewest units that are not ruled out.

        Of fewer, the 95% interval by ``method`` of unchanged labels ends below ``1 - tolerance``.
        """
        _, high_K = self.bounds
        return int(self.tried_K[high_K < 1 - self.tolerance].max(initial=-1)) + 1

    @property
    def high(self) -> int:
        """The fewest units tried whose interval lies above ``1 - tolerance``; else all units."""
        low_K, _ = self.bounds
        return int(self.tried_K[low_K >= 1 - self.tolerance].min(initial=self.width))

    @property
    def interval(self) -> Interval:
        """The number of units, with its bounds."""
        return Interval(float(self.units), float(self.low), float(self.high))


@torch.no_grad()
def effective_width(
    network: Network,
    batches: Iterable[Inputs],
    activity: Activity,
    *,
    tolerance: float = 0.02,
    seed: int = 0,
    method: Method = "wilson",
) -> EffectiveWidth:
    """Find the fewest units of a site with which at most ``tolerance`` of the labels change.

    Units go in the order of :func:`frivolous.measures.elimination.eliminate`; what read them is
    re-fitted by least squares to the activity of those kept. ``activity`` is that of the same
    batches and the same ``seed`` (:func:`frivolous.statistics.streaming.collect`); of several
    samplings the first is used. Order and fit come from one half of the examples, and labels are
    compared on the other half: with fewer samples than a few times the width, fits to noise show as
    changed labels.

    The search takes unchanged labels to fall as units go; where they do not, fewer units than the
    answer may do as well. It passes over the batches about log(width) / log(9) times.
    """
    validation.share("tolerance", tolerance)
    site = network.site(activity.site)
    products = network.reader_products(site.name).numpy()
    whole = activity.moments(0)
    elimination = eliminate(whole.covariance_UU, products)
    folds = _folds(activity, products, elimination)
    tried = {site.width: float(activity.examples)}
    low, high = -1, site.width
    while high - low > 1:
        # Few units are often enough: geometric steps at first, even ones once there are bounds.
        between = (
            np.linspace(low, high, TRIED + 2)[1:-1]
            if low >= 0
            else [0, *np.geomspace(1, high, TRIED)]
        )
        units = sorted({math.ceil(x) for x in between} - {high})
        for some in _at_once(units, site.width, len(folds.reconstructors)):
            counts = _kept_labels(network, batches, site, folds, some, seed)
            tried |= dict(zip(some, counts.tolist(), strict=True))
        enough = [k for k in units if tried[k] >= (1 - tolerance) * activity.examples]
        high = min([*enough, high])
        low = max([k for k in units if k < high], default=low)
    kept = np.array(sorted(tried), dtype=np.int64)
    return EffectiveWidth(
        site=site.name,
        width=site.width,
        tolerance=tolerance,
        units=high,
        tried_K=kept,
        unchanged_K=np.array([tried[k] for k in kept.tolist()], dtype=np.float64),
        examples=activity.examples,
        elimination=elimination,
        apart=len(folds.reconstructors) > 1,
        method=method,
    )


def _at_once(units: Sequence[int], width: int, folds: int) -> list[Sequence[int]]:
    """Split the numbers of units so that their prediction matrices fit :data:`MATRIX_BYTES`."""
    count = max(1, MATRIX_BYTES // (folds * 8 * width**2))
    return [units[start : start + count] for start in range(0, len(units), count)]


@dataclass(frozen=True)
class _Folds:
    """Which reconstructor predicts the units of which examples, fitted on the others."""

    reconstructors: tuple[Reconstructor, ...]
    groups: int

    def of(self, start: int, stop: int, seed: int) -> NDArray[np.int64]:
        """The reconstructor of each example."""
        return deal(start, stop, self.groups, seed) % len(self.reconstructors)


def _folds(activity: Activity, products: np.ndarray, elimination: Elimination) -> _Folds:
    """Fit on the groups of even number for the examples of odd ones, and the reverse."""
    halves = halves_of(activity)
    if halves is None:
        moments = activity.moments(0)
        fitted = reconstructor(moments.mean_U, moments.covariance_UU, elimination.order_U)
        return _Folds((fitted,), activity.groups)
    even, odd = halves
    orders = [eliminate(half.covariance_UU, products).order_U for half in (odd, even)]
    return _Folds(
        tuple(
            reconstructor(half.mean_U, half.covariance_UU, order)
            for half, order in zip((odd, even), orders, strict=True)
        ),
        activity.groups,
    )


def halves_of(activity: Activity) -> tuple[Moments, Moments] | None:
    """The moments of the examples in even and in odd groups, of the first sampling.

    None where the examples are in one group, or a half has too few of them for a variance.
    """
    groups = activity.samplings[0]
    if len(groups) < 2:
        return None
    even, odd = pool(groups[::2]), pool(groups[1::2])
    return (even, odd) if min(even.count, odd.count) > 1 else None


def _kept_labels(
    network: Network,
    batches: Iterable[Inputs],
    site: Site,
    folds: _Folds,
    units: Sequence[int],
    seed: int,
) -> NDArray[np.float64]:
    """How many labels stay when the last so many units of each fold's order are kept."""
    # Predictions of an activity of few digits keep more of them until they are rounded as it was.
    dtype = torch.promote_types(network.program.dtypes[network.places[site.name]], torch.float32)

    def on_device(numbers: Sequence[np.ndarray]) -> Tensor:
        return torch.as_tensor(np.stack(numbers)).to(network.device, dtype)

    fits = [[fold.prediction(k) for k in units] for fold in folds.reconstructors]
    matrices = [on_device([matrix for matrix, _ in fit]) for fit in fits]
    constants = [on_device([constant for _, constant in fit]) for fit in fits]
    counts = torch.zeros(len(units), dtype=torch.int64, device=network.device)
    seen = counted = 0
    for inputs in batches:
        alive = network.until(site.name, inputs)
        fold_N = folds.of(seen, seen + alive.batch, seed)
        rows = [torch.as_tensor(np.flatnonzero(fold_N == f)) for f in range(len(matrices))]
        intact = intact_labels(network, inputs, network.onward(site.name, alive))
        refits = Refits(matrices, constants, rows, site.axis)
        counts += labels_kept(network, alive, intact, {site.name: refits}).sum(dim=1)
        seen += alive.batch
        counted += int((intact != UNCOUNTED).sum())
    if not seen:
        raise BadArgument("`batches` holds no example; pass the batches of `activity`.")
    return per_example(counts, counted, seen)


@dataclass(frozen=True)
class Refits:
    """A site's activity as predicted from several choices of its units: changes for one batch.

    ``matrices[f]`` (K, U, U) and ``constants[f]`` (K, U) are those of fold f, whose examples are
    ``rows[f]`` of the batch.
    """

    matrices: Sequence[Tensor]
    constants: Sequence[Tensor]
    rows: Sequence[Tensor]
    axis: int

    @property
    def count(self) -> int:
        """The number of choices of units."""
        return len(self.matrices[0])

    def spread(self, value: Tensor, first: int, copies: int) -> Tensor:
        """One activity as predicted from each choice, stacked along the batch."""
        units_last = value.movedim(self.axis, -1)
        changed = units_last.new_empty((copies, *units_last.shape))
        for matrices, constants, rows in zip(self.matrices, self.constants, self.rows, strict=True):
            index = rows.to(value.device)
            part = units_last[index].flatten(1, -2) if value.dim() > 2 else units_last[index]
            for copy in range(copies):
                predicted = part.to(matrices.dtype) @ matrices[first + copy]
                predicted = (predicted + constants[first + copy]).to(value.dtype)
                changed[copy, index] = predicted.view(len(rows), *units_last.shape[1:])
        return changed.flatten(0, 1).movedim(-1, self.axis).contiguous()

    def edit(self, first: int, copies: int) -> Edit:
        """Not needed: a single site is where the computation was stopped."""
        raise AssertionError("a single site is a head of its own split")
