"""Random data in the forms in which people have it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from fuzzing.source import TOKEN_NUMBERS, Drawn

Inputs = Any


@dataclass
class Given:
    """Data for a network: ``data`` as it is passed, ``inputs`` all examples as the model takes
    them, ``labels`` (N,) or None, ``form`` in words.
    """

    data: Any
    inputs: Inputs
    labels: Tensor | None
    form: str
    examples: int


def batch_of(net: Drawn, examples: int, seed: int) -> Inputs:
    """Random examples as the model takes them."""
    rng = torch.Generator().manual_seed(seed)
    dtype = torch.float64 if net.float64 else torch.float32
    parts = [
        torch.randint(0, TOKEN_NUMBERS, (examples, *shape), generator=rng)
        if kind == "K"
        else torch.randn(examples, *shape, generator=rng, dtype=torch.float64).to(dtype)
        for kind, shape in net.inputs
    ]
    return as_called(net, parts)


def as_called(net: Drawn, parts: list[Tensor]) -> Inputs:
    """Tensors in the form in which the network takes them."""
    if net.calls == "dict":
        return dict(zip(net.names, parts, strict=True))
    return parts[0] if net.calls == "tensor" else tuple(parts)


def scores_of(net: Drawn, model: nn.Module, inputs: Inputs) -> Tensor:
    """What a module of the network gives for a batch, of its outputs the scores."""
    with torch.no_grad():
        if isinstance(inputs, dict):
            found = model(**inputs)
        else:
            found = model(*(inputs if isinstance(inputs, tuple) else (inputs,)))
    if isinstance(found, Tensor):
        return found
    if net.output is not None:
        return found[net.output]
    return found["logits"] if isinstance(found, dict) else found.logits


def parts_of(inputs: Inputs) -> list[Tensor]:
    """The tensors of a batch."""
    if isinstance(inputs, Tensor):
        return [inputs]
    return list(inputs.values() if isinstance(inputs, dict) else inputs)


def in_double(inputs: Inputs) -> Inputs:
    """The same batch in float64."""
    if isinstance(inputs, dict):
        return {name: in_double(part) for name, part in inputs.items()}
    if isinstance(inputs, tuple):
        return tuple(in_double(part) for part in inputs)
    return inputs.double() if inputs.is_floating_point() else inputs


def some_of(inputs: Inputs, first: int, last: int) -> Inputs:
    """Some examples of a batch."""
    if isinstance(inputs, Tensor):
        return inputs[first:last]
    if isinstance(inputs, dict):
        return {name: part[first:last] for name, part in inputs.items()}
    return tuple(part[first:last] for part in inputs)


def given(net: Drawn) -> Given:
    """The data of a network's seed."""
    rng = random.Random(f"data {net.seed}")
    examples = rng.randint(40, 80)
    inputs = batch_of(net, examples, net.seed + 1)
    truth = torch.randint(
        0, net.classes, (examples,), generator=torch.Generator().manual_seed(net.seed)
    )
    single = "scores per token" not in net.blocks
    labels = truth if rng.random() < 0.5 and single else None
    shape = "" if labels is None else rng.choice(LABELS)
    shown = labels
    if shape == "(N, 1)":
        shown = truth[:, None]
    elif shape == "one-hot":
        shown = torch.nn.functional.one_hot(truth, net.classes)
    size = rng.choice([7, 16, 32])
    form = rng.choice(["whole", "whole", "list", "loader", "shuffled", "dropping"])
    data = _formed(net, inputs, shown, form, size, net.seed)
    words = f"{form}, {'labels ' + (shape or '(N,)') if labels is not None else 'no labels'}"
    return Given(data, inputs, labels, words, examples)


LABELS = ["(N,)", "(N, 1)", "one-hot"]
"""Shapes that labels may have."""


def _formed(
    net: Drawn, inputs: Inputs, labels: Tensor | None, form: str, size: int, seed: int
) -> Any:
    parts = parts_of(inputs)
    if net.calls == "dict":
        whole: Any = dict(inputs) if labels is None else {**inputs, "labels": labels}
    elif len(parts) == 1:
        whole = inputs if labels is None else (inputs, labels)
    else:
        whole = None if labels is None else (inputs, labels)
    if form == "whole" and whole is not None:
        return whole
    columns = {
        **dict(zip(net.names, parts, strict=True)),
        **({} if labels is None else {"labels": labels}),
    }
    if form in {"list", "whole"}:
        cuts = range(0, len(parts[0]), size)
        if net.calls == "dict":
            return [{n: c[i : i + size] for n, c in columns.items()} for i in cuts]
        batches = [tuple(c[i : i + size] for c in columns.values()) for i in cuts]
        if labels is None:
            return [b[0] if len(parts) == 1 else (b, None) for b in batches]
        return batches
    rows: Any = TensorDataset(*columns.values())
    collate = None
    if net.calls == "dict":
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    elif labels is None and len(parts) > 1:

        def collate(items):  # type: ignore[no-untyped-def]
            return tuple(torch.stack(column) for column in zip(*items, strict=True)), None

    options = {
        "loader": {},
        "shuffled": {"shuffle": True},
        "dropping": {"shuffle": True, "drop_last": True},
    }[form]
    generator = torch.Generator().manual_seed(seed)
    return DataLoader(rows, size, collate_fn=collate, generator=generator, **options)
