"""Silent and constant units, by construction and by what scale may not change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frivolous.errors import BadArgument
from frivolous.measures import unit_kinds


def numbers(least: float, most: float) -> st.SearchStrategy[float]:
    """Numbers whose squares lose no digits, nor do those of 2 ** -20 times them."""
    return st.floats(least, most).map(lambda number: number if abs(number) > 1e-100 else 0.0)


units = st.lists(
    st.tuples(numbers(-100, 100), numbers(0, 100), st.floats(0, 1)), min_size=1, max_size=9
).map(lambda rows: np.array(rows).T)


def test_silent_at_most_the_rate():
    assert unit_kinds.silent_units([0, 0.01, 0.0101, 1]).tolist() == [True, True, False, False]
    assert unit_kinds.silent_units([0, 0.01, 0.5], rate=0).tolist() == [True, False, False]


def test_constant_is_active_and_steady():
    mean, variance, rate = [3.0, 3.0, -3.0, 0.0, 0.0], [0, 9e-4, 9.1e-4, 0, 1], [1, 1, 1, 0, 1]
    # 9e-4 is at most 1e-4 of 9 + 9e-4; 9.1e-4 is more.
    wanted = [True, True, False, False, False]
    assert unit_kinds.constant_units(mean, variance, rate).tolist() == wanted


def test_a_bias_alone_is_constant_until_it_is_rarely_on():
    assert unit_kinds.constant_units([1.0], [0.0], [1.0]).tolist() == [True]
    assert unit_kinds.constant_units([1.0], [0.0], [0.01]).tolist() == [False]


@given(units, st.floats(0, 0.99), st.floats(0, 0.99))
def test_never_both(rows, share, rate):
    mean, variance, active = rows
    constant = unit_kinds.constant_units(mean, variance, active, share, rate)
    assert not (constant & unit_kinds.silent_units(active, rate)).any()


@given(units, st.integers(-20, 20))
def test_scale_changes_nothing(rows, power):
    mean, variance, active = rows
    np.testing.assert_array_equal(
        unit_kinds.constant_units(mean * 2.0**power, variance * 4.0**power, active),
        unit_kinds.constant_units(mean, variance, active),
    )


@given(units, st.randoms())
def test_permuting_units_permutes_masks(rows, random):
    order = random.sample(range(rows.shape[1]), rows.shape[1])
    np.testing.assert_array_equal(
        unit_kinds.constant_units(*rows[:, order]), unit_kinds.constant_units(*rows)[order]
    )
    np.testing.assert_array_equal(
        unit_kinds.silent_units(rows[2, order]), unit_kinds.silent_units(rows[2])[order]
    )


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: unit_kinds.silent_units([12.0, 50.0]),
            (
                "`active_rate` holds shares of samples in [0, 1]; got 12 to 50. "
                "Divide counts by the number of samples."
            ),
        ),
        (
            lambda: unit_kinds.silent_units([0.5], rate=1),
            "`rate` is a share in [0, 1); got 1. For 1 percent pass 0.01.",
        ),
        (
            lambda: unit_kinds.constant_units([1.0], [0.0, 0.0], [1.0]),
            (
                "`variance` holds one number per unit; got 2 for 1 units. "
                "Pass the numbers of one site."
            ),
        ),
        (
            lambda: unit_kinds.constant_units([1.0], [-1.0], [1.0]),
            "`variance` is 0 or above; got -1.",
        ),
        (
            lambda: unit_kinds.silent_units([[0.5]]),
            "`active_rate` holds one number per unit, shape (U,); got (1, 1).",
        ),
    ],
)
def test_messages(call, text):
    with pytest.raises(BadArgument) as caught:
        call()
    assert str(caught.value) == text


def of(**changes):
    """One essential unit, with some of what is known of it changed: its kind."""
    known = {
        "active_rate": 0.5, "mean": 1.0, "variance": 1.0,
        "explained": 0.5, "changed": 0.1, "divergence": 0.1,
    }  # fmt: skip
    given = {name: [value] for name, value in (known | changes).items() if name != "thresholds"}
    return unit_kinds.kinds(**given, thresholds=changes.get("thresholds")).item()


def test_every_kind():
    still = {"changed": 0.0, "divergence": 0.0}
    assert of() == "essential"
    assert of(explained=0.95) == "redundant functional"
    assert of(explained=0.95, **still) == "redundant blocked"
    assert of(**still) == "non-redundant blocked"
    assert of(active_rate=0.01, explained=1.0) == "silent"
    assert of(variance=1e-5, explained=1.0) == "constant"
    assert of(variance=0.0, mean=0.0, active_rate=0.0, explained=np.nan) == "silent"
    # A unit that changes scores and no label is not blocked, nor is one that changes labels alone.
    assert of(changed=0.0) == "essential"
    assert of(divergence=0.0) == "essential"


def test_thresholds_decide():
    assert of(thresholds=unit_kinds.Thresholds(redundant=0.5)) == "redundant functional"
    assert of(thresholds=unit_kinds.Thresholds(silent=0.5)) == "silent"
    blocked = unit_kinds.Thresholds(changed=0.1, divergence=0.1)
    assert of(thresholds=blocked) == "non-redundant blocked"


def test_wrong_thresholds():
    with pytest.raises(BadArgument, match=r"`redundant` is a share in \(0, 1\]; got 0\. Pass 0.95"):
        unit_kinds.Thresholds(redundant=0.0)
    with pytest.raises(BadArgument, match=r"`changed` is a share in \[0, 1\); got 2"):
        unit_kinds.Thresholds(changed=2.0)
    with pytest.raises(BadArgument, match=r"`divergence` is 0 or above, in nats; got nan"):
        unit_kinds.Thresholds(divergence=float("nan"))
