"""Moments: count, mean and covariance of a site's activity, from a stream of samples.

Moments of parts combine exactly into those of the whole (Chan, Golub and LeVeque 1979), so they add
up across batches, processes and machines. With counts n and m, means a and b, the scatter matrices
add up to S + T + n m / (n + m) (b - a)(b - a)'.

Products are taken in float64: if two units are equal but for a thousandth, a float32 product
misstates by a third the variance of one that the other leaves unexplained, though each covariance
is right to 1e-6 of the largest variance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frivolous.errors import BadArgument

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Moments:
    """Count, mean, scatter and range of samples of U units, and how often each is active.

    ``mean_U``, ``low_U`` and ``high_U`` are in the unit of the activity; ``scatter_UU`` is the sum
    over samples of ``(x - mean)(x - mean)'``; ``active_U`` counts samples with a non-zero activity.
    All float64 but the counts. Of no samples, ``low_U`` is inf and ``high_U`` is -inf.

    >>> one = moments(np.array([[1.0, 0.0], [3.0, 0.0]]))
    >>> both = one.merge(moments(np.array([[5.0, 6.0]])))
    >>> both.count, both.mean_U.tolist(), both.covariance_UU.tolist(), both.active_U.tolist()
    (3, [3.0, 2.0], [[4.0, 6.0], [6.0, 12.0]], [3, 1])
    """

    count: int
    mean_U: Numbers
    scatter_UU: Numbers
    active_U: NDArray[np.int64]
    low_U: Numbers
    high_U: Numbers

    def merge(self, other: Moments) -> Moments:
        """The moments of both parts' samples together."""
        return pool((self, other))

    @property
    def covariance_UU(self) -> Numbers:
        """Unbiased covariance, ``scatter_UU / (count - 1)``; zeros of fewer than two samples."""
        return self.scatter_UU / max(self.count - 1, 1)

    @property
    def variance_U(self) -> Numbers:
        """The diagonal of :attr:`covariance_UU`."""
        return np.diagonal(self.scatter_UU) / max(self.count - 1, 1)

    @property
    def active_rate_U(self) -> Numbers:
        """Share of samples with a non-zero activity, in [0, 1]."""
        return self.active_U / max(self.count, 1)


def moments(activity_NU: Numbers) -> Moments:
    """The moments of samples in memory, shape (N, U).

    >>> moments(np.array([[1.0], [3.0]])).variance_U
    array([2.])
    """
    sums = Sums(activity_NU.shape[1])
    if len(activity_NU):
        sums.absorb(torch.as_tensor(activity_NU))
    return sums.moments()


def pool(parts: Sequence[Moments]) -> Moments:
    """The moments of all parts' samples together; their order changes rounding only.

    Raises :class:`BadArgument` for no parts or parts of different widths.

    >>> parts = [moments(np.array([[float(k)]])) for k in range(5)]
    >>> pool(parts).variance_U
    array([2.5])
    """
    widths = {part.mean_U.size for part in parts}
    if len(widths) != 1:
        raise BadArgument(
            f"`parts` are moments of the same units; got widths {sorted(widths)}. "
            "Pool the moments of one site."
        )
    filled = [part for part in parts if part.count] or list(parts[:1])
    count = sum(part.count for part in filled)
    weight_G = np.array([part.count for part in filled], dtype=np.float64)
    # Means relative to the first part's: a unit that is one constant in all parts keeps it exactly.
    from_first_GU = np.stack([part.mean_U - filled[0].mean_U for part in filled])
    shift_U = weight_G @ from_first_GU / max(count, 1)
    between_GU = np.sqrt(weight_G)[:, None] * (from_first_GU - shift_U)
    scatter_UU = between_GU.T @ between_GU
    for part in filled:
        scatter_UU += part.scatter_UU
    return Moments(
        count=count,
        mean_U=filled[0].mean_U + shift_U,
        scatter_UU=scatter_UU,
        active_U=np.sum([part.active_U for part in filled], axis=0),
        low_U=np.min([part.low_U for part in filled], axis=0),
        high_U=np.max([part.high_U for part in filled], axis=0),
    )


