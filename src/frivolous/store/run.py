"""What comes out of a store: a run, and how far a list of runs is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frivolous.errors import BadArgument, FrivolousError, look_up
from frivolous.store import formats
from frivolous.store.identity import canonical_json
from frivolous.store.records import FILE_NAME, FRAME, MEASURES, SPEC, WEIGHTS, RunRecord

if TYPE_CHECKING:
    import pandas as pd
    import torch


@dataclass(frozen=True)
class Status:
    """How many runs are done, under way (claimed by a live process) and to do.

    They add up to the number asked about. ``corrupt`` counts those of the last two whose files
    are damaged; they are set aside when they are next used.
    """

    done: int
    under_way: int
    to_do: int
    corrupt: int = 0


@dataclass(frozen=True)
class Run:
    """A finished run. Its frames and weights are read, and their checksums verified, when asked.

    ``frames`` are the names that :meth:`frame` answers to. Reading raises
    :class:`~frivolous.errors.StoreError` where the run has become corrupt since; it is set aside.
    """

    id: str
    spec: Mapping[str, Any]
    facts: Mapping[str, Any]
    provenance: Mapping[str, Any]
    frames: tuple[str, ...]
    record: RunRecord = field(repr=False)
    folder: Path
    read: Callable[[str, Callable[[bytes], Any]], Any] = field(repr=False, compare=False)

    @property
    def measures(self) -> pd.DataFrame:
        """The frame of measures as it was put."""
        return self.frame("measures")

    def frame(self, name: str) -> pd.DataFrame:
        """A frame kept under ``name``; :class:`~frivolous.errors.UnknownName` if there is none."""
        look_up(dict.fromkeys(self.frames), name, f"frame of run {self.id}")
        return self.read(name + FRAME, formats.bytes_to_table).to_pandas(use_threads=False)

    def weights(self) -> dict[str, torch.Tensor]:
        """The weights by name; :class:`~frivolous.errors.FrivolousError` if none were kept."""
        if WEIGHTS not in self.record.files:
            raise FrivolousError(
                f"run {self.id} in {self.folder} was kept without its weights. "
                "Make it again in a new store, keeping weights."
            )
        return self.read(WEIGHTS, formats.bytes_to_weights)


def files_of(
    spec: Mapping[str, Any],
    measures: pd.DataFrame,
    frames: Mapping[str, pd.DataFrame],
    weights: Mapping[str, Any] | None,
) -> dict[str, bytes]:
    """The files of a run but its record, by name; BadArgument for what cannot be kept."""
    files = {SPEC: canonical_json(spec), MEASURES: formats.frame_to_bytes(measures, "measures")}
    if "run" in measures.columns:
        raise BadArgument(
            "`measures` has a column 'run'; the store adds that name itself. Drop the column."
        )
    for name, frame in frames.items():
        file = f"{name}{FRAME}"
        if not FILE_NAME.fullmatch(file) or file in files:
            raise BadArgument(
                f"`frames` has the name {name!r}; names are lower-case letters, digits and "
                "underscores, begin with a letter, and are not 'measures'. Rename it."
            )
        files[file] = formats.frame_to_bytes(frame, f"frames[{name!r}]")
    if weights is not None:
        files[WEIGHTS] = formats.weights_to_bytes(weights)
    return files
