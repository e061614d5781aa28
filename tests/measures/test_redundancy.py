"""Redundancy against scikit-learn's PCA, the published loop, and spectra built to be known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from frivolous.errors import BadArgument, NotFinite
from frivolous.measures import redundancy

# Shares of the variance: 60, 25, 9, 4, 1.5, 0.5 percent. At 5 percent unexplained three stay.
KNOWN = np.array([60.0, 25.0, 9.0, 4.0, 1.5, 0.5])


def rotated(values_U: np.ndarray, seed: int = 0) -> np.ndarray:
    """A covariance with these eigenvalues in random directions."""
    basis, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(values_U.size,) * 2))
    return (basis * values_U) @ basis.T


def published_loop(values_U: np.ndarray, tolerance: float) -> int:
    """``while accum <= tolerance`` over eigenvalues from the smallest, as the original code."""
    ascending, accum, k = np.sort(values_U) / values_U.sum(), 0.0, 0
    while accum <= tolerance:
        accum += ascending[k]
        k += 1
    return k


spectra = st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=12).map(
    lambda values: np.sort(np.array(values))[::-1]
)
tolerances = st.floats(0.001, 0.9)


def test_spectrum_is_the_known_one_largest_first():
    np.testing.assert_allclose(redundancy.spectrum(rotated(KNOWN)), KNOWN, rtol=1e-12)


def test_known_counts_under_both_conventions():
    covariance = rotated(KNOWN)
    assert redundancy.components_needed(covariance) == 4
    assert redundancy.redundant_units(covariance) == 2
    assert redundancy.redundant_units(covariance, count_crossing=True) == 3
    assert redundancy.compressibility(covariance) == pytest.approx(2 / 6)
    assert redundancy.components_needed(covariance, tolerance=0.07) == 3


@given(spectra, tolerances)
def test_count_crossing_is_the_published_loop(values_U, tolerance):
    sums = np.cumsum(values_U[::-1]) / values_U.sum()
    if np.abs(sums - tolerance).min() < 1e-9:
        return  # a tie, decided by rounding in the plain loop
    assert redundancy.redundant_units(values_U, tolerance, True) == published_loop(
        values_U, tolerance
    )


@pytest.mark.parametrize("explained", [0.5, 0.8, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("seed", range(4))
def test_components_are_scikit_learns(explained, seed):
    rng = np.random.default_rng(seed)
    activity_NU = rng.normal(size=(500, 30)) @ rng.normal(size=(30, 30)) * rng.exponential(size=30)
    pca = PCA(n_components=explained, svd_solver="full").fit(activity_NU)
    found = redundancy.components_needed(np.cov(activity_NU.T), 1 - explained)
    assert found == pca.n_components_


def test_eigenvalues_are_scikit_learns_explained_variance():
    activity_NU = np.random.default_rng(3).normal(size=(200, 12)) ** 2
    np.testing.assert_allclose(
        redundancy.spectrum(np.cov(activity_NU.T)), PCA().fit(activity_NU).explained_variance_
    )


@given(spectra, tolerances, st.floats(1e-6, 1e6))
def test_scale_changes_nothing(values_U, tolerance, scale):
    if np.abs(np.cumsum(values_U[::-1]) / values_U.sum() - tolerance).min() < 1e-9:
        return
    assert redundancy.redundant_units(values_U, tolerance) == redundancy.redundant_units(
        values_U * scale, tolerance
    )


@given(spectra, tolerances, tolerances)
def test_more_tolerance_is_never_less_redundant(values_U, one, other):
    low, high = sorted((one, other))
    assert redundancy.redundant_units(values_U, low) <= redundancy.redundant_units(values_U, high)


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_units_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    covariance = np.cov(rng.normal(size=(20, 100)) * rng.exponential(size=(20, 1)))
    order = rng.permutation(20)
    assert redundancy.redundant_units(covariance) == redundancy.redundant_units(
        covariance[np.ix_(order, order)]
    )


@pytest.mark.parametrize("copies", [1, 2, 5])
def test_copies_of_units_are_redundant_at_tolerance_0(copies):
    activity_NU = np.random.default_rng(0).normal(size=(300, 16)) + 7
    covariance = np.cov(np.tile(activity_NU, copies).T)
    assert redundancy.components_needed(covariance, tolerance=0) == 16
    assert redundancy.redundant_units(covariance, tolerance=0) == 16 * (copies - 1)


@pytest.mark.parametrize("rank", [1, 40, 99, 200])
def test_tolerance_0_is_the_numerical_rank(rank):
    rng = np.random.default_rng(rank)
    activity_NU = rng.normal(size=(2000, rank)) @ rng.normal(size=(rank, 200))
    assert redundancy.components_needed(np.cov(activity_NU.T), tolerance=0) == rank


def test_an_exact_tie_counts_as_explained():
    # Twenty equal directions: one of them is exactly 5 percent, whatever the rounding.
    assert redundancy.redundant_units(rotated(np.full(20, 3.0)), tolerance=0.05) == 1
    assert redundancy.redundant_units(np.diag([95.0, 5.0]), tolerance=0.05) == 1


@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize("count_crossing", [False, True])
def test_a_site_without_variance_is_redundant_throughout(width, count_crossing):
    nothing = np.zeros((width, width))
    assert redundancy.components_needed(nothing) == 0
    assert redundancy.redundant_units(nothing, count_crossing=count_crossing) == width
    assert redundancy.compressibility(nothing, count_crossing=count_crossing) == 1.0


def test_one_unit_that_varies_is_needed():
    assert redundancy.redundant_units([[2.0]]) == 0
    assert redundancy.redundant_units([[2.0]], count_crossing=True) == 1


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: redundancy.redundant_units(np.eye(2), 5),
            "`tolerance` is a share in [0, 1); got 5. For 5 percent pass 0.05.",
        ),
        (
            lambda: redundancy.redundant_units(np.eye(2), float("nan")),
            "`tolerance` is a share in [0, 1); got nan. Pass a number such as 0.05.",
        ),
        (
            lambda: redundancy.spectrum(np.ones((2, 3))),
            (
                "`covariance` is a square matrix (units, units); got shape (2, 3). "
                "For one unit pass [[variance]]."
            ),
        ),
        (
            lambda: redundancy.spectrum([[1.0, 0.0], [0.0, -2.0]]),
            (
                "`covariance` holds variances on its diagonal, 0 or above; unit 1 has -2. "
                "Pass a covariance, computed from centred activities."
            ),
        ),
        (
            lambda: redundancy.components_needed([1.0, 2.0]),
            (
                "`covariance` of one axis is a spectrum: eigenvalues from the largest down, "
                "none below 0; got [1.0, 2.0]... Pass what spectrum() returns, or the matrix."
            ),
        ),
    ],
)
def test_messages(call, text):
    with pytest.raises(BadArgument) as caught:
        call()
    assert str(caught.value) == text


def test_nan_is_named_and_counted():
    with pytest.raises(NotFinite, match="`covariance` holds 2 of 4 values"):
        redundancy.spectrum([[np.nan, 0.0], [0.0, np.inf]])


@given(st.lists(st.floats(0.0, 10.0), min_size=1, max_size=12), st.floats(0.0, 0.9))
def test_the_level_has_the_count_as_its_whole_part(values, tolerance):
    spectrum = np.sort(np.asarray(values))[::-1]
    count = redundancy.redundant_units(spectrum, tolerance)
    level = redundancy.redundant_level(spectrum, tolerance)
    assert count <= level <= min(count + 1, len(spectrum))


def test_the_level_moves_where_the_count_stands_still():
    levels = [redundancy.redundant_level([96.0 - x, 4.0 + x]) for x in (0.0, 0.5, 0.9)]
    assert levels == sorted(levels, reverse=True)
    assert len(set(levels)) == 3
    assert {redundancy.redundant_units([96.0 - x, 4.0 + x]) for x in (0.0, 0.5, 0.9)} == {1}
