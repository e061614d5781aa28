"""Every data source answers the same questions: valid splits, from its seed alone."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from frivolous.data import DATASETS, Splits, with_random_labels
from frivolous.inputs.batches import as_batches

making = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "data" / "making.py")))
PARTS = ("train", "validation", "test")
NAMES = ("n0", "n1", "n2")

# Source -> its options besides the seed, given a folder, where small files are laid out first.
OPTIONS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "teacher": lambda folder: {},
    "digits": lambda folder: {},
    "cifar10": lambda folder: {
        "folder": laid_out(folder, making.cifar_parquet),
        "cache": folder / "cache",
        "train": 400,
        "validation": 200,
    },
    "imagenet": lambda folder: {
        "folder": laid_out(folder, lambda place: making.image_tree(place, NAMES, each=60)),
        "size": 12,
        "validation": 0.4,
    },
}
FIXED_TEST = ("cifar10", "imagenet")
"""Sources whose test examples are the official ones, whatever the seed."""

sources = pytest.mark.parametrize("name", DATASETS)


def laid_out(folder: Path, make: Callable[[Path], None]) -> Path:
    place = folder / "data"
    if not place.exists():
        make(place)
    return place


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Splits]:
    """Make a source's splits; files are laid out once for the module."""
    folders = {name: tmp_path_factory.mktemp(name) for name in OPTIONS}
    return lambda name, seed=0: DATASETS[name](**OPTIONS[name](folders[name]), seed=seed)


def test_every_source_is_asked() -> None:
    """A new source needs its line in ``OPTIONS``."""
    assert set(OPTIONS) == set(DATASETS)


@sources
def test_splits_are_valid(name: str, made: Callable[..., Splits]) -> None:
    splits = made(name)
    shape = splits.train.inputs.shape[1:]
    for part in PARTS:
        examples = getattr(splits, part)
        assert len(examples) == len(examples.inputs) == len(examples.labels) > 0
        assert examples.inputs.shape[1:] == shape
        inputs = examples.inputs[:]
        assert inputs.shape == examples.inputs.shape
        assert inputs.dtype == examples.inputs.dtype
        assert inputs.dtype in (torch.float32, torch.uint8)
        assert inputs.dtype == torch.float32 or inputs.ndim == 4
        assert bool(torch.isfinite(inputs).all())
        assert examples.labels.dtype == torch.int64
        assert examples.labels.shape == (len(examples),)
        assert examples.labels.unique().tolist() == list(range(splits.classes))


@sources
def test_splits_share_no_example(name: str, made: Callable[..., Splits]) -> None:
    splits = made(name)
    seen = [set(map(tuple, getattr(splits, part).inputs[:].flatten(1).tolist())) for part in PARTS]
    assert not seen[0] & seen[1]
    assert not seen[0] & seen[2]
    assert not seen[1] & seen[2]


@sources
def test_the_seed_decides_and_nothing_else_does(name: str, made: Callable[..., Splits]) -> None:
    one, same, other = made(name), made(name), made(name, seed=1)
    for part in PARTS:
        inputs = getattr(one, part).inputs[:]
        assert torch.equal(inputs, getattr(same, part).inputs[:])
        assert torch.equal(getattr(one, part).labels, getattr(same, part).labels)
        fixed = name in FIXED_TEST and part == "test"
        assert torch.equal(inputs, getattr(other, part).inputs[:]) is fixed
    assert dict(one.facts) == dict(same.facts)


@sources
def test_the_global_generator_is_left_as_it_was(name: str, made: Callable[..., Splits]) -> None:
    before = torch.random.get_rng_state()
    made(name).train.inputs[:4]
    assert torch.equal(torch.random.get_rng_state(), before)


@sources
def test_no_class_is_rare_in_any_split(name: str, made: Callable[..., Splits]) -> None:
    splits = made(name)
    for part in PARTS:
        labels = getattr(splits, part).labels
        shares = labels.bincount(minlength=splits.classes) / len(labels)
        assert float(shares.min()) > 0.5 / splits.classes


@sources
def test_examples_are_taken_by_index(name: str, made: Callable[..., Splits]) -> None:
    examples = made(name).test
    index = torch.tensor([7, 0, 3])
    taken = examples.take(index, seed=1, epoch=2)
    assert torch.equal(taken, examples.inputs[:][index])
    assert torch.equal(examples.first(8).take(index), taken)


@sources
def test_labels_are_drawn_at_random_on_request(name: str, made: Callable[..., Splits]) -> None:
    true = made(name)
    random = with_random_labels(true, seed=0)
    assert torch.equal(random.train.inputs[:4], true.train.inputs[:4])
    assert random.train.labels.unique().tolist() == list(range(true.classes))
    assert not torch.equal(random.train.labels, true.train.labels)
    assert torch.equal(random.test.labels, true.test.labels)


@sources
def test_measure_reads_a_split_as_it_is(name: str, made: Callable[..., Splits]) -> None:
    test = made(name).test
    batches = as_batches(test, batch_size=100)
    assert batches.examples == len(test)
    assert batches.has_labels


@sources
def test_splits_move_to_a_device(name: str, made: Callable[..., Splits]) -> None:
    moved = made(name).to("cpu")
    assert moved.test.inputs.device == torch.device("cpu")
    assert moved.classes == made(name).classes
