"""Layers fitted to what they read in the thinner network, against a plain weighted ridge."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from removal import bench_of
from torch import Tensor, nn

from frivolous.batches import Batches, as_batches
from frivolous.compression.fine import (
    CLOSE,
    DRAWS,
    LEFT_OUT,
    TargetsOf,
    _drawn,
    closeness,
    fine_tuned,
)
from frivolous.compression.order import METHODS
from frivolous.compression.thinning import thinned
from frivolous.compression.workbench import Workbench


def plain(rows: np.ndarray, left: np.ndarray, weight: np.ndarray, draw: float) -> np.ndarray:
    """Weights, the constant last, by the normal equations: features scaled, weights of mean 1."""
    share = weight / weight.sum()
    root = np.sqrt(share * len(rows))[:, None]
    x, y = rows - share @ rows, left - share @ left
    matrix = (x * root).T @ (x * root) + draw * len(rows) * np.eye(rows.shape[1])
    change = np.linalg.solve(matrix, (x * root).T @ (y * root))
    return np.vstack([change, share @ left - share @ rows @ change])


def case(
    seed: int, samples: int = 200, features: int = 6
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    rows = random.normal(size=(samples, features)) * np.arange(1, features + 1) + 1
    left = rows @ random.normal(size=(features, 3)) + 3 * random.normal(size=(samples, 3)) + 2
    return rows, left, random.uniform(0.2, 3, size=samples)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("features", [6, 260])
def test_a_weighted_ridge_chosen_on_examples_left_out(seed: int, features: int) -> None:
    rows, left, weight = case(seed, features=features)
    aside = np.arange(len(rows)) % 4 == 0
    parts = (torch.as_tensor(part, dtype=torch.float32) for part in (rows, left, weight))
    change, constant = _drawn(*parts, torch.as_tensor(aside), True)
    scale = np.sqrt((rows**2).mean(0))
    scaled = rows / scale

    def error(draw: float) -> float:
        found = plain(scaled[~aside], left[~aside], weight[~aside], draw)
        rest = left[aside] - scaled[aside] @ found[:-1] - found[-1]
        return float((weight[aside] @ rest**2).sum())

    errors = {draw: error(draw) for draw in DRAWS}
    best = min(errors, key=lambda draw: errors[draw])
    nothing = float((weight[aside] @ left[aside] ** 2).sum())
    assert errors[best] < nothing
    wanted = plain(scaled, left, weight, best)
    assert change is not None
    np.testing.assert_allclose(change.numpy(), wanted[:-1] / scale[:, None], atol=1e-3)
    np.testing.assert_allclose(constant.numpy(), wanted[-1], atol=1e-3)


def test_no_change_where_it_does_not_help_those_left_out() -> None:
    random = np.random.default_rng(0)
    aside = torch.arange(40) % 4 == 0
    x, left = torch.randn(40, 30, generator=torch.Generator().manual_seed(0)), random
    noise = torch.as_tensor(left.normal(size=(40, 2))).float()
    noise -= noise.mean(0)
    change, constant = _drawn(x, noise, torch.ones(40), aside, False)
    assert change is None
    assert constant.tolist() == [0, 0]
    few = torch.arange(10) % 4 == 0
    assert _drawn(x[:10], noise[:10], torch.ones(10), few, False)[0] is None


def test_examples_between_two_labels_count_most() -> None:
    scores = torch.tensor([[3.0, 1.0, 0.0], [2.0, 2.0, 5.0], [1.0, 1.0, 0.0]])
    square = np.array([4.0, 9.0, 0.0])
    wanted = 1 / (square + CLOSE * square.mean())
    np.testing.assert_allclose(closeness(scores).numpy(), wanted / wanted.mean(), rtol=1e-6)


class Read(nn.Module):
    """A layer that writes units and one that reads them, by taps."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        if kind == "dense":
            self.one, self.two = nn.Linear(6, 9), nn.Linear(9, 4)
        else:
            self.one, self.two = nn.Conv1d(2, 9, 3), nn.Conv1d(9, 4, 2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.two(torch.relu(self.one(x)))
        return x if self.kind == "dense" else x.mean(2)


def made(kind: str, batch_size: int = 100) -> tuple[Workbench, Batches, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        model = Read(kind).eval()
        x = torch.randn(240, *((6,) if kind == "dense" else (2, 7)))
    bench, batches = bench_of(model, x[:2]), as_batches(x, batch_size=batch_size)
    bench.study(METHODS["joint"], batches, sensitive=True, fine=True, seed=0)
    return bench, batches, x


def test_one_layer_is_fitted_to_what_it_gave() -> None:
    bench, _, x = made("dense", batch_size=240)
    start, fitted = (
        bench.thin(METHODS["joint"], (4,), fine=fine).network for fine in (False, True)
    )
    kept = bench.orders[0].kept(4)
    model = bench.model
    with torch.no_grad():
        rows = torch.relu(model.one(x))[:, kept].double().numpy()
        scores = model(x)
    weight = start.state["two.weight"].double().numpy()
    left = scores.double().numpy() - rows @ weight.T - start.state["two.bias"].double().numpy()
    counts = closeness(scores).double().numpy()
    scale = np.sqrt((rows**2).mean(0))
    aside = np.arange(len(x)) % round(1 / LEFT_OUT) == 0

    def error(found: np.ndarray) -> float:
        rest = left[aside] - (rows / scale)[aside] @ found[:-1] - found[-1]
        return float((counts[aside] @ rest**2).sum())

    fits = {d: plain((rows / scale)[~aside], left[~aside], counts[~aside], d) for d in DRAWS}
    best = min(DRAWS, key=lambda d: error(fits[d]))
    wanted = plain(rows / scale, left, counts, best)
    change = fitted.state["two.weight"].double().numpy() - weight
    np.testing.assert_allclose(change, (wanted[:-1] / scale[:, None]).T, atol=2e-4)
    offset = (fitted.state["two.bias"] - start.state["two.bias"]).double().numpy()
    np.testing.assert_allclose(offset, wanted[-1], atol=2e-4)


@pytest.mark.parametrize("kind", ["dense", "convolution"])
@pytest.mark.parametrize("units", [2, 4, 8])
def test_the_error_it_is_fitted_for_is_less_than_before(kind: str, units: int) -> None:
    bench, _, x = made(kind)
    start, fitted = (
        bench.thin(METHODS["joint"], (units,), fine=fine).network for fine in (False, True)
    )
    (target,) = bench.targets
    errors = []
    for network in (start, fitted):
        given = network.values(x, {target.read.step})[1][target.read.step]
        rows = given[:, :, None] if kind == "dense" else given
        apart = rows[target.example_N, :, target.place_N] - target.output_NR
        errors.append(float((target.weight_N[:, None] * apart**2).sum()))
    # To leave the weights as they are is one of the choices.
    assert errors[1] <= errors[0] * (1 + 1e-5)
    assert errors[1] > 0


@pytest.mark.parametrize("kind", ["dense", "convolution"])
def test_targets_are_what_the_layer_gives(kind: str) -> None:
    bench, batches, x = made(kind)
    (target,) = bench.targets
    model = bench.model
    with torch.no_grad():
        given = model.two(torch.relu(model.one(x)))
    rows = given[:, :, None] if kind == "dense" else given
    torch.testing.assert_close(target.output_NR, rows[target.example_N, :, target.place_N])
    seen = set(zip(target.example_N.tolist(), target.place_N.tolist(), strict=True))
    assert len(seen) == len(target.example_N)
    assert set(target.example_N.tolist()) == set(range(len(x)))
    again = TargetsOf(bench.network, bench.cuts, len(x))
    for inputs in batches:
        scores, values = bench.network.values(inputs, set(again.values))
        again.add(values, scores)
    (same,) = again.targets()
    assert torch.equal(same.place_N, target.place_N)


def test_the_whole_network_is_left_as_it_is() -> None:
    bench, batches, x = made("convolution")
    keeping = bench.keeping({})
    same = fine_tuned(thinned(bench.network, keeping), keeping, bench.targets, batches)
    torch.testing.assert_close(same(x), bench.network(x), rtol=0, atol=1e-5)
