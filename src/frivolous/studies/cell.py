"""A cell: one curve at one size factor, its candidates, and the spec of each of its runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from frivolous.store import run_id


@dataclass(frozen=True)
class Candidate:
    """One setting that a cell may choose."""

    learning_rate: float
    factor: float

    def __str__(self) -> str:
        return f"learning rate {self.learning_rate:g}, initial factor {self.factor:g}"


class Spec(Protocol):
    """One network, trained once and measured once: what defines a run."""

    @property
    def width(self) -> int:
        """Hidden units in all."""

    @property
    def cost(self) -> float:
        """Rough seconds on two cores, within a factor of a few."""

    @property
    def parameters(self) -> int:
        """The number of trainable parameters."""

    def resolved(self) -> dict[str, Any]:
        """Return the spec as plain data, every default filled in: what is hashed and stored."""

    def trial(self, candidate: Candidate, replicate: int) -> Spec:
        """Return the spec with a candidate's settings, of one replicate."""


@dataclass(frozen=True)
class Cell:
    """One curve at one size factor: its candidates, replicates and the spec of every run.

    Candidates are tried on the first ``searched`` replicates; the one with the highest mean
    validation accuracy over them (the first of equals) is chosen and trained for all replicates.
    """

    curve: str
    size_factor: float
    candidates: tuple[Candidate, ...]
    replicates: int
    searched: int
    prototype: Spec

    def spec(self, candidate: Candidate, replicate: int) -> Spec:
        """Return the spec of one run."""
        return self.prototype.trial(candidate, replicate)

    @cached_property
    def search_ids(self) -> dict[str, Spec]:
        """The runs that are compared, by id."""
        return self._ids(self.candidates, self.searched)

    @cached_property
    def every_id(self) -> dict[str, Spec]:
        """All runs that may ever be needed, by id: every candidate's, of all replicates."""
        return self._ids(self.candidates, self.replicates)

    def chosen_ids(self, chosen: Candidate) -> dict[str, Spec]:
        """Runs of the chosen candidate, by id, in the order of replicates."""
        return self._ids((chosen,), self.replicates)

    def _ids(self, candidates: Sequence[Candidate], replicates: int) -> dict[str, Spec]:
        specs = [self.spec(c, r) for c in candidates for r in range(replicates)]
        return {run_id(spec.resolved()): spec for spec in specs}

    def choose(self, validation_accuracy: Mapping[str, float]) -> Candidate:
        """Return the candidate with the best mean validation accuracy, by run id."""
        means = [
            np.mean([validation_accuracy[id] for id in self._ids((candidate,), self.searched)])
            for candidate in self.candidates
        ]
        return self.candidates[int(np.argmax(means))]

    @property
    def networks(self) -> int:
        """The number of networks trained in all."""
        return len(self.candidates) * self.searched + self.replicates - self.searched

    @property
    def width(self) -> int:
        """Hidden units of a network."""
        return self.prototype.width

    @property
    def label(self) -> str:
        """The curve and the width, for a progress bar."""
        return f"{self.curve}, width {self.width}"

    @property
    def cost(self) -> float:
        """Rough seconds for one network on two cores, within a factor of a few."""
        return self.prototype.cost
