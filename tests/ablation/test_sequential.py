"""Measuring to a precision: against all examples, in any form of data, stopped on the way."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import frivolous as fv
from frivolous.ablation.curves import FRACTIONS, ablation_curves
from frivolous.ablation.sequential import precise_curves, shuffled
from frivolous.errors import BadArgument, Interrupted
from frivolous.inputs.batches import as_batches
from frivolous.measures import AS_WRITTEN, curve
from frivolous.network import trace

RANDOM = torch.Generator().manual_seed(0)
N = 6000


def dense() -> nn.Sequential:
    model = nn.Sequential(
        *(nn.Linear(8, 24), nn.ReLU(), nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 4))
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=RANDOM) / 3)
    return model


MODEL = dense()
INPUTS = torch.randn(N, 8, generator=RANDOM)
NETWORK = trace(MODEL, INPUTS[:2])
WHOLE = ablation_curves(NETWORK, [INPUTS], draws=2)


def followed(data=INPUTS, precision=0.03, **options):
    options = {"fractions": FRACTIONS, "draws": 2} | options
    return precise_curves(NETWORK, as_batches(data), precision=precision, **options)


def test_a_curve_is_known_to_the_precision_from_some_of_the_examples():
    found = followed()
    assert found.keys() == WHOLE.keys()
    for name, got in found.items():
        assert (got.crossing.high - got.crossing.low) / 2 <= 0.03
        assert 128 <= got.examples < N
        assert got.seen.max() == got.examples
        assert got.seen.min() < got.examples  # fractions far from the crossing are left out
        truth = curve.prunable_units(FRACTIONS, WHOLE[name].shares, 1)
        assert got.crossing.low <= truth <= got.crossing.high


def test_a_precision_out_of_reach_takes_all_examples_and_counts_as_ever():
    found = followed(precision=1e-4)
    for name, got in found.items():
        all_seen = got.seen == N
        assert all_seen.any()
        np.testing.assert_array_equal(got.unchanged[all_seen], WHOLE[name].unchanged[all_seen])


def test_the_examples_taken_do_not_grow_with_the_data():
    taken = [
        max(got.examples for got in followed(data).values())
        for data in (INPUTS, INPUTS.repeat(20, 1))
    ]
    assert taken[1] < 2 * taken[0]
    assert taken[1] < N


def same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name].unchanged, other[name].unchanged)
        np.testing.assert_array_equal(one[name].seen, other[name].seen)
        assert one[name].crossing == other[name].crossing


def test_the_same_seed_gives_the_same_whatever_the_form_of_the_data():
    first = followed()
    same(first, followed())
    same(first, followed(list(INPUTS.split(101))))
    same(first, followed(DataLoader(TensorDataset(INPUTS), batch_size=64)))
    same(first, followed(DataLoader(TensorDataset(INPUTS), batch_size=64, shuffle=True)))
    other = followed(seed=1)
    assert any(other[name].crossing != first[name].crossing for name in first)


def test_the_mean_over_sites_is_averaged_example_by_example():
    found = followed(together=False, mean_of_sites="all", precision=1e-4, draws=1)
    both = np.mean([WHOLE[name].unchanged[:1] for name in ("0", "2")], axis=0)
    whole = found["all"]
    seen = whole.seen == N
    np.testing.assert_allclose(whole.unchanged[seen], both[seen], rtol=1e-12)
    assert whole.units == 40


class Tagger(nn.Module):
    """A label at every position of a sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.hidden = nn.Embedding(20, 8), nn.Linear(8, 16)
        self.scores = nn.Linear(16, 5)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=RANDOM))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.scores(torch.relu(self.hidden(self.embedding(input_ids))))


def test_labels_at_every_position_leave_out_padding():
    tokens = torch.randint(20, (900, 6), generator=RANDOM)
    mask = (torch.arange(6) < torch.randint(1, 7, (900, 1), generator=RANDOM)).long()
    data = {"input_ids": tokens, "attention_mask": mask}
    network = trace(Tagger(), {name: value[:2] for name, value in data.items()})
    batches = as_batches(data)
    exact = ablation_curves(network, batches, draws=1)["hidden"]
    found = precise_curves(network, batches, precision=1e-4, fractions=FRACTIONS, draws=1)
    got = found["hidden"]
    seen = got.seen == 900
    assert seen.sum() >= 2
    np.testing.assert_allclose(got.unchanged[seen], exact.unchanged[seen], rtol=1e-12)
    assert got.crossing.low < curve.prunable_units(FRACTIONS, exact.shares, 1) < got.crossing.high


