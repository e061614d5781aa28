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

from frivolous.batches import as_batches
from frivolous.data import Examples
from frivolous.errors import BadArgument

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


class Shrinking:
    """Fewer batches at every reading."""

    def __init__(self, readings: int) -> None:
        self.readings = readings

    def __iter__(self) -> Iterator[Tensor]:
        self.readings -= 1
        return iter([X] * self.readings)


def test_data_that_changes_between_readings() -> None:
    words = "`data` gave 20 examples when first read and 10 later; .* Pass a list of its batches."
    with pytest.raises(BadArgument, match=words):
        list(as_batches(Shrinking(3)))
    with pytest.raises(BadArgument, match="`data` gave 10 examples when first read and 0 later"):
        as_batches(Shrinking(2)).first()


EMPTY = "`data` holds no example; give at least one batch with one example."
FORM = "`data` is a tensor, a pair (inputs, labels), a Dataset or an iterable of batches; got "
BATCH = (
    "`data` must give batches that are inputs or (inputs, labels), inputs being a tensor, a tuple "
    "of tensors or a dictionary of tensors; got "
)
LABEL = (
    "`data` has labels that are no tensor of whole numbers, one class per example, shape (N,); got "
)
AXIS = (
    "`data` must have the examples along the first axis of every tensor, as many in each; got the "
)
FORMS_DIFFER = (
    "`data` has batches of different forms, torch.float32 of shape (N, 3) and then torch.float32 "
    "of shape (N, 2); all must agree but for the number of examples N. Pad, crop or convert them."
)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (X[:0], EMPTY),
        ((X[:0], Y[:0]), EMPTY),
        ([], EMPTY),
        ([X[:0]], EMPTY),
        (iter([]), EMPTY),
        (TensorDataset(X[:0], Y[:0]), EMPTY),
        (None, FORM + "NoneType. Wrap single inputs in a batch."),
        (3, FORM + "int."),
        ("digits", FORM + "str."),
        ({}, BATCH + "nothing."),
        ({"x": "words"}, BATCH + "a str."),
        (X.numpy(), BATCH + "a ndarray. Map your batches to that form, e.g. with torch.as_tensor."),
        ([X, "words"], BATCH + "a str."),
        ([[]], BATCH + "nothing."),
        ((X, Y.numpy()), BATCH + "a ndarray."),
        (torch.tensor(1.0), AXIS + "shape (). For one example add an axis: x[None]."),
        ([(X, Z[:4], Y)], AXIS + "shapes (10, 3), (4, 3)."),
        ({"x": X, "mask": Z[:9]}, AXIS + "shapes (10, 3), (9, 3)."),
        ((X, Y[:9]), "`data` has 10 inputs with 9 labels; give one label for each input."),
        ([(X, Y), (X, Y[:9])], "`data` has 10 inputs with 9 labels;"),
        ({"x": X, "labels": Y[:9]}, "`data` has 10 inputs with 9 labels;"),
        ((X, Y.double()), LABEL + "torch.float64 of shape (10,). Pass class numbers, or"),
        ((X, Y[:, None]), LABEL + "torch.int64 of shape (10, 1)."),
        ((X, torch.eye(10)), LABEL + "torch.float32 of shape (10, 10)."),
        ([(X, Y.tolist())], LABEL + "list."),
        ([(X, np.arange(10))], LABEL + "ndarray."),
        ([(X, Z)], LABEL + "torch.float32 of shape (10, 3). Pass class numbers, or no labels as "
         "(inputs, None), for two inputs ((first, second), None)."),
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


def test_a_stream_is_read_to_the_last_example_wanted_and_in_whole_batches() -> None:
    read: list[int] = []

    class Noting:
        def __iter__(self) -> Iterator[Tensor]:
            for number, batch in enumerate(X.split(2)):
                read.append(number)
                yield batch

    batches = as_batches(Noting())
    read.clear()
    sizes = [len(inputs) for inputs in batches.at(torch.tensor([0, 2, 4, 5]))]
    assert read == [0, 1, 2]
    assert sizes == [2, 2]  # gathered into batches as large as those that came


def test_places_of_places_are_the_examples_there() -> None:
    batches = as_batches(X, batch_size=4).at(torch.tensor([9, 4, 1, 6])).at(torch.tensor([3, 0]))
    assert torch.cat(list(batches)).tolist() == X[[6, 9]].tolist()


def test_reading_a_dataset_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    batches = as_batches(TensorDataset(X, Y), batch_size=4)
    list(batches)
    list(batches.at(torch.tensor([3, 1])))
    assert torch.equal(torch.get_rng_state(), before)
