"""Deterministic training: repeatable kernels and seeded global generators, restored afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from frivolous.rng import seed_of


@contextmanager
def controlled(device: torch.device) -> Iterator[None]:
    """Restore PyTorch's global random streams afterwards; let cuDNN use repeatable kernels only.

    Inside, :func:`reseed` may be called. 32 bits mean 32 bits: no TF32 in convolutions.
    """
    devices = [device] if device.type == "cuda" else []
    with (
        torch.random.fork_rng(devices),
        torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        ),
    ):
        yield


def reseed(device: torch.device, *parts: object) -> None:
    """Seed the streams that layers such as dropout draw from: PyTorch gives them no generator.

    Called before every update, so that what an update draws follows from its number alone and a
    resumed training draws the same.
    """
    seed = seed_of(*parts)
    torch.random.default_generator.manual_seed(seed)
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.default_generators[index].manual_seed(seed)
