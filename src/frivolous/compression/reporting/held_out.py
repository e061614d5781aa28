"""Compare a thinner module with the original on held-out examples."""

from __future__ import annotations

from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from frivolous.ablation.predictions import UNCOUNTED, counted, labels
from frivolous.compression.profiling import runner
from frivolous.compression.pruner import Pruner
from frivolous.compression.result import OUTPUT_COLUMNS
from frivolous.compression.search.label_test import Reference
from frivolous.inputs.batch import batch_size_of
from frivolous.inputs.batches import Batches
from frivolous.measures import curve
from frivolous.network.module.output_selection import select_output, tensors_of


@torch.no_grad()
def compare_held_out(
    pruner: Pruner, module: nn.Module, intact: Reference, held: Batches
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Changed labels, accuracy and largest change of a score, and a row per other output.

    Copies of both modules are run; the original's only where there are other outputs.
    """
    changed = right = 0.0
    furthest = largest = 0.0
    thin, whole = runner(module), runner(pruner.model)
    moved: dict[str, Moved] = {}
    for (inputs, truth), own, scores in zip(
        held.labelled(), intact.labels, intact.scores, strict=True
    ):
        raw = thin(inputs)
        given = select_output(raw, pruner.output, type(module).__name__)
        theirs = {name: one for name, one in tensors_of(raw).items() if one is not given}
        if theirs:
            ours = tensors_of(whole(inputs))
            for name, one in theirs.items():
                moved.setdefault(name, Moved(name)).add(ours[name], one, batch_size_of(inputs))
        there = own != UNCOUNTED
        predicted = counted(labels(given), inputs)
        other = ((predicted != own) & there).reshape(len(own), -1)
        each = there.reshape(len(own), -1).sum(dim=1).clamp(min=1)
        changed += float((other.sum(dim=1) / each).sum())
        furthest = max(furthest, float((given - scores).abs().max()))
        largest = max(largest, float(scores.abs().max()))
        if truth is not None:
            right += float((predicted == truth).sum())
    found: dict[str, Any] = {
        "changed": changed,
        "largest_change": furthest,
        "largest_score": largest,
    }
    if held.has_labels:
        low, high = curve.proportion(right, held.examples)
        found |= {
            "accuracy_after": right / held.examples,
            "accuracy_low_after": float(low),
            "accuracy_high_after": float(high),
        }
    rows = [one.row() for one in moved.values()]
    frame = pd.DataFrame(rows, columns=list(OUTPUT_COLUMNS))
    return found, frame.astype(dict.fromkeys(OUTPUT_COLUMNS[1:5], float))


class Moved:
    """How far one output moved relative to its spread over examples, batch by batch.

    ``change`` is the mean absolute change of an entry, ``spread`` the standard deviation of the
    original over examples, averaged over the entries of an example, ``moved`` their ratio.
    """

    def __init__(self, name: str) -> None:
        self.name, self.reason = name, ""
        self.examples = self.numbers = 0
        self.change = self.largest = 0.0
        self.first = self.sum = self.square = torch.empty(0)

    def add(self, before: Tensor, after: Tensor, examples: int) -> None:
        """Take in the outputs of both modules for a batch."""
        if before.shape != after.shape:
            shapes = [tuple(one.shape[1:]) for one in (after, before)]
            self.reason = f"it has shape {shapes[0]} per example, in the original {shapes[1]}"
        elif before.dim() == 0 or len(before) != examples:
            self.reason = "its first axis is not that of the examples"
        if self.reason:
            return
        before, after = before.double(), after.double()
        if not self.examples:
            self.first = before[0]
            self.sum = self.square = torch.zeros_like(self.first)
        if before.shape[1:] != self.first.shape:
            self.reason = "its shape differs from batch to batch"
            return
        apart = torch.where(before == after, 0.0, (after - before).abs())
        self.change += float(apart.sum())
        self.largest = max(self.largest, float(apart.max()) if apart.numel() else 0.0)
        self.examples += examples
        self.numbers += before.numel()
        # Relative to the first example, so that a large common part costs no digits.
        shifted = before - self.first
        self.sum = self.sum + shifted.sum(dim=0)
        self.square = self.square + shifted.square().sum(dim=0)

    def row(self) -> tuple[Any, ...]:
        """Name, mean and largest absolute change, spread, ratio, reason."""
        if self.reason or self.examples < 2 or not self.numbers:
            return (self.name, *[float("nan")] * 4, self.reason or "it has no numbers")
        n = self.examples
        variance = (self.square - self.sum.square() / n).clamp(min=0) / (n - 1)
        change, spread = self.change / self.numbers, float(variance.sqrt().mean())
        moved = change / spread if spread else (float("inf") if change else 0.0)
        return self.name, change, self.largest, spread, moved, ""
