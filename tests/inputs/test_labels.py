"""Labels that come with the data: class numbers in a column or one-hot, in every form of data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import frivolous as fv
from frivolous.errors import BadArgument
from frivolous.inputs.batches import as_batches

RANDOM = torch.Generator().manual_seed(0)
X = torch.randn(60, 4, generator=RANDOM)
Z = torch.randn(60, 2, generator=RANDOM)
Y = torch.randint(3, (60,), generator=RANDOM)
HOT = nn.functional.one_hot(Y, 3)

LABELS: dict[str, Tensor] = {
    "numbers": Y,
    "bytes": Y.to(torch.uint8),
    "column": Y[:, None],
    "column of int32": Y[:, None].int(),
    "one-hot": HOT,
    "one-hot float": HOT.float(),
    "one-hot half": HOT.half(),
    "one-hot bool": HOT.bool(),
    "one-hot of more classes": nn.functional.one_hot(Y, 7),
}
FORMS: dict[str, Callable[[Tensor], Any]] = {
    "pair": lambda y: (X, y),
    "list": lambda y: [X, y],
    "two inputs": lambda y: ((X, Z), y),
    "three at once": lambda y: (X, Z, y),
    "dictionary": lambda y: {"x": X, "labels": y},
    "dictionary and labels": lambda y: ({"x": X}, y),
    "dictionaries": lambda y: [{"x": X[:9], "labels": y[:9]}, {"x": X[9:], "labels": y[9:]}],
    "batches": lambda y: list(zip(X.split(7), y.split(7), strict=True)),
    "batches of two inputs": lambda y: list(zip(X.split(7), Z.split(7), y.split(7), strict=True)),
    "generator": lambda y: zip(X.split(7), y.split(7), strict=True),
    "data set": lambda y: TensorDataset(X, y),
    "loader": lambda y: DataLoader(TensorDataset(X, y), 7, shuffle=True),
}


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_labels_is_the_same_class_numbers(form: str, labels: str) -> None:
    batches = as_batches(FORMS[form](LABELS[labels]))
    for read in (batches, batches.at(torch.arange(60))):
        found = [y for _, y in read.labelled() if y is not None]
        assert torch.equal(torch.cat(found).long(), Y)
    first = batches.first()
    assert not isinstance(first, dict) or list(first) == ["x"]


def test_accuracy_is_counted_alike_in_every_form() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 7))
    right = int((model(X).argmax(1) == Y).sum()) / 60
    for labels in LABELS.values():
        found = fv.measure(model, (X, labels), unit_examples=None, joint_tolerance=None)
        assert found.facts["accuracy"] == right


def test_two_batches_of_one_form_stay_two_batches() -> None:
    for two in ((X, -X), (HOT.float(), HOT.float()), (Y[:, None], Y[:, None]), X.split(30)):
        batches = as_batches(two)
        assert not batches.has_labels
        assert torch.equal(torch.cat(list(batches)), torch.cat(list(two)))


def test_one_hot_rows_beside_inputs_of_as_many_features_are_labels() -> None:
    inputs = X[:, :3]
    batches = as_batches((inputs, HOT.float()))
    assert (batches.examples, batches.has_labels) == (60, True)
    assert torch.equal(batches.first(), inputs)


@pytest.mark.parametrize(
    "rows", [[[1, 1, 0]], [[0, 0, 0]], [[1, 0, 0], [1, 0, 1]], [[0, 1, 0], [0, 0, 0]]]
)
@pytest.mark.parametrize("dtype", [torch.int64, torch.float32, torch.bool])
def test_multilabel_targets_are_said_to_be_so(rows: list[list[int]], dtype: torch.dtype) -> None:
    tags = torch.tensor(rows, dtype=dtype)
    x = torch.zeros(len(rows), 4)
    words = (
        rf"^`data` has multilabel targets, {dtype} of shape \({len(rows)}, 3\): 0 or 1 for each "
        "class, not a single 1 for each example; a label here is one class per example, that of "
        r"the best score\. Leave them out: "
    )
    for data in ((x, tags), [(x, tags)], TensorDataset(x, tags), {"x": x, "labels": tags}):
        with pytest.raises(BadArgument, match=words) as caught:
            as_batches(data)
        assert "\n" not in str(caught.value)


class Two(nn.Module):
    """A model of two inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.out = nn.Linear(4, 8), nn.Linear(2, 8), nn.Linear(8, 3)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return self.out((self.a(first) + self.b(second)).relu())


def test_inputs_without_labels_are_measured_and_compressed_as_the_message_says() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        one, two = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), Two()
    alone = fv.measure(one, X)
    assert fv.measure(one, (X, None)).table.equals(alone.table)
    batches = [((X[:30], Z[:30]), None), ((X[30:], Z[30:]), None)]
    whole = fv.measure(two, ((X, Z), None), batch_size=30)
    assert fv.measure(two, batches).table.equals(whole.table)
    assert fv.compress(two, ((X, Z), None), units=0.5).report.facts["held_out"] == 30


def test_two_inputs_that_look_like_batches_are_answered_with_their_form() -> None:
    model = Two()
    model.b = nn.Linear(4, 8)
    words = r"missing 1 required .*'second'.* Give several inputs as \(\(first, second\), None\)\.$"
    with pytest.raises(BadArgument, match=words):
        fv.measure(model, (X, -X))
    assert fv.measure(model, ((X, -X), None)).facts["examples"] == 60
