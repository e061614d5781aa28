"""Every form of data is read as the same examples; every other form is refused in one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from frivolous.data import Examples
from frivolous.errors import BadArgument
from frivolous.inputs.batches import as_batches

X = torch.arange(30.0).reshape(10, 3)
Z = -X
Y = torch.arange(10) % 4


class Words(Dataset[Any]):
    """A map-style dataset of dictionaries, as models of keywords take them."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, at: int) -> dict[str, Tensor]:
        return {"x": X[at], "mask": Z[at], "labels": Y[at]}


class Stream(IterableDataset[Any]):
    """An iterable dataset that gives batches."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return zip(X.split(4), Y.split(4), strict=True)


def whole(data: Any, batch_size: int = 4) -> tuple[Any, Tensor | None, list[int]]:
    """All inputs and labels, and the sizes of the batches, read after a first reading."""
    batches = as_batches(data, batch_size=batch_size)
    assert batches.examples == sum(_length(inputs) for inputs in batches)
    inputs, labels = zip(*batches.labelled(), strict=True)
    sizes = [_length(part) for part in inputs]
    assert batches.has_labels == (labels[0] is not None)
    joined = None if labels[0] is None else torch.cat(labels)
    if isinstance(inputs[0], Tensor):
        return torch.cat(inputs), joined, sizes
    if isinstance(inputs[0], dict):
        return {k: torch.cat([part[k] for part in inputs]) for k in inputs[0]}, joined, sizes
    return tuple(torch.cat(parts) for parts in zip(*inputs, strict=True)), joined, sizes


def _length(inputs: Any) -> int:
    parts = (
        [inputs]
        if isinstance(inputs, Tensor)
        else list(getattr(inputs, "values", inputs.__iter__)())
    )
    return len(parts[0])


FORMS: dict[str, tuple[Any, Any, bool, list[int]]] = {
    # form: data, inputs, labels or not, sizes of the batches
    "tensor": (X, X, False, [4, 4, 2]),
    "pair": ((X, Y), X, True, [4, 4, 2]),
    "pair in a list": ([X, Y], X, True, [4, 4, 2]),
    "pair, labels as bytes": ((X, Y.to(torch.uint8)), X, True, [4, 4, 2]),
    "dictionary": ({"x": X, "mask": Z}, {"x": X, "mask": Z}, False, [4, 4, 2]),
    "dictionary with labels": ({"x": X, "labels": Y}, {"x": X}, True, [4, 4, 2]),
    "pair of dictionary and labels": (({"x": X}, Y), {"x": X}, True, [4, 4, 2]),
    "pair of tuple and labels": (((X, Z), Y), (X, Z), True, [4, 4, 2]),
    "pair, labels in a column": ((X, Y[:, None]), X, True, [4, 4, 2]),
    "pair in a list, labels in a column": ([X, Y[:, None]], X, True, [4, 4, 2]),
    "inputs alone": ((X, None), X, False, [4, 4, 2]),
    "inputs alone in a list": ([X, None], X, False, [4, 4, 2]),
    "two inputs alone": (((X, Z), None), (X, Z), False, [4, 4, 2]),
    "two inputs alone in lists": ([[X, Z], None], (X, Z), False, [4, 4, 2]),
    "two inputs and None": ((X, Z, None), (X, Z), False, [4, 4, 2]),
    "dictionary alone": (({"x": X}, None), {"x": X}, False, [4, 4, 2]),
    "dictionary with None for labels": ({"x": X, "labels": None}, {"x": X}, False, [4, 4, 2]),
    "three in a row, at once": ((X, Z, Y), (X, Z), True, [4, 4, 2]),
    "three in a list, labels in a column": ([X, Z, Y[:, None]], (X, Z), True, [4, 4, 2]),
    "two batches, one in a tuple": ([(X[:5],), X[5:]], X, False, [5, 5]),
    "dataset": (TensorDataset(X, Y), X, True, [4, 4, 2]),
    "dataset without labels": (TensorDataset(X), X, False, [4, 4, 2]),
    "dataset of two inputs": (TensorDataset(X, Z, Y), (X, Z), True, [4, 4, 2]),
    "dataset of dictionaries": (Words(), {"x": X, "mask": Z}, True, [4, 4, 2]),
    "loader": (DataLoader(TensorDataset(X, Y), batch_size=5), X, True, [5, 5]),
    "iterable dataset": (Stream(), X, True, [4, 4, 2]),
    "list of tensors": (list(X.split(6)), X, False, [6, 4]),
    "tuple of tensors": (X.split(5), X, False, [5, 5]),
    "list of one tensor": ([X], X, False, [10]),
    "list of pairs": ([(X[:7], Y[:7]), (X[7:], Y[7:])], X, True, [7, 3]),
    "list of lists": ([[X[:7], Y[:7]], [X[7:], Y[7:]]], X, True, [7, 3]),
    "list of one pair": ([(X, Y)], X, True, [10]),
    "list of (inputs, None)": ([(X, None)], X, False, [10]),
    "two inputs without labels": ([((X, Z), None)], (X, Z), False, [10]),
    "three in a row": ([(X, Z, Y)], (X, Z), True, [10]),
    "inputs in a tuple of one": ([(X,)], X, False, [10]),
    "dictionaries": ([{"x": X[:4]}, {"x": X[4:]}], {"x": X}, False, [4, 6]),
    "dictionaries and labels": ([({"x": X}, Y)], {"x": X}, True, [10]),
    "generator": ((part for part in X.split(4)), X, False, [4, 4, 2]),
    "zip": (zip(X.split(4), Y.split(4), strict=True), X, True, [4, 4, 2]),
    "batches without an example": ([X[:0], X, X[:0]], X, False, [10]),
    "examples of a data source": (Examples(X, Y), X, True, [10]),
}


@pytest.mark.parametrize("form", FORMS)
def test_form(form: str) -> None:
    data, inputs, has_labels, sizes = FORMS[form]
    got, labels, got_sizes = whole(data)
    assert got_sizes == sizes
    torch.testing.assert_close(got, inputs, rtol=0, atol=0)
    assert (labels is not None) == has_labels
    if labels is not None:
        assert torch.equal(labels.long(), Y)


def test_first_examples_and_their_form() -> None:
    batches = as_batches([{"x": X, "a": Y, "labels": Y}])
    assert torch.equal(batches.first(2)["x"], X[:2])
    assert len(batches.first()["x"]) == 10
    assert batches.form == "'a' torch.int64 of shape (N), 'x' torch.float32 of shape (N, 3)"


def test_batches_are_on_the_device() -> None:
    batches = as_batches((X, Y), device="cpu")
    assert batches.device == torch.device("cpu")
    inputs, labels = next(iter(batches.labelled()))
    assert inputs.device == labels.device == batches.device


EMPTY = "`data` holds no example; give at least one batch with one example."
FORM = "`data` is a tensor, a pair (inputs, labels), a Dataset or an iterable of batches; got "
BATCH = (
    "`data` must give batches that are inputs or (inputs, labels), inputs being a tensor, a tuple "
    "of tensors or a dictionary of tensors; got "
)
LABEL = (
    "`data` has labels that are no tensor of whole numbers, one class per example, shape (N,), "
    "(N, 1) or one-hot (N, C); got "
)
MULTI = "`data` has multilabel targets, torch.{0} of shape ({1}, 4): 0 or 1 for each class, not "
AXIS = (
    "`data` must have the examples along the first axis of every tensor, as many in each; got the "
)
FORMS_DIFFER = (
    "`data` has batches of different forms, torch.float32 of shape (N, 3) and then torch.float32 "
    "of shape (N, 2); all must agree but for the number of examples N. Pad, crop or convert them. "
    "Pass several inputs of a model as ((first, second), None)."
)


TAGS = torch.eye(10, 4, dtype=torch.int64) + torch.eye(10, 4, dtype=torch.int64).roll(1, 1)
"""Multilabel targets: two ones in some rows and none in others."""


class Indexed:
    """Examples by their place, not said to be a Dataset."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, at: int) -> tuple[Tensor, Tensor]:
        return X[at], Y[at]


