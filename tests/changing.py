"""Loaders that give other examples, another order or one buffer at every reading."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Sampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
)

from frivolous.inputs.batches import Batches

N = 100
X = torch.stack([torch.arange(N) * factor for factor in (1.0, -2.0, 0.5)], dim=1)
Y = torch.arange(N) % 4
PLAIN = TensorDataset(X, Y)


class Augmented(Dataset[Any]):
    """Examples with a random last feature; ``share`` of them, if it is below 1."""

    def __init__(self, share: float = 1.0) -> None:
        self.share = share

    def __len__(self) -> int:
        return N

    def __getitem__(self, at: int) -> tuple[Tensor, Tensor]:
        x = X[at].clone()
        if random.random() < self.share:
            x[2] = torch.rand(()) + np.random.rand()  # noqa: NPY002 - as data sets draw
        return x, Y[at]


def mixed(examples: list[tuple[Tensor, Tensor]]) -> Any:
    """Collate with a random last feature in every second batch or so."""
    x, y = default_collate(examples)
    if random.random() < 0.5:
        x[:, 2] = random.random()
    return x, y


def of_company(examples: list[tuple[Tensor, Tensor]]) -> Any:
    """Collate with a feature that depends on which other examples are in the batch."""
    x, y = default_collate(examples)
    x[:, 2] = x[:, 0].mean()
    return x, y


def sound(examples: list[tuple[Tensor, Tensor]]) -> Any:
    """Collate without the examples that are said to be broken: every eleventh."""
    return default_collate([pair for pair in examples if int(pair[0][0]) % 11] or examples[:0])


class Anew(Sampler[int]):
    """Another order at every reading, and other examples."""

    def __init__(self) -> None:
        self.drawn = random.Random(0)

    def __iter__(self) -> Iterator[int]:
        return iter(self.drawn.sample(range(N), 70))

    def __len__(self) -> int:
        return 70


class AnewByBatch(Sampler[list[int]]):
    """Batches of different sizes, others at every reading; numbers as tensors."""

    def __init__(self) -> None:
        self.drawn = torch.Generator().manual_seed(0)

    def __iter__(self) -> Iterator[Any]:
        order = torch.randperm(N, generator=self.drawn)
        return iter([list(order[:9]), list(order[9:50]), list(order[20:30])])


class Shuffling(IterableDataset[Any]):
    """A stream of examples (or of batches) in another order at every reading."""

    def __init__(self, size: int | None) -> None:
        self.size, self.drawn = size, torch.Generator().manual_seed(0)

    def __iter__(self) -> Iterator[Any]:
        order = torch.randperm(N, generator=self.drawn)
        parts = order if self.size is None else order.split(self.size)
        return iter([(X[part], Y[part]) for part in parts])


class Own(DataLoader[Any]):
    """A loader whose own ``__iter__`` changes what the data set gives."""

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        return ((torch.cat([x[:, :2], torch.rand(len(x), 1)], 1), y) for x, y in super().__iter__())


class Reusing:
    """One buffer for all batches, through NumPy, and written over at once."""

    def __init__(self, size: int = 10) -> None:
        self.x, self.y = np.zeros((size, 3), np.float32), torch.zeros(size, dtype=torch.long)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for x, y in zip(X.split(len(self.y)), Y.split(len(self.y)), strict=True):
            self.x[:], self.y[:] = x.numpy(), y
            yield torch.from_numpy(self.x), self.y
            self.x[:], self.y[:] = -1, -1


class Fewer:
    """Fewer batches at every reading."""

    def __init__(self) -> None:
        self.readings = 0

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        self.readings += 1
        return iter([(X[:40], Y[:40]), (X[40:], Y[40:])][: 3 - self.readings])


def generated() -> Iterator[tuple[Tensor, Tensor]]:
    yield X[:30], Y[:30]
    yield X[30:], Y[30:]


LOADERS: dict[str, tuple[Callable[[], Iterable[Any]], int, bool]] = {
    # name: a new one, how many examples it gives, whether it holds them all in plain order
    "plain": (lambda: DataLoader(PLAIN, 16), N, True),
    "drop_last": (lambda: DataLoader(PLAIN, 16, drop_last=True), 96, False),
    "shuffle": (lambda: DataLoader(PLAIN, 16, shuffle=True), N, True),
    "shuffle, drop_last": (lambda: DataLoader(PLAIN, 16, shuffle=True, drop_last=True), 96, False),
    "with replacement": (
        lambda: DataLoader(PLAIN, 16, sampler=RandomSampler(PLAIN, replacement=True)),
        N,
        False,
    ),
    "some at random": (
        lambda: DataLoader(PLAIN, 16, sampler=RandomSampler(PLAIN, num_samples=30)),
        30,
        False,
    ),
    "weighted": (
        lambda: DataLoader(PLAIN, 16, sampler=WeightedRandomSampler(torch.rand(N), 2 * N)),
        2 * N,
        False,
    ),
    "subset": (lambda: DataLoader(PLAIN, 16, sampler=SubsetRandomSampler(range(50))), 50, False),
    "own sampler": (lambda: DataLoader(PLAIN, 16, sampler=Anew()), 70, False),
    "own batch sampler": (lambda: DataLoader(PLAIN, batch_sampler=AnewByBatch()), 60, False),
    "batch sampler": (
        lambda: DataLoader(PLAIN, batch_sampler=BatchSampler(RandomSampler(PLAIN), 16, False)),
        N,
        False,
    ),
    "single examples": (
        lambda: DataLoader([(X[i : i + 1], Y[i : i + 1]) for i in range(N)], batch_size=None),  # type: ignore[arg-type]
        N,
        True,
    ),
    "augmented": (lambda: DataLoader(Augmented(), 16), N, True),
    "augmented, shuffle": (lambda: DataLoader(Augmented(), 16, shuffle=True), N, True),
    "augmented, a fifth": (lambda: DataLoader(Augmented(0.2), 16), N, True),
    "augmented data set": (Augmented, N, True),
    "augmented with replacement": (
        lambda: DataLoader(Augmented(), 16, sampler=RandomSampler(PLAIN, replacement=True)),
        N,
        False,
    ),
    "collated at random": (lambda: DataLoader(PLAIN, 16, collate_fn=mixed), N, True),
    "of company": (lambda: DataLoader(PLAIN, 16, collate_fn=of_company), N, True),
    "some left out": (lambda: DataLoader(PLAIN, 16, collate_fn=sound), 90, False),
    "stream of batches": (lambda: Shuffling(16), N, False),
    "loader of a stream": (lambda: DataLoader(Shuffling(None), 16), N, False),
    "own loader": (lambda: Own(PLAIN, 16), N, True),
    "one buffer": (Reusing, N, True),
    "one buffer in a generator": (lambda: iter(Reusing()), N, True),
    "fewer": (Fewer, N, True),
    "generator": (generated, N, True),
    "dictionary's values": ({1: (X[:9], Y[:9]), 2: (X[9:], Y[9:])}.values, N, True),
}


def together(batches: Batches) -> tuple[Tensor, Tensor]:
    inputs, labels = zip(*batches.labelled(), strict=True)
    return torch.cat(inputs), torch.cat(labels)
