"""How many of a split's labels a network in training gets right."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from frivolous.data.preparation import PREPARATIONS
from frivolous.training.feed import Source, laid_out, one_after_another, sent

BATCH = 512
"""Examples that are evaluated at once."""

Forward = Callable[[Tensor], Tensor]


def narrowed(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Return the context in which a network of this precision computes its scores."""
    narrow = precision == "bfloat16"
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=narrow)


@torch.no_grad()
def accuracy(
    forward: Forward,
    examples: Source,
    device: torch.device,
    *,
    preparation: str,
    precision: str,
) -> float:
    """Return the share of right labels, NaN where a score is not finite.

    The images are prepared as for a test: no draw, central crops. ``forward`` is a network in
    evaluation mode on ``device``.
    """
    prepare = PREPARATIONS[preparation].test
    right = torch.zeros((), dtype=torch.long, device=device)
    finite = torch.ones((), dtype=torch.bool, device=device)
    for images, labels in one_after_another(examples, BATCH):
        inputs = laid_out(prepare(sent(images, device)))
        with narrowed(device, precision):
            scores = forward(inputs)
        right += (scores.argmax(1) == sent(labels, device)).sum()
        finite &= scores.isfinite().all()
    return float(right) / len(examples) if bool(finite) else float("nan")
