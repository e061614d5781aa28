"""Read a finished study from its store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from frivolous.errors import FrivolousError
from frivolous.store import Store
from frivolous.studies.choice import choose
from frivolous.studies.result import Chosen, StudyResult

if TYPE_CHECKING:
    from frivolous.studies.study import Study


def read_result(
    study: Study, store: str | Path | Store, scale: str, replicates: int | None, seed: int
) -> StudyResult:
    """Read a study from a store that holds all of it.

    Raises:
        FrivolousError: runs are missing; the message says how many and what to run.
    """
    store = store if isinstance(store, Store) else Store(store)
    cells = study.cells(scale, replicates, seed)
    chosen = []
    missing = 0
    for cell in cells:
        picked = choose(cell, store)
        runs = () if picked is None else tuple(cell.chosen_ids(picked))
        done = store.complete(runs)
        missing += cell.networks if picked is None else len(runs) - len(done)
        if picked is not None:
            chosen.append(Chosen(cell, picked, runs))
    if missing:
        raise FrivolousError(
            f"store {store.path} lacks {missing} of the networks of {study.name} at scale {scale}, "
            f"seed {seed}; make them with: "
            + study.command(store.path, scale=scale, replicates=replicates, seed=seed)
        )
    return StudyResult(study, scale, seed, store, tuple(chosen))
