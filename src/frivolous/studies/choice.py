"""Which candidate each cell of a study chooses, as far as its store can say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from frivolous.store import Store
from frivolous.studies.cell import Candidate, Cell


def choose(cell: Cell, store: Store) -> Candidate | None:
    """Return a cell's choice; None while runs that it depends on are missing."""
    ids = cell.search_ids
    if len(store.complete(ids)) < len(ids):
        return None
    return cell.choose({id: accuracy_of(store.record(id).facts) for id in ids})


def accuracy_of(facts: Mapping[str, Any]) -> float:
    """Return a run's validation accuracy; below every other for a network that never had one."""
    value = facts["validation_accuracy"]
    return -math.inf if value is None else float(value)


def runs_of(cells: Sequence[Cell], store: Store) -> list[str]:
    """Return the ids of all runs of ``cells``, as far as they are known yet."""
    ids: dict[str, None] = {}
    for cell in cells:
        ids.update(dict.fromkeys(cell.search_ids))
        picked = choose(cell, store)
        if picked is not None:
            ids.update(dict.fromkeys(cell.chosen_ids(picked)))
    return list(ids)
