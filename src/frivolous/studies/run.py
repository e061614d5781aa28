"""Run a study: its cells as work for the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frivolous.errors import BadArgument
from frivolous.store import Store, run_id
from frivolous.studies import engine
from frivolous.studies.cell import Cell
from frivolous.studies.choice import accuracy_of, choose, runs_of
from frivolous.studies.load import read_result
from frivolous.studies.result import StudyResult
from frivolous.studies.runs.dense_spec import RunSpec
from frivolous.studies.runs.image_spec import ImageSpec

if TYPE_CHECKING:
    from frivolous.studies.runs.train_dense import Finished
    from frivolous.studies.study import Study


class Silent:
    """A listener that says nothing."""

    def already_done(self, label: str, runs: int) -> None:
        """Say nothing."""

    def under_way(self, label: str) -> None:
        """Say nothing."""

    def advance(self, runs: float) -> None:
        """Say nothing."""

    def waiting(self, runs: int) -> None:
        """Say nothing."""

    def finished(self, label: str) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class CellWork:
    """One cell: first its candidates, then the replicates of the one chosen."""

    cell: Cell
    device: str
    weights: str
    folder: str | Path | None = None

    @property
    def label(self) -> str:
        """The curve and the width, for a progress bar."""
        return self.cell.label

    def missing(self, store: Store) -> list[str]:
        """Return candidates not tried yet; when all are, replicates not trained yet."""
        tried = self.cell.search_ids
        left = set(tried) - store.complete(tried)
        if left:
            return [id for id in tried if id in left]
        chosen = choose(self.cell, store)
        if chosen is None:
            return self.missing(store)
        wanted = self.cell.chosen_ids(chosen)
        left = set(wanted) - store.complete(wanted)
        return [id for id in wanted if id in left]

    def spec(self, id: str) -> Mapping[str, Any]:
        """Return a run's resolved spec."""
        return self.cell.every_id[id].resolved()

    def make(
        self, ids: Sequence[str], store: Store, progress: Callable[[float], None]
    ) -> Iterator[tuple[str, Finished, bool]]:
        """Train and measure the runs; weights are kept of the chosen ones (or all, or none)."""
        specs = [self.cell.every_id[id] for id in ids]
        made = self._made(specs, store, progress)
        if len(self.cell.candidates) == 1:
            # Nothing is chosen: every run is kept, and is stored as soon as it is made.
            yield from (
                (id, run, self.weights != "none") for id, run in zip(ids, made, strict=True)
            )
            return
        finished = dict(zip(ids, made, strict=True))
        kept = self._worth_keeping(finished, store)
        for id, run in finished.items():
            yield id, run, id in kept

    def _made(
        self, specs: Sequence[Any], store: Store, progress: Callable[[float], None]
    ) -> Iterator[Finished]:
        if isinstance(specs[0], RunSpec):
            from frivolous.studies.runs import train_dense

            return train_dense.make(specs, device=self.device, progress=progress)
        from frivolous.studies.runs import train_image

        return train_image.make(
            specs,
            device=self.device,
            progress=progress,
            folder=self.folder,
            checkpoint_of=lambda spec: store.checkpoint(run_id(spec.resolved())),
        )

    def _worth_keeping(self, finished: Mapping[str, Finished], store: Store) -> set[str]:
        if self.weights != "chosen":
            return set(finished) if self.weights == "all" else set()
        tried = self.cell.search_ids
        known = {id: accuracy_of(run.facts) for id, run in finished.items()}
        known |= {
            id: accuracy_of(store.record(id).facts)
            for id in store.complete(set(tried) - set(known))
        }
        if set(tried) - set(known):
            # Others are still trying candidates of this cell: any of these may be chosen.
            return set(finished)
        return set(self.cell.chosen_ids(self.cell.choose(known)))


def ready(
    study: Study,
    store: Store,
    scale: str,
    *,
    replicates: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    folder: str | Path | None = None,
) -> float:
    """Check that what is left of a study can be made here; return its rough minutes on two cores.

    Data that it needs from disk are read, and kept for the networks to come; nothing is written.

    Raises:
        BadArgument: a device that this machine lacks, data that are not there or cannot be read.
    """
    from frivolous.devices import as_device

    as_device(device)
    cells = study.cells(scale, replicates, seed)
    left = {cell: _left(cell, store) for cell in cells}
    for spec in dict.fromkeys(cell.prototype for cell in cells if left[cell]):
        if isinstance(spec, ImageSpec):
            _see_data(study, spec, folder)
    return sum(count * cell.cost for cell, count in left.items()) / 60


def _left(cell: Cell, store: Store) -> int:
    return cell.networks - len(store.complete(runs_of([cell], store)))


def _see_data(study: Study, spec: ImageSpec, folder: str | Path | None) -> None:
    """Read a run's data, if they are on disk."""
    from frivolous.studies.runs.train_image import ON_DISK, splits_of

    if spec.data.name not in ON_DISK:
        return
    try:
        splits_of(spec.data, spec.seed, folder)
    except BadArgument as error:
        instead = study.instead("cpu") or "data"
        raise BadArgument(
            f"{error} Or run it at scale cpu: a small version on {instead} that come with the "
            "package."
        ) from error


def run_study(
    study: Study,
    store: str | Path | Store = "runs",
    *,
    scale: str = "paper",
    replicates: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    weights: str = "chosen",
    folder: str | Path | None = None,
    listener: engine.Listener | None = None,
) -> StudyResult:
    """Make every run of a study that the store lacks, and return the result."""
    store = store if isinstance(store, Store) else Store(store)
    ready(study, store, scale, replicates=replicates, seed=seed, device=device, folder=folder)
    cells = study.cells(scale, replicates, seed)
    listener = listener or Silent()
    for cell in cells:
        # Read once with checksums: a run that went bad is set aside now and made again below.
        sound = store.complete(runs_of([cell], store), checksums=True)
        listener.already_done(cell.label, len(sound))
    engine.work([CellWork(cell, device, weights, folder) for cell in cells], store, listener)
    return read_result(study, store, scale, replicates, seed)
