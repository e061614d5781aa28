"""Random labels are drawn once, uniformly, and never for the test."""

from __future__ import annotations

import pytest
import torch

from frivolous.data import Examples, Splits, digits, with_random_labels


def many(classes: int = 10) -> Splits:
    def part(count: int) -> Examples:
        return Examples(torch.zeros(count, 1), torch.arange(count) % classes)

    return Splits(part(40_000), part(10_000), part(1_000), classes=classes, facts={"made": 1})


def test_training_and_validation_labels_are_uniform_and_independent_of_the_true_ones() -> None:
    true = many()
    random = with_random_labels(true, seed=0)
    for part in ("train", "validation"):
        labels = getattr(random, part).labels
        pairs = getattr(true, part).labels * 10 + labels
        expected = len(labels) / 100
        chi_squared = ((pairs.bincount(minlength=100) - expected) ** 2 / expected).sum()
        assert 50 < chi_squared < 160  # 99 degrees of freedom
        assert getattr(random, part).inputs is getattr(true, part).inputs
    assert random.test is true.test
    assert random.facts["made"] == 1
    assert random.facts["true_by_chance"] == pytest.approx(0.1, abs=0.01)


def test_the_seed_decides() -> None:
    one, same, other = (with_random_labels(digits(), seed) for seed in (0, 0, 1))
    assert torch.equal(one.train.labels, same.train.labels)
    assert torch.equal(one.validation.labels, same.validation.labels)
    assert not torch.equal(one.train.labels, other.train.labels)
    assert not torch.equal(one.train.labels[:297], one.validation.labels)