def batches() -> Iterator[tuple[Tensor, Tensor]]:
    """A generator function."""
    yield X, Y


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (X[:0], EMPTY),
        ((X[:0], Y[:0]), EMPTY),
        ([], EMPTY),
        ([X[:0]], EMPTY),
        (iter([]), EMPTY),
        (TensorDataset(X[:0], Y[:0]), EMPTY),
        (None, FORM + "NoneType. Pass one of these."),
        (3, FORM + "int. Pass one of these."),
        ("digits", FORM + "str. Pass one of these."),
        (Indexed(), FORM + "Indexed. Pass DataLoader(data, batch_size=64)."),
        (batches, FORM + "function. Call it, and pass what it returns."),
        ({}, BATCH + "nothing."),
        ({"x": "words"}, BATCH + "a str."),
        (X.numpy(), BATCH + "a ndarray. Convert what is no tensor, e.g. with torch.as_tensor, or "
         "leave it out."),
        ([X, "words"], BATCH + "a str."),
        ([[]], BATCH + "nothing."),
        ([None, None], BATCH + "a NoneType."),
        ((X, Y.numpy()), BATCH + "a ndarray."),
        (torch.tensor(1.0), AXIS + "shape (). For one example add an axis: x[None]."),
        ([(X, Z[:4], Y)], AXIS + "shapes (10, 3), (4, 3). Give as many in each."),
        ({"x": X, "mask": Z[:9]}, AXIS + "shapes (10, 3), (9, 3). Give as many in each."),
        ((X, Y[:9]), "`data` has 10 inputs with 9 labels; give one label for each input."),
        ((X, Y[:9, None]), "`data` has 10 inputs with 9 labels;"),
        ([(X, Y), (X, Y[:9])], "`data` has 10 inputs with 9 labels;"),
        ({"x": X, "labels": Y[:9]}, "`data` has 10 inputs with 9 labels;"),
        ((X, Y.double()), LABEL + "torch.float64 of shape (10,). Pass labels.long(), or no labels "
         "as (inputs, None), for two inputs ((first, second), None)."),
        ((X, Y[:, None].float()), LABEL + "torch.float32 of shape (10, 1). Pass labels.long(), or"),
        ((X, Y / 3), LABEL + "torch.float32 of shape (10,). Pass class numbers, or"),
        ((X, torch.full((10,), torch.nan)), LABEL + "torch.float32 of shape (10,). Pass class num"),
        ((X, Y + 1j), LABEL + "torch.complex64 of shape (10,). Pass class numbers, or"),
        ((X, torch.zeros(10, 0)), LABEL + "torch.float32 of shape (10, 0). Pass class numbers"),
        ([(X, Y.tolist())], LABEL + "list. Pass torch.as_tensor(labels), or"),
        ([(X, np.arange(10))], LABEL + "ndarray. Pass torch.as_tensor(labels), or"),
        ([(X, ["cat"] * 10)], LABEL + "list. Pass class numbers, or"),
        ([(X[0], 2)], LABEL + "int. For single examples pass DataLoader(list(data), batch_size"),
        ([(X[0], Y[0])], LABEL + "torch.int64 of shape (). For single examples pass DataLoader("),
        ([(X, Z)], LABEL + "torch.float32 of shape (10, 3). Pass class numbers, or no labels as "
         "(inputs, None), for two inputs ((first, second), None)."),
        ([(X, Z, Z)], LABEL + "torch.float32 of shape (10, 3). Pass class numbers, or no labels as "
         "((first, second), None)."),
        ({"x": X, "labels": X}, LABEL + "torch.float32 of shape (10, 3). Pass class numbers, or no "
         "labels as the dictionary without `labels`."),
        ((X, TAGS), MULTI.format("int64", 10)),
        (((X, Z), TAGS.float()), MULTI.format("float32", 10)),
        ([(X, TAGS.bool())], MULTI.format("bool", 10)),
        (DataLoader(TensorDataset(X, TAGS), 5), MULTI.format("int64", 8)),
        ([(X, Y), X], "`data` has labels for some batches only; they serve the accuracy. Give"),
        ([X, X[:, :2]], LABEL + "torch.float32 of shape (10, 2)."),
        ([X, X, X[:, :2]], FORMS_DIFFER),
        ([X, X.double(), X], "`data` has batches of different forms, torch.float32 of shape (N, "),
        ([{"x": X}, {"y": X}], "`data` has batches of different forms, 'x' torch.float32 of"),
    ],
)  # fmt: skip
def test_refusal(data: Any, words: str) -> None:
    with pytest.raises(BadArgument, match="^" + re.escape(words)) as caught:
        as_batches(data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [0, -1, 2.5, True, None])
