"""Layers made without a bias stay so: the class loads the state, and adapters still merge."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from generated import Generated
from torch import Tensor, nn

import frivolous as fv


def drawn(count: int, *shape: int) -> Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(0))


def unbiased(first: int = 24, second: int = 16) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = nn.Linear(8, first, bias=False), nn.ReLU(), nn.Linear(first, second, bias=False)
        return nn.Sequential(*layers, nn.ReLU(), nn.Linear(second, 3, bias=False))


@pytest.mark.parametrize("method", ["joint", "refactor", "prune", "interpolative"])
@pytest.mark.parametrize("budget", [{"tolerance": 0.1}, {"parameters": 0.4}, {"tolerance": 0}])
def test_the_class_of_the_sizes_kept_loads_the_state(method: str, budget: dict[str, float]) -> None:
    x = drawn(400, 8)
    thin = fv.compress(unbiased(), x, method=method, **budget)
    own = unbiased(*(len(kept) for kept in thin.kept.values()))
    own.load_state_dict(thin.model.state_dict())
    torch.testing.assert_close(own(x), thin.model(x))
    assert thin.report.facts["biases_added"] == []
    assert "Biases" not in str(thin.report)


@pytest.mark.parametrize("seed", range(12))
def test_no_network_has_other_parameters_than_before(seed: int) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Generated(seed).eval()
    thin = fv.compress(model, drawn(60, 3, 6, 6), parameters=0.6, finetune=seed % 2)
    names = [[name for name, _ in one.named_parameters()] for one in (model, thin.model)]
    assert names[0] == names[1]


def test_asked_for_they_bring_the_scores_closer() -> None:
    model, x = unbiased(), drawn(400, 8)
    apart = {}
    for add in (False, True):
        thin = fv.compress(model, x, keep={"0": 8, "2": 5}, add_biases=add)
        with torch.no_grad():
            apart[add] = float((thin.model(x) - model(x)).square().mean())
        assert thin.report.facts["biases_added"] == (["2", "4"] if add else [])
    assert apart[True] < apart[False]


def test_added_biases_count_as_parameters() -> None:
    model, x = unbiased(), drawn(400, 8)
    for share in (0.2, 0.3, 0.4):
        thin = fv.compress(model, x, parameters=share, add_biases=True)
        assert thin.report.facts["biases_added"]
        assert parameters(thin.model) <= share * parameters(model)


class Adapted(nn.Module):
    """A layer with a low-rank adapter beside it, as merging libraries have them."""

    def __init__(self, read: int, written: int, rank: int) -> None:
        super().__init__()
        self.base = nn.Linear(read, written)
        self.lora_A = nn.Linear(read, rank, bias=False)
        self.lora_B = nn.Linear(rank, written, bias=False)
        self.scaling = 0.5

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + self.lora_B(self.lora_A(x)) * self.scaling

    def merged(self) -> nn.Linear:
        layer = copy.deepcopy(self.base)
        with torch.no_grad():
            layer.weight += self.scaling * self.lora_B.weight @ self.lora_A.weight
        return layer


@pytest.mark.parametrize("budget", [{"tolerance": 0.1}, {"units": 0.5}])
def test_merged_adapters_compute_what_they_compute_apart(budget: dict[str, float]) -> None:
    x = drawn(300, 8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = nn.Sequential(nn.Linear(8, 20), nn.ReLU(), Adapted(20, 16, 4), nn.ReLU())
        model.append(nn.Linear(16, 3))
    thin = fv.compress(model, x, **budget).model
    assert parameters(thin) < parameters(model)
    with torch.no_grad():
        merged = nn.Sequential(*thin[:2], thin[2].merged(), *thin[3:])
        torch.testing.assert_close(merged(x), thin(x), rtol=0, atol=1e-5)


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


class Twice(nn.Module):
    """A layer that two normalisations read, one after each of its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(8), nn.BatchNorm2d(8)])
        self.out = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.one(x))
        for norm in self.norms:
            x = F.relu(norm(self.two(x)))
        return self.out(x.mean((2, 3)))


def test_a_layer_that_two_normalisations_read() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        model = Twice().eval()
    x = drawn(60, 3, 6, 6)
    thin = fv.compress(model, x, units=0.7)
    assert list(thin.model.state_dict()) == list(model.state_dict())
    assert thin.report.facts["masked_apart"] < 1e-5
