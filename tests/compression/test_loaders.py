"""Compressing and measuring with loaders that give other examples, or another order, each time."""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

import frivolous as fv
from frivolous.inputs import cache
from frivolous.inputs.batches import as_batches

compressing = importlib.import_module("frivolous.compression.compress")  # the function has its name
RANDOM = torch.Generator().manual_seed(0)
X = torch.randn(600, 6, generator=RANDOM)
Y = (X @ torch.randn(6, 3, generator=RANDOM)).argmax(1)
PLAIN = TensorDataset(X, Y)


@pytest.fixture(scope="module")
def model() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        found = nn.Sequential(nn.Linear(6, 20), nn.ReLU(), nn.Linear(20, 3))
        optimiser = torch.optim.Adam(found.parameters(), 0.02)
        for _ in range(60):
            optimiser.zero_grad()
            nn.functional.cross_entropy(found(X), Y).backward()
            optimiser.step()
    return found


class Augmented(Dataset[Any]):
    """Examples with noise, other noise at every reading."""

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, at: int) -> tuple[Tensor, Tensor]:
        return X[at] + random.gauss(0, 0.3), Y[at]


class Shuffling(IterableDataset[Any]):
    """A stream of examples in another order at every reading."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return ((X[at], Y[at]) for at in random.sample(range(len(X)), len(X)))


def reusing() -> Iterator[tuple[Tensor, Tensor]]:
    buffer = torch.zeros(50, 6)
    for x, y in zip(X.split(50), Y.split(50), strict=True):
        buffer.copy_(x)
        yield buffer, y


LOADERS: dict[str, Callable[[], Any]] = {
    "shuffle": lambda: DataLoader(PLAIN, 64, shuffle=True),
    "shuffle, drop_last": lambda: DataLoader(PLAIN, 64, shuffle=True, drop_last=True),
    "replacement": lambda: DataLoader(PLAIN, 64, sampler=RandomSampler(PLAIN, replacement=True)),
    "weighted": lambda: DataLoader(
        PLAIN, 64, sampler=WeightedRandomSampler((1.0 + Y).tolist(), 900)
    ),
    "augmented": lambda: DataLoader(Augmented(), 64, shuffle=True),
    "stream": lambda: DataLoader(Shuffling(), 64),
    "one buffer": reusing,
}
loaders = pytest.mark.parametrize("name", LOADERS)


def changed(model: nn.Module, thin: nn.Module, x: Tensor) -> int:
    return int((model(x).argmax(1) != thin(x).argmax(1)).sum())


@loaders
@pytest.mark.parametrize("place", ["memory", "disk"])
def test_changed_labels_are_those_of_the_examples_that_certify(
    model: nn.Module, name: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted by hand on the examples that the split held out, searched ones not among them."""
    halves: list[Any] = []
    split = compressing._halves

    def noted(*arguments: Any) -> Any:
        halves.extend(split(*arguments))
        return halves

    monkeypatch.setattr(compressing, "_halves", noted)
    if place == "disk":
        monkeypatch.setattr(cache, "IN_MEMORY", 1000)
    random.seed(0)
    torch.manual_seed(0)
    thin = fv.compress(model, LOADERS[name](), units=0.2)
    search, held = (torch.cat(list(half)) for half in halves)
    facts = thin.report.facts
    assert facts["held_out"] == len(held)
    assert facts["changed"] == changed(model, thin.model, held)
    if name == "augmented":
        return
    both = torch.cat([search, held])
    assert len(both.unique(dim=0)) == len(both)  # each example once, on one side
    # So the bound is about other examples too.
    assert changed(model, thin.model, X) / len(X) <= facts["bound"]


@loaders
def test_tolerance_zero_leaves_every_label(model: nn.Module, name: str) -> None:
    random.seed(0)
    torch.manual_seed(0)
    thin = fv.compress(model, LOADERS[name](), tolerance=0)
    assert thin.report.facts["changed"] == 0
    assert changed(model, thin.model, X) == 0


@loaders
def test_held_out_loaders_and_fine_tuning(model: nn.Module, name: str) -> None:
    random.seed(0)
    torch.manual_seed(0)
    held = as_batches(LOADERS[name]())
    thin = fv.compress(model, LOADERS[name](), units=0.3, held_out=held, finetune=1)
    x = torch.cat(list(held.once()))
    assert thin.report.facts["held_out"] == len(x)
    assert thin.report.facts["changed"] == changed(model, thin.model, x)
    assert changed(model, thin.model, X) < len(X) / 20


@loaders
@pytest.mark.parametrize("precision", [None, 0.2])
def test_measuring_a_loader_is_measuring_the_examples_of_one_reading(
    model: nn.Module, name: str, precision: float | None
) -> None:
    random.seed(0)
    torch.manual_seed(0)
    batches = as_batches(LOADERS[name]())
    same = list(batches.labelled())
    random.seed(0)
    torch.manual_seed(0)
    found = fv.measure(model, LOADERS[name](), precision=precision)
    wanted = fv.measure(model, same, precision=precision)
    assert found.facts == wanted.facts
    assert found.table.equals(wanted.table)
    assert found.units.equals(wanted.units)


def test_a_shuffled_loader_is_measured_as_a_plain_one(model: nn.Module) -> None:
    shuffled = fv.measure(model, DataLoader(PLAIN, 64, shuffle=True))
    assert shuffled.table.equals(fv.measure(model, DataLoader(PLAIN, 64)).table)