def test_batch_size(size: Any) -> None:
    words = f"`batch_size` is a whole number of at least 1; got {size!r}. Pass e.g. 256."
    with pytest.raises(BadArgument, match="^" + re.escape(words)):
        as_batches(X, batch_size=size)


@pytest.mark.parametrize("device", ["gpu", "cuda:63"])
def test_device(device: str) -> None:
    with pytest.raises(BadArgument, match=f"^`device` {device} is not available .* it has cpu"):
        as_batches(X, device=device)


class Mapped(Dataset[Any]):
    """A dataset that notes which examples are read."""

    def __init__(self) -> None:
        self.read: list[int] = []

    def __len__(self) -> int:
        return 10

    def __getitem__(self, at: int) -> tuple[Tensor, Tensor]:
        self.read.append(at)
        return X[at], Y[at]


PICKED: dict[str, Any] = {
    "tensor": X,
    "pair": (X, Y),
    "keywords": {"x": X, "mask": Z},
    "dataset": TensorDataset(X, Y),
    "loader": DataLoader(TensorDataset(X, Y), batch_size=3),
    "shuffled": DataLoader(TensorDataset(X, Y), batch_size=3, shuffle=True),
    "sampled": DataLoader(TensorDataset(X, Y), batch_size=3, sampler=list(range(10))),
    "batches": list(zip(X.split(4), Y.split(4), strict=True)),
    "of several": [(X[:4], Z[:4], None), (X[4:], Z[4:], None)],
    "keyword batches": [{"x": X[:6], "mask": Z[:6]}, {"x": X[6:], "mask": Z[6:]}],
    "stream": Stream(),
}


