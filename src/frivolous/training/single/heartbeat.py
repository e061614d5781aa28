"""Periodic work during training, by the clock: report progress and save checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from frivolous.training.single.process_group import ProcessGroup

BEAT = 1.0
"""Seconds between calls of ``progress`` within an epoch."""


class Heartbeat:
    """Calls ``progress`` and ``save`` when they are due, the latter in step with all processes."""

    def __init__(
        self,
        processes: ProcessGroup,
        progress: Callable[[float], None] | None,
        save: Callable[[], None] | None,
        every: float,
    ) -> None:
        self.processes, self.save, self.every = processes, save, every
        self.progress = progress if processes.rank == 0 else None
        self.told, self.told_at, self.saved_at = 0.0, -math.inf, time.monotonic()

    def beat(self, done: float) -> None:
        """Between two updates: report progress and save, if due."""
        now = time.monotonic()
        if self.save is not None and self.processes.agreed(now - self.saved_at >= self.every):
            self.save()
            self.saved_at = time.monotonic()
        if self.progress is not None and now - self.told_at >= BEAT:
            self.progress(done - self.told)
            self.told, self.told_at = done, now

    def end(self) -> None:
        """Report what is left: a training that ends early is done all the same."""
        if self.progress is not None and self.told < 1:
            self.progress(1 - self.told)
