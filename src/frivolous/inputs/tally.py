"""Counting the examples of batches, which must be alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from torch import Tensor

from frivolous.errors import BadArgument
from frivolous.inputs.batch import Batch, batch_size_of, describe


class Tally:
    """Counts the examples of batches, sees whether they have labels, and that they are alike."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.examples, self.form, self.labelled = 0, "", set[bool]()

    @property
    def has_labels(self) -> bool:
        return self.labelled == {True}

    def read(self, batches: Iterable[Batch]) -> None:
        for _ in self.through(batches):
            pass

    def through(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Give the same batches; refuse the first that differs from those before."""
        for inputs, labels in batches:
            form = describe(inputs)
            if self.form not in ("", form):
                apart = " Pass several inputs of a model as ((first, second), None)."
                raise BadArgument(
                    f"`data` has batches of different forms, {self.form} and then {form}; all must "
                    "agree but for the number of examples N. Pad, crop or convert them."
                    + apart
                    * isinstance(inputs, Tensor)
                )
            self.labelled.add(labels is not None)
            if len(self.labelled) > 1:
                raise BadArgument(
                    "`data` has labels for some batches only; they serve the accuracy. Give labels "
                    "with every batch, or with none."
                )
            self.form, self.examples = form, self.examples + batch_size_of(inputs)
            yield inputs, labels
