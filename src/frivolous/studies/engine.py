"""The engine: make the runs of cells in this process. It knows no science.

Several processes may work on one store: each claims the runs it makes, skips those that others
claimed, and at the end waits for them. A finished run is never made again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import pandas as pd

from frivolous.store import Store

PAUSE = 0.5  # seconds between checks of runs that are being made elsewhere


class Made(Protocol):
    """A finished run."""

    @property
    def measures(self) -> pd.DataFrame:
        """The frame of its measures."""

    @property
    def frames(self) -> Mapping[str, pd.DataFrame]:
        """Further frames by name."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What else is known of it."""

    @property
    def weights(self) -> Mapping[str, Any]:
        """Its trained weights."""


class Work(Protocol):
    """A group of runs that are made together, and what is still to be made of them."""

    @property
    def label(self) -> str:
        """Its name in progress displays."""

    def missing(self, store: Store) -> Sequence[str]:
        """Return the ids to make next; none when all is done."""

    def spec(self, id: str) -> Mapping[str, Any]:
        """Return a run's resolved spec."""

    def make(
        self, ids: Sequence[str], store: Store, progress: Callable[[float], None]
    ) -> Iterator[tuple[str, Made, bool]]:
        """Make runs; give each one's id, the run, and whether its weights are worth keeping."""


class Listener(Protocol):
    """An observer of the engine's progress."""

    def already_done(self, label: str, runs: int) -> None:
        """The store held this many runs of a group before the work began."""

    def under_way(self, label: str) -> None:
        """A group has begun."""

    def advance(self, runs: float) -> None:
        """So many runs' worth of work is done."""

    def waiting(self, runs: int) -> None:
        """So many runs are being made by another process."""

    def finished(self, label: str) -> None:
        """The store holds all of a group, whoever made it."""


def work(groups: Sequence[Work], store: Store, listener: Listener) -> None:
    """Make every run of ``groups`` that the store does not hold, group by group.

    Returns when the store holds them all, also those that another process was making. A process
    that dies gives back its claims, and this one takes them over.
    """
    open_groups = list(groups)
    while open_groups:
        left = [group for group in open_groups if not _finish(group, store, listener)]
        if len(left) == len(open_groups):
            listener.waiting(sum(len(group.missing(store)) for group in left))
            time.sleep(PAUSE)
        open_groups = left


def _finish(group: Work, store: Store, listener: Listener) -> bool:
    """Make the unclaimed runs of a group; False if some are being made elsewhere."""
    while missing := group.missing(store):
        with store.claim(missing) as claim:
            if not claim.ids:
                if claim.elsewhere:
                    return False
                continue
            listener.under_way(group.label)
            for id, run, keep in group.make(claim.ids, store, listener.advance):
                store.put(
                    group.spec(id),
                    run.measures,
                    run.facts,
                    run.frames,
                    run.weights if keep else None,
                )
    listener.finished(group.label)
    return True
