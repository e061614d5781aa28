"""A study as data: a named grid of runs that answers one figure.

A study has curves; a curve at one size factor is a *cell*; a cell has candidates (the settings it
chooses from, learning rates above all) and replicates of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from frivolous.errors import BadArgument, look_up
from frivolous.measures import AS_PUBLISHED, Protocol
from frivolous.studies.cell import Candidate, Cell
from frivolous.studies.run_spec import (
    DataSpec,
    FamilySpec,
    InitialiserSpec,
    MeasureSpec,
    RunSpec,
    TrainingSpec,
)

if TYPE_CHECKING:
    from frivolous.running.here import Listener
    from frivolous.studies.result import StudyResult

SIZE_FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)


@dataclass(frozen=True)
class Panel:
    """One panel of the figure: the papers' name of it and the measure it shows.

    ``version`` names the paper when it is not the final one; of those panels no number is known.
    """

    name: str
    measure: str
    version: str = ""


@dataclass(frozen=True)
class Curve:
    """One curve: what its networks have in common at every width.

    ``factors`` multiply the default standard deviations (0.001 first layer, 0.01 output layer);
    where there are several, the curve chooses among them as it chooses the learning rate.
    ``searched`` is the number of replicates that candidates are compared on (None: all).
    """

    name: str
    inputs: int
    factors: tuple[float, ...] = (1.0,)
    optimiser: str = "momentum"
    learning_rates: tuple[float, ...] = (1.0, 0.1, 0.01, 0.001, 0.0001)
    decay: float = 0.95
    searched: int | None = None


@dataclass(frozen=True)
class Scale:
    """How large a study is run: ``paper``, or ``cpu`` for a look in seconds.

    ``wide`` replaces the 10,000 input dimensions; of learning rates and initial factors the first
    ``most_rates`` and ``most_factors`` are tried.
    """

    name: str
    base: int = 128
    wide: int = 10_000
    epochs: int = 50
    replicates: int = 3
    most_rates: int = 5
    most_factors: int = 5
    shrinks: str = ""


SCALES: dict[str, Scale] = {
    "paper": Scale("paper"),
    "cpu": Scale(
        "cpu",
        base=32,
        wide=1_500,
        epochs=15,
        replicates=2,
        most_rates=3,
        most_factors=2,
        shrinks=(
            "hidden units at 1x 32 for 128, 1,500 inputs for 10,000, 15 epochs for 50, by default "
            "2 replicates for 3, at most 3 learning rates and 2 initialisations to choose from: "
            "not the paper's experiment"
        ),
    ),
}


@dataclass(frozen=True)
class Study:
    """A figure's grid with its claim and protocol."""

    name: str
    title: str
    claim: str
    curves: tuple[Curve, ...]
    panels: tuple[Panel, ...]
    cost: Mapping[str, str]
    notes: tuple[tuple[str, str, str], ...] = ()
    size_factors: tuple[float, ...] = SIZE_FACTORS
    protocol: Protocol = field(default=AS_PUBLISHED)

    def cells(
        self, scale: str = "paper", replicates: int | None = None, seed: int = 0
    ) -> tuple[Cell, ...]:
        """Return the grid at a scale, wide networks last within each curve.

        Raises:
            UnknownName: of a scale. BadArgument: fewer than one replicate.
        """
        size = look_up(SCALES, scale, "scale")
        if replicates is None:
            replicates = size.replicates
        if replicates < 1:
            raise BadArgument(f"`replicates` must be at least 1; got {replicates}.")
        return tuple(
            self._cell(curve, factor, size, replicates, seed)
            for curve in self.curves
            for factor in self.size_factors
        )

    def _cell(
        self, curve: Curve, size_factor: float, size: Scale, replicates: int, seed: int
    ) -> Cell:
        inputs = size.wide if curve.inputs > 1000 else curve.inputs
        rates = curve.learning_rates[: size.most_rates]
        factors = curve.factors[: size.most_factors]
        protocol, data = self.protocol, DataSpec(inputs=inputs, seed=seed)
        prototype = RunSpec(
            family=FamilySpec(inputs=inputs, base=(size.base,), size_factor=size_factor),
            data=data,
            initialiser=InitialiserSpec(sigmas=(1e-3, 1e-2)),
            training=TrainingSpec(
                optimiser=curve.optimiser,
                learning_rate=rates[0],
                decay=curve.decay,
                epochs=size.epochs,
            ),
            measured=_measured(protocol, data.test),
            replicate=0,
            seed=seed,
        )
        return Cell(
            curve.name,
            size_factor,
            tuple(Candidate(rate, factor) for factor in factors for rate in rates),
            replicates,
            min(curve.searched or replicates, replicates),
            prototype,
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
        listener: Listener | None = None,
    ) -> StudyResult:
        """Train and measure what ``store`` lacks of the study, and return its result.

        What is finished stays finished: stopped at any moment, the same call goes on. Networks that
        another study of the store shares are not trained again.

        Args:
            store: folder of runs; made if absent.
            scale: ``paper``, or ``cpu`` for a small version in seconds.
            replicates: trained networks per point; default the scale's.
            seed: of data, initial weights, ablation orders.
            device: ``cpu`` or ``cuda``.
            weights: whose weights to keep: of the ``chosen`` networks, of ``all`` or ``none``.
            listener: told of progress; see ``running.here``.

        Raises:
            FrivolousError: an unknown scale, a store that cannot be read or written.
        """
        from frivolous.studies.execution import run_study

        return run_study(
            self,
            store,
            scale=scale,
            replicates=replicates,
            seed=seed,
            device=device,
            weights=weights,
            listener=listener,
        )

    def result(
        self,
        store: str | Path = "runs",
        *,
        scale: str = "paper",
        replicates: int | None = None,
        seed: int = 0,
    ) -> StudyResult:
        """Return the result of a study that is finished; train nothing."""
        from frivolous.studies.result import read_result

        return read_result(self, store, scale, replicates, seed)


def _measured(protocol: Protocol, test: int) -> MeasureSpec:
    """Return all that a protocol decides of a dense network's measures, by name."""
    decided = set(MeasureSpec.model_fields) - {"protocol", "examples"}
    return MeasureSpec(
        protocol=protocol.name,
        examples=protocol.examples_used(test),
        **{name: getattr(protocol, name) for name in decided},
    )
