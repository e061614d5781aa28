"""Moments against NumPy on the whole sample, however it is cut, shifted or ordered."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from frivolous.errors import BadArgument
from frivolous.statistics.moments import Moments, Rows, moments, pool

seeds = st.integers(0, 10_000)


def activities(seed: int, samples: int = 40, width: int = 5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.maximum(rng.normal(size=(samples, width)) @ rng.normal(size=(width, width)), 0)


def close(one: Moments, other: Moments, rtol: float = 1e-12) -> None:
    scale = max(float(np.abs(other.scatter_UU).max()), 1e-300)
    assert one.count == other.count
    np.testing.assert_allclose(one.mean_U, other.mean_U, rtol=rtol, atol=1e-14)
    np.testing.assert_allclose(one.scatter_UU / scale, other.scatter_UU / scale, atol=rtol)
    np.testing.assert_array_equal(one.active_U, other.active_U)
    np.testing.assert_array_equal(one.low_U, other.low_U)
    np.testing.assert_array_equal(one.high_U, other.high_U)


@pytest.mark.parametrize("width", [1, 2, 63, 65, 300])
def test_moments_are_numpys(width):
    activity_NU = activities(width, samples=200, width=width)
    found = moments(activity_NU)
    np.testing.assert_allclose(
        found.covariance_UU, np.cov(activity_NU.T).reshape(width, width), rtol=1e-10, atol=1e-12
    )
    np.testing.assert_array_equal(found.covariance_UU, found.covariance_UU.T)
    np.testing.assert_allclose(found.variance_U, activity_NU.var(axis=0, ddof=1), rtol=1e-12)
    np.testing.assert_allclose(found.mean_U, activity_NU.mean(axis=0), rtol=1e-12)
    np.testing.assert_array_equal(found.active_U, (activity_NU > 0).sum(axis=0))
    np.testing.assert_array_equal(found.low_U, activity_NU.min(axis=0))
    np.testing.assert_array_equal(found.high_U, activity_NU.max(axis=0))


@given(seeds, st.lists(st.integers(0, 40), min_size=0, max_size=5))
def test_cutting_the_sample_anywhere_changes_nothing(seed, cuts):
    activity_NU = activities(seed)
    parts = [moments(part) for part in np.split(activity_NU, sorted(cuts))]
    close(pool(parts), moments(activity_NU))


@given(seeds)
def test_merge_is_associative_and_commutative(seed):
    a, b, c = (moments(part) for part in np.split(activities(seed), [7, 20]))
    close(a.merge(b).merge(c), a.merge(b.merge(c)))
    close(a.merge(b), b.merge(a))
    close(pool((c, a, b)), pool((a, b, c)))


@given(seeds)
def test_permuting_units_permutes_everything(seed):
    activity_NU = activities(seed)
    order = np.random.default_rng(seed).permutation(5)
    one, other = moments(activity_NU[:, order]), moments(activity_NU)
    np.testing.assert_allclose(one.scatter_UU, other.scatter_UU[np.ix_(order, order)], atol=1e-12)
    np.testing.assert_array_equal(one.active_U, other.active_U[order])


@pytest.mark.parametrize(("offset", "error"), [(1e6, 1e-10), (-1e9, 1e-8)])
def test_a_large_offset_costs_no_variance(offset, error):
    spread_NU = np.round(np.random.default_rng(0).normal(size=(3000, 3)) * 1024) / 1024
    shifted = pool([moments(part) for part in np.split(spread_NU + offset, [1, 500, 1700])])
    # A float64 mean near 1e9 is good to 1e-7; squares of activities would keep no digit.
    np.testing.assert_allclose(shifted.covariance_UU, np.cov(spread_NU.T), rtol=error, atol=error)


def test_a_sample_against_exact_arithmetic():
    numbers = [Fraction(k * k % 17, 8) + 4096 for k in range(60)]
    mean = sum(numbers) / 60
    scatter = sum((number - mean) ** 2 for number in numbers)
    column_N1 = np.array([[float(number)] for number in numbers])
    found = pool([moments(part) for part in np.split(column_N1, [11, 30])])
    assert found.scatter_UU[0, 0] == pytest.approx(float(scatter), rel=1e-12)


@pytest.mark.parametrize("constant", [0.1, 1 / 3, 1e7 / 3])
def test_a_constant_has_no_variance_at_all(constant):
    varied = activities(1)
    activity_NU = np.column_stack([varied, np.full(40, constant)])
    found = pool([moments(part) for part in np.split(activity_NU, [3, 10, 29])])
    assert not found.scatter_UU[-1].any()
    assert found.mean_U[-1] == found.low_U[-1] == found.high_U[-1] == constant


def test_one_sample_and_none():
    one = moments(np.array([[2.0, 0.0]]))
    assert one.covariance_UU.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert one.active_rate_U.tolist() == [1.0, 0.0]
    none = moments(np.empty((0, 2)))
    assert none.count == 0
    assert none.low_U.tolist() == [math.inf] * 2
    assert none.active_rate_U.tolist() == [0.0, 0.0]
    close(one.merge(none), one)
    close(none.merge(one), one)
    assert none.merge(none).count == 0


@pytest.mark.parametrize(
    "sizes", [(1,), (1023,), (1024,), (1025,), (1, 1023, 1), (300, 300, 0, 900), (2500, 3)]
)
def test_rows_do_not_depend_on_how_they_arrive(sizes):
    activity_NU = np.random.default_rng(0).normal(size=(sum(sizes), 600))
    rows, at = Rows(600), 0
    for size in sizes:
        rows.add(torch.from_numpy(activity_NU[at : at + size].astype(np.float32)))
        at += size
    close(rows.moments(), moments(activity_NU.astype(np.float32).astype(np.float64)))


def test_rows_of_float32_are_added_up_in_float64():
    rng = np.random.default_rng(0)
    one = rng.normal(size=(20_000, 1)).astype(np.float32)
    near = one + 1e-3 * rng.normal(size=(20_000, 1)).astype(np.float32)
    both = np.hstack([one, near])
    rows = Rows(2)
    rows.add(torch.from_numpy(both))
    unexplained = 1 / np.diagonal(np.linalg.inv(rows.moments().covariance_UU))
    wanted = 1 / np.diagonal(np.linalg.inv(np.cov(both.astype(np.float64).T)))
    # Float32 products are wrong by four percent here.
    np.testing.assert_allclose(unexplained, wanted, rtol=1e-6)


def test_messages():
    with pytest.raises(BadArgument) as caught:
        pool((moments(np.ones((2, 3))), moments(np.ones((2, 4)))))
    assert str(caught.value) == (
        "`parts` are moments of the same units; got widths [3, 4]. Pool the moments of one site."
    )
    with pytest.raises(BadArgument, match=r"got widths \[\]"):
        pool(())


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_device_gives_what_main_memory_gives():
    activity_NU = activities(3, samples=3000, width=200).astype(np.float32)
    here, there = Rows(200), Rows(200)
    here.add(torch.from_numpy(activity_NU))
    there.add(torch.from_numpy(activity_NU).cuda())
    close(there.moments(), here.moments())
