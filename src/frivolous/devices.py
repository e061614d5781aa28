"""Devices by name."""

from __future__ import annotations

import torch
from torch import nn

from frivolous.errors import BadArgument


def as_device(device: torch.device | str) -> torch.device:
    """Return the device, or raise :class:`BadArgument` where this machine does not have it.

    >>> as_device("cpu")
    device(type='cpu')
    """
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError):  # a build without CUDA asserts
        known = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
        raise BadArgument(
            f"`device` {device} is not available on this machine; it has {', '.join(known)}."
        ) from None
    return found


def home_of(module: nn.Module) -> torch.device:
    """Return where a module's first parameter or buffer is; the CPU if it has none, or no data."""
    first = next(iter([*module.parameters(), *module.buffers()]), torch.empty(0))
    return torch.device("cpu") if first.is_meta else first.device
