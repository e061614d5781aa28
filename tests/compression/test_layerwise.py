"""Layers fitted to what they read in the thinner network, against a plain weighted ridge."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from removal import bench_of
from torch import Tensor, nn
from torch.nn import functional as F

import frivolous as fv
from frivolous.compression.criteria.calibration import gradients_of
from frivolous.compression.criteria.methods import METHODS
from frivolous.compression.pruner import Pruner
from frivolous.compression.reconstruction.layerwise import (
    LEAST_WEIGHT,
    MOST_WEIGHT,
    PROXIMAL_PENALTY,
    ROWS,
    TargetCollector,
    change_of,
    fit_layers,
)
from frivolous.compression.reconstruction.layerwise import _remaining as remaining
from frivolous.compression.surgery.graph import remove_channels
from frivolous.inputs.batches import Batches, as_batches

pytestmark = pytest.mark.rounding

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


def counts(weight: np.ndarray) -> np.ndarray:
    """What samples count for outputs: within bounds, of mean 1; all alike without any weight."""
    mean = weight.mean(0)
    bounded = np.clip(weight / np.where(mean > 0, mean, 1), LEAST_WEIGHT, MOST_WEIGHT)
    bounded[:, mean == 0] = 1
    return bounded / bounded.mean(0)


def design(rows: np.ndarray, constant: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of mean square 1 and the constant, their penalties, and the features' scale."""
    square = (rows**2).mean(0)
    scale = np.sqrt(np.where(square > 0, square, 1))
    x, penalty = rows / scale, np.full(rows.shape[1], PROXIMAL_PENALTY * len(rows))
    if constant:
        x = np.column_stack([x, np.ones(len(rows))])
        penalty = np.append(penalty, 1e-5 * PROXIMAL_PENALTY * len(rows))
    return x, penalty, scale


def plain(rows: np.ndarray, left: np.ndarray, weight: np.ndarray, constant: bool) -> np.ndarray:
    """Weights and, last, the constant of every output, each by normal equations of its own."""
    x, penalty, scale = design(rows, constant)
    found = []
    for output, count in zip(left.T, counts(weight).T, strict=True):
        matrix = (x * count[:, None]).T @ x + np.diag(penalty)
        solved = np.linalg.solve(matrix, x.T @ (count * output))
        solved[: len(scale)] /= scale
        found.append(solved if constant else np.append(solved, 0.0))
    return np.stack(found, axis=1)


def objective(change: np.ndarray, case: Arrays, constant: bool) -> np.ndarray:
    """What the fit makes small, for every output; the constant is the last row of the change."""
    rows, left, weight = case
    _, penalty, scale = design(rows, constant)
    rest = left - rows @ change[:-1] - change[-1]
    drawn = np.vstack([change[:-1] * scale[:, None], change[-1:]])[: len(penalty)]
    return (counts(weight) * rest**2).sum(0) + penalty @ drawn**2


def case(seed: int, samples: int = 200, features: int = 6, spread: float = 0.2) -> Arrays:
    """Rows, what is left to explain, and weights of 1 more or less."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(samples, features)) * np.arange(1, features + 1) + 1
    left = rows @ random.normal(size=(features, 3)) + 3 * random.normal(size=(samples, 3)) + 2
    return rows, left, np.exp(spread * random.normal(size=(samples, 3)))


def found(case: Arrays, constant: bool, dtype: torch.dtype = torch.float64) -> np.ndarray:
    """The library's change with its constant as the last row."""
    parts = (torch.as_tensor(part, dtype=dtype) for part in case)
    change, own = change_of(*parts, constant=constant)
    assert change.dtype == own.dtype == dtype
    return torch.cat([change, own[None]]).double().numpy()


