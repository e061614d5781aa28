"""Confidence sequences against simulation: they hold however one looks, fixed intervals do not."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from frivolous.errors import BadArgument
from frivolous.measures import curve
from frivolous.measures.confidence_sequence import CrossingSequence, PrunableSequence, sequence

LOOKS = np.unique(np.geomspace(5, 3000, 60).astype(int))
TRIALS = 1000


def ever_wrong(bounds, p):
    """In what share of trials some look excludes the true proportion."""
    outcomes = np.random.default_rng(0).random((TRIALS, LOOKS[-1])) < p
    counts = outcomes.cumsum(axis=1)[:, LOOKS - 1]
    low, high = zip(*(bounds(counts[:, at], n) for at, n in enumerate(LOOKS)), strict=True)
    return np.mean(((np.array(low) > p) | (np.array(high) < p)).any(axis=0))


@pytest.mark.parametrize("p", [0.03, 0.5, 0.8])
def test_a_sequence_covers_at_every_look_and_a_fixed_interval_does_not(p):
    assert ever_wrong(sequence, p) <= 0.05
    assert ever_wrong(curve.wilson, p) > 0.15


def test_a_sequence_holds_the_share_and_narrows():
    n = np.array([10, 100, 1000, 10_000])
    low, high = sequence(0.8 * n, n)
    assert (low < 0.8).all()
    assert (high > 0.8).all()
    assert (np.diff(high - low) < 0).all()
    # Anytime validity costs about twice the width of the exact interval.
    exact_low, exact_high = curve.exact(8000, 10_000)
    assert 1 < (high[-1] - low[-1]) / (exact_high - exact_low) < 2.2


def test_the_ends_of_a_sequence_are_where_the_bets_have_won_twenty():
    low, high = sequence(30, 40)
    # The mixture's likelihood over that of p is the capital against p.
    mixture = stats.betabinom(40, 0.5, 0.5).pmf(30)
    for end in (low, high):
        assert mixture / stats.binom(40, end).pmf(30) == pytest.approx(20, rel=1e-6)


def test_without_examples_nothing_is_known():
    low, high = sequence([0, 0, 5], [0, 5, 5])
    assert low.tolist()[:2] == [0, 0]
    assert high.tolist()[0] == 1
    assert high.tolist()[2] == 1


def test_counts_above_n_are_refused():
    with pytest.raises(BadArgument, match="`successes` are counts from 0 to n; got 6 to 6 for n"):
        sequence(6, 5)


FRACTIONS = (0.0, 0.25, 0.5, 0.75, 1.0)


def simulated(rule: PrunableSequence, shares_DF, rng, rounds: int, size: int = 60) -> bool:
    """Feed examples until ``rounds`` have passed, and say whether the bounds ever miss."""
    crossings = [curve.crossing(rule.fractions, row, rule.tolerance) for row in shares_DF]
    truth = max(crossings) if rule.draw == "best" else np.mean(crossings)
    missed = False
    for _ in range(rounds):
        # An example that is hard for one order is hard for all: labels go together.
        hardness = rng.random((1, 1, size))
        own = rng.random((*shares_DF.shape, size))
        lost = np.where(rng.random(own.shape) < 0.5, hardness, own)
        kept = (lost < shares_DF[:, :, None]).astype(np.int64)
        for number in rule.open:
            order = rule.curves[number]
            order.add({at: kept[number, at] for at in order.needed}, np.ones(size, dtype=np.int64))
        found = rule.interval
        missed |= not found.low <= truth <= found.high
        if rule.done:
            break
    return missed


@pytest.mark.parametrize(
    ("draw", "shares"),
    [
        ("best", [[1, 0.85, 0.45, 0.1], [1, 0.86, 0.4, 0.1]]),
        ("mean", [[1, 0.9, 0.3, 0.1], [1, 0.95, 0.9, 0.1]]),
    ],
)
def test_bounds_of_the_crossing_cover_at_least_93_percent_of_trials(draw, shares):
    rng = np.random.default_rng(1)
    shares_DF = np.array(shares)
    fractions = (0.0, 0.4, 0.7, 1.0)
    missed = 0
    for _ in range(TRIALS):
        rule = PrunableSequence(fractions, len(shares), draw, 0.2, precision=0.08)
        missed += simulated(rule, shares_DF, rng, rounds=4, size=110)
    assert missed / TRIALS <= 0.07


def test_a_curve_is_followed_until_it_is_known_and_only_where_it_crosses():
    rng = np.random.default_rng(2)
    rule = PrunableSequence(FRACTIONS, 1, "best", 0.2, precision=0.02)
    shares_DF = np.array([[1, 0.98, 0.95, 0.3, 0.05]])
    simulated(rule, shares_DF, rng, rounds=500)
    (order,) = rule.curves
    assert rule.done
    assert rule.open == []
    assert order.high - order.low <= 0.04
    # Fractions far from the crossing were left out before the others.
    assert order.examples_F[[1, 4]].max() < order.examples_F[[2, 3]].min()


def test_an_order_that_cannot_be_the_best_is_left_out():
    rng = np.random.default_rng(3)
    rule = PrunableSequence(FRACTIONS, 2, "best", 0.2, precision=0.01)
    simulated(rule, np.array([[1, 0.95, 0.9, 0.5, 0.1], [1, 0.4, 0.2, 0.1, 0.0]]), rng, 500)
    better, worse = rule.curves
    assert better.examples_F.max() > 3 * worse.examples_F.max()
    assert worse.high < better.low


def test_a_curve_that_never_falls_crosses_at_its_end():
    rule = PrunableSequence(FRACTIONS, 1, "best", 0.2, precision=0.01)
    ones = np.ones(500, dtype=np.int64)
    rule.curves[0].add(dict.fromkeys(range(5), ones), ones)
    assert rule.interval == curve.Interval(1.0, 1.0, 1.0)
    assert rule.done


def test_nothing_may_change_leaves_the_lower_bound_open():
    rule = PrunableSequence(FRACTIONS, 1, "best", 0.0, precision=0.01)
    ones = np.ones(500, dtype=np.int64)
    rule.curves[0].add({0: ones, 1: ones, 2: ones, 3: 0 * ones, 4: 0 * ones}, ones)
    found = rule.interval
    # Of 500 examples none has changed: a label that changes once in thousands is not ruled out.
    assert (found.low, found.value) == (0.0, 0.5)
    assert 0.5 <= found.high < 0.51


def test_several_labels_of_an_example_count_as_their_share():
    one = CrossingSequence(FRACTIONS, 0.8, 0.025, 0.025)
    four = CrossingSequence(FRACTIONS, 0.8, 0.025, 0.025)
    rng = np.random.default_rng(4)
    ones = np.ones(400, dtype=np.int64)
    kept = {
        at: (rng.random(400) < share).astype(np.int64)
        for at, share in enumerate((1, 1, 0.9, 0.4, 0))
    }
    one.add(kept, ones)
    # All labels of an example change together: the same evidence as of one label each.
    four.add({at: 4 * labels for at, labels in kept.items()}, 4 * ones, most=4)
    assert (one.low, one.high, one.crossing) == (four.low, four.high, four.crossing)
    # Labels that change by themselves say more: the bounds are narrower.
    apart = CrossingSequence(FRACTIONS, 0.8, 0.025, 0.025)
    apart.add(
        {at: (rng.random((400, 4)) < share).sum(1) for at, share in enumerate((1, 1, 0.9, 0.4, 0))},
        4 * ones,
        most=4,
    )
    assert apart.high - apart.low < 0.7 * (one.high - one.low)


def test_the_order_in_which_examples_come_does_not_matter():
    rng = np.random.default_rng(5)
    kept = {
        at: (rng.random(300) < share).astype(np.int64)
        for at, share in enumerate((1, 0.97, 0.9, 0.4, 0))
    }
    ones = np.ones(300, dtype=np.int64)
    found = []
    for order in (np.arange(300), rng.permutation(300)):
        curve_of = CrossingSequence(FRACTIONS, 0.8, 0.025, 0.025)
        curve_of.add({at: labels[order] for at, labels in kept.items()}, ones)
        found.append((curve_of.low, curve_of.high))
    assert found[0] == found[1]
    assert all(low <= high for low, high in itertools.chain(found))
