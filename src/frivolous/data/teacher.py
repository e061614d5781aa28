"""Synthetic uncorrelated data labelled by a random teacher network (Casper et al. 2021, section 4).

Text and original code agree on most of it. Followed from the code where they do not: the teacher's
weights are truncated normals (at two standard deviations, not rescaled) of sigma 0.01 in both
layers, its biases are 0, and one teacher and one data set serve every student.
"""

from __future__ import annotations

import torch

from frivolous.data.splits import Examples, Splits
from frivolous.errors import BadArgument, FrivolousError
from frivolous.families.initialisers import fixed, initialise, undrawn
from frivolous.families.mlp import MLP
from frivolous.rng import generator

BALANCE = (0.4, 0.6)
"""Each label must be given to between 40% and 60% of random inputs (section 4, "Datasets")."""

MOST_TRIES = 200


def teacher_data(
    inputs: int = 10,
    *,
    train: int = 1000,
    validation: int = 1000,
    test: int = 1000,
    hidden: int = 32,
    seed: int = 0,
) -> Splits:
    """Return inputs drawn from N(0, 1) with the labels that a random two-class teacher gives them.

    Teachers are drawn until one gives each label to 40 to 60% of all the examples; ``facts`` holds
    the number of ``tries`` and the ``share_of_label_1``.

    Args:
        inputs: dimensions of an input, at least 1 (the paper: 10 and 10,000).
        train, validation, test: examples of each split (the paper: 1,000 each), fresh draws.
        hidden: ReLU units of the teacher (the paper: 32, the 1/4x network).
        seed: of inputs and teacher.

    Raises:
        BadArgument: a size below 1.
        FrivolousError: no balanced teacher in 200 tries.

    >>> data = teacher_data(10, seed=0)
    >>> data.train.inputs.shape, data.classes
    (torch.Size([1000, 10]), 2)
    >>> 0.4 <= data.facts["share_of_label_1"] <= 0.6
    True
    """
    sizes = {
        "inputs": inputs,
        "train": train,
        "validation": validation,
        "test": test,
        "hidden": hidden,
    }
    for name, value in sizes.items():
        if value < 1:
            raise BadArgument(f"`{name}` must be at least 1; got {value}.")
    drawn = generator("teacher inputs", inputs, seed)
    splits = [torch.randn(n, inputs, generator=drawn) for n in (train, validation, test)]
    for attempt in range(1, MOST_TRIES + 1):
        teacher = _teacher(inputs, hidden, seed, attempt)
        with torch.no_grad():
            labels = [teacher(x).argmax(1) for x in splits]
        share = float(torch.cat(labels).double().mean())
        if BALANCE[0] <= share <= BALANCE[1]:
            facts = {"tries": attempt, "share_of_label_1": share}
            parts = [Examples(x, y) for x, y in zip(splits, labels, strict=True)]
            return Splits(parts[0], parts[1], parts[2], classes=2, facts=facts)
    raise FrivolousError(
        f"no teacher with {hidden} units for {inputs} inputs gave each label to 40 to 60% of "
        f"{train + validation + test} examples in {MOST_TRIES} tries; use more examples, more "
        "`hidden` units or another `seed`."
    )


def _teacher(inputs: int, hidden: int, seed: int, attempt: int) -> MLP:
    teacher = undrawn(lambda: MLP(inputs, (hidden,), 2))
    spec = fixed(0.01, "truncated-raw")
    initialise(teacher, spec, generator("teacher", inputs, seed, attempt))
    return teacher.requires_grad_(False)
