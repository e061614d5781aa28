"""The spec of one dense network on synthetic data: all that decides network, data and measures.

Raise ``VERSION`` by hand when the same spec would give other numbers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, Self

from frivolous.studies.runs.spec import Candidate, MeasureSpec, Part, Spec
from frivolous.training.cohort.recipe import Recipe

VERSION = 1

PER_SECOND = 4e5
"""Products per second on two cores: Fig. E7 took half a minute, 4d two, E9 twenty."""


class FamilySpec(Part):
    """A dense network: its inputs, and hidden widths at size factor 1."""

    name: Literal["mlp"] = "mlp"
    inputs: int
    outputs: int = 2
    base: tuple[int, ...] = (128,)
    size_factor: float


class DataSpec(Part):
    """Teacher data: dimensions, examples per split, units of the teacher and seed."""

    name: Literal["teacher"] = "teacher"
    inputs: int
    train: int = 1000
    validation: int = 1000
    test: int = 1000
    hidden: int = 32
    seed: int = 0


class InitialiserSpec(Part):
    """Initial weights: distribution and one standard deviation per layer; one bias for all."""

    distribution: str = "truncated-raw"
    sigmas: tuple[float, ...]
    bias: float = 0.0


class RunSpec(Spec):
    """One dense network, trained once and measured once."""

    version: int = VERSION
    family: FamilySpec
    data: DataSpec
    initialiser: InitialiserSpec
    training: Recipe
    measured: MeasureSpec
    replicate: int
    seed: int = 0

    def trial(self, candidate: Candidate, replicate: int) -> Self:
        """Return the spec with a candidate's rate and factor on the standard deviations."""
        sigmas = (1e-3 * candidate.factor, 1e-2 * candidate.factor)
        chosen = {
            "initialiser": self.initialiser.model_copy(update={"sigmas": sigmas}),
            "training": replace(self.training, learning_rate=candidate.learning_rate),
        }
        return super().trial(candidate, replicate).model_copy(update=chosen)

    @property
    def width(self) -> int:
        """Hidden units."""
        return int(self.family.base[0] * self.family.size_factor)

    @property
    def parameters(self) -> int:
        """Numbers that training may change: weights and biases of both layers."""
        return self.width * (self.family.inputs + 1) + self.family.outputs * (self.width + 1)

    @property
    def cost(self) -> float:
        """Rough seconds on two cores."""
        inputs: float = self.family.inputs
        if self.training.optimiser in ("momentum", "sgd"):
            inputs = min(inputs, self.data.train)
        return (self.width * (inputs + 100) + 20_000) / PER_SECOND
