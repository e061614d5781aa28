"""A study's outcome: run it, read it, set it beside the published numbers."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from frivolous import published
from frivolous.errors import FrivolousError, UnknownName
from frivolous.measures import gain as gains_of
from frivolous.store import Store
from frivolous.studies.cell import Candidate, Cell
from frivolous.studies.choosing import choose
from frivolous.studies.spec import SCALES, Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TABLE_COLUMNS = (
    "study",
    "panel",
    "curve",
    "size_factor",
    "replicate",
    "run",
    "site",
    "measure",
    "value",
)
GAIN_COLUMNS = (
    "study",
    "panel",
    "measure",
    "curve",
    "gain",
    "low",
    "high",
    "published_min",
    "published_max",
)
COUNTED = ("prunable", "redundant")

Value = Callable[[Mapping[str, pd.Series], Mapping[str, Any], float], float]


def _share(name: str) -> Value:
    return lambda rows, facts, size: float(rows[name]["value"] / rows[name]["width"])


def _known(value: float | None) -> float:
    return math.nan if value is None else float(value)


VALUES: dict[str, Value] = {
    "accuracy": lambda rows, facts, size: _known(facts["test_accuracy"]),
    "prunable": lambda rows, facts, size: _share("prunable")(rows, facts, size) * size,
    # The mean over sites of each one's share: every layer counts the same, whatever its width.
    "redundant": lambda rows, facts, size: float(rows["compressibility"]["value"]) * size,
    "area": lambda rows, facts, size: float(rows["area"]["value"]),
    "similarity": lambda rows, facts, size: float(rows["similarity"]["value"]),
    "compressibility": lambda rows, facts, size: float(rows["compressibility"]["value"]),
    "silent": _share("silent"),
    "constant": _share("constant"),
}
"""A panel's value of one run, from its rows of site ``all`` and its facts; the size is the share
of the largest network's units that the network has, so that counts are shares of that network."""


@dataclass(frozen=True)
class Chosen:
    """What a cell chose and the runs that stand for it."""

    cell: Cell
    candidate: Candidate
    runs: tuple[str, ...]


@dataclass(frozen=True)
class StudyResult:
    """A finished study, read from its store.

    ``table``: one row per panel, curve, size factor and replicate; columns ``study, panel, curve,
    size_factor, replicate, run, site, measure, value``. Prunable and redundant units are shares of
    the units of the largest network (4x), as the paper plots them; accuracy, area and
    compressibility are in [0, 1]; similarity counts units.
    """

    study: Study
    scale: str
    seed: int
    store: Store
    chosen: tuple[Chosen, ...]

    @property
    def replicates(self) -> int:
        """Trained networks per point."""
        return self.chosen[0].cell.replicates

    @property
    def command(self) -> str:
        """The command that gives this result."""
        return command(self.study, self.scale, self.replicates, self.seed, self.store)

    @cached_property
    def table(self) -> pd.DataFrame:
        """Every panel's values, one row per run."""
        ids = [id for one in self.chosen for id in one.runs]
        measures = self.store.measures(ids)
        whole = measures[measures["site"] == "all"]
        by_run = {
            run: {row["measure"]: row for _, row in rows.iterrows()}
            for run, rows in whole.groupby("run", sort=False)
        }
        facts = {id: self.store.record(id).facts for id in ids}
        largest = max(self.study.size_factors)
        rows = [
            (
                self.study.name,
                panel.name,
                one.cell.curve,
                one.cell.size_factor,
                replicate,
                id,
                "all",
                panel.measure,
                VALUES[panel.measure](by_run[id], facts[id], one.cell.size_factor / largest),
            )
            for panel in self.study.panels
            for one in self.chosen
            for replicate, id in enumerate(one.runs)
        ]
        return pd.DataFrame(rows, columns=list(TABLE_COLUMNS))

    @cached_property
    def gains(self) -> pd.DataFrame:
        """Mean ratio per doubling of each curve with its interval, beside the printed extremes."""
        rows = []
        printed = self.published.gains.set_index(["panel", "measure"])
        for panel in self.study.panels:
            if panel.measure not in COUNTED:
                continue
            skip = panel.measure == "redundant" and self.study.protocol.gain_skips_first
            limits = (np.nan, np.nan)
            if (panel.name, panel.measure) in printed.index:
                row = printed.loc[(panel.name, panel.measure)]
                limits = (float(row["gain_min"]), float(row["gain_max"]))
            for curve in self.study.curves:
                found = gains_of.gain(
                    self._counts(panel.name, panel.measure, curve.name), skip_first=skip
                )
                rows.append(
                    (
                        self.study.name,
                        panel.name,
                        panel.measure,
                        curve.name,
                        found.value,
                        found.low,
                        found.high,
                        *limits,
                    )
                )
        return pd.DataFrame(rows, columns=list(GAIN_COLUMNS))

    def _counts(self, panel: str, measure: str, curve: str) -> np.ndarray:
        table = self.table
        rows = table[
            (table["panel"] == panel) & (table["measure"] == measure) & (table["curve"] == curve)
        ]
        wide = rows.pivot(index="replicate", columns="size_factor", values="value")
        least, most = min(self.study.size_factors), max(self.study.size_factors)
        # Every doubling has a column, NaN where the study leaves a size out.
        doublings = max(1, int(math.log2(most / least)))
        sizes = [least * 2**step for step in range(doublings + 1)]
        return np.asarray(wide.reindex(columns=sizes), dtype=float)

    @cached_property
    def published(self) -> published.PublishedFigure:
        """The published numbers of this study's figure; empty frames where it shows none."""
        try:
            return published.read(self.study.name)
        except UnknownName:
            some = published.read("fig4")
            frames = (some.values, some.gains, some.curve_gains)
            return published.PublishedFigure(self.study.name, None, *(f.iloc[:0] for f in frames))

    def compare(self) -> pd.DataFrame:
        """Set every point and gain beside the published one: see ``published.compare``."""
        return published.compare(
            published.replicate_means(self.table),
            self.gains,
            self.published,
            noise=published.REPLICATE_NOISE,
        )

    def figure(self) -> Figure:
        """Draw the study as the paper does, published points in grey."""
        from frivolous.figures import Panel, study_figure

        shrunk = "" if self.scale == "paper" else f" (scale {self.scale}: not the paper's size)"
        panels = [
            Panel(panel.name, panel.measure, version=panel.version) for panel in self.study.panels
        ]
        return study_figure(
            self.table,
            self.gains,
            self.published.values,
            panels,
            title=f"{self.study.name}: {self.study.title}{shrunk}",
            claim=self.study.claim,
        )

    def choices(self) -> pd.DataFrame:
        """Return what each curve chose at each width: columns curve, size_factor, and settings."""
        rows = [
            (
                one.cell.curve,
                one.cell.size_factor,
                one.candidate.learning_rate,
                one.candidate.factor,
            )
            for one in self.chosen
        ]
        return pd.DataFrame(rows, columns=["curve", "size_factor", "learning_rate", "factor"])


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
    if replicates not in (None, SCALES[scale].replicates):
        words += ["--replicates", str(replicates)]
    return shlex.join([*words, "--store", str(store.path)])