@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize("features", [6, 260])
def test_a_weighted_ridge_for_every_output(features: int, constant: bool) -> None:
    made = case(1, features=features)
    wanted = plain(*made, constant)
    apart = np.abs(found(made, constant) - wanted).max() / np.abs(wanted).max()
    assert apart < 3e-3
    assert np.abs(plain(*made[:2], np.ones((200, 3)), constant) - wanted).max() > 10 * apart
    single = found(made, constant, torch.float32)
    np.testing.assert_allclose(single, wanted, atol=5e-3 * np.abs(wanted).max())


@pytest.mark.parametrize("features", [6, 260])
def test_without_weights_it_is_ridge_itself(features: int) -> None:
    rows, left, _ = case(2, features=features)
    for weight in (np.zeros((200, 3)), np.full((200, 3), 1e-12), np.full((200, 3), 7.0)):
        given = rows, left, weight
        wanted = plain(rows, left, np.ones((200, 3)), True)
        np.testing.assert_allclose(found(given, True), wanted, atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_weights_far_apart_serve_better_than_none(seed: int) -> None:
    made = case(seed, spread=2.5)
    alike = plain(*made[:2], np.ones((200, 3)), True)
    best = objective(plain(*made, True), made, True)
    ours, before = objective(found(made, True), made, True), objective(alike, made, True)
    assert (best <= ours * (1 + 1e-9)).all()
    # Of what weights can gain, four turns leave little.
    assert (ours - best < 0.2 * (before - best)).all()


def test_no_sample_counts_for_all_and_none_for_nothing() -> None:
    rows, left, weight = case(3, spread=0.0)
    weight[5], weight[6] = 1e9, 0.0
    given = rows, left, weight
    assert counts(weight)[5].max() < 200
    wider = rows, left, weight * 1e3
    np.testing.assert_allclose(found(wider, True), found(given, True), rtol=1e-9)
    # Others than the one are at the bound: to count still less changes nothing.
    less = weight.copy()
    less[7:] /= 100
    np.testing.assert_allclose(found((rows, left, less), True), found(given, True), rtol=1e-9)


def test_outputs_are_fitted_one_by_one_and_an_output_without_weight_too() -> None:
    rows, left, weight = case(4, spread=1.0)
    weight[:, 1] = 0
    whole = found((rows, left, weight), True)
    for r in range(3):
        alone = found((rows, left[:, [r]], weight[:, [r]]), True)
        np.testing.assert_allclose(whole[:, [r]], alone, atol=1e-9)
    wanted = plain(rows, left, np.ones_like(weight), True)
    np.testing.assert_allclose(whole[:, 1], wanted[:, 1], atol=1e-9)


def test_silent_features_stay_as_they_are() -> None:
    rows, left, weight = case(5)
    rows[:, 2] = 0
    change = found((rows, left, weight), True)
    assert (change[2] == 0).all()
    rest = found((np.delete(rows, 2, 1), left, weight), True)
    np.testing.assert_allclose(np.delete(change, 2, 0), rest, rtol=1e-6)


class GroupReader(nn.Module):
    """A layer that writes units and one that reads them, by taps; scores from what that gives."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        if kind == "dense":
            self.one, self.two = nn.Linear(6, 9), nn.Linear(9, 5)
        else:
            self.one, self.two = nn.Conv1d(2, 9, 3), nn.Conv1d(9, 5, 2, padding=1)
        self.out = nn.Linear(5, 4)

    def hidden(self, x: Tensor) -> Tensor:
        """What the layer that is fitted gives."""
        return self.two(torch.relu(self.one(x)))

    def forward(self, x: Tensor) -> Tensor:
        x = self.hidden(x)
        return self.out(torch.relu(x) if self.kind == "dense" else torch.relu(x).mean(2))


def made(
    kind: str, batch_size: int = 100, dtype: torch.dtype = torch.float32
) -> tuple[Pruner, Batches, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        model = GroupReader(kind).eval().to(dtype)
        x = torch.randn(240, *((6,) if kind == "dense" else (2, 7)), dtype=dtype)
    pruner, batches = bench_of(model, x[:2]), as_batches(x, batch_size=batch_size)
    pruner.study(METHODS["joint"], batches, seed=0)
    return pruner, batches, x


def rows_of(kind: str, value: Tensor) -> Tensor:
    """(examples, outputs, positions)."""
    return value[:, :, None] if kind == "dense" else value


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_layer_is_fitted_to_what_it_gave(dtype: torch.dtype) -> None:
    pruner, _, x = made("dense", batch_size=240, dtype=dtype)
    units = (4, *(cut.units for cut in pruner.cuts[1:]))
    start, fitted = (
        pruner.thin(METHODS["joint"], units, fine=fine).network for fine in (False, True)
    )
    assert fitted.state["two.weight"].dtype == dtype
    kept, model, target = pruner.orders[0].kept(4), pruner.model, pruner.targets[0]
    rows = torch.relu(model.one(x)).detach()[:, kept].double().numpy()
    weight = start.state["two.weight"].double().numpy()
    gave = model.hidden(x).detach().double().numpy()
    left = gave - rows @ weight.T - start.state["two.bias"].double().numpy()
    samples = rows[target.example_N], left[target.example_N], target.weight_NR.double().numpy()
    change = fitted.state["two.weight"].double().numpy() - weight
    offset = (fitted.state["two.bias"] - start.state["two.bias"]).double().numpy()
    both = np.vstack([change.T, offset])
    wanted = found(samples, True)
    # A fit that hardly depends on some of its weights is so much less exact in them.
    single, eps = found(samples, True, torch.float32), torch.finfo(dtype).eps
    rounding = np.abs(single - wanted).max(0) * (eps / torch.finfo(torch.float32).eps) + eps
    assert (np.abs(both - wanted) <= 10 * rounding).all()
    nothing = np.zeros_like(both)
    assert (objective(both, samples, True) < objective(nothing, samples, True)).all()


@pytest.mark.parametrize("kind", ["dense", "convolution"])
@pytest.mark.parametrize("units", [2, 4, 8])
def test_the_error_it_is_fitted_for_is_less_than_before(kind: str, units: int) -> None:
    pruner, _, x = made(kind)
    counts_of = (units, *(cut.units for cut in pruner.cuts[1:]))
    start, fitted = (
        pruner.thin(METHODS["joint"], counts_of, fine=fine).network for fine in (False, True)
    )
    target = pruner.targets[0]
    errors = []
    for network in (start, fitted):
        given = network.values(x, {target.read.step})[1][target.read.step]
        apart = rows_of(kind, given)[target.example_N, :, target.place_N] - target.output_NR
        weight = counts(target.weight_NR.double().numpy())
        errors.append(float((weight * apart.double().numpy() ** 2).sum()))
    assert 0 < errors[1] < errors[0]


@pytest.mark.parametrize("kind", ["dense", "convolution"])
def test_targets_are_what_the_layer_gives_and_how_much_it_matters(kind: str) -> None:
    pruner, _, x = made(kind)
    target, step = pruner.targets[0], pruner.targets[0].read.step
    given = rows_of(kind, pruner.model.hidden(x).detach())
    torch.testing.assert_close(target.output_NR, given[target.example_N, :, target.place_N])
    seen = set(zip(target.example_N.tolist(), target.place_N.tolist(), strict=True))
    assert len(seen) == len(target.example_N) == min(ROWS // 240, given.shape[2]) * 240
    assert set(target.example_N.tolist()) == set(range(len(x)))
    # Gradients are of 64 examples at once, whose margins are scaled together.
    parts = [x[a:b] for a, b in ((0, 64), (64, 100), (100, 164), (164, 200), (200, 240))]
    slopes = [gradients_of(pruner.network, set(), {step}, part)[1][step] for part in parts]
    square = rows_of(kind, torch.cat(slopes))[target.example_N, :, target.place_N].square()
    torch.testing.assert_close(target.weight_NR, square)
    assert ((square == 0).any(0) & (square > 0).any(0)).any(), "a ReLU drops some of them"


def test_values_without_gradients_are_left_out_of_the_targets() -> None:
    pruner, _, x = made("dense")
    again = TargetCollector(pruner.network, pruner.cuts, len(x))
    wanted = set(again.values)
    seen, slopes = gradients_of(pruner.network, wanted, wanted, x[:50])
    again.add(
        *({index: part[:30] for index, part in found.items()} for found in (seen, slopes)), 30
    )
    again.add(seen, {}, 50)
    again.add(seen, slopes, 50)
    target = again.targets()[0]
    assert target.example_N.tolist() == list(range(80))
    torch.testing.assert_close(target.output_NR[:30], target.output_NR[30:60])


def test_the_whole_network_is_left_as_it_is() -> None:
    pruner, batches, x = made("convolution")
    keeping = pruner.keeping({})
    same = fit_layers(
        remove_channels(pruner.network, keeping), keeping, pruner.targets, batches, pruner.fitted
    )
    torch.testing.assert_close(same(x), pruner.network(x), rtol=0, atol=1e-5)


class Tokens(nn.Module):
    """A layer over positions, whose places are units of the layer before it."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.token = nn.Linear(6, 9), nn.Linear(4, 5)
        self.back, self.out = nn.Linear(5, 4), nn.Linear(9, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.wide(x)).transpose(1, 2)
        return self.out((x + self.back(torch.relu(self.token(x)))).mean(2))


def test_samples_at_positions_that_have_gone_are_left_out() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model, x = Tokens().eval(), torch.randn(60, 4, 6)
    pruner, batches = bench_of(model, x[:2]), as_batches(x, batch_size=20)
    pruner.study(METHODS["joint"], batches, seed=0)
    units = tuple(max(1, cut.units // 2) for cut in pruner.cuts)
    (wide,) = [place for place, cut in enumerate(pruner.cuts) if cut.units == 9]
    thin = pruner.thin(METHODS["joint"], units, fine=True)
    target = next(one for one in pruner.targets if one.read.weight == "back.weight")
    index = target.read.step
    own = remaining(target, thin.keeping, thin.network.program.shapes[index])
    assert 0 < len(own.place_N) < len(target.place_N)
    kept = torch.as_tensor(pruner.orders[wide].kept(units[wide]))
    _, seen = pruner.network.values(x, [index])
    wanted = seen[index][:, kept][own.example_N, own.place_N]
    flags = thin.keeping.along(index)[-1]
    columns = slice(None) if flags is None else torch.as_tensor(flags)
    torch.testing.assert_close(own.output_NR, wanted[:, columns], rtol=0, atol=0)


class Crossed(nn.Module):
    """Products of pairs of units, as a difference of sums; of one unit that is rounding alone."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.first, self.cross = nn.Linear(6, units), nn.Parameter(torch.randn(units, 3))
        self.second, self.out = nn.Linear(units + 3, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x)) + 0.3
        pairs = (x @ self.cross).square() - x.square() @ self.cross.square()
        return self.out(F.relu(self.second(torch.cat([x, pairs], 1))))


@pytest.mark.parametrize("method", ["joint", "refactor", "prune"])
@pytest.mark.parametrize(("units", "keep"), [(4, {"first": 1, "second": 5}), (1, {"second": 5})])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nothing_is_fitted_to_rounding(
    method: str, units: int, keep: dict[str, int], dtype: torch.dtype
) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model, x = Crossed(units).to(dtype), torch.randn(300, 6, dtype=dtype)
    thin = fv.compress(model, x, keep=keep, method=method)
    for name, tensor in thin.model.state_dict().items():
        assert float(tensor.abs().max()) < 100 * float(model.state_dict()[name].abs().max()), name
    with torch.no_grad():
        together, alone = thin.model(x), torch.cat([thin.model(one) for one in x.split(1)])
    size = float(together.abs().max())
    assert float((together - alone).abs().max()) < 1e3 * torch.finfo(dtype).eps * size
