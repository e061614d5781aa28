"""Curves of dense networks on synthetic data, and the scales at which they run."""

from __future__ import annotations

from dataclasses import dataclass, replace

from frivolous.errors import look_up
from frivolous.measures import Protocol
from frivolous.studies.cell import Candidate, Cell
from frivolous.studies.runs.dense_spec import (
    DataSpec,
    FamilySpec,
    InitialiserSpec,
    RunSpec,
    TrainingSpec,
    measured_as,
)


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
    instead: str = ""


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
class DenseCurve:
    """One curve: what its networks have in common at every width.

    ``factors`` multiply the default standard deviations (0.001 first layer, 0.01 output layer);
    where there are several, the curve chooses among them as it chooses the learning rate.
    ``searched`` is the number of replicates that candidates are compared on (None: all). ``epochs``
    are those of its scale where it is None. ``joint_tolerance``: measure the effective width too.
    """

    name: str
    inputs: int
    factors: tuple[float, ...] = (1.0,)
    optimiser: str = "momentum"
    learning_rates: tuple[float, ...] = (1.0, 0.1, 0.01, 0.001, 0.0001)
    decay: float = 0.95
    searched: int | None = None
    sizes: tuple[float, ...] = ()
    epochs: int | None = None
    joint_tolerance: float | None = None

    def scale(self, name: str) -> Scale:
        """Return the curve's scale of that name."""
        return look_up(SCALES, name, "scale")

    def shortened(self, epochs: int) -> DenseCurve:
        """Return the same curve trained for fewer epochs."""
        return replace(self, epochs=epochs)

    def cell(
        self, size_factor: float, scale: str, replicates: int | None, seed: int, protocol: Protocol
    ) -> Cell:
        """Return the curve's networks at one size factor."""
        size = self.scale(scale)
        count = size.replicates if replicates is None else replicates
        inputs = size.wide if self.inputs > 1000 else self.inputs
        rates = self.learning_rates[: size.most_rates]
        factors = self.factors[: size.most_factors]
        data = DataSpec(inputs=inputs, seed=seed)
        prototype = RunSpec(
            family=FamilySpec(inputs=inputs, base=(size.base,), size_factor=size_factor),
            data=data,
            initialiser=InitialiserSpec(sigmas=(1e-3, 1e-2)),
            training=TrainingSpec(
                optimiser=self.optimiser,
                learning_rate=rates[0],
                decay=self.decay,
                epochs=min(self.epochs or size.epochs, size.epochs),
            ),
            measured=measured_as(protocol, data.test, self.joint_tolerance),
            replicate=0,
            seed=seed,
        )
        return Cell(
            self.name,
            size_factor,
            tuple(Candidate(rate, factor) for factor in factors for rate in rates),
            count,
            min(self.searched or count, count),
            prototype,
        )
