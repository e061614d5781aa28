"""A study as data: a named grid of runs that answers one figure.

A study has curves; a curve at one size factor is a *cell*; a cell has candidates (the settings it
chooses from, learning rates above all) and replicates of each.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from frivolous.errors import BadArgument, look_up
from frivolous.measures import AS_PUBLISHED
from frivolous.measures import Protocol as Conventions
from frivolous.studies.cell import Cell
from frivolous.studies.cost import cost_text, searched

if TYPE_CHECKING:
    from frivolous.studies.engine import Listener
    from frivolous.studies.result import StudyResult

SIZE_FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
SCALE_NAMES = ("paper", "cpu")

Kind = Literal["sizes", "counts", "ablation", "correlations", "past", "parameters"]
"""What a study's figure sets on its axes: a measure against size factors; several counts of one
network against size factors, a panel for each network; unchanged labels against
units ablated; correlations of pairs of units; a measure against epochs before the end of training;
the number of parameters, for which nothing is trained."""


class ScaleOf(Protocol):
    """How large a curve is run."""

    @property
    def replicates(self) -> int:
        """Trained networks per point."""

    @property
    def shrinks(self) -> str:
        """What is smaller than in the paper, empty at its own scale."""

    @property
    def instead(self) -> str:
        """What data stand in for the paper's, empty where they are its own."""


class Curve(Protocol):
    """What networks have in common at every width: one line of a figure's legend."""

    @property
    def name(self) -> str:
        """The legend's name."""

    @property
    def sizes(self) -> tuple[float, ...]:
        """The size factors it was published at; empty for all of its study."""

    def scale(self, name: str) -> ScaleOf:
        """Return the curve's scale of that name."""

    def cell(
        self,
        size_factor: float,
        scale: str,
        replicates: int | None,
        seed: int,
        protocol: Conventions,
    ) -> Cell:
        """Return the curve's networks at one size factor; ``replicates`` None: the scale's."""

    def shortened(self, epochs: int) -> Curve:
        """Return the same curve trained for fewer epochs."""


@dataclass(frozen=True)
class Series:
    """One line of a panel: whose networks, at which site.

    ``site`` is "all" or a layer's name in the papers. ``whole``: the layer keeps its units at every
    size factor, so that its counts are shares of its own units.
    """

    name: str
    curve: str
    site: str = "all"
    whole: bool = False


@dataclass(frozen=True)
class Panel:
    """One panel of the figure: the papers' name of it and the measure it shows.

    ``version`` names the paper when it is not the final one; of those panels no number is known.
    ``series`` are its lines; empty for every curve of the study at all sites.
    """

    name: str
    measure: str
    version: str = ""
    series: tuple[Series, ...] = ()
    title: str | None = None


