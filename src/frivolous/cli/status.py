"""The verb of what a store holds: status."""

from __future__ import annotations

from dataclasses import replace

from frivolous.cli.scale import settle_scale
from frivolous.cli.study import requested_studies
from frivolous.cli.study_args import ALL, Which
from frivolous.store import Status, Store
from frivolous.studies import Study
from frivolous.studies.choice import runs_of
from frivolous.studies.study import SCALE_NAMES


def print_status(which: Which) -> None:
    """Print how far studies are; without a study, how far those are that the store has begun."""
    store = Store(which.store)
    if not which.study:
        _print_store(store, which)
        return
    which = settle_scale(which)
    assert which.scale is not None
    for study in requested_studies(which):
        status, _ = _how_far(study, store, which.scale, which, which.seed)
        print(
            f"{study.name}, scale {which.scale}, seed {which.seed}, store {which.store}: {status}"
        )


def _print_store(store: Store, which: Which) -> None:
    """Print a line for every study, scale and seed that the store has runs of; write nothing."""
    records, claimed = store.records(), store.claimed()
    begun = claimed | set(records)
    if not begun:
        there = "holds no network" if store.path.exists() else "is not there"
        print(f"store {store.path} {there}; `frivolous run fig4d --store {store.path}` makes some")
        return
    under_way = len(claimed - set(records))
    print(f"store {store.path}: {len(records)} networks done, {under_way} under way")
    # Of a run under way the store knows the name alone; it is looked for at seed 0 too.
    seeds = sorted({which.seed} | {int(one.spec.get("seed", 0)) for one in records.values()})
    scales = SCALE_NAMES if which.scale is None else (which.scale,)
    told = set[str]()
    for study in requested_studies(replace(which, study=ALL)):
        for scale, seed in ((scale, seed) for scale in scales for seed in seeds):
            cells = study.cells(scale, which.replicates, seed)
            if begun.isdisjoint(id for cell in cells for id in cell.search_ids):
                continue
            status, ids = _how_far(study, store, scale, which, seed)
            told |= ids
            print(f"{study.name}, scale {scale}, seed {seed}: {status}")
    if others := len(begun - told):
        ways = "fewer epochs, more replicates, or a study of your own"
        print(f"{others} more are of no whole study: {ways}")


def _how_far(
    study: Study, store: Store, scale: str, which: Which, seed: int
) -> tuple[str, set[str]]:
    """Return how far a study is, in words, and the ids of its networks that are known."""
    cells = study.cells(scale, which.replicates, seed)
    total = study.networks(scale, which.replicates)
    # Asked of sound cells only: reading a choice would set a corrupt run aside.
    sound = [cell for cell in cells if store.status(cell.search_ids).corrupt == 0]
    ids = {id for cell in cells for id in cell.search_ids} | set(runs_of(sound, store))
    return _in_words(store.status(ids), total), ids


def _in_words(known: Status, total: int) -> str:
    # Replicates of a choice that is not made yet have no id yet; they are to do all the same.
    to_do = total - known.done - known.under_way
    far = f"{known.done} of {total} networks done, {known.under_way} under way, {to_do} to do"
    return far + (
        f", {known.corrupt} of them corrupt: run makes them again" if known.corrupt else ""
    )