def test_measure_says_what_each_curve_took_and_whether_it_got_there():
    options = {"joint_tolerance": None, "unit_examples": None}
    options["protocol"] = replace(AS_WRITTEN, draws=2)
    found = fv.measure(MODEL, INPUTS, precision=0.03, **options)
    prunable = found.table[found.table.measure == "prunable"]
    assert ((prunable.high - prunable.low) / prunable.width / 2 <= 0.03).all()
    assert (prunable.examples < N).all()
    redundant = found.table[found.table.measure == "redundant"]
    assert (redundant.examples == N).all()
    assert found.curves.examples.nunique() > 1
    assert (found.curves.low <= found.curves.unchanged).all()
    assert (found.curves.unchanged <= found.curves.high).all()
    text = " ".join(found.summary().split())
    least, most = prunable.examples.min(), prunable.examples.max()
    assert (
        f"6000 examples, of which each ablation curve took as many as it needed ({least} to" in text
    )
    assert str(most) in text
    assert "precision: bounds of prunable at most 0.03 of the units from their middle" in text
    assert "not reached" not in text
    rough = fv.measure(MODEL, INPUTS[:300], precision=0.01, **options)
    assert "not reached with all examples: 0, 2, all" in " ".join(rough.summary().split())
    found.plot()


def test_all_else_takes_no_more_than_the_protocols_cap():
    protocol = replace(AS_WRITTEN, cap=1000)
    found = fv.measure(MODEL, INPUTS, precision=0.03, protocol=protocol, unit_examples=None)
    assert found.facts["sampled_examples"] == 1000
    for name in ("redundant", "effective", "similarity"):
        assert (found.table[found.table.measure == name].examples == 1000).all()
    whole = fv.measure(MODEL, INPUTS, protocol=protocol, unit_examples=None, joint_tolerance=None)
    assert whole.facts["sampled_examples"] == N


@pytest.mark.parametrize("wrong", [0, -0.1, 0.5, float("nan")])
def test_a_wrong_precision_is_refused(wrong):
    with pytest.raises(BadArgument, match=r"`precision` is how far bounds may lie .* got"):
        fv.measure(MODEL, INPUTS, precision=wrong)


def test_wrong_intervals_are_refused():
    with pytest.raises(BadArgument, match="`intervals` is 'wilson' or 'exact'; got 'normal'"):
        fv.measure(MODEL, INPUTS, intervals="normal")


def test_exact_intervals_hold_wilsons_shares_and_are_wider():
    options = {"unit_examples": 50, "joint_tolerance": 0.02, "seed": 1}
    labels = torch.randint(4, (200,), generator=RANDOM)
    by = {
        name: fv.measure(MODEL, (INPUTS[:200], labels), intervals=name, **options)
        for name in ("wilson", "exact")
    }
    for frame, low, high in (
        ("curves", "low", "high"),
        ("units", "changed_low", "changed_high"),
        ("joint", "low", "high"),
    ):
        one, other = getattr(by["wilson"], frame), getattr(by["exact"], frame)
        width = (one[high] - one[low]).sum()
        assert (other[high] - other[low]).sum() > 1.01 * width
    low, high = curve.exact(by["exact"].curves.unchanged * 200, 200)
    inner = by["exact"].curves.fraction > 0
    np.testing.assert_allclose(by["exact"].curves.low[inner], low[inner])
    np.testing.assert_allclose(by["exact"].curves.high[inner], high[inner])
    right = by["exact"].facts["accuracy"] * 200
    assert by["exact"].facts["accuracy_low"] == float(curve.exact(right, 200)[0])


def test_the_spread_over_draws_stands_beside_every_point():
    found = fv.measure(MODEL, INPUTS[:200], unit_examples=None, joint_tolerance=None)
    for (_, _), part in found.curves.groupby(["site", "fraction"]):
        assert part.spread.nunique() == 1
        assert part.spread.iloc[0] == pytest.approx(part.unchanged.std(ddof=1), abs=1e-12)
    one = fv.measure(
        MODEL,
        INPUTS[:200],
        protocol=replace(AS_WRITTEN, draws=1),
        unit_examples=None,
        joint_tolerance=None,
    )
    assert one.curves.spread.isna().all()
    assert " to " not in one.summary().split("kinds")[0].split("prunable: units")[0]
    assert "whose least and largest" not in " ".join(one.summary().split())
    crossings = [
        curve.crossing(FRACTIONS, part.unchanged) * 24
        for _, part in found.curves[found.curves.site == "0"].groupby("draw")
    ]
    assert f" {min(crossings):.1f} to {max(crossings):.1f}" in found.summary()
    assert "random orders, whose least and largest stand below it" in " ".join(
        found.summary().split()
    )


