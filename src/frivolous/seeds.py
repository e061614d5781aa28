"""Random generators made from arguments: the library never touches a global seed."""

from __future__ import annotations

import hashlib

import torch


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
