"""The result of a study: read from its store, and compared with the published numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from frivolous import published
from frivolous.errors import UnknownName
from frivolous.measures import gain as gains_of
from frivolous.measures.registry import measure_named
from frivolous.store import Store
from frivolous.studies.cell import Candidate, Cell
from frivolous.studies.panel_values import LARGEST, RunNumbers, panel_value, table_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from frivolous.studies.plots import Pictures
    from frivolous.studies.study import Panel, Series, Study

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
GAINING = ("sizes", "counts")
PAST_COLUMNS = (*TABLE_COLUMNS, "x")
CURVE_COLUMNS = (*TABLE_COLUMNS[:-2], "draw", "fraction", "unchanged", "examples")
PAIR_COLUMNS = (*TABLE_COLUMNS[:-2], "low", "high", "pairs", "mean")


@dataclass(frozen=True)
class Chosen:
    """What a cell chose, and the runs of that candidate."""

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
        """Trained networks per point: the most of any."""
        return max((one.cell.replicates for one in self.chosen), default=0)

    @property
    def command(self) -> str:
        """The command that gives this result."""
        return self.study.command(
            self.store.path, scale=self.scale, replicates=self.replicates, seed=self.seed
        )

    @cached_property
    def table(self) -> pd.DataFrame:
        """Every panel's values, one row per line and run."""
        if self.study.kind == "parameters":
            return _parameters(self.study)
        numbers = self._numbers(self.store.measures(self.runs))
        rows = [
            (*self._place(panel, line, one, replicate), self._value(panel, line, one, numbers[id]))
            for panel, line, one, replicate, id in self._each()
        ]
        return pd.DataFrame(rows, columns=list(TABLE_COLUMNS))

    @property
    def runs(self) -> list[str]:
        """The ids of all runs, each once."""
        return list(dict.fromkeys(id for one in self.chosen for id in one.runs))

    def _numbers(self, measures: pd.DataFrame) -> dict[str, RunNumbers]:
        return {
            str(run): RunNumbers.of(rows, self.store.record(str(run)).facts)
            for run, rows in measures.groupby("run", sort=False)
        }

    def _each(self) -> Iterator[tuple[Panel, Series, Chosen, int, str]]:
        """Yield every panel's lines with the runs behind each, in order."""
        for panel in self.study.panels:
            for line in self.study.lines(panel):
                for one in self.chosen:
                    if one.cell.curve == line.curve:
                        for replicate, id in enumerate(one.runs):
                            yield panel, line, one, replicate, id

    def _place(
        self, panel: Panel, line: Series, one: Chosen, replicate: int
    ) -> tuple[str, str, str, float, int, str, str, str]:
        """Return a row's columns before its value."""
        measure = table_name(panel.measure)
        size, run = one.cell.size_factor, one.runs[replicate]
        return (self.study.name, panel.name, line.name, size, replicate, run, line.site, measure)

    def _value(self, panel: Panel, line: Series, one: Chosen, numbers: RunNumbers) -> float:
        largest = max(LARGEST, *self.study.size_factors)
        size = 1.0 if line.whole else one.cell.size_factor / largest
        return panel_value(panel.measure, numbers, line.site, size)

    @cached_property
    def past(self) -> pd.DataFrame:
        """Every panel's values at epochs before the end: the table with ``x`` from -8 to 0."""
        parts = [self.table.assign(x=0)]
        frames = self._kept("snapshots")
        for before in sorted({int(x) for frame in frames.values() for x in frame["before_end"]}):
            rows = []
            for panel, line, one, replicate, id in self._each():
                if id not in frames:
                    continue
                frame = frames[id][frames[id]["before_end"] == before]
                accuracy = frame["test_accuracy"].iloc[0]
                numbers = RunNumbers.of(frame, {"test_accuracy": accuracy})
                value = self._value(panel, line, one, numbers)
                rows.append((*self._place(panel, line, one, replicate), value, -before))
            parts.append(pd.DataFrame(rows, columns=list(PAST_COLUMNS)))
        return pd.concat(parts, ignore_index=True).sort_values("x", kind="stable")

    def _kept(self, name: str) -> dict[str, pd.DataFrame]:
        """Return a frame of every run that has it; a network whose training failed has none."""
        runs = {id: self.store.get(id) for id in self.runs}
        return {id: run.frame(name) for id, run in runs.items() if name in run.frames}

    @cached_property
    def curves(self) -> pd.DataFrame:
        """The ablation curves behind every panel: one row per line, run, draw and fraction."""
        return self._frames("curves", ["draw", "fraction", "unchanged", "examples"], CURVE_COLUMNS)

    @property
    def best_curves(self) -> pd.DataFrame:
        """The ablation curves as the papers plot them: at every fraction the best of the draws."""
        keys = ["panel", "curve", "size_factor", "replicate", "fraction"]
        best = self.curves.groupby(keys, sort=False)["unchanged"].max()
        return best.rename("value").reset_index()

    @cached_property
    def correlations(self) -> pd.DataFrame:
        """Histograms of absolute correlations of pairs of units: one row per line, run and bin.

        ``mean`` is that of all pairs, the same in every row of a run.
        """
        return self._frames("correlations", ["low", "high", "pairs", "mean"], PAIR_COLUMNS)

    def _frames(self, name: str, kept: list[str], columns: tuple[str, ...]) -> pd.DataFrame:
        frames = self._kept(name)
        parts = [pd.DataFrame(columns=list(columns))]
        for panel, line, one, replicate, id in self._each():
            if id not in frames:
                continue
            here = frames[id][frames[id]["site"] == line.site][kept]
            place = dict(zip(TABLE_COLUMNS, self._place(panel, line, one, replicate), strict=False))
            del place["measure"]
            parts.append(here.assign(**place)[list(columns)])
        return pd.concat(parts[1:] or parts, ignore_index=True)

    @cached_property
    def failed(self) -> pd.DataFrame:
        """Networks whose training failed, with the update and the loss where it did."""
        rows = []
        for one in self.chosen:
            for replicate, id in enumerate(one.runs):
                failure = self.store.record(id).facts.get("failed")
                if failure:
                    place = (one.cell.curve, one.cell.size_factor, replicate, id)
                    rows.append((*place, failure["step"], failure["loss"]))
        names = ["curve", "size_factor", "replicate", "run", "step", "loss"]
        return pd.DataFrame(rows, columns=names)

    @cached_property
    def gains(self) -> pd.DataFrame:
        """Mean ratio per doubling of each curve with its interval, and the printed extremes."""
        rows = []
        for panel in self.study.panels:
            if not measure_named(panel.measure).scale.capped or self.study.kind not in GAINING:
                continue
            skip = self.study.skips_first_doubling(panel.measure)
            limits = self._told_gains(panel)
            for line in self.study.lines(panel):
                found = gains_of.gain(
                    self._counts(panel.name, panel.measure, line.name), skip_first=skip
                )
                rows.append(
                    (
                        *(self.study.name, panel.name, panel.measure, line.name),
                        *(found.value, found.low, found.high, *limits),
                    )
                )
        return pd.DataFrame(rows, columns=list(GAIN_COLUMNS))

    def _told_gains(self, panel: Panel) -> tuple[float, float]:
        """Return the least and greatest published gain of a panel; NaN where there is none.

        Of a study that gathers published curves they are those computed from the curves' values.
        """
        told, columns = self.published.gains, ("gain_min", "gain_max")
        if self.study.told:
            told, columns = self.published.curve_gains, ("gain_as_published", "gain_as_published")
        here = told[told["panel"].eq(panel.name) & told["measure"].eq(panel.measure)]
        if not len(here):
            return np.nan, np.nan
        return float(here[columns[0]].min()), float(here[columns[1]].max())

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
        if self.study.told:
            names = [curve.name for curve in self.study.curves]
            return published.by_curve(self.study.name, self.study.told, names)
        try:
            return published.read(self.study.name)
        except UnknownName:
            some = published.read("fig4")
            frames = (some.values, some.gains, some.curve_gains)
            return published.PublishedFigure(self.study.name, None, *(f.iloc[:0] for f in frames))

    def compare(self) -> pd.DataFrame:
        """Compare every point and gain with the published one: see ``published.compare``."""
        return published.compare(
            published.replicate_means(self.table),
            self.gains,
            self.published,
            noise=published.REPLICATE_NOISE,
        )

    def figure(self) -> Figure:
        """Draw the study as the paper does, published points in grey."""
        from frivolous.studies.plots import draw

        return draw(self)

    def figure_beside(self) -> Figure | None:
        """Draw the paper's figure from its numbers next to ours; None where none are known."""
        from frivolous.studies.plots import draw_side_by_side

        return draw_side_by_side(self)

    @cached_property
    def pictures(self) -> Pictures:
        """Both figures as PNG and SVG, drawn once."""
        from frivolous.studies.plots import pictures

        return pictures(self)

    def records(self) -> list[dict[str, Any]]:
        """Return every run's id, spec, facts and where it was made, as plain data."""
        found = [self.store.record(id) for id in self.runs]
        return [
            {
                "run": one.id,
                "spec": dict(one.spec),
                "facts": dict(one.facts),
                "provenance": dict(one.provenance),
            }
            for one in found
        ]

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


def _parameters(study: Study) -> pd.DataFrame:
    """Return the number of parameters of every network, always of the papers' scale."""
    cells = {(cell.curve, cell.size_factor): cell for cell in study.grid("paper")}
    rows = [
        (study.name, panel.name, line.name, size, 0, "", "all", panel.measure, float(count))
        for panel in study.panels
        for line in study.lines(panel)
        for (curve, size), cell in cells.items()
        if curve == line.curve
        for count in [cell.prototype.parameters]
    ]
    return pd.DataFrame(rows, columns=list(TABLE_COLUMNS))
