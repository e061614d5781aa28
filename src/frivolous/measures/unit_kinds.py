"""Kinds of units: silent, constant, redundant or not, blocked or functional, essential.

Source: ICLR submission 2020, section 2, kinds (i) to (v). The paper gives no numbers; the defaults
are this library's and are named here. Its sixth kind, semantically redundant units, cannot be
recognised from the activity of one network.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from frivolous.errors import BadArgument
from frivolous.measures import validation
from frivolous.measures.similarity import TWINS

# Active on at most one sample in a hundred.
SILENT_RATE = 0.01
# Standard deviation of at most about one hundredth of the unit's size: put in its place, the
# unit's mean errs by one percent of the signal.
CONSTANT_SHARE = 1e-4


KINDS = (
    "silent",
    "constant",
    "redundant functional",
    "redundant blocked",
    "non-redundant blocked",
    "essential",
)


@dataclass(frozen=True)
class Thresholds:
    """Where one kind of unit ends and the next begins.

    ``silent``: largest share of samples on which a silent unit is active. ``constant``: largest
    share of a constant unit's mean square that is variance. ``redundant``: least share of a
    redundant unit's variance that the others of its site explain (R squared); 0.95 leaves the 5
    percent that the papers leave to redundant units. ``changed`` and ``divergence``: the largest
    share of labels that a blocked unit changes when silenced alone, and the largest mean
    Kullback-Leibler divergence of the scores, in nats. ``twins``: least absolute correlation of
    units in one group.
    """

    silent: float = SILENT_RATE
    constant: float = CONSTANT_SHARE
    redundant: float = 0.95
    changed: float = 0.0
    divergence: float = 1e-4
    twins: float = TWINS

    def __post_init__(self) -> None:
        """Raise for what is no share, correlation or divergence."""
        for name in ("silent", "constant", "changed"):
            validation.share(name, getattr(self, name))
        for name in ("redundant", "twins"):
            if not 0 < getattr(self, name) <= 1:
                raise BadArgument(
                    f"`{name}` is a share in (0, 1]; got {getattr(self, name):g}. Pass 0.95."
                )
        if not self.divergence >= 0:
            raise BadArgument(
                f"`divergence` is 0 or above, in nats; got {self.divergence:g}. Pass 1e-4."
            )


def kinds(
    *,
    active_rate: ArrayLike,
    mean: ArrayLike,
    variance: ArrayLike,
    explained: ArrayLike,
    changed: ArrayLike,
    divergence: ArrayLike,
    thresholds: Thresholds | None = None,
) -> NDArray[np.str_]:
    """The kind of each unit, one of :data:`KINDS`: shape (U,).

    The first that fits: silent; constant; then by whether the others explain it (``explained`` is R
    squared, NaN without variance) and whether silencing it alone does anything (``changed``, share
    of labels, and ``divergence``, nats).

    >>> kinds(active_rate=[0.0, 1.0, 1.0, 1.0], mean=[0.0, 1.0, 1.0, 1.0],
    ...       variance=[0.0, 1.0, 1.0, 1.0], explained=[np.nan, 1.0, 0.2, 0.2],
    ...       changed=[0.0, 0.1, 0.0, 0.1], divergence=[0.0, 0.1, 0.0, 0.1]).tolist()
    ['silent', 'redundant functional', 'non-redundant blocked', 'essential']
    """
    limits = thresholds or Thresholds()
    silent = silent_units(active_rate, limits.silent)
    constant = constant_units(mean, variance, active_rate, limits.constant, limits.silent)
    # Of a unit without variance there is nothing to explain, and the comparison is false.
    redundant = np.asarray(explained, dtype=np.float64) >= limits.redundant
    changed_U = validation.per_unit("changed", changed, like=silent)
    divergence_U = validation.per_unit("divergence", divergence, like=silent)
    blocked = (changed_U <= limits.changed) & (divergence_U <= limits.divergence)
    cases = (silent, constant, redundant & ~blocked, redundant & blocked, ~redundant & blocked)
    return np.select(cases, KINDS[:-1], KINDS[-1])


def silent_units(active_rate: ArrayLike, rate: float = SILENT_RATE) -> NDArray[np.bool_]:
    """Which units are active (not zero) on at most the share ``rate`` of samples: (U,) booleans.

    ``active_rate`` holds each unit's share of samples with a non-zero activity, in [0, 1].

    >>> silent_units([0.0, 0.01, 0.5])
    array([ True,  True, False])
    """
    return np.asarray(_rates(active_rate) <= validation.share("rate", rate))


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
    mean_U = validation.per_unit("mean", mean, like=rate_U)
    variance_U = validation.per_unit("variance", variance, like=rate_U)
    if variance_U.size and variance_U.min() < 0:
        raise BadArgument(f"`variance` is 0 or above; got {variance_U.min():g}.")
    most = validation.share("share", share)
    steady_U = variance_U <= most * (mean_U**2 + variance_U)
    return np.asarray(steady_U & ~silent_units(rate_U, rate))


def _rates(active_rate: ArrayLike) -> NDArray[np.float64]:
    rate_U = validation.per_unit("active_rate", active_rate)
    if rate_U.size and not (rate_U.min() >= 0 and rate_U.max() <= 1):
        raise BadArgument(
            f"`active_rate` holds shares of samples in [0, 1]; got {rate_U.min():g} to "
            f"{rate_U.max():g}. Divide counts by the number of samples."
        )
    return rate_U
