"""Collective operations used by data-parallel training; most often there is one process."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from torch import Tensor, nn

Forward = Callable[[Tensor], Tensor]


class ProcessGroup(Protocol):
    """The collective operations of one process among several.

    Every process must call them in the same order: each call waits for all processes.
    """

    @property
    def rank(self) -> int:
        """The number of this process, from 0; the first writes checkpoints and reports progress."""

    @property
    def size(self) -> int:
        """The number of processes."""

    def joined(self, model: nn.Module, forward: Forward) -> Forward:
        """Return the forward pass after which :meth:`backward` averages the gradients."""

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients of the mean of all processes' losses."""

    def total(self, value: Tensor) -> Tensor:
        """Return the sum over the processes."""

    def as_the_first(self, values: Iterable[Tensor]) -> None:
        """Broadcast tensors from the first process."""

    def agreed(self, answer: bool) -> bool:
        """Return the first process's answer."""

    def wait(self) -> None:
        """Wait until all processes have come here (a barrier)."""


class SingleProcess:
    """The process group of a single process."""

    rank, size = 0, 1

    def joined(self, model: nn.Module, forward: Forward) -> Forward:
        """Return the forward pass as it is."""
        return forward

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients."""
        loss.backward()

    def total(self, value: Tensor) -> Tensor:
        """Return the value."""
        return value

    def as_the_first(self, values: Iterable[Tensor]) -> None:
        """Leave the tensors as they are."""

    def agreed(self, answer: bool) -> bool:
        """Return the answer."""
        return answer

    def wait(self) -> None:
        """Return at once."""


def mark(processes: ProcessGroup) -> tuple[int, ...]:
    """Return what distinguishes a process's random draws; nothing for a single process."""
    return (processes.rank,) if processes.size > 1 else ()
