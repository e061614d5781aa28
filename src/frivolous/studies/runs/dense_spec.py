"""What one run is: everything that decides its network, its data and its measures.

The identity of a run is the hash of its resolved spec (``store.run_id``), defaults and ``version``
included. Raise ``VERSION`` by hand when the same spec would give other numbers.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from frivolous.measures import Protocol
from frivolous.studies.cell import Candidate

VERSION = 1

PER_SECOND = 4e5
"""Products per second on two cores: Fig. E7 took half a minute, 4d two, E9 twenty."""


class Part(BaseModel):
    """A frozen part of a spec that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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


class TrainingSpec(Part):
    """The fields of :class:`frivolous.training.cohort.recipe.Recipe`."""

    optimiser: str = "momentum"
    learning_rate: float
    decay: float = 0.95
    epochs: int = 50
    batch_size: int = 128
    updates_per_epoch: int = 6
    settings: tuple[tuple[str, float], ...] = ()


class MeasureSpec(Part):
    """How the trained network is measured: the protocol's name and all that it decides.

    ``joint_tolerance``: the share of labels that may change at the effective width, None to leave
    it out. A run without it is called what it was before there was such a field.
    """

    protocol: str = "as published"
    fractions: tuple[float, ...]
    draws: int
    draw: str
    tolerance: float
    unexplained: float
    count_crossing: bool
    similar: float
    cap: int
    samplings: int
    examples: int
    joint_tolerance: float | None = None

    @model_serializer(mode="wrap")
    def _as_plain(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        plain: dict[str, Any] = handler(self)
        if self.joint_tolerance is None:
            plain.pop("joint_tolerance", None)
        return plain


class RunSpec(Part):
    """One network, trained once and measured once."""

    version: int = VERSION
    family: FamilySpec
    data: DataSpec
    initialiser: InitialiserSpec
    training: TrainingSpec
    measured: MeasureSpec
    replicate: int
    seed: int = 0

    def resolved(self) -> dict[str, Any]:
        """Return the spec as plain data, every default filled in: what is hashed and stored."""
        return self.model_dump(mode="json")

    def trial(self, candidate: Candidate, replicate: int) -> RunSpec:
        """Return the spec with a candidate's rate and factor on the standard deviations."""
        sigmas = (1e-3 * candidate.factor, 1e-2 * candidate.factor)
        rate = {"learning_rate": candidate.learning_rate}
        return self.model_copy(
            update={
                "initialiser": self.initialiser.model_copy(update={"sigmas": sigmas}),
                "training": self.training.model_copy(update=rate),
                "replicate": replicate,
            }
        )

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


def measured_as(protocol: Protocol, test: int, joint_tolerance: float | None = None) -> MeasureSpec:
    """Return all that a protocol decides of a dense network's measures, by name."""
    decided = set(MeasureSpec.model_fields) - {"protocol", "examples", "joint_tolerance"}
    return MeasureSpec(
        protocol=protocol.name,
        examples=protocol.examples_used(test),
        joint_tolerance=joint_tolerance,
        **{name: getattr(protocol, name) for name in decided},
    )
