"""The order in which units can go, against least squares on every subset, and symmetries."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frivolous.errors import BadArgument, NotFinite
from frivolous.measures.elimination import Elimination, eliminate

Case = tuple[np.ndarray, np.ndarray]


def case(units: int, seed: int, readers: int = 5) -> Case:
    """Activity (200, units) of units that share what they say, and the weights that read it."""
    random = np.random.default_rng(seed)
    shared = random.normal(size=(200, units)) @ random.normal(size=(units, units))
    return np.maximum(shared, 0), random.normal(size=(units, readers))


def found(activity: np.ndarray, readers: np.ndarray) -> Elimination:
    return eliminate(np.cov(activity.T), readers @ readers.T)


def refitted(activity: np.ndarray, readers: np.ndarray, kept: list[int]) -> float:
    """The error of readers fitted anew by NumPy's least squares, with a constant term."""
    wanted = activity @ readers
    columns = np.column_stack([np.ones(len(activity)), activity[:, kept]])
    fitted = columns @ np.linalg.lstsq(columns, wanted, rcond=None)[0]
    return float(((wanted - fitted) ** 2).sum() / (len(activity) - 1))


@pytest.mark.parametrize("seed", range(4))
def test_each_step_is_the_cheapest_and_costs_what_least_squares_says(seed: int) -> None:
    activity, readers = case(8, seed)
    answer, left = found(activity, readers), list(range(8))
    for step, unit in enumerate(answer.order_U.tolist()):
        costs = {u: refitted(activity, readers, [k for k in left if k != u]) for u in left}
        assert unit == min(costs, key=lambda u: costs[u])
        assert answer.error_U[step] == pytest.approx(costs[unit], rel=1e-7)
        left.remove(unit)
    assert answer.error_U[-1] == pytest.approx(answer.total)


@pytest.mark.parametrize("seed", range(4))
def test_no_subset_of_eight_units_does_with_less_than_its_bound(seed: int) -> None:
    activity, readers = case(8, seed)
    answer = found(activity, readers)
    for kept in range(8):
        best = min(
            refitted(activity, readers, list(subset))
            for subset in itertools.combinations(range(8), kept)
        )
        greedy = answer.error_U[8 - kept - 1]
        assert best * (1 - 1e-7) <= greedy
        # One unit ahead is not all of them, but on such sites it is never far off.
        assert greedy <= 1.5 * best


def test_units_that_share_nothing_go_in_the_order_of_what_they_carry() -> None:
    variance, norms = np.array([4.0, 1.0, 9.0]), np.array([[1.0], [3.0], [0.5]])
    answer = eliminate(np.diag(variance), norms @ norms.T)
    assert answer.order_U.tolist() == [2, 0, 1]
    assert answer.error_U.tolist() == pytest.approx([2.25, 6.25, 15.25])
    assert [answer.error(k) for k in (3, 2, 0)] == pytest.approx([0, 2.25 / 15.25, 1])
    assert answer.kept(2).tolist() == [1, 0]


def test_silent_constant_and_copied_units_cost_nothing() -> None:
    activity, readers = case(5, 0)
    wide = np.column_stack([activity, activity * 3, np.zeros(200), np.full(200, 7.0)])
    answer = found(wide, np.vstack([readers, readers, readers[:2]]))
    assert answer.order_U[:2].tolist() in ([10, 11], [11, 10])
    assert (answer.error_U[:7] <= 1e-8 * answer.total).all()
    assert answer.error_U[7] > 1e-4 * answer.total


def test_units_that_nobody_reads_go_first() -> None:
    activity, readers = case(6, 1)
    readers[[1, 4]] = 0
    answer = found(activity, readers)
    assert sorted(answer.order_U[:2].tolist()) == [1, 4]
    assert answer.error_U[1] == 0


def plain(covariance: np.ndarray, readers: np.ndarray) -> tuple[list[int], list[float]]:
    """The same elimination, a matrix at a time."""
    inverse, rows = np.linalg.inv(covariance), readers.copy()
    alive, order, costs = list(range(len(covariance))), [], []
    while alive:
        cost = {u: (rows[u] @ rows[u]) / inverse[u, u] for u in alive}
        unit = min(alive, key=lambda u: cost[u])
        order.append(unit)
        costs.append(cost[unit])
        share = inverse[:, unit] / inverse[unit, unit]
        rows = rows - np.outer(share, rows[unit])
        inverse = inverse - np.outer(share, inverse[unit])
        alive.remove(unit)
    return order, costs


@pytest.mark.parametrize("units", [63, 64, 65, 200])
def test_block_by_block_is_the_same(units: int) -> None:
    random = np.random.default_rng(units)
    activity = random.normal(size=(3 * units, units)) @ random.normal(size=(units, units))
    readers = random.normal(size=(units, 7))
    covariance = np.cov(activity.T)
    answer = eliminate(covariance, readers @ readers.T)
    order, costs = plain(covariance, readers)
    assert answer.order_U.tolist() == order
    # The ridge adds to errors that are small: to a millionth of the whole it is nothing.
    np.testing.assert_allclose(
        answer.error_U, np.cumsum(costs), rtol=1e-5, atol=1e-6 * answer.total
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_the_order_follows_the_units(seed: int) -> None:
    activity, readers = case(9, seed)
    shuffled = np.random.default_rng(seed).permutation(9)
    one, other = found(activity, readers), found(activity[:, shuffled], readers[shuffled])
    assert shuffled[other.order_U].tolist() == one.order_U.tolist()
    np.testing.assert_allclose(other.error_U, one.error_U, rtol=1e-6, atol=1e-9 * one.total)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(-15, 15), min_size=9, max_size=9))
def test_scaling_a_unit_and_its_readers_inversely_changes_nothing(
    seed: int, powers: list[int]
) -> None:
    activity, readers = case(9, seed)
    scale = 2.0 ** np.array(powers)
    one, other = found(activity, readers), found(activity * scale, readers / scale[:, None])
    assert other.order_U.tolist() == one.order_U.tolist()
    np.testing.assert_allclose(other.error_U, one.error_U, rtol=1e-6, atol=1e-9 * one.total)


def test_one_unit_and_none_that_varies() -> None:
    assert eliminate([[4.0]], [[9.0]]).error_U.tolist() == pytest.approx([36.0])
    still = eliminate(np.zeros((3, 3)), np.diag([3.0, 1.0, 2.0]))
    assert still.order_U.tolist() == [1, 2, 0]
    assert (still.error_U.tolist(), still.error(0)) == ([0, 0, 0], 0.0)


def test_what_is_no_covariance_or_no_products() -> None:
    with pytest.raises(BadArgument, match=r"`covariance` is a square matrix"):
        eliminate(np.ones((2, 3)), np.eye(2))
    with pytest.raises(BadArgument, match=r"shape \(2, 2\); got \(3, 3\)\. Pass W @ W\.T"):
        eliminate(np.eye(2), np.eye(3))
    with pytest.raises(BadArgument, match=r"squared norms on its diagonal, 0 or above; got -1"):
        eliminate(np.eye(2), -np.eye(2))
    with pytest.raises(BadArgument, match=r"has an eigenvalue below zero"):
        eliminate([[1.0, 2.0], [2.0, 1.0]], np.eye(2))
    with pytest.raises(NotFinite, match=r"`products` holds 1 of 4 values"):
        eliminate(np.eye(2), [[np.nan, 0], [0, 1]])
    with pytest.raises(BadArgument, match=r"`units` is 0 to 2; got 3"):
        eliminate(np.eye(2), np.eye(2)).kept(3)
