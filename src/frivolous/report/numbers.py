"""Format numbers for people: with their spread, and no more digits than it supports."""

from __future__ import annotations

import math

NONE = "–"


def decimals(spread: float, value: float) -> int:
    """Return how many decimals show two digits of the spread, or three of a value without one.

    >>> decimals(0.0123, 0.5), decimals(float("nan"), 0.0456)
    (3, 4)

    """
    basis, digits = (spread, 2) if math.isfinite(spread) and spread > 0 else (abs(value), 3)
    if not math.isfinite(basis) or basis == 0:
        return 3
    return max(0, min(6, digits - 1 - math.floor(math.log10(basis))))


def with_spread(mean: float, sd: float) -> str:
    """Return "mean ± sd"; the mean alone where there is no spread.

    >>> with_spread(0.20482, 0.0123), with_spread(0.2, float("nan")), with_spread(float("nan"), 1)
    ('0.205 ± 0.012', '0.200', '–')

    """
    if not math.isfinite(mean):
        return NONE
    places = decimals(sd, mean)
    return f"{mean:.{places}f} ± {sd:.{places}f}" if math.isfinite(sd) else f"{mean:.{places}f}"


def with_interval(value: float, low: float, high: float, places: int = 2) -> str:
    """Return "value [low, high]"; the value alone where there is no interval.

    >>> with_interval(2.034, 1.98, 2.1), with_interval(2.034, float("nan"), float("nan"))
    ('2.03 [1.98, 2.10]', '2.03')

    """
    if not math.isfinite(value):
        return NONE
    if not math.isfinite(low):
        return f"{value:.{places}f}"
    return f"{value:.{places}f} [{low:.{places}f}, {high:.{places}f}]"


def plain(value: float, places: int = 2) -> str:
    """Return the value with that many decimals, or a dash.

    >>> plain(2.034), plain(float("nan"))
    ('2.03', '–')

    """
    return f"{value:.{places}f}" if math.isfinite(value) else NONE


def size(factor: float) -> str:
    """Return a size factor as the figures write it.

    >>> size(0.25), size(4.0)
    ('1/4', '4')

    """
    return f"1/{1 / factor:g}" if 0 < factor < 1 else f"{factor:g}"
