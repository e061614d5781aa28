"""Devices by name."""

from __future__ import annotations

import torch

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
