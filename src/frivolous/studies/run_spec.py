"""What one run is: everything that decides its network, its data and its measures.

The identity of a run is the hash of its resolved spec (``store.run_id``), defaults and ``version``
included. Raise ``VERSION`` by hand when the same spec would give other numbers.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

VERSION = 1


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FamilySpec(_Part):
    """A dense network: its inputs, and hidden widths at size factor 1."""

    name: Literal["mlp"] = "mlp"
    inputs: int
    outputs: int = 2
    base: tuple[int, ...] = (128,)
    size_factor: float


class DataSpec(_Part):
    """Teacher data: dimensions, examples per split, units of the teacher and seed."""

    name: Literal["teacher"] = "teacher"
    inputs: int
    train: int = 1000
    validation: int = 1000
    test: int = 1000
    hidden: int = 32
    seed: int = 0


class InitialiserSpec(_Part):
    """Initial weights: distribution and one standard deviation per layer; one bias for all."""

    distribution: str = "truncated-raw"
    sigmas: tuple[float, ...]
    bias: float = 0.0


class TrainingSpec(_Part):
    """The fields of :class:`frivolous.training.recipe.Recipe`."""

    optimiser: str = "momentum"
    learning_rate: float
    decay: float = 0.95
    epochs: int = 50
    batch_size: int = 128
    updates_per_epoch: int = 6
    settings: tuple[tuple[str, float], ...] = ()


class MeasureSpec(_Part):
    """How the trained network is measured: the protocol's name and all that it decides."""

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


class RunSpec(_Part):
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
