"""Curves against values by hand, scipy's intervals, and what scaling and order may not change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from frivolous.errors import BadArgument, NotFinite
from frivolous.measures import curve

SIXTHS = tuple(step / 6 for step in range(7))
# The original notebooks' rule on this curve: r = 2, p* = 2/6 + (0.8 - 0.85) / (0.7 - 0.85) / 6.
FALLING = (1.0, 0.9, 0.85, 0.7, 0.4, 0.2, 0.1)

shares = st.lists(st.floats(0, 1), min_size=6, max_size=6).map(lambda tail: (1.0, *tail))
tolerances = st.floats(0.01, 0.9)


def plain_threshold(y: tuple[float, ...], tolerance: float) -> float:
    """The published get_threshold, as PROTOCOL 1.1 (5) spells it, in a plain loop."""
    for r in range(6):
        if y[r] >= 1 - tolerance and y[r + 1] < 1 - tolerance:
            return r / 6 + (1 - tolerance - y[r]) / (y[r + 1] - y[r]) / 6
    return y[0]


def test_crossing_by_hand():
    assert curve.crossing(SIXTHS, FALLING, 0.2) == pytest.approx(2 / 6 + (1 / 3) / 6, abs=1e-15)


def test_first_crossing_counts_when_the_curve_recovers():
    recovers = (1.0, 0.7, 0.9, 0.7, 0.9, 0.9, 0.9)
    assert curve.crossing(SIXTHS, recovers, 0.2) == pytest.approx((0.2 / 0.3) / 6)


def test_a_curve_that_touches_the_tolerance_has_not_crossed():
    assert curve.crossing((0, 0.5, 1), (1.0, 0.75, 0.75), 0.25) == 1.0


def test_never_below_gives_the_last_fraction():
    assert curve.crossing((0, 0.25, 0.5), (1.0, 0.9, 0.9), 0.2) == 0.5


def test_tolerance_zero_stops_at_the_first_changed_label():
    assert curve.crossing((0, 0.5, 1), (1.0, 1.0, 0.999), 0) == 0.5


@given(shares, tolerances)
def test_crossing_is_the_published_rule(y, tolerance):
    found = curve.crossing(SIXTHS, y, tolerance)
    assert found == pytest.approx(plain_threshold(y, tolerance), abs=1e-12)


@given(shares, tolerances, tolerances)
def test_crossing_grows_with_tolerance(y, one, other):
    low, high = sorted((one, other))
    assert curve.crossing(SIXTHS, y, low) <= curve.crossing(SIXTHS, y, high) + 1e-12


@given(shares, shares, tolerances)
def test_crossing_and_area_grow_with_the_curve(one, other, tolerance):
    lower = np.minimum(one, other)
    crossings = curve.crossing(SIXTHS, lower, tolerance), curve.crossing(SIXTHS, one, tolerance)
    assert crossings[0] <= crossings[1] + 1e-12
    assert curve.area(SIXTHS, lower)[0] <= curve.area(SIXTHS, one)[0] + 1e-12


@given(shares)
def test_area_is_scipys_trapezoid_within_0_and_1(y):
    (found,) = curve.area(SIXTHS, y)
    assert found == pytest.approx(integrate.trapezoid(y, SIXTHS), abs=1e-12)
    assert 0 <= found <= 1 + 1e-12


def test_area_by_hand_of_every_draw():
    draws = [(1.0, 0.5, 0.0), (1.0, 1.0, 1.0), (1.0, 0.0, 0.0)]
    np.testing.assert_allclose(curve.area((0, 0.5, 1), draws), [0.5, 1.0, 0.25])


def test_prunable_units_of_the_best_draw_and_of_the_mean():
    draws = [FALLING, (1.0, 0.5, 0.4, 0.3, 0.2, 0.1, 0.1)]
    first, second = 2 / 6 + 1 / 18, (0.2 / 0.5) / 6
    assert curve.prunable_units(SIXTHS, draws, 96) == pytest.approx(96 * first)
    assert curve.prunable_units(SIXTHS, draws, 96, draws="mean") == pytest.approx(
        96 * (first + second) / 2
    )


@given(st.lists(shares, min_size=1, max_size=4), st.integers(1, 500), st.randoms())
def test_prunable_units_scale_with_width_and_ignore_the_order_of_draws(draws, width, random):
    shuffled = random.sample(draws, len(draws))
    for how in ("best", "mean"):
        of_one = curve.prunable_units(SIXTHS, draws, 1, draws=how)
        assert curve.prunable_units(SIXTHS, shuffled, width, draws=how) == pytest.approx(
            width * of_one
        )
        assert of_one <= 1


@pytest.mark.parametrize(("method", "name"), [("wilson", "wilson"), ("exact", "exact")])
@pytest.mark.parametrize("n", [1, 7, 100, 9856])
def test_intervals_are_scipys(method, name, n):
    counts = np.unique(np.linspace(0, n, 9).astype(int))
    low, high = getattr(curve, method)(counts, n, level=0.9)
    for k, found in zip(counts, zip(low, high, strict=True), strict=True):
        wanted = stats.binomtest(int(k), n).proportion_ci(0.9, method=name)
        np.testing.assert_allclose(found, (wanted.low, wanted.high), atol=1e-9)


def test_intervals_keep_the_shape_and_the_ends():
    low, high = curve.wilson(np.array([[0, 10], [5, 10]]), 10)
    assert low.shape == high.shape == (2, 2)
    assert low[0, 0] == 0.0
    assert high[0, 1] == 1.0


@pytest.mark.parametrize("method", ["wilson", "exact"])
@pytest.mark.parametrize("draws", ["best", "mean"])
def test_the_interval_of_a_count_by_hand(method, draws):
    unchanged = np.array([[1000, 900, 500], [1000, 850, 600]])
    found = curve.prunable_interval(
        (0, 0.5, 1), unchanged, 1000, 64, tolerance=0.2, draws=draws, method=method
    )
    low, high = getattr(curve, method)(unchanged, 1000)
    low[:, 0] = high[:, 0] = 1.0
    of = [
        curve.prunable_units((0, 0.5, 1), y, 64, 0.2, draws) for y in (unchanged / 1000, low, high)
    ]
    assert (found.value, found.low, found.high) == tuple(of)
    assert found.low < found.value < found.high


def test_nothing_is_uncertain_at_fraction_0():
    found = curve.prunable_interval((0, 1), [[10, 10]], 10, 6, tolerance=0.2)
    low, _ = curve.wilson(10, 10)
    assert found.low == pytest.approx(6 * 0.2 / (1 - low))
    assert found.value == found.high == 6.0


@given(st.lists(st.integers(0, 50), min_size=6, max_size=6), tolerances)
def test_the_interval_holds_the_value_and_narrows_with_examples(tail, tolerance):
    few, many = np.array([50, *tail]), 100 * np.array([50, *tail])
    wide, narrow = (
        curve.prunable_interval(SIXTHS, counts, n, 10, tolerance=tolerance)
        for counts, n in ((few, 50), (many, 5000))
    )
    assert wide.low - 1e-9 <= narrow.low <= narrow.value + 1e-9
    assert narrow.value - 1e-9 <= narrow.high <= wide.high + 1e-9


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: curve.crossing(SIXTHS, FALLING, 1.5),
            "`tolerance` is a share in [0, 1); got 1.5. For 1.5 percent pass 0.015.",
        ),
        (
            lambda: curve.crossing(SIXTHS, FALLING, -0.1),
            "`tolerance` is a share in [0, 1); got -0.1. Pass a number such as 0.05.",
        ),
        (
            lambda: curve.crossing(SIXTHS, FALLING, 100),
            "`tolerance` is a share in [0, 1); got 100. Pass a number such as 0.05.",
        ),
        (
            lambda: curve.crossing((0, 1), (0.7, 0.1), 0.2),
            (
                "`shares` starts at 0.7, below 0.8, though nothing is ablated at fraction 0 and "
                "every label is unchanged there. Compare with the intact network's own labels."
            ),
        ),
        (
            lambda: curve.crossing((0, 1), [(1.0, 0.1), (1.0, 0.2)], 0.2),
            "`shares` is one curve, shape (F,); got 2 draws. Use prunable_units for several.",
        ),
        (
            lambda: curve.area((0, 0.5), (1.0, 0.5)),
            (
                "`fractions` end at 0.5; the area is taken from 0 to 1. "
                "Measure the curve to fraction 1."
            ),
        ),
        (
            lambda: curve.area((0, 0.5, 0.5), (1.0, 0.5, 0.5)),
            (
                "`fractions` ascend from 0 to at most 1, two or more of them; got [0.0, 0.5, 0.5]. "
                "Pass 0, 1/6, ..., 1."
            ),
        ),
        (
            lambda: curve.area((0, 1), (1.0, 0.5, 0.2)),
            "`shares` has shape (draws, 2), one share per fraction; got (3,).",
        ),
        (
            lambda: curve.area((0, 1), (100.0, 50.0)),
            (
                "`shares` lie in [0, 1]; got 50 to 100. "
                "Divide counts of unchanged labels by the number of examples."
            ),
        ),
        (
            lambda: curve.prunable_units((0, 1), (1.0, 0.0), 4, draws="worst"),
            "`draws` is 'best' or 'mean'; got 'worst'. The papers use 'best'.",
        ),
        (
            lambda: curve.prunable_units((0, 1), (1.0, 0.0), 0),
            "`width` is the number of units, 1 or more; got 0.",
        ),
        (
            lambda: curve.wilson(11, 10),
            "`successes` are counts from 0 to n = 10; got 11 to 11.",
        ),
        (
            lambda: curve.wilson(1, 10, level=95),
            "`level` is the coverage of an interval, in (0, 1); got 95. Pass 0.95.",
        ),
        (
            lambda: curve.exact(0, 0),
            "`n` is a number of examples, 1 or more; got 0.",
        ),
        (
            lambda: curve.prunable_interval((0, 1), [10, 5], 10, 2, method="normal"),
            "`method` is 'wilson' or 'exact'; got 'normal'. Pass 'wilson'.",
        ),
    ],
)
def test_messages(call, text):
    with pytest.raises(BadArgument) as caught:
        call()
    assert str(caught.value) == text


def test_nan_in_a_curve_is_named_and_counted():
    with pytest.raises(NotFinite) as caught:
        curve.area((0, 1), (1.0, float("nan")))
    assert str(caught.value) == (
        "`shares` holds 1 of 2 values that are NaN or infinite; a measure needs numbers. "
        "Look for the site or batch they come from."
    )
