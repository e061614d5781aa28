"""What a GPU gives is what the CPU gives; data and model may lie on different devices.

Each test runs on the CPU too, where it says little, so that its own faults are found on a machine
without a GPU.
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import frivolous as fv
from frivolous.constructions import more_of_both
from frivolous.families import MLP, fixed, initialise
from frivolous.measurement.effective_width import effective_width
from frivolous.network import trace
from frivolous.statistics.streaming import collect

needed = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
devices = pytest.mark.parametrize(
    "device", ["cpu", pytest.param("cuda", marks=[pytest.mark.cuda, needed])]
)


class Net(nn.Module):
    """Convolutions, one of them by channel, a normalisation, a residual sum and dense layers."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.norm = nn.Conv2d(2, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.two, self.own = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, 1, 1, groups=8)
        self.three, self.out = nn.Linear(8 * 4, 12), nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.one(x)))
        x = x + torch.relu(self.own(torch.relu(self.two(x))))
        x = nn.functional.max_pool2d(x, 2)
        return self.out(torch.relu(self.three(x.flatten(1))))


def made() -> tuple[nn.Module, Tensor]:
    """A network of float64 numbers, whose counts no rounding changes, and images."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Net().double().eval(), torch.randn(240, 2, 4, 4, dtype=torch.float64)


@devices
def test_parts_of_a_network_are_the_whole_and_the_model(device: str) -> None:
    model, x = made()
    network = trace(model, x[:2]).to(device)
    model.to(device)
    with torch.no_grad():
        torch.testing.assert_close(network(x), model(x.to(device)))
    for site in network.sites:
        alive = network.until(site.name, x)
        assert alive.value.device.type == device
        torch.testing.assert_close(network.onward(site.name, alive), network(x))


@devices
@pytest.mark.parametrize("moved", ["model", "data", "neither"])
def test_counts_are_those_of_the_cpu_wherever_model_and_data_are(device: str, moved: str) -> None:
    model, x = made()
    expected = fv.measure(copy.deepcopy(model), x)
    if moved == "model":
        model.to(device)
    data = x.to(device) if moved == "data" else x
    found = fv.measure(model, data, device=None if moved == "model" else device)
    assert next(model.parameters()).device.type == (device if moved == "model" else "cpu")
    assert (found.curves == expected.curves).all(axis=None)
    for measure in ("prunable", "redundant"):
        assert found.value(measure) == pytest.approx(expected.value(measure), rel=1e-9)
    assert list(found.table.measure) == list(expected.table.measure)


@devices
def test_batches_of_a_loader_with_labels_come_to_the_device(device: str) -> None:
    model, x = made()
    labels = model(x).argmax(1)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, labels), batch_size=50)
    found = fv.measure(model.to(device), loader, joint_tolerance=None, unit_examples=None)
    assert found.facts["accuracy"] == 1.0


@devices
def test_statistics_and_the_fewest_units_are_those_of_the_cpu(device: str) -> None:
    model, x = made()
    found = []
    for network in (trace(model, x[:2]), trace(model, x[:2]).to(device)):
        activity = collect(network, [x], examples=len(x))
        fewest = effective_width(network, [x], activity["three"], tolerance=0.05)
        found.append((activity, fewest.units))
    for name, here in found[0][0].items():
        np.testing.assert_allclose(found[1][0][name].mean_U, here.mean_U)
    assert found[0][1] == found[1][1]


@devices
@pytest.mark.parametrize("moved", ["model", "neither"])
def test_a_wide_network_is_as_narrow_as_it_was(device: str, moved: str, tmp_path: Path) -> None:
    narrow = MLP(8, (6, 5), 3).double()
    initialise(narrow, fixed(1.0, "normal"), torch.Generator().manual_seed(4), bias=0.1)
    random = torch.Generator().manual_seed(5)
    made = more_of_both(narrow, torch.randn(400, 8, generator=random, dtype=torch.float64))
    if moved == "model":
        made.wide.to(device)
    home = device if moved == "model" else "cpu"
    thin = fv.compress(made.wide, made.inputs, tolerance=0, device=device)
    assert [len(kept) for kept in thin.kept.values()] == [6, 5]
    assert {p.device.type for p in (*thin.model.parameters(), *made.wide.parameters())} == {home}
    x = made.inputs.to(home)
    with torch.no_grad():
        torch.testing.assert_close(thin.model(x), made.wide(x))
    assert "Labels changed: 0 of" in str(thin.report)


@devices
@pytest.mark.parametrize("method", ["joint", "magnitude"])
def test_the_units_that_go_are_those_that_go_on_the_cpu(device: str, method: str) -> None:
    model, x = made()
    expected = fv.compress(copy.deepcopy(model), x, units=0.6, method=method)
    found = fv.compress(model.to(device), x, units=0.6, method=method)
    assert {name: kept.tolist() for name, kept in found.kept.items()} == {
        name: kept.tolist() for name, kept in expected.kept.items()
    }
    with torch.no_grad():
        scores = found.model(x.to(device)).cpu()
        torch.testing.assert_close(scores, expected.model(x), rtol=1e-6, atol=1e-6)
