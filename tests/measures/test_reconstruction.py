"""Predictions of units from others, against scikit-learn's and NumPy's least squares."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, Ridge

from frivolous.errors import BadArgument
from frivolous.measures.reconstruction import explained, reconstructor


@pytest.fixture
def activity() -> np.ndarray:
    random = np.random.default_rng(3)
    mixed = random.normal(size=(300, 7)) @ random.normal(size=(7, 7)) + 2
    return np.maximum(mixed, 0)


def test_r_squared_is_that_of_ordinary_least_squares(activity: np.ndarray) -> None:
    others = [np.delete(activity, unit, axis=1) for unit in range(7)]
    wanted = [
        LinearRegression().fit(other, activity[:, unit]).score(other, activity[:, unit])
        for unit, other in enumerate(others)
    ]
    np.testing.assert_allclose(explained(np.cov(activity.T)), wanted, rtol=1e-7)


def test_other_samples_are_predicted_with_the_slopes_of_these(activity: np.ndarray) -> None:
    fit, test = activity[:150], activity[150:]
    wanted = []
    for unit in range(7):
        one, other = np.delete(fit, unit, axis=1), np.delete(test, unit, axis=1)
        left = test[:, unit] - LinearRegression().fit(one, fit[:, unit]).predict(other)
        wanted.append(1 - left.var() / test[:, unit].var())
    np.testing.assert_allclose(explained(np.cov(fit.T), np.cov(test.T)), wanted, rtol=1e-6)


def test_noise_is_explained_here_and_not_elsewhere() -> None:
    noise = np.random.default_rng(0).normal(size=(80, 39))
    here, elsewhere = np.cov(noise[:40].T), np.cov(noise[40:].T)
    assert (explained(here) > 0.5).all()
    assert (explained(here, elsewhere) < 0).all()
    with pytest.raises(BadArgument, match=r"`elsewhere` has shape \(2, 2\)"):
        explained(here, np.eye(2))


def test_copies_are_explained_and_constants_are_not_a_question(activity: np.ndarray) -> None:
    wide = np.column_stack([activity, activity[:, 0] * 2 - 1, np.full(300, 5.0)])
    r_squared = explained(np.cov(wide.T))
    assert r_squared[[0, 7]] == pytest.approx([1, 1], abs=1e-9)
    assert np.isnan(r_squared[8])
    np.testing.assert_allclose(r_squared[1:7], explained(np.cov(activity.T))[1:], rtol=1e-6)
    assert np.isnan(explained(np.zeros((2, 2)))).all()
    assert explained([[3.0]]).tolist() == pytest.approx([0.0], abs=1e-9)


@pytest.mark.parametrize("units", range(8))
def test_prediction_is_least_squares_on_those_kept(activity: np.ndarray, units: int) -> None:
    order = np.random.default_rng(units).permutation(7)
    kept = order[::-1][:units]
    found = reconstructor(activity.mean(axis=0), np.cov(activity.T), order)
    matrix, constant = found.prediction(units)
    columns = np.column_stack([np.ones(300), activity[:, kept]])
    wanted = columns @ np.linalg.lstsq(columns, activity, rcond=None)[0]
    np.testing.assert_allclose(activity @ matrix + constant, wanted, atol=1e-7)
    assert (matrix[np.setdiff1d(np.arange(7), kept)] == 0).all()
    assert (matrix[kept][:, kept] == np.eye(units)).all()


def test_units_without_variance_are_predicted_by_their_mean_and_predict_nothing() -> None:
    random = np.random.default_rng(0)
    activity = np.column_stack([random.normal(size=50), np.full(50, 4.0), random.normal(size=50)])
    covariance = np.cov(activity.T)
    matrix, constant = reconstructor(
        activity.mean(axis=0), covariance, np.array([1, 0, 2])
    ).prediction(2)
    np.testing.assert_allclose((activity @ matrix + constant)[:, 1], 4.0, atol=1e-9)
    matrix, constant = reconstructor(
        activity.mean(axis=0), covariance, np.array([0, 2, 1])
    ).prediction(1)
    predicted = activity @ matrix + constant
    np.testing.assert_allclose(predicted[:, [0, 2]].std(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(predicted[:, [0, 2]][0], activity.mean(axis=0)[[0, 2]])


def test_wrong_orders_and_counts() -> None:
    with pytest.raises(BadArgument, match=r"`order` holds each of the units 0 to 1 once"):
        reconstructor([0.0, 0.0], np.eye(2), np.array([0, 0]))
    with pytest.raises(BadArgument, match=r"`units` is 0 to 2; got -1"):
        reconstructor([0.0, 0.0], np.eye(2), np.array([0, 1])).prediction(-1)


@pytest.mark.parametrize("ridge", [1e-3, 0.1])
def test_a_ridge_gives_scikit_learns_ridge_regression(ridge: float) -> None:
    random = np.random.default_rng(3)
    activity = random.normal(size=(60, 5)) @ random.normal(size=(5, 5)) + random.normal(size=5)
    fit, test = activity[:40], activity[40:]
    scaled = fit.std(axis=0, ddof=1)
    wanted = []
    for unit in range(5):
        others = [other for other in range(5) if other != unit]
        x, y = (fit / scaled)[:, others], (fit / scaled)[:, unit]
        slopes = Ridge(alpha=39 * ridge).fit(x, y).coef_
        left = (test / scaled)[:, unit] - (test / scaled)[:, others] @ slopes
        wanted.append(1 - left.var(ddof=1) / (test / scaled)[:, unit].var(ddof=1))
    found = explained(np.cov(fit.T), np.cov(test.T), ridge=ridge)
    np.testing.assert_allclose(found, wanted, rtol=1e-9)
