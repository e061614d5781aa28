"""Every data source answers the same questions: valid splits, from its seed alone."""

from __future__ import annotations

import pytest
import torch

from frivolous.batches import as_batches
from frivolous.data import DATASETS, Splits

PARTS = ("train", "validation", "test")
sources = pytest.mark.parametrize("name", DATASETS)


def made(name: str, seed: int = 0) -> Splits:
    return DATASETS[name](seed=seed)


@sources
def test_splits_are_valid(name: str) -> None:
    splits = made(name)
    shape = splits.train.inputs.shape[1:]
    for part in PARTS:
        examples = getattr(splits, part)
        assert len(examples) == len(examples.inputs) == len(examples.labels) > 0
        assert examples.inputs.shape[1:] == shape
        assert examples.inputs.dtype == torch.float32
        assert bool(torch.isfinite(examples.inputs).all())
        assert examples.labels.dtype == torch.int64
        assert examples.labels.shape == (len(examples),)
        assert examples.labels.unique().tolist() == list(range(splits.classes))


@sources
def test_splits_share_no_example(name: str) -> None:
    splits = made(name)
    seen = [set(map(tuple, getattr(splits, part).inputs.flatten(1).tolist())) for part in PARTS]
    assert not seen[0] & seen[1]
    assert not seen[0] & seen[2]
    assert not seen[1] & seen[2]


@sources
def test_the_seed_decides_and_nothing_else_does(name: str) -> None:
    one, same, other = made(name), made(name), made(name, seed=1)
    for part in PARTS:
        assert torch.equal(getattr(one, part).inputs, getattr(same, part).inputs)
        assert torch.equal(getattr(one, part).labels, getattr(same, part).labels)
        assert not torch.equal(getattr(one, part).inputs, getattr(other, part).inputs)
    assert dict(one.facts) == dict(same.facts)


@sources
def test_the_global_generator_is_left_as_it_was(name: str) -> None:
    before = torch.random.get_rng_state()
    made(name)
    assert torch.equal(torch.random.get_rng_state(), before)


@sources
def test_no_class_is_rare_in_any_split(name: str) -> None:
    splits = made(name)
    for part in PARTS:
        labels = getattr(splits, part).labels
        shares = labels.bincount(minlength=splits.classes) / len(labels)
        assert float(shares.min()) > 0.5 / splits.classes


@sources
def test_measure_reads_a_split_as_it_is(name: str) -> None:
    test = made(name).test
    batches = as_batches(test, batch_size=100)
    assert batches.examples == len(test)
    assert batches.has_labels


@sources
def test_splits_move_to_a_device(name: str) -> None:
    moved = made(name).to("cpu")
    assert moved.test.inputs.device == torch.device("cpu")
    assert moved.classes == made(name).classes