def stop_at(word: str):
    """A reader of progress that presses Ctrl-C when a line begins with a word."""

    def tell(line: str) -> None:
        if line.startswith(word):
            raise KeyboardInterrupt

    return tell


@pytest.mark.parametrize(
    ("word", "stage", "there", "missing"),
    [
        ("ablation", "ablation", ["redundant"], ["prunable", "effective"]),
        ("units alone, 2", "units alone", ["redundant", "prunable"], ["effective"]),
        ("effective width, 2", "effective width", ["redundant", "prunable", "effective"], []),
    ],
)
def test_stopped_by_hand_what_is_done_is_kept(tmp_path, word, stage, there, missing):
    with pytest.raises(Interrupted, match=f"stopped during {stage}; `found` of this") as caught:
        fv.measure(MODEL, INPUTS[:200], progress=stop_at(word))
    kept = caught.value.found
    whole = fv.measure(MODEL, INPUTS[:200])
    measures = set(kept.table.measure)
    assert set(there) <= measures
    assert not set(missing) & measures
    for _, row in kept.table.iterrows():
        assert row.value == whole.value(row.measure, row.site)
    if stage == "units alone":
        assert kept.units.site.unique().tolist() == ["0"]
    if stage == "effective width":
        assert set(kept.table[kept.table.measure == "effective"].site) == {"0"}
    assert f"stopped during {stage}" in kept.summary()
    kept.plot()
    again = fv.load_measurement(kept.save(tmp_path))
    assert again.facts["stopped"] == stage
    json.dumps(dict(kept.facts))


def test_stopped_before_there_is_anything_it_is_an_interrupt_like_any_other():
    with pytest.raises(KeyboardInterrupt) as caught:
        fv.measure(MODEL, INPUTS[:200], progress=stop_at("activity"))
    assert not isinstance(caught.value, Interrupted)


def test_stopped_before_the_first_round_there_is_no_curve_to_speak_of():
    with pytest.raises(Interrupted) as caught:
        fv.measure(MODEL, INPUTS[:200], precision=0.1, progress=stop_at("ablation"))
    assert "200 examples; in brackets" in caught.value.found.summary()
    assert set(caught.value.found.table.measure) >= {"redundant", "similarity"}


class Stopping(Dataset):
    """Examples during which Ctrl-C is pressed, at a given place once ``armed``."""

    def __init__(self, inputs: Tensor, at: int) -> None:
        self.inputs, self.at, self.armed = inputs, at, False

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, place):
        if self.armed and place == self.at:
            raise KeyboardInterrupt
        return self.inputs[place]


def test_curves_of_the_batches_read_are_kept():
    data = Stopping(INPUTS[:300], at=200)

    def progress(line):
        data.armed = line.startswith("ablation")

    with pytest.raises(Interrupted) as caught:
        fv.measure(MODEL, data, batch_size=100, progress=progress)
    kept = caught.value.found
    assert kept.facts["stopped"] == "ablation"
    prunable = kept.table[kept.table.measure == "prunable"]
    assert (prunable.examples == 200).all()
    expected = ablation_curves(NETWORK, [INPUTS[:200]])
    for name in ("0", "2", "all"):
        np.testing.assert_array_equal(
            kept.curves[kept.curves.site == name].unchanged, expected[name].shares.ravel()
        )


def test_curves_to_a_precision_are_kept_with_bounds_that_hold():
    data = Stopping(INPUTS, at=int(shuffled(N, 0)[250]))
    batches = as_batches(data, batch_size=100)
    data.armed = True
    with pytest.raises(Interrupted) as caught:
        precise_curves(NETWORK, batches, precision=1e-3, fractions=FRACTIONS)
    for got in caught.value.found.values():
        assert 128 <= got.examples < 300
        assert got.crossing.low <= got.crossing.value <= got.crossing.high
