"""Readers fitted anew, against NumPy's least squares on raw rows, and what is exact."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from removal import bench_of
from torch import Tensor, nn

from frivolous.compression.criteria.calibration import collect_statistics
from frivolous.compression.criteria.methods import METHODS
from frivolous.compression.pruner import PrunedNetwork, Pruner
from frivolous.compression.reconstruction.least_squares import prediction, refit_readers
from frivolous.compression.surgery.graph import remove_channels
from frivolous.inputs.batches import as_batches

KEPT = np.array([0, 2, 3, 6])
GONE = np.array([1, 4, 5, 7])


def images(examples: int = 60, side: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(examples, 3, side, side, generator=generator, dtype=torch.float64)


def model(*layers: nn.Module) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        for layer in layers:
            if hasattr(layer, "reset_parameters"):
                layer.reset_parameters()
    return nn.Sequential(*layers).double().eval()


def dense(bias: bool) -> nn.Module:
    return model(nn.Flatten(), nn.Linear(108, 8), nn.ReLU(), nn.Linear(8, 5, bias=bias))


def convolution(bias: bool) -> nn.Module:
    return model(
        *(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, (3, 2), (1, 2), bias=bias)),
        *(nn.Flatten(), nn.Linear(16, 5)),
    )


def flattened(bias: bool) -> nn.Module:
    return model(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32, 5, bias=bias)
    )


def rows_dense(model: nn.Module, x: Tensor) -> Tensor:
    return model[:3](x)[:, :, None]


def rows_flattened(model: nn.Module, x: Tensor) -> Tensor:
    return model[:4](x).reshape(len(x), 8, 4)


def rows_convolution(model: nn.Module, x: Tensor) -> Tensor:
    windows = F.unfold(model[:2](x), (3, 2), stride=(1, 2))  # (N, 8 * 6, positions)
    return windows.transpose(1, 2).reshape(-1, 8, 6)


def known(pruner: Pruner, x: Tensor) -> None:
    pruner.statistics = collect_statistics(
        pruner.network, pruner.cuts, as_batches(x, batch_size=25)
    )


CASES = {
    "dense": (dense, rows_dense, 3),
    "convolution": (convolution, rows_convolution, 2),
    "flattened": (flattened, rows_flattened, 4),
}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_weights_are_those_of_least_squares(name: str, bias: bool) -> None:
    build, rows_of, reader = CASES[name]
    wide, x = build(bias), images()
    # Without the biases that can be added: the reader has a constant term or has none.
    pruner = bench_of(wide, x[:2])
    pruner.network = pruner.whole
    cut = pruner.cuts[0]
    reads = tuple(replace(read, bias=read.bias if bias else None) for read in cut.reads)
    cut = replace(cut, reads=reads)
    pruner.cuts = (cut,)
    known(pruner, x)
    state = refit_readers(cut, KEPT, pruner.statistics[cut.name], pruner.network.state, "affine")
    rows = rows_of(wide, x).detach().numpy()
    weight = wide[reader].weight.detach().numpy()
    flat = weight.reshape(len(weight), 8, -1)
    wanted = np.einsum("nut,rut->nr", rows, flat)
    columns = rows[:, KEPT].reshape(len(rows), -1)
    if bias:
        columns = np.column_stack([columns, np.ones(len(rows))])
    fitted = np.linalg.lstsq(columns, wanted, rcond=None)[0]
    parts = len(KEPT) * rows.shape[2]
    found = state[f"{reader}.weight"].numpy().reshape(flat.shape)[:, KEPT].reshape(len(weight), -1)
    np.testing.assert_allclose(found, fitted[:parts].T, atol=1e-8)
    if bias:
        own = wide[reader].bias.detach().numpy()
        np.testing.assert_allclose(state[f"{reader}.bias"].numpy(), own + fitted[-1], atol=1e-8)
    changed = {key for key in state if state[key] is not pruner.network.state[key]}
    assert changed == {f"{reader}.weight"} | ({f"{reader}.bias"} if bias else set())


@pytest.mark.parametrize("constant", [True, False])
def test_a_prediction_with_dependent_and_silent_units_among_those_kept(constant: bool) -> None:
    random = np.random.default_rng(0)
    rows = random.normal(size=(100, 6)) + 1
    rows[:, 2], rows[:, 3] = 2 * rows[:, 0], 0
    second = np.cov(rows.T) if constant else rows.T @ rows / 100
    kept, gone = np.array([0, 1, 2, 3]), np.array([4, 5])
    weights, constants = prediction(rows.mean(0), second, kept, gone, constant=constant)
    columns = np.column_stack([rows[:, kept], np.full(100, float(constant))])
    wanted = columns @ np.linalg.lstsq(columns, rows[:, gone], rcond=None)[0]
    np.testing.assert_allclose(rows[:, kept] @ weights + constants, wanted, atol=1e-8)
    assert (weights[3] == 0).all()
    if not constant:
        assert (constants == 0).all()


def test_nothing_kept_is_predicted_by_the_mean() -> None:
    mean, second = np.array([3.0, 4.0]), np.eye(2)
    weights, constants = prediction(mean, second, np.array([], int), np.arange(2), constant=True)
    assert weights.shape == (0, 2)
    assert constants.tolist() == [3.0, 4.0]


def thin(pruner: Pruner, kept: np.ndarray, how: str = "affine") -> PrunedNetwork:
    (cut, *_) = pruner.cuts
    gone = np.setdiff1d(np.arange(cut.units), kept)
    state = refit_readers(cut, kept, pruner.statistics[cut.name], pruner.network.state, how)
    keeping = pruner.keeping({cut.name: gone})
    return PrunedNetwork(
        (), keeping, remove_channels(replace(pruner.network, state=state), keeping)
    )


def doubled(module: nn.Module, factor: float = 1.0) -> None:
    with torch.no_grad():
        for tensor in module.parameters():
            tensor[4:] = factor * tensor[:4]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("how", ["affine", "linear"])
def test_exact_copies_are_merged_exactly(name: str, how: str) -> None:
    wide, x = CASES[name][0](True), images()
    doubled(wide[0 if name != "dense" else 1], 3.0)
    pruner = bench_of(wide, x[:2])
    known(pruner, x)
    # Of each pair one, the first or the second.
    thinner = thin(pruner, np.array([0, 3, 5, 6]), how)
    with torch.no_grad():
        torch.testing.assert_close(thinner.network(x), wide(x), rtol=0, atol=1e-9)
        torch.testing.assert_close(pruner.module(thinner)(x), wide(x), rtol=0, atol=1e-9)


def constant_units(layer: nn.Module) -> None:
    """Units 1 and 4 say nothing of the input."""
    with torch.no_grad():
        layer.weight[[1, 4]] = 0
        layer.bias[[1, 4]] = torch.tensor([2.0, 0.5], dtype=torch.float64)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_constants_are_folded_into_biases(name: str, bias: bool) -> None:
    build, _, reader = CASES[name]
    wide, x = build(bias), images()
    constant_units(wide[0 if name != "dense" else 1])
    pruner = bench_of(wide, x[:2], add_biases=True)
    known(pruner, x)
    thinner = thin(pruner, np.array([0, 2, 3, 5, 6, 7]))
    module = pruner.module(thinner)
    with torch.no_grad():
        torch.testing.assert_close(module(x), wide(x), rtol=0, atol=1e-9)
    # A reader that had no bias has one now; with nothing to fold none has.
    assert module[reader].bias is not None
    whole = pruner.module(thin(pruner, np.arange(8)))
    assert (whole[reader].bias is None) == (not bias)


def test_constants_go_into_the_statistics_of_a_normalisation_that_follows() -> None:
    x = images()
    wide = model(
        *(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3, bias=False), nn.BatchNorm2d(4)),
        *(nn.ReLU(), nn.Flatten(), nn.Linear(16, 5)),
    )
    constant_units(wide[0])
    with torch.no_grad():
        wide[3].running_mean.normal_(generator=torch.Generator().manual_seed(0))
    pruner = bench_of(wide, x[:2])
    known(pruner, x)
    module = pruner.module(thin(pruner, np.array([0, 2, 3, 5, 6, 7])))
    assert list(module.state_dict()) == list(wide.state_dict())
    assert module[2].bias is None
    assert not torch.equal(module[3].running_mean, wide[3].running_mean)
    with torch.no_grad():
        torch.testing.assert_close(module(x), wide(x), rtol=0, atol=1e-9)


class Folded(nn.Module):
    """A convolution without a bias that is read by a normalisation and by something else."""

    def __init__(self, shared: bool) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 3, bias=False)
        self.norm, self.out = nn.BatchNorm2d(4), nn.Linear(16, 5)
        self.shared = shared

    def forward(self, x: Tensor) -> Tensor:
        x = self.two(F.relu(self.one(x)))
        y = F.relu(self.norm(x))
        return self.out((y + x if self.shared else self.norm(y)).flatten(1))


@pytest.mark.parametrize("shared", [True, False])
def test_a_bias_is_added_where_it_is_asked_for_and_no_normalisation_can_take_it(
    shared: bool,
) -> None:
    x = images()
    wide = model(Folded(shared))[0]
    constant_units(wide.one)
    kept = np.array([0, 2, 3, 5, 6, 7])
    asked, plain = (bench_of(wide, x[:2], add_biases=add) for add in (True, False))
    known(asked, x)
    module = asked.module(thin(asked, kept))
    assert module.two.bias is not None
    with torch.no_grad():
        torch.testing.assert_close(module(x), wide(x), rtol=0, atol=1e-9)
    known(plain, x)
    module = plain.module(thin(plain, kept))
    assert list(module.state_dict()) == list(wide.state_dict())


def test_readers_that_stay_as_they_are() -> None:
    wide, x = dense(True), images()
    pruner = bench_of(wide, x[:2])
    known(pruner, x)
    thinner = thin(pruner, KEPT, METHODS["prune"].refits)
    with torch.no_grad():
        hidden = wide[:3](x)
        hidden[:, GONE] = 0
        torch.testing.assert_close(thinner.network(x), wide[3](hidden))


def test_units_kept_in_full_change_nothing() -> None:
    wide, x = dense(True), images()
    pruner = bench_of(wide, x[:2])
    known(pruner, x)
    (cut,) = pruner.cuts
    state = refit_readers(
        cut, np.arange(8), pruner.statistics[cut.name], pruner.network.state, "affine"
    )
    assert all(state[name] is tensor for name, tensor in pruner.network.state.items())
