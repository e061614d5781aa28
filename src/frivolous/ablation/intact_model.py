"""The unmodified model on the user's data: whether they fit, and how accurate the model is."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from frivolous.ablation.predictions import UNCOUNTED, counted
from frivolous.ablation.predictions import labels as predicted_labels
from frivolous.errors import BadArgument, NotTraceable, one_line
from frivolous.inputs.batch import Inputs, call_module, map_batch
from frivolous.inputs.batches import Batches
from frivolous.measures import curve
from frivolous.network import Network, trace
from frivolous.network.module.copying import CannotCopy, copy_module
from frivolous.network.module.wrappers import uncompiled

FEW_DIGITS = (torch.bfloat16, torch.float16)


def read_model(
    model: nn.Module,
    batches: Batches,
    home: torch.device,
    *,
    output: str | int | None = None,
    residual: bool = False,
) -> Network:
    """Trace a model that is on the device ``home``, with two examples of the data.

    ``output`` and ``residual`` are those of :func:`frivolous.network.trace`.
    Raises :class:`BadArgument` where the data does not fit the model, :class:`NotTraceable` where
    the model takes the data and still cannot be read.
    """
    inputs = batches.first(2, home)
    try:
        network = trace(model, inputs, output=output, residual=residual)
        network(inputs)
        return network
    except (NotTraceable, RuntimeError, IndexError) as error:
        refusal = _refusal(model, inputs)
        if not refusal:
            raise
        alone = isinstance(inputs, Tensor) and " missing " in refusal
        several = " Give several inputs as ((first, second), None)." if alone else ""
        raise BadArgument(
            f"`data` does not fit `model` ({type(model).__name__}): its first batch, "
            f"{batches.form}, makes the model raise {refusal}. Give inputs of the shape and "
            f"type that the model takes.{several}"
        ) from error


def rounding_of(
    model: nn.Module,
    network: Network,
    batches: Batches,
    home: torch.device,
    *,
    output: str | int | None = None,
) -> dict[str, Any]:
    """How many labels the low precision of a model changes, and of how many labels.

    Compares ``network``, made of a model of 16-bit numbers, with the same weights in float32, and
    warns where labels differ; empty for a model of more digits.
    """
    few = {str(part.dtype) for part in model.parameters() if part.dtype in FEW_DIGITS}
    if not few:
        return {}
    finer = copy_module(model).float()
    exact = trace(finer, _finer(batches.first(2, home)), output=output).to(network.device)
    changed = total = 0
    for inputs in batches:
        ours = counted(predicted_labels(network(inputs)), inputs)
        theirs = predicted_labels(exact(_finer(inputs)))
        there = ours != UNCOUNTED
        changed += int(((ours != theirs) & there).sum())
        total += int(there.sum())
    dtype = " and ".join(sorted(few)).replace("torch.", "")
    if changed:
        warnings.warn(
            f"`model` computes in {dtype}: rounding alone changes {changed} of {total} labels "
            "against the same weights in float32, so counts of labels are no finer than that. Pass "
            "`model.float()` to measure without rounding.",
            stacklevel=3,
        )
    return {"rounding": {"dtype": dtype, "changed": changed, "labels": total}}


def _finer(inputs: Inputs) -> Inputs:
    return map_batch(inputs, lambda part: part.float() if part.dtype in FEW_DIGITS else part)


def _refusal(model: nn.Module, inputs: Inputs) -> str:
    """The error of a copy of the model on the inputs as they are; empty if it takes them."""
    try:
        own = copy_module(model).eval()
        with torch.no_grad(), uncompiled(), warnings.catch_warnings(action="ignore"):
            call_module(own, inputs)
    except (AttributeError, CannotCopy, NameError, NotImplementedError):
        return ""  # the model itself fails, and the first error says more
    except Exception as error:  # noqa: BLE001 - a module's forward may raise anything
        return one_line(error)
    return ""


def accuracy_of(
    network: Callable[[Inputs], Tensor], batches: Batches, method: curve.Method = "wilson"
) -> dict[str, Any]:
    """Check that every batch gives class scores; return the accuracy if the data has labels.

    ``accuracy`` with its 95% interval by ``method``, ``accuracy_low`` and ``accuracy_high``,
    without labels none of them; ``labels``, how many the model predicts that count, where that is
    not one per example. Raises :class:`BadArgument` for another output and for labels out of range.
    """
    right = seen = total = 0
    for inputs, labels in batches.labelled():
        try:
            scores = network(inputs)
        except torch.OutOfMemoryError:
            raise  # not a fault of these examples
        except (RuntimeError, IndexError) as error:
            raise BadArgument(
                f"`data` does not fit `model`: the batch from example {seen} on makes it raise "
                f"{one_line(error)}. Look for inputs out of the range that the model knows."
            ) from error
        try:
            predicted = predicted_labels(scores)
        except BadArgument as error:
            raise BadArgument(f"`model` gives no class scores: {error}") from None
        seen += len(predicted)
        total += int((counted(predicted, inputs) != UNCOUNTED).sum())
        if labels is not None:
            if labels.shape != predicted.shape:
                raise BadArgument(
                    f"`data` has a label per example and `model` predicts {predicted.shape[1]} per "
                    "example, one at every position. Leave the labels out: they serve the accuracy."
                )
            _check_labels(labels, scores.shape[-1])
            right += int((predicted == labels).sum())
    if not batches.has_labels:
        return {} if total == seen else {"labels": total}
    bounds = curve.proportion(right, seen, method=method)
    return {
        "accuracy": right / seen,
        "accuracy_low": float(bounds[0]),
        "accuracy_high": float(bounds[1]),
    }


def _check_labels(labels: Tensor, classes: int) -> None:
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise BadArgument(
            f"`data` has labels from {low} to {high}; a model of {classes} classes knows 0 to "
            f"{classes - 1}. Re-number the labels or leave them out: they serve the accuracy."
        )
