"""Evaluation: the share of a split's labels that a network in training gets right."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

from frivolous.data.images.transforms import PREPARATIONS
from frivolous.training.single.loader import Source, laid_out, one_after_another, sent
from frivolous.training.single.process_group import Forward, ProcessGroup

BATCH = 512
"""Examples evaluated at once."""


def narrowed(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Return the autocast context in which a network of this precision computes its scores."""
    narrow = precision == "bfloat16"
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=narrow)


@torch.no_grad()
def accuracy(
    forward: Forward,
    examples: Source,
    device: torch.device,
    processes: ProcessGroup,
    *,
    preparation: str,
    precision: str,
) -> float:
    """Return the share of right labels, NaN where a score is not finite; processes share the work.

    Images are prepared as for a test: no random draws, central crops. ``forward`` is a network in
    evaluation mode on ``device``.
    """
    prepare = PREPARATIONS[preparation].test
    found = torch.zeros(2, dtype=torch.long, device=device)
    for images, labels in one_after_another(examples, BATCH, processes.rank, processes.size):
        inputs = laid_out(prepare(sent(images, device)), precision)
        with narrowed(device, precision):
            scores = forward(inputs)
        found[0] += (scores.argmax(1) == sent(labels, device)).sum()
        found[1] += ~scores.isfinite().all()
    right, infinite = processes.total(found).tolist()
    return float("nan") if infinite else right / len(examples)
