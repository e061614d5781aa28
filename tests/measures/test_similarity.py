"""Similarity against np.corrcoef, plain loops, and units whose correlation is built in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frivolous.errors import BadArgument
from frivolous.measures import similarity

seeds = st.integers(0, 10_000)


def mixed(seed: int, width: int = 8, samples: int = 60) -> np.ndarray:
    """Activities whose units correlate to every degree."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(samples, width)) @ rng.normal(size=(width, width))


@pytest.mark.parametrize("seed", range(5))
def test_correlations_are_numpys(seed):
    activity_NU = mixed(seed)
    found = similarity.correlations(np.cov(activity_NU.T))
    np.testing.assert_allclose(found, np.corrcoef(activity_NU.T), atol=1e-12)


@given(seeds, st.floats(0.05, 0.95))
def test_counts_are_a_plain_loops(seed, threshold):
    covariance = np.cov(mixed(seed).T)
    r = np.corrcoef(mixed(seed).T)
    counts = [
        sum(abs(r[i, j]) >= threshold for j in range(len(r)) if j != i) for i in range(len(r))
    ]
    assert similarity.similar_counts(covariance, threshold).tolist() == counts
    assert similarity.similarity(covariance, threshold) == pytest.approx(np.mean(counts))


@given(seeds, st.lists(st.floats(1e-5, 1e5), min_size=8, max_size=8))
def test_scale_and_sign_of_a_unit_change_nothing(seed, scales):
    covariance = np.cov(mixed(seed).T)
    scale_U = np.array(scales) * np.where(np.arange(8) % 2, 1, -1)
    np.testing.assert_allclose(
        similarity.correlations(covariance * np.outer(scale_U, scale_U)),
        similarity.correlations(covariance) * np.outer(np.sign(scale_U), np.sign(scale_U)),
        atol=1e-12,
    )


@given(seeds)
def test_permuting_units_permutes_counts(seed):
    covariance = np.cov(mixed(seed).T)
    order = np.random.default_rng(seed).permutation(8)
    np.testing.assert_array_equal(
        similarity.similar_counts(covariance[np.ix_(order, order)]),
        similarity.similar_counts(covariance)[order],
    )


@given(seeds, st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_a_higher_threshold_is_never_met_more_often(seed, one, other):
    covariance = np.cov(mixed(seed).T)
    low, high = sorted((one, other))
    assert similarity.similarity(covariance, high) <= similarity.similarity(covariance, low)


def test_copies_are_similar_even_at_threshold_1():
    activity_NU = mixed(1)[:, :3]
    covariance = np.cov(np.hstack([activity_NU, -3 * activity_NU]).T)
    assert similarity.similar_counts(covariance, threshold=1.0).tolist() == [1] * 6


def test_exactly_at_the_threshold_is_similar_whatever_the_scales():
    r_half = np.array([[1.0, 0.5], [0.5, 1.0]])
    for scale in (1.0, 0.1, 1 / 3, 7e-5):
        outer = np.outer([scale, 1.7], [scale, 1.7])
        assert similarity.similarity(r_half * outer) == 1.0


def test_a_unit_without_variance_is_similar_to_none_but_counts_in_the_mean():
    covariance = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    assert similarity.similar_counts(covariance).tolist() == [1, 1, 0]
    assert similarity.similarity(covariance) == pytest.approx(2 / 3)


def test_rounding_of_a_constant_is_no_variance():
    # np.cov leaves a constant of 0.1 a variance of some 1e-32.
    activity_NU = np.column_stack([mixed(0)[:, :2], np.full(60, 0.1), np.full(60, 0.1)])
    counts = similarity.similar_counts(np.cov(activity_NU.T), threshold=0.01)
    assert counts[2:].tolist() == [0, 0]


def test_all_silent():
    nothing = np.zeros((3, 3))
    assert np.isnan(similarity.correlations(nothing)).all()
    assert similarity.similarity(nothing) == 0.0
    assert similarity.distribution(nothing).undefined == 3


def test_one_unit():
    assert similarity.correlations([[3.0]]).tolist() == [[1.0]]
    assert similarity.similarity([[3.0]]) == 0.0


def test_tiny_and_huge_scales_neither_under_nor_overflow():
    scale_U = np.array([1e-140, 1e-145])
    r = similarity.correlations(np.array([[1.0, 0.25], [0.25, 1.0]]) * np.outer(scale_U, scale_U))
    np.testing.assert_allclose(r[0, 1], 0.25)


def test_pairs_once_each_and_below():
    covariance = np.array([[1.0, 1.0, 0.3], [1.0, 1.0, 0.3], [0.3, 0.3, 1.0]])
    every, kept = (similarity.distribution(covariance, below, bins=2) for below in (None, 0.99999))
    assert (every.pairs.tolist(), every.copies) == ([2, 1], 0)
    assert (kept.pairs.tolist(), kept.copies) == ([2, 0], 1)


@pytest.mark.parametrize("threshold", [0, -0.5, 1.2, 50])
def test_message(threshold):
    with pytest.raises(BadArgument) as caught:
        similarity.similarity(np.eye(2), threshold)
    assert str(caught.value) == (
        f"`threshold` is an absolute correlation in (0, 1]; got {threshold:g}. Pass 0.5."
    )


def test_nearest_twin_is_that_of_corrcoef():
    activity = np.random.default_rng(5).normal(size=(60, 6)).cumsum(axis=1)
    unit, r = similarity.nearest_twins(np.cov(activity.T))
    wanted = np.abs(np.corrcoef(activity.T))
    np.fill_diagonal(wanted, -1)
    assert unit.tolist() == wanted.argmax(axis=1).tolist()
    np.testing.assert_allclose(r, wanted.max(axis=1))


def test_nobody_is_the_twin_of_a_unit_without_variance():
    unit, r = similarity.nearest_twins([[1.0, 0.0], [0.0, 0.0]])
    assert unit.tolist() == [-1, -1]
    assert np.isnan(r).all()


def test_groups_follow_the_heaviest():
    # 0 and 1 are alike, 1 and 2 are alike, 0 and 2 are not.
    covariance = np.array([[1, 0.96, 0.9], [0.96, 1, 0.96], [0.9, 0.96, 1.0]])
    assert similarity.twin_groups(covariance, [1, 3, 2]).tolist() == [1, 1, 1]
    assert similarity.twin_groups(covariance, [3, 2, 1]).tolist() == [0, 0, 2]
    assert similarity.twin_groups(covariance, [3, 2, 1], threshold=0.9).tolist() == [0, 0, 0]
    assert similarity.twin_groups(covariance, [3, 2, 1], threshold=0.97).tolist() == [0, 1, 2]
    assert similarity.twin_groups(np.diag([1.0, 0.0]), [0, 0]).tolist() == [0, 1]
