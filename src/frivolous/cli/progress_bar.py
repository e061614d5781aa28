"""How far a study is, while it runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from frivolous.studies.cell import Cell


class Watcher:
    """Tells of a study under way: a bar on a terminal, a line per group elsewhere, to stderr.

    Networks differ in cost by a factor of a hundred; the bar and the time left go by estimated
    cost, the count by networks. Whoever made a network, it is counted once, when its group is
    finished at the latest.
    """

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.cells = {cell.label: cell for cell in cells}
        self.done = dict.fromkeys(self.cells, 0.0)
        self.networks = sum(cell.networks for cell in cells)
        self.label = ""
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
        whole = sum(cell.networks * cell.cost for cell in cells)
        self.task = self.bar.add_task("starting", total=whole, count=self.count)
        self.began = time.monotonic()

    def __enter__(self) -> Watcher:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    @property
    def count(self) -> str:
        """Networks done and networks in all."""
        # Fractions of a network are added up in floats: a whole one may miss by rounding.
        return f"{int(sum(self.done.values()) + 1e-6)}/{self.networks}"

    def already_done(self, label: str, runs: int) -> None:
        """Count networks that the store held already, before the clock starts."""
        self.done[label] = min(self.done[label] + runs, self.cells[label].networks)
        self.bar.reset(self.task)
        self.bar.update(self.task, completed=self._cost(), count=self.count)

    def under_way(self, label: str) -> None:
        """Name the group that has begun."""
        self.label = label
        self._say(f"now {label}", label)

    def advance(self, runs: float) -> None:
        """Move on by so many networks of the group under way."""
        self._move(self.label, self.done[self.label] + runs)

    def finished(self, label: str) -> None:
        """Count all of a group, also what another process made of it."""
        self._move(label, self.cells[label].networks)

    def waiting(self, runs: int) -> None:
        """Say that another process makes what is left."""
        words = f"waiting for {runs} made by another process"
        if self.label != words:
            self.label = words
            self._say(words, words)

    def end(self) -> None:
        """Say that the study is whole."""
        self._say("all done", "all done")

    def _move(self, label: str, runs: float) -> None:
        self.done[label] = min(runs, self.cells[label].networks)
        self.bar.update(self.task, completed=self._cost(), count=self.count)

    def _cost(self) -> float:
        return sum(runs * self.cells[label].cost for label, runs in self.done.items())

    def _say(self, words: str, description: str) -> None:
        self.bar.update(self.task, description=description)
        if not self.console.is_terminal:
            seconds = time.monotonic() - self.began
            print(f"{seconds:6.1f} s  {self.count} networks done; {words}", file=sys.stderr)