class Sums:
    """Running moments of the samples it absorbs, on the device that the samples are on."""

    def __init__(self, width: int, device: torch.device | None = None) -> None:
        self._count = 0
        self._mean_U = torch.zeros(width, dtype=torch.float64, device=device)
        self._upper_UU = torch.zeros((width, width), dtype=torch.float64, device=device)
        self._active_U = torch.zeros(width, dtype=torch.int64, device=device)
        self._low_U = torch.full_like(self._mean_U, torch.inf)
        self._high_U = torch.full_like(self._mean_U, -torch.inf)

    def absorb(self, block_NU: Tensor) -> None:
        """Add a block of one or more samples, centred by its own mean (Chan's formula)."""
        low_U, high_U, active_U, mean_U = _summary(block_NU)
        self._low_U = torch.minimum(self._low_U, low_U)
        self._high_U = torch.maximum(self._high_U, high_U)
        self._active_U += active_U
        size, count = len(block_NU), self._count + len(block_NU)
        # The mean of equal numbers may be rounded; a constant must have no variance at all.
        mean_U = torch.where(low_U == high_U, low_U, mean_U)
        shift_U = mean_U - self._mean_U
        centred_NU = mean_U.new_empty((size + 1, len(mean_U)))
        if block_NU.device.type == "cpu":
            np.subtract(block_NU.numpy(), mean_U.numpy(), out=centred_NU.numpy()[:size])
        else:
            torch.sub(block_NU, mean_U, out=centred_NU[:size])
        # The term of the distance between means, as one more row of the same product.
        centred_NU[size] = shift_U * (self._count * size / count) ** 0.5
        self._add_product(centred_NU)
        self._mean_U += shift_U * (size / count)
        self._count = count

    def _add_product(self, centred_NU: Tensor) -> None:
        """Add the upper triangle of the scatter, panel by panel: 5/8 of the work.

        BLAS has a routine for it (syrk), but NumPy's and SciPy's run on threads of their own, and
        the two pools hold each other up: measured on two cores between a network's matrix
        products, syrk took twice the panels' time and the products two to four times theirs.
        """
        width = len(self._upper_UU)
        # Few panels: threads synchronise after each, which is slow where cores are shared.
        panel = max(128, -(-width // 4))
        for start in range(0, width, panel):
            stop = min(start + panel, width)
            self._upper_UU[start:stop, start:].addmm_(
                centred_NU[:, start:stop].T, centred_NU[:, start:]
            )

    def moments(self) -> Moments:
        """The moments of what was absorbed, in main memory; nothing can be absorbed afterwards."""
        return Moments(
            self._count,
            self._mean_U.cpu().numpy(),
            _mirrored(self._upper_UU.cpu().numpy()),
            self._active_U.cpu().numpy(),
            self._low_U.cpu().numpy(),
            self._high_U.cpu().numpy(),
        )


class Rows:
    """A buffer of rows in front of :class:`Sums`, so that it absorbs large enough blocks."""

    def __init__(self, width: int) -> None:
        self._width = width
        # Tall enough that the product outweighs reading and writing the U x U sums.
        self._height = max(1024, min(4096, 2**19 // width))
        self._rows: Tensor | None = None
        self._sums: Sums | None = None
        self._filled = 0

    def add(self, rows_NU: Tensor) -> None:
        """Take in rows; all of them on one device."""
        if self._rows is None or self._sums is None:
            self._rows = rows_NU.new_empty((self._height, self._width))
            self._sums = Sums(self._width, rows_NU.device)
        while len(rows_NU):
            space = self._height - self._filled
            part, rows_NU = rows_NU[:space], rows_NU[space:]
            free = self._rows[self._filled : self._filled + len(part)]
            if part.device.type == "cpu":
                free.numpy()[...] = part.numpy()
            else:
                free.copy_(part)
            self._filled += len(part)
            if self._filled == self._height:
                self._sums.absorb(self._rows)
                self._filled = 0

    def moments(self) -> Moments:
        """The moments of all rows; nothing can be added afterwards."""
        if self._rows is None or self._sums is None:
            return Sums(self._width).moments()
        if self._filled:
            self._sums.absorb(self._rows[: self._filled])
        self._rows = None
        return self._sums.moments()


def _summary(block_NU: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Lowest, highest, number of non-zeros (int64) and mean of each unit (float64)."""
    if block_NU.device.type != "cpu":
        low_U, high_U = block_NU.amin(dim=0).double(), block_NU.amax(dim=0).double()
        return low_U, high_U, block_NU.ne(0).sum(dim=0), block_NU.double().mean(dim=0)
    # NumPy stays on one thread: waking torch's for a block this small costs more than it saves,
    # and very much more where other programs hold the cores.
    block = block_NU.numpy()
    return (
        torch.from_numpy(block.min(axis=0).astype(np.float64)),
        torch.from_numpy(block.max(axis=0).astype(np.float64)),
        torch.from_numpy(np.add.reduce(block != 0, axis=0, dtype=np.int64)),
        torch.from_numpy(np.add.reduce(block, axis=0, dtype=np.float64) / len(block)),
    )


def _mirrored(upper_UU: Numbers, rows: int = 256) -> Numbers:
    """Fill the lower triangle from the upper one, in place, block by block."""
    for start in range(0, len(upper_UU), rows):
        stop = start + rows
        corner = upper_UU[start:stop, start:stop]
        corner[...] = np.triu(corner) + np.triu(corner, 1).T
        upper_UU[stop:, start:stop] = upper_UU[start:stop, stop:].T
    return upper_UU
