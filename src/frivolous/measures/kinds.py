"""Silent and constant units: hardly ever active; active with next to no variance.

Source: ICLR submission 2020, section 2, kinds (iv) and (v). The paper gives no numbers; the
defaults are this library's and are named here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from frivolous.errors import BadArgument
from frivolous.measures import arguments

# Active on at most one sample in a hundred.
SILENT_RATE = 0.01
# Standard deviation of at most about one hundredth of the unit's size: put in its place, the
# unit's mean errs by one percent of the signal.
CONSTANT_SHARE = 1e-4


def silent_units(active_rate: ArrayLike, rate: float = SILENT_RATE) -> NDArray[np.bool_]:
    """Which units are active (not zero) on at most the share ``rate`` of samples: (U,) booleans.

    ``active_rate`` holds each unit's share of samples with a non-zero activity, in [0, 1].

    >>> silent_units([0.0, 0.01, 0.5])
    array([ True,  True, False])
    """
    return np.asarray(_rates(active_rate) <= arguments.share("rate", rate))


def constant_units(
    mean: ArrayLike,
    variance: ArrayLike,
    active_rate: ArrayLike,
    share: float = CONSTANT_SHARE,
    rate: float = SILENT_RATE,
) -> NDArray[np.bool_]:
    """Which units are active and yet hardly vary: (U,) booleans, never true of a silent unit.

    ``variance <= share * (mean**2 + variance)``: the variance is at most ``share`` of the mean
    square, which does not depend on the unit's scale. ``mean``, ``variance`` and ``active_rate``
    hold one number per unit; ``rate`` is what :func:`silent_units` calls silent.

    >>> constant_units(mean=[5.0, 5.0, 0.0], variance=[0.0, 1.0, 0.0], active_rate=[1.0, 1.0, 0.0])
    array([ True, False, False])
    """
    rate_U = _rates(active_rate)
    mean_U = arguments.per_unit("mean", mean, like=rate_U)
    variance_U = arguments.per_unit("variance", variance, like=rate_U)
    if variance_U.size and variance_U.min() < 0:
        raise BadArgument(f"`variance` is 0 or above; got {variance_U.min():g}.")
    most = arguments.share("share", share)
    steady_U = variance_U <= most * (mean_U**2 + variance_U)
    return np.asarray(steady_U & ~silent_units(rate_U, rate))


def _rates(active_rate: ArrayLike) -> NDArray[np.float64]:
    rate_U = arguments.per_unit("active_rate", active_rate)
    if rate_U.size and not (rate_U.min() >= 0 and rate_U.max() <= 1):
        raise BadArgument(
            f"`active_rate` holds shares of samples in [0, 1]; got {rate_U.min():g} to "
            f"{rate_U.max():g}. Divide counts by the number of samples."
        )
    return rate_U
