"""Gains by hand, against a plain loop, and against a bootstrap written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frivolous.errors import BadArgument
from frivolous.measures.gain import gain

tables = st.integers(1, 5).flatmap(
    lambda sizes: st.lists(
        st.lists(st.floats(0.01, 100), min_size=sizes + 1, max_size=sizes + 1),
        min_size=1,
        max_size=4,
    )
)


def test_ratios_of_means_not_means_of_ratios():
    found = gain([[1.0, 2.0], [3.0, 10.0]])
    assert found.ratios == (3.0,)
    assert found.value == 3.0


def test_by_hand_with_and_without_the_first_doubling():
    counts = [[1.0, 4.0, 8.0, 24.0, 24.0]]
    assert gain(counts).value == pytest.approx((4 + 2 + 3 + 1) / 4)
    skipped = gain(counts, skip_first=True)
    assert skipped.value == pytest.approx((2 + 3 + 1) / 3)
    assert skipped.ratios == (4.0, 2.0, 3.0, 1.0)
    assert skipped.left_out == ((0, "the first doubling is left out by the protocol"),)


def test_published_resnet56_redundancy():
    # PROTOCOL 1.2 (2): less the offset of one component the gain over all doublings is 2.90.
    assert gain([[0.0078, 0.0264, 0.0835, 0.2203, 0.532]]).value == pytest.approx(2.90, abs=0.005)


@given(tables, st.booleans())
def test_against_a_plain_loop(counts, skip_first):
    means = [sum(column) / len(column) for column in zip(*counts, strict=True)]
    ratios = [means[i + 1] / means[i] for i in range(int(skip_first), len(means) - 1)]
    found = gain(counts, skip_first, resamples=2)
    if ratios:
        assert found.value == pytest.approx(sum(ratios) / len(ratios))
    else:
        assert math.isnan(found.value)


@given(tables, st.integers(-10, 10))
def test_scale_changes_nothing(counts, power):
    scaled = gain(np.array(counts) * 2.0**power, resamples=20)
    as_is = gain(counts, resamples=20)
    assert scaled == as_is or (math.isnan(as_is.low) and scaled.value == as_is.value)


def test_a_network_that_only_grows_has_gain_2():
    assert gain([[3.0, 6.0, 12.0]]).value == 2.0


def test_missing_sizes_are_left_out_and_said():
    nan = float("nan")
    found = gain([[1.0, 2.0, nan, 4.0, 12.0], [1.0, nan, nan, 4.0, 12.0]], resamples=10)
    assert found.value == pytest.approx((2 + 3) / 2)
    assert found.left_out == (
        (1, "a size of this doubling is missing"),
        (2, "a size of this doubling is missing"),
    )


def test_zero_counts_are_left_out_and_said():
    found = gain([[0.0, 2.0, 6.0, 0.0]])
    assert math.isnan(found.ratios[0])
    assert found.ratios[1:] == (3.0, 0.0)
    assert found.value == 1.5
    assert found.left_out == ((0, "the mean count before this doubling is 0"),)


def test_nothing_defined_is_nan():
    found = gain([[0.0, 1.0], [0.0, 2.0]], resamples=10)
    assert all(math.isnan(number) for number in (found.value, found.low, found.high))


def test_a_single_replicate_has_no_interval():
    found = gain([1.0, 2.0])
    assert found.replicates == 1
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_interval_is_the_percentile_bootstrap_written_out():
    counts = np.random.default_rng(5).uniform(1, 9, size=(4, 3))
    found = gain(counts, resamples=300, seed=11)
    rng = np.random.default_rng(11)
    gains = []
    for rows in rng.integers(4, size=(300, 4)):
        a, b, c = counts[rows].mean(axis=0)
        gains.append((b / a + c / b) / 2)
    np.testing.assert_allclose(
        (found.low, found.high), np.percentile(gains, [2.5, 97.5]), rtol=1e-12
    )


def test_the_same_seed_gives_the_same_interval_and_equal_replicates_no_width():
    counts = np.random.default_rng(0).uniform(1, 9, size=(9, 5))
    assert gain(counts, seed=1) == gain(counts, seed=1)
    assert gain(counts, seed=1) != gain(counts, seed=2)
    same = gain([[1.0, 3.0]] * 3)
    assert same.low == same.value == same.high == 3.0


def test_resamples_that_lack_a_size_leave_the_doubling_out():
    # Half of the resamples of two rows hold only one of them.
    found = gain([[1.0, 2.0, 4.0], [1.0, 2.0, float("nan")]], resamples=200)
    assert (found.value, found.low, found.high) == (2.0, 2.0, 2.0)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: gain([[1.0], [2.0]]),
            (
                "`counts_RS` has shape (replicates, sizes) with two or more sizes; got (2, 1). "
                "Pass one row per replicate."
            ),
        ),
        (
            lambda: gain([[1.0, -2.0]]),
            (
                "`counts_RS` are counts or shares of units, 0 or above and finite; got -2 to 1. "
                "Mark a missing size with NaN."
            ),
        ),
        (
            lambda: gain([[1.0, 2.0]] * 2, resamples=0),
            "`resamples` is 1 or more; got 0. Pass 2000.",
        ),
    ],
)
def test_messages(call, text):
    with pytest.raises(BadArgument) as caught:
        call()
    assert str(caught.value) == text
