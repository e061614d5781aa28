"""What the specs of all runs share: how they are resolved and tried, and how they are measured.

The identity of a run is the hash of its resolved spec (``store.run_id``), defaults and ``version``
included. A recipe is a part of the spec as it is: what is hashed is the record that trains.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, fields, replace
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from frivolous.measures import AS_PUBLISHED, AS_PUBLISHED_IMAGENET, AS_WRITTEN, Protocol

PROTOCOLS: dict[str, Protocol] = {
    p.name: p for p in (AS_WRITTEN, AS_PUBLISHED, AS_PUBLISHED_IMAGENET)
}
DECIDED = frozenset(field.name for field in fields(Protocol))


@dataclass(frozen=True)
class Candidate:
    """One setting that a cell may choose."""

    learning_rate: float
    factor: float

    def __str__(self) -> str:
        return f"learning rate {self.learning_rate:g}, initial factor {self.factor:g}"


class Part(BaseModel):
    """A frozen part of a spec that refuses unknown fields.

    Records that it is given are read anew, field by field, so that a rate of 1 is hashed as 1.0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", revalidate_instances="always")


class Spec(Part):
    """One network, trained once and measured once: what a run is made from."""

    def resolved(self) -> dict[str, Any]:
        """Return the spec as plain data, every default filled in: what is hashed and stored."""
        return self.model_dump(mode="json")

    def trial(self, candidate: Candidate, replicate: int) -> Self:
        """Return the spec of one replicate, with a candidate's settings where it has a choice."""
        return self.model_copy(update={"replicate": replicate})

    @property
    @abstractmethod
    def width(self) -> int:
        """Hidden units in all."""

    @property
    @abstractmethod
    def parameters(self) -> int:
        """Numbers that training may change."""

    @property
    @abstractmethod
    def cost(self) -> float:
        """Rough seconds on two cores, within a factor of a few."""


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

    @classmethod
    def from_protocol(cls, protocol: Protocol, test: int, **own: Any) -> Self:
        """Return all that a protocol decides of measuring ``test`` examples; ``own``: the rest."""
        decided = {name: getattr(protocol, name) for name in DECIDED & set(cls.model_fields)}
        examples = protocol.examples_used(test)
        return cls(protocol=protocol.name, examples=examples, **decided, **own)

    def as_protocol(self) -> Protocol:
        """Return the protocol that is spelled out here: its name alone decides no measure."""
        decided = {name: getattr(self, name) for name in DECIDED & set(type(self).model_fields)}
        return replace(PROTOCOLS.get(self.protocol, AS_WRITTEN), name=self.protocol, **decided)