@dataclass(frozen=True)
class Study:
    """A figure's grid with its claim and protocol.

    ``gpu``: how long the paper's scale takes on one GPU, in words. ``part``: the flags of the
    command line that made it a part of a larger study, for the record; ``shortened``: what was left
    out, in words.
    ``told``: published figures whose curves are of these networks, for a study that is not one of
    the papers' figures; its claim is then not the papers'.
    """

    name: str
    title: str
    claim: str
    curves: tuple[Curve, ...]
    panels: tuple[Panel, ...]
    gpu: str = ""
    notes: tuple[tuple[str, str, str], ...] = ()
    size_factors: tuple[float, ...] = SIZE_FACTORS
    protocol: Conventions = field(default=AS_PUBLISHED)
    kind: Kind = "sizes"
    told: tuple[str, ...] = ()
    part: tuple[str, ...] = ()
    shortened: str = ""

    def cells(
        self, scale: str = "paper", replicates: int | None = None, seed: int = 0
    ) -> tuple[Cell, ...]:
        """Return the networks to train at a scale, wide ones last within each curve.

        Raises:
            UnknownName: of a scale. BadArgument: fewer than one replicate.
        """
        found = self.grid(scale, replicates, seed)
        return () if self.kind == "parameters" else found

    def grid(
        self, scale: str = "paper", replicates: int | None = None, seed: int = 0
    ) -> tuple[Cell, ...]:
        """Return every curve at every size factor, also where nothing is to be trained."""
        look_up(dict.fromkeys(SCALE_NAMES), scale, "scale")
        if replicates is not None and replicates < 1:
            raise BadArgument(f"`replicates` must be at least 1; got {replicates}.")
        return tuple(
            curve.cell(factor, scale, replicates, seed, self.protocol)
            for curve in self.curves
            for factor in self.size_factors
            if not curve.sizes or factor in curve.sizes
        )

    def lines(self, panel: Panel) -> tuple[Series, ...]:
        """Return a panel's lines, of the networks that the study has."""
        there = {curve.name for curve in self.curves}
        every = panel.series or tuple(Series(curve.name, curve.name) for curve in self.curves)
        return tuple(one for one in every if one.curve in there)

    def skips_first_doubling(self, measure: str) -> bool:
        """Return whether gains of that measure leave the first doubling out."""
        return self.protocol.gain_skips_first and measure.endswith("redundant")

    def replicates(self, scale: str) -> int:
        """Return the replicates of a scale: the most that any curve has."""
        return max((curve.scale(scale).replicates for curve in self.curves), default=0)

    def shrinks(self, scale: str) -> str:
        """Return what is smaller than in the paper, one text for each kind of network."""
        if self.kind == "parameters":
            return ""
        words = [self.shortened, *(curve.scale(scale).shrinks for curve in self.curves)]
        return "; ".join(dict.fromkeys(word for word in words if word))

    def instead(self, scale: str) -> str:
        """Return what data stand in for the paper's at a scale, empty where they are its own."""
        words = dict.fromkeys(curve.scale(scale).instead for curve in self.curves)
        return ", ".join(filter(None, words))

    def networks(self, scale: str, replicates: int | None = None) -> int:
        """Return how many networks are trained; those that two curves share count once."""
        cells = self.cells(scale, replicates)
        return len(searched(cells)) + sum(cell.replicates - cell.searched for cell in cells)

    def cost_of(self, scale: str, replicates: int | None = None) -> str:
        """Return what a scale costs, in words: networks, time on two cores, on one GPU."""
        return cost_text(self, scale, replicates)

    def only(
        self,
        *,
        curves: Sequence[str] = (),
        sizes: Sequence[float] = (),
        epochs: int | None = None,
    ) -> Study:
        """Return a part of the study: some curves, some size factors, fewer epochs.

        Raises:
            UnknownName: of a curve. BadArgument: a size factor that the study lacks, or no epoch.
        """
        named = {curve.name: curve for curve in self.curves}
        chosen = tuple(look_up(named, name, f"curve of {self.name}") for name in curves)
        missing = sorted(set(sizes) - set(self.size_factors))
        if missing:
            raise BadArgument(
                f"`sizes` has {missing[0]:g}; the size factors of {self.name} are "
                f"{', '.join(f'{size:g}' for size in self.size_factors)}. Take some of these."
            )
        if epochs is not None and epochs < 1:
            raise BadArgument(f"`epochs` must be at least 1; got {epochs}.")
        kept = chosen or self.curves
        if epochs is not None:
            kept = tuple(curve.shortened(epochs) for curve in kept)
        flags: list[str] = []
        words = []
        for flag, given in (("--curves", tuple(curves)), ("--sizes", tuple(sizes))):
            if given:
                flags += [flag, *(one if isinstance(one, str) else f"{one:g}" for one in given)]
                words.append(f"only {flag[2:]} {', '.join(map(str, given))}")
        if epochs is not None:
            flags += ["--epochs", str(epochs)]
            words.append(f"at most {epochs} epochs")
        return replace(
            self,
            curves=kept,
            size_factors=tuple(s for s in self.size_factors if s in sizes) or self.size_factors,
            # Known of the whole alone.
            gpu=self.gpu if not flags else "",
            part=(*self.part, *flags),
            shortened="; ".join(filter(None, (self.shortened, *words))),
        )

    def run(
        self,
        store: str | Path = "runs",
        *,
        scale: str = "paper",
        replicates: int | None = None,
        seed: int = 0,
        device: str = "cpu",
        weights: str = "chosen",
        folder: str | Path | None = None,
        listener: Listener | None = None,
    ) -> StudyResult:
        """Train and measure what ``store`` lacks of the study, and return its result.

        Finished runs are kept: stopped at any moment, the same call continues. Networks that
        another study of the store shares are not trained again.

        Args:
            store: folder of runs; made if absent.
            scale: ``paper``, or ``cpu`` for a small version.
            replicates: trained networks per point; default the scale's.
            seed: of data, initial weights, ablation orders.
            device: ``cpu`` or ``cuda``.
            weights: whose weights to keep: of the ``chosen`` networks, of ``all`` or ``none``.
            folder: where CIFAR-10 or ImageNet lies, for studies that need them.
            listener: receives progress; see :class:`frivolous.studies.engine.Listener`.

        Raises:
            FrivolousError: an unknown scale, a store that cannot be read or written, data that are
                not there.
        """
        from frivolous.studies.run import run_study

        return run_study(
            self,
            store,
            scale=scale,
            replicates=replicates,
            seed=seed,
            device=device,
            weights=weights,
            folder=folder,
            listener=listener,
        )

    def command(
        self, store: str | Path, *, scale: str, replicates: int | None = None, seed: int = 0
    ) -> str:
        """Return the command line that makes a result; what is at its default is left out."""
        words = ["frivolous", "run", self.name, "--scale", scale, "--seed", str(seed)]
        if replicates not in (None, self.replicates(scale)):
            words += ["--replicates", str(replicates)]
        return shlex.join([*words, *self.part, "--store", str(store)])

    def result(
        self,
        store: str | Path = "runs",
        *,
        scale: str = "paper",
        replicates: int | None = None,
        seed: int = 0,
    ) -> StudyResult:
        """Return the result of a study that is finished; train nothing."""
        from frivolous.studies.load import read_result

        return read_result(self, store, scale, replicates, seed)