@pytest.mark.parametrize("form", PICKED)
@pytest.mark.parametrize("places", [[7, 0, 9, 3, 4], [5], list(range(10)), []])
def test_examples_at_any_places_are_those_examples(form: str, places: list[int]) -> None:
    batches = as_batches(PICKED[form], batch_size=3).at(torch.tensor(places, dtype=torch.int64))
    assert batches.examples == len(places)
    found: list[list[float]] = []
    for inputs, labels in batches.labelled():
        rows = inputs["x"] if isinstance(inputs, dict) else inputs
        rows = rows[0] if isinstance(rows, tuple) else rows
        found += rows.tolist()
        if isinstance(inputs, dict):
            assert torch.equal(inputs["mask"], -rows)
        if labels is not None:
            assert torch.equal(labels, (rows[:, 0] / 3).long() % 4)
    assert sorted(found) == sorted(X[places].tolist())


def test_only_the_examples_wanted_are_read_where_the_data_allows_it() -> None:
    data = Mapped()
    batches = as_batches(data, batch_size=4)
    data.read.clear()
    list(batches.at(torch.tensor([8, 2])))
    assert data.read == [8, 2]


ADVICE: dict[str, tuple[Any, Any]] = {
    # what was passed: it, and what the message says, followed to the letter
    "DataLoader(data, batch_size=64)": (Indexed(), DataLoader(Indexed(), batch_size=64)),
    "Call it": (batches, batches()),
    "torch.as_tensor, or leave it out": (X.numpy(), torch.as_tensor(X.numpy())),
    "e.g. with torch.as_tensor": ((X, Y.numpy()), (X, torch.as_tensor(Y.numpy()))),
    "or leave it out": ({"x": X, "note": "a"}, {"x": X}),
    "x[None]": (torch.tensor(1.0), torch.tensor(1.0)[None]),
    "Give as many in each": ({"x": X, "z": Z[:9]}, {"x": X[:9], "z": Z[:9]}),
    "give one label for each input": ((X, Y[:9]), (X[:9], Y[:9])),
    "labels.long()": ((X, Y.double()), (X, Y.double().long())),
    "labels.long(), or": ((X, Y[:, None].float()), (X, Y[:, None].float().long())),
    "torch.as_tensor(labels)": ([(X, Y.tolist())], [(X, torch.as_tensor(Y.tolist()))]),
    "DataLoader(list(data), batch_size=64)": (
        [(x, int(y)) for x, y in zip(X, Y, strict=True)],
        DataLoader([(x, int(y)) for x, y in zip(X, Y, strict=True)], batch_size=64),  # type: ignore[arg-type]
    ),
    "(inputs, None)": ((X, torch.rand(10, 2)), (X, None)),
    "(inputs, None), for": ([(X, torch.rand(10, 2))], [(X, None)]),
    "for two inputs ((first, second), None)": ((X, Z[:, :2]), ((X, Z[:, :2]), None)),
    "((first, second), None).": ([(X, Z[:, :2])], [((X, Z[:, :2]), None)]),
    "labels as ((first, second), None)": ([(X, Z, Z)], [((X, Z), None)]),
    "the dictionary without `labels`": ({"x": X, "labels": X}, {"x": X}),
    "Leave them out: (inputs, None)": ((X, TAGS), (X, None)),
    "Leave them out: the dictionary without `labels`": ({"x": X, "labels": TAGS}, {"x": X}),
    "several inputs of a model as": ([X, Z, Z[:, :2]], ((X, Z, Z[:, :2]), None)),
    "Pad, crop or convert them": ([X, Z, Z[:, :2]], [X[:, :2], Z[:, :2], Z[:, :2]]),
    "Give labels with every batch": ([(X, Y), X], [(X, Y), (X, Y)]),
    "or with none": ([(X, Y), X], [X, X]),
}


@pytest.mark.parametrize("advice", ADVICE)
def test_what_a_message_advises_is_taken(advice: str) -> None:
    wrong, right = ADVICE[advice]
    with pytest.raises(BadArgument, match=re.escape(advice)):
        as_batches(wrong)
    assert as_batches(right).examples > 0


def test_places_of_places_are_the_examples_there() -> None:
    batches = as_batches(X, batch_size=4).at(torch.tensor([9, 4, 1, 6])).at(torch.tensor([3, 0]))
    assert torch.cat(list(batches)).tolist() == X[[6, 9]].tolist()


def test_reading_a_dataset_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    batches = as_batches(TensorDataset(X, Y), batch_size=4)
    list(batches)
    list(batches.at(torch.tensor([3, 1])))
    assert torch.equal(torch.get_rng_state(), before)
