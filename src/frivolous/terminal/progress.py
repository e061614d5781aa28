"""How far a study is, while it runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from frivolous.studies.spec import Cell


class Watcher:
    """Tells of a study under way: a bar on a terminal, a line per group elsewhere.

    Networks differ in cost by a factor of a hundred; the bar and the time left go by estimated
    cost, the count by networks.
    """

    def __init__(self, cells: Sequence[Cell], done: int) -> None:
        self.networks = sum(cell.networks for cell in cells)
        self.done = float(done)
        self.costs = {f"{cell.label}": cell.cost for cell in cells}
        whole = sum(cell.networks * cell.cost for cell in cells)
        self.console = Console(stderr=True)
        self.bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[count]} networks"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.task = self.bar.add_task("starting", total=whole, count=self._count())
        self.cost = 1.0
        self.began = time.monotonic()

    def __enter__(self) -> Watcher:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def _count(self) -> str:
        return f"{int(self.done + 1e-6)}/{self.networks}"

    def under_way(self, label: str) -> None:
        """Name the group that has begun."""
        self.cost = self.costs.get(label, 1.0)
        self.bar.update(self.task, description=label)
        if not self.console.is_terminal:
            seconds = time.monotonic() - self.began
            print(f"{seconds:6.1f} s  {self._count()} networks done; now {label}", file=sys.stderr)

    def already_done(self, label: str, runs: int) -> None:
        """Count networks that the store held already."""
        self.bar.advance(self.task, runs * self.costs.get(label, 1.0))

    def advance(self, runs: float) -> None:
        """Move on by so many networks."""
        self.done += runs
        self.bar.update(self.task, advance=runs * self.cost, count=self._count())

    def waiting(self, runs: int) -> None:
        """Say that another process makes what is left."""
        self.bar.update(self.task, description=f"waiting for {runs} networks made elsewhere")
