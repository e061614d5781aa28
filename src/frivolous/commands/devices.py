"""Devices named on the command line."""

from __future__ import annotations

import torch

from frivolous.errors import BadArgument


def check_device(device: str) -> None:
    """Refuse a device that is not there."""
    try:
        kind = torch.device(device).type
    except RuntimeError:
        kind = ""
    there = {"cpu": True, "cuda": torch.cuda.is_available()}
    if not there.get(kind, False):
        known = ", ".join(name for name, is_there in there.items() if is_there)
        raise BadArgument(f"`device` {device} is not available on this machine; it has {known}.")
