"""Count the examples of batches, and check that batches are alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from torch import Tensor

from frivolous.errors import BadArgument
from frivolous.inputs.batch import Batch, batch_size_of, describe


class Tally:
    """Counts the examples of batches, whether they have labels, and that they have one form."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything counted so far."""
        self.examples, self.form, self.labelled = 0, "", set[bool]()

    @property
    def has_labels(self) -> bool:
        """Whether every batch had labels."""
        return self.labelled == {True}

    def read(self, batches: Iterable[Batch]) -> None:
        """Count the examples of these batches."""
        for _ in self.through(batches):
            pass

    def through(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield the same batches; raises for the first that differs from those before."""
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
