"""Predicted labels: one per example, or one at every position of a sequence."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frivolous.errors import BadArgument, NotFinite
from frivolous.inputs.batch import Inputs
from frivolous.network import Network

COUNTED = "attention_mask"
"""The keyword input (N, positions) that is 0 where a sequence is padded."""
UNCOUNTED = -1
NO_LABEL = (
    f"`data` has no position that counts: `{COUNTED}` is 0 everywhere. It is 1 where a sequence "
    "has a token."
)


def labels(output: Tensor) -> Tensor:
    """The predicted labels: the arg-max over the last axis of the scores.

    One per example for scores (N, classes); one at every position of a sequence for (N, positions,
    classes), such as a language model's next token. Raises ``BadArgument`` for an output that is no
    table of scores.

    >>> labels(torch.tensor([[0.1, 0.9], [2.0, 1.0]]))
    tensor([1, 0])
    >>> labels(torch.zeros(2, 5, 3)).shape
    torch.Size([2, 5])
    """
    shape = tuple(output.shape)
    needed = (
        "labels need floating-point scores of shape (N, classes), or (N, positions, classes) for a "
        "label at every position, two classes at least"
    )
    if not output.dtype.is_floating_point:
        raise BadArgument(
            f"the network's output is {output.dtype} of shape {shape}; {needed}. Return the scores "
            f"before the arg-max."
        )
    if output.dim() == 1 or (output.dim() in (2, 3) and shape[-1] < 2):
        raise BadArgument(
            f"the network's output has shape {shape}, one number per example; {needed}. For two "
            f"classes with one logit z return `torch.stack([-z / 2, z / 2], dim=-1)`."
        )
    if output.dim() not in (2, 3):
        raise BadArgument(
            f"the network's output has shape {shape}; {needed}. Reduce the other axes inside the "
            f"model, e.g. by a mean over positions, or flatten them into one with the classes last."
        )
    return output.argmax(dim=-1)


def intact_labels(network: Network, inputs: Inputs, output: Tensor) -> Tensor:
    """Labels of the intact network that count (:func:`counted`).

    Raises ``NotFinite``, which names the first site without numbers.
    """
    intact = labels(output)
    if not bool(torch.isfinite(output).all()):
        raise _not_finite(network, inputs)
    return counted(intact, inputs)


def counted(found: Tensor, inputs: Inputs) -> Tensor:
    """Labels with -1 where a sequence is padded: shape (N,) or (N, positions), as given.

    Padding is where ``inputs["attention_mask"]`` is 0, if it has the shape of the labels.

    >>> inputs = {"input_ids": torch.zeros(1, 3), "attention_mask": torch.tensor([[1, 1, 0]])}
    >>> counted(torch.tensor([[4, 5, 6]]), inputs).tolist()
    [[4, 5, -1]]
    """
    mask = inputs.get(COUNTED) if isinstance(inputs, Mapping) else None
    if mask is None or mask.shape != found.shape:
        return found
    return found.masked_fill(mask.to(found.device) == 0, UNCOUNTED)


def per_example(counts: Tensor, labels_counted: int, examples: int) -> NDArray[np.float64]:
    """Convert counts of labels to counts of examples: whole numbers for one label per example.

    The labels of one sequence are not independent trials. So the share of all labels is multiplied
    by the number of sequences: intervals are then as wide as if all labels of a sequence changed
    together, the widest that they can be.
    """
    found = counts.cpu().numpy()
    if labels_counted == examples:
        return found
    if not labels_counted:
        raise BadArgument(NO_LABEL)
    return np.asarray(found * examples / labels_counted)


def _not_finite(network: Network, inputs: Inputs) -> NotFinite:
    _, activities = network.activities(inputs)
    guilty = next(
        (name for name, value in activities.items() if not bool(torch.isfinite(value).all())), None
    )
    where = f"the activity at site '{guilty}'" if guilty else "the network's output"
    return NotFinite(
        f"{where} is NaN or infinite before any unit is silenced; labels need finite scores. Check "
        f"the weights up to there and the scale of the inputs."
    )
