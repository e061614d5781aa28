"""Random generators made from arguments: the library never touches a global seed."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray


def seed_of(*parts: object) -> int:
    """Return a 63-bit seed that depends on every part and on their order.

    The parts are joined by their ``repr`` and hashed with SHA-256, so neighbouring seeds give
    unrelated streams and the same parts give the same stream in every process.

    >>> seed_of("student", 0) == seed_of("student", 0)
    True
    >>> seed_of("student", 0) == seed_of("student", 1)
    False
    """
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(*parts: object) -> torch.Generator:
    """Return a CPU generator seeded by :func:`seed_of`; draws are moved to a device afterwards.

    >>> one, two = generator("a"), generator("a")
    >>> torch.equal(torch.rand(3, generator=one), torch.rand(3, generator=two))
    True
    """
    return torch.Generator().manual_seed(seed_of(*parts))


# Runs of examples dealt from one generator: enough to make its set-up cheap.
RUNS = 128


def choose(available: int, wanted: int, random: torch.Generator) -> NDArray[np.int64]:
    """Distinct numbers below ``available``: shape (wanted,), every set as likely as any other.

    >>> sorted(choose(5, 5, torch.Generator().manual_seed(0)).tolist())
    [0, 1, 2, 3, 4]
    """
    if 4 * wanted > available:
        return torch.randperm(available, generator=random)[:wanted].numpy()
    drawn = np.empty(0, dtype=np.int64)
    while len(drawn) < wanted:
        more = torch.randint(available, (wanted - len(drawn) + 16,), generator=random)
        drawn = np.concatenate([drawn, more.numpy()])
        # Repeats are dropped where they come again: drawing on until there are enough is fair.
        drawn = drawn[np.sort(np.unique(drawn, return_index=True)[1])]
    return drawn[:wanted]


def deal(start: int, stop: int, groups: int, seed: int) -> NDArray[np.int64]:
    """The group of each example: every run of ``groups`` examples is dealt one to each, at random.

    It depends on the example's index alone. Neither data sorted by class nor data whose classes
    take turns make the groups differ. Shape (stop - start,), in [0, groups).

    >>> sorted(deal(0, 6, groups=3, seed=0).tolist())
    [0, 0, 1, 1, 2, 2]
    """
    if groups == 1:
        return np.zeros(stop - start, dtype=np.int64)
    size = RUNS * groups
    hands = np.tile(np.arange(groups), (RUNS, 1))
    first = start // size
    dealt = [
        np.random.default_rng(seed_of(seed, "groups", groups, chunk)).permuted(hands, axis=1)
        for chunk in range(first, (stop - 1) // size + 1)
    ]
    return np.concatenate(dealt).ravel()[start - first * size : stop - first * size]
