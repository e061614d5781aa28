"""Labelled examples in three splits: what every data source returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from frivolous.errors import BadArgument


@dataclass(frozen=True)
class Examples:
    """Inputs (N, ...) and their labels (N,) as integers from 0 upwards.

    Inputs are floats, or images (N, C, H, W) as bytes from 0 to 255 (``torch.uint8``) that a
    preparation turns into floats batch by batch.
    """

    inputs: torch.Tensor
    labels: torch.Tensor

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.labels):
            raise BadArgument(
                f"`labels` has {len(self.labels)} entries for {len(self.inputs)} inputs; "
                "give one label for each input."
            )
        if len(self.inputs) == 0:
            raise BadArgument("`inputs` holds no example; give at least one.")

    def __len__(self) -> int:
        return len(self.inputs)

    def take(
        self, index: torch.Tensor, *, augment: bool = False, seed: int = 0, epoch: int = 0
    ) -> torch.Tensor:
        """Return the inputs at ``index``, as :meth:`frivolous.data.EncodedExamples.take` does.

        Examples in memory are returned as they are; ``augment``, ``seed`` and ``epoch`` are
        ignored.
        """
        return self.inputs[index]

    def first(self, count: int) -> Examples:
        """Return the first ``count`` examples."""
        return Examples(self.inputs[:count], self.labels[:count])

    def to(self, device: torch.device | str) -> Examples:
        """Return the same examples on ``device``."""
        return Examples(self.inputs.to(device), self.labels.to(device))

    def __iter__(self):  # type: ignore[no-untyped-def]
        """Iterate as ``measure`` reads data: one batch of (inputs, labels)."""
        yield self.inputs, self.labels


@dataclass(frozen=True)
class Splits:
    """Training, validation and test examples of one source.

    ``facts`` records how the data were made (tries of a teacher, class balance).
    """

    train: Examples
    validation: Examples
    test: Examples
    classes: int
    facts: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("train", "validation", "test"):
            labels = getattr(self, name).labels
            low, high = int(labels.min()), int(labels.max())
            if low < 0 or high >= self.classes:
                raise BadArgument(
                    f"`{name}.labels` run from {low} to {high}; {self.classes} classes have the "
                    f"labels 0 to {self.classes - 1}. Re-number the labels or raise `classes`."
                )

    def to(self, device: torch.device | str) -> Splits:
        """Return the same splits on ``device``."""
        return Splits(
            self.train.to(device),
            self.validation.to(device),
            self.test.to(device),
            classes=self.classes,
            facts=self.facts,
        )
