"""The processes that train one network together; most often there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from torch import Tensor, nn

Forward = Callable[[Tensor], Tensor]


class ProcessGroup(Protocol):
    """What one process of several knows of the others, and asks of them.

    Every process asks in the same order: each question waits for all of them.
    """

    @property
    def rank(self) -> int:
        """Which process this is, from 0; the first writes the checkpoint and tells of progress."""

    @property
    def size(self) -> int:
        """How many processes there are."""

    def joined(self, model: nn.Module, forward: Forward) -> Forward:
        """Return the forward pass after which :meth:`backward` averages the gradients."""

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients of the mean of all processes' losses."""

    def total(self, value: Tensor) -> Tensor:
        """Return the sum over the processes."""

    def as_the_first(self, values: Iterable[Tensor]) -> None:
        """Give tensors the values that they have in the first process."""

    def agreed(self, answer: bool) -> bool:
        """Return the first process's answer."""

    def wait(self) -> None:
        """Wait until all processes wait."""


class SingleProcess:
    """A crew of one."""

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
        """Go on."""


def mark(crew: ProcessGroup) -> tuple[int, ...]:
    """Return what tells a process's random draws from the others'; nothing for one alone."""
    return (crew.rank,) if crew.size > 1 else ()
