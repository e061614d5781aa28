"""Reading a finished study from its store, and the command that makes it."""

from __future__ import annotations

import shlex
from pathlib import Path

from frivolous.errors import FrivolousError
from frivolous.store import Store
from frivolous.studies.choosing import choose
from frivolous.studies.result import Chosen, StudyResult
from frivolous.studies.spec import Study


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
            f"seed {seed}; make them with: {command(study, scale, replicates, seed, store)}"
        )
    return StudyResult(study, scale, seed, store, tuple(chosen))


def command(study: Study, scale: str, replicates: int | None, seed: int, store: Store) -> str:
    """Return the command line that makes a result; what is at its default is left out."""
    words = ["frivolous", "run", study.name, "--scale", scale, "--seed", str(seed)]
    if replicates not in (None, study.replicates(scale)):
        words += ["--replicates", str(replicates)]
    return shlex.join([*words, *study.part, "--store", str(store.path)])
