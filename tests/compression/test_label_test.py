"""The bound on changed labels, against SciPy's tests and a simulation of the sequence."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, binomtest
from torch import Tensor, nn, tensor

from frivolous.compression.search.label_test import (
    LEVEL,
    ChangedLabels,
    changed_by,
    clopper_pearson_upper,
    divergence,
    examples_needed,
    most_changed,
    reference_of,
)
from frivolous.inputs.batches import as_batches
from frivolous.network import trace


@pytest.mark.parametrize(("count", "examples"), [(0, 1), (0, 149), (3, 40), (12, 1000), (99, 100)])
def test_the_bound_is_that_of_an_exact_test(count: int, examples: int) -> None:
    interval = binomtest(count, examples, alternative="less").proportion_ci(1 - LEVEL, "exact")
    assert clopper_pearson_upper(count, examples) == pytest.approx(interval.high, rel=1e-9)
    # By its definition: with that share so few are seen in 5% of cases.
    assert binom.cdf(count, examples, clopper_pearson_upper(count, examples)) == pytest.approx(
        LEVEL, rel=1e-6
    )
    found = ChangedLabels(count, examples)
    assert (found.high, found.share) == (clopper_pearson_upper(count, examples), count / examples)


def test_where_all_labels_changed_nothing_is_bounded() -> None:
    assert clopper_pearson_upper(10, 10) == 1.0
    assert clopper_pearson_upper(2.5, 40) == pytest.approx(
        (clopper_pearson_upper(2, 40) + clopper_pearson_upper(3, 40)) / 2, rel=0.01
    )


@pytest.mark.parametrize("tolerance", [0.001, 0.01, 0.02, 0.05, 0.3])
def test_how_many_may_change_and_how_many_examples_that_takes(tolerance: float) -> None:
    for examples in (10, 149, 150, 1000):
        counts = [k for k in range(examples + 1) if clopper_pearson_upper(k, examples) <= tolerance]
        assert most_changed(tolerance, examples) == max(counts, default=-1)
    needed = examples_needed(tolerance)
    assert clopper_pearson_upper(0, needed) <= tolerance < clopper_pearson_upper(0, needed - 1)
    # None of n changes at a share p with a chance of (1 - p)^n.
    assert needed == int(np.ceil(np.log(LEVEL) / np.log1p(-tolerance)))


@pytest.mark.parametrize("shares", [(0.0, 0.001, 0.005, 0.0101, 0.012, 0.03), (0.0101,) * 20])
def test_more_than_the_tolerance_passes_in_one_of_twenty_cases_at_most(
    shares: tuple[float, ...],
) -> None:
    """Whatever is true of the later networks, and though the same examples are asked each time."""
    tolerance, examples, turns = 0.01, 600, 4000
    random = np.random.default_rng(0)
    most = most_changed(tolerance, examples)
    wrong = 0
    for _ in range(turns):
        drawn = random.random(examples)
        passed = 0
        for share in shares:
            if (drawn < share).sum() > most:
                break
            passed += 1
        wrong += any(share > tolerance for share in shares[:passed])
    # 5% and three standard errors of the simulation.
    assert wrong / turns <= LEVEL + 3 * (LEVEL * (1 - LEVEL) / turns) ** 0.5


def linear(weight: list[list[float]]) -> nn.Module:
    layer = nn.Linear(2, 2, bias=False)
    layer.weight.data = tensor(weight)
    return nn.Sequential(layer)


def test_labels_counted_and_the_divergence_by_hand() -> None:
    x = tensor([[2.0, 1.0], [1.0, 2.0], [3.0, 0.0], [1.0, 1.5], [0.0, 4.0]])
    one, other = ([[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 0.6]])
    whole, thin = (trace(linear(weight), x[:2]) for weight in (one, other))
    intact = reference_of(whole, as_batches(x, batch_size=2))
    assert changed_by(whole, intact) == ChangedLabels(0, 5)
    # Scores (1, 1.2), (1, 0.9): the second keeps its label, the fourth does not.
    assert changed_by(thin, intact) == ChangedLabels(1, 5)
    p, q = ((x @ tensor(weight).T).double().softmax(-1) for weight in (one, other))
    wanted: Tensor = (p * (p / q).log()).sum(-1)
    assert divergence(thin, intact) == pytest.approx(float(wanted.mean()), rel=1e-6)
    assert divergence(whole, intact) == pytest.approx(0, abs=1e-12)
    assert divergence(thin, intact, most=2) == pytest.approx(float(wanted[:2].mean()), rel=1e-6)


def test_a_sequence_counts_by_its_share_of_positions() -> None:
    x = tensor([[[2.0, 1.0], [1.0, 1.5]], [[3.0, 0.0], [1.0, 1.5]], [[3.0, 0.0], [1.0, 0.0]]])
    one, other = ([[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 0.6]])
    whole, thin = (trace(linear(weight), x[:2]) for weight in (one, other))
    intact = reference_of(whole, as_batches(x, batch_size=2))
    assert changed_by(thin, intact) == ChangedLabels(1.0, 3)
