"""Train one network on several devices or machines, through Lightning Fabric (extra ``fabric``)."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from frivolous.errors import FrivolousError
from frivolous.training.single.process_group import Forward


def make_fabric(*, devices: int | str = "auto", accelerator: str = "auto", **options: Any) -> Any:
    """Return a launched ``Fabric`` for :func:`train_network`'s argument ``fabric``.

    Args:
        devices: how many to use, of this machine; "auto" takes all.
        accelerator: "cpu", "cuda" or "auto".
        options: further arguments of ``Fabric``, such as ``num_nodes`` or ``strategy``. The
            precision is the recipe's: leave it out.

    Raises:
        FrivolousError: Lightning Fabric is not installed.
    """
    fabric = _fabric_class()(devices=devices, accelerator=accelerator, **options)
    fabric.launch()
    return fabric


def _fabric_class() -> Any:
    for name in ("lightning.fabric", "lightning_fabric"):
        try:
            return import_module(name).Fabric
        except ImportError:
            continue
    raise FrivolousError(
        "training on several devices needs Lightning Fabric, which is not installed; "
        "pip install 'frivolous[fabric]', or train on one device without `fabric`."
    )


class FabricGroup:
    """The processes launched by a ``Fabric``."""

    def __init__(self, fabric: Any) -> None:
        self.fabric = fabric
        self.rank: int = fabric.global_rank
        self.size: int = fabric.world_size

    def joined(self, model: nn.Module, forward: Forward) -> Forward:
        """Return the forward pass of the model as Fabric sets it up (data parallel)."""
        network = forward if isinstance(forward, nn.Module) else model
        joined: Forward = self.fabric.setup_module(network)
        return joined

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients, averaged over the processes."""
        self.fabric.backward(loss)

    def total(self, value: Tensor) -> Tensor:
        """Return the sum over the processes."""
        found: Tensor = self.fabric.all_reduce(value, reduce_op="sum")
        return found

    @torch.no_grad()
    def as_the_first(self, values: Iterable[Tensor]) -> None:
        """Broadcast tensors from the first process."""
        for value in values:
            value.copy_(self.fabric.broadcast(value, src=0))

    def agreed(self, answer: bool) -> bool:
        """Return the first process's answer."""
        return bool(self.fabric.broadcast(answer, src=0))

    def wait(self) -> None:
        """Wait until all processes have come here."""
        self.fabric.barrier()
