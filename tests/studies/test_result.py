"""A study's values, computed once more from the weights in the store; and how a curve chooses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from frivolous.ablation.curves import permutation
from frivolous.data import Splits, teacher_data
from frivolous.errors import FrivolousError
from frivolous.measures import AS_PUBLISHED
from frivolous.rng import seed_of
from frivolous.store import Store
from frivolous.studies.cell import Cell
from frivolous.studies.choice import choose
from frivolous.studies.load import read_result
from frivolous.studies.result import (
    GAIN_COLUMNS,
    TABLE_COLUMNS,
    StudyResult,
)
from frivolous.studies.study import Panel, Study
from frivolous.text.study import gain_lines, study_text


@pytest.fixture(scope="module")
def small(tiny: Study) -> Study:
    """The small study with every measure."""
    return replace(tiny, panels=(*tiny.panels, Panel("e", "silent"), Panel("f", "constant")))


@pytest.fixture(scope="module")
def result(small: Study, tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    return small.run(tmp_path_factory.mktemp("result"), scale="cpu", weights="all")


@pytest.fixture(scope="module")
def data() -> Splits:
    return teacher_data(10, seed=0)


def activity(weights: Mapping[str, Any], inputs: np.ndarray) -> np.ndarray:
    return np.maximum(inputs @ weights["layers.0.weight"].T + weights["layers.0.bias"], 0)


def labels(weights: Mapping[str, Any], hidden: np.ndarray) -> np.ndarray:
    return (hidden @ weights["layers.1.weight"].T + weights["layers.1.bias"]).argmax(1)


def crossing_of(shares: list[float]) -> float:
    """PROTOCOL 1.1, step 5: the code's loop, in its own words."""
    for r in range(6):
        if shares[r] >= 0.8 and shares[r + 1] < 0.8:
            return r / 6 + (0.8 - shares[r]) / (shares[r + 1] - shares[r]) / 6
    return shares[0]


def prunable(weights: Mapping[str, Any], inputs: np.ndarray, replicate: int) -> float:
    hidden = activity(weights, inputs)
    intact, units, best = labels(weights, hidden), hidden.shape[1], 0.0
    seed = seed_of("measures", 0, replicate)
    for draw in range(3):
        order, shares = permutation(units, seed, draw, 0).numpy(), []
        for step in range(7):
            kept = np.ones(units, dtype=np.float32)
            kept[order[: int(step / 6 * units)]] = 0
            shares.append(float((labels(weights, hidden * kept) == intact).mean()))
        best = max(best, crossing_of(shares))
    return best


def redundant(weights: Mapping[str, Any], inputs: np.ndarray) -> float:
    """PROTOCOL 1.2, step 2: the smallest k whose k least eigenvalues pass 5% of the trace."""
    values = np.linalg.eigvalsh(np.cov(activity(weights, inputs).astype(float).T))
    k, accumulated = 0, 0.0
    while accumulated <= 0.05:
        accumulated += values[k] / values.sum()
        k += 1
    return k / len(values)


def similar(weights: Mapping[str, Any], inputs: np.ndarray) -> float:
    hidden = activity(weights, inputs).astype(float)
    alive = hidden[:, hidden.std(0) > 0]
    r = np.abs(np.corrcoef(alive.T))
    return float(((r >= 0.5).sum() - len(r)) / hidden.shape[1])


def value(result: StudyResult, measure: str, run: str) -> float:
    table = result.table
    (found,) = table[(table["measure"] == measure) & (table["run"] == run)]["value"]
    return float(found)


def test_table_has_one_row_per_panel_and_network(result: StudyResult) -> None:
    table = result.table
    assert tuple(table.columns) == TABLE_COLUMNS
    assert len(table) == 8 * 2 * 3 * 2
    assert set(table["study"]) == {"figE7"}
    assert set(table["site"]) == {"all"}
    assert not table.duplicated(["panel", "measure", "curve", "size_factor", "replicate"]).any()
    for one in result.chosen:
        here = table[
            (table["curve"] == one.cell.curve) & (table["size_factor"] == one.cell.size_factor)
        ]
        assert list(dict.fromkeys(here["run"])) == list(one.runs)
        for replicate, id in enumerate(one.runs):
            assert set(here[here["run"] == id]["replicate"]) == {replicate}
            spec = result.store.get(id).spec
            assert spec["replicate"] == replicate
            assert spec["training"]["learning_rate"] == one.candidate.learning_rate


def test_values_agree_with_plain_numpy_on_the_stored_weights(
    result: StudyResult, data: Splits
) -> None:
    inputs, right = data.test.inputs[:768].numpy(), data.test.labels[:768].numpy()
    seen = 0
    for one in result.chosen:
        share = one.cell.size_factor / 4
        for replicate, id in enumerate(one.runs):
            weights = {k: v.numpy() for k, v in result.store.get(id).weights().items()}
            assert weights["layers.0.weight"].shape == (int(4 * one.cell.size_factor), 10)
            hidden = activity(weights, inputs)
            expected = {
                "accuracy": float((labels(weights, hidden) == right).mean()),
                "prunable": prunable(weights, inputs, replicate) * share,
                "redundant": redundant(weights, inputs) * share,
                "compressibility": redundant(weights, inputs),
                "similarity": similar(weights, inputs),
                "silent": float(((hidden > 0).mean(0) < 0.01).mean()),
            }
            for measure, number in expected.items():
                assert value(result, measure, id) == pytest.approx(number, abs=1e-9), measure
            seen += 1
    assert seen == 12


def test_validation_accuracy_is_the_stored_weights_own(result: StudyResult, data: Splits) -> None:
    inputs, right = data.validation.inputs.numpy(), data.validation.labels.numpy()
    for one in result.chosen:
        for id in one.cell.search_ids:
            run = result.store.get(id)
            weights = {k: v.numpy() for k, v in run.weights().items()}
            found = float((labels(weights, activity(weights, inputs)) == right).mean())
            assert run.facts["validation_accuracy"] == pytest.approx(found, abs=1e-9)


def test_gains_are_mean_ratios_of_means_and_redundancys_leaves_out_the_first(
    result: StudyResult,
) -> None:
    assert tuple(result.gains.columns) == GAIN_COLUMNS
    assert len(result.gains) == 4
    for row in result.gains.itertuples():
        mine = result.table[
            (result.table["measure"] == row.measure) & (result.table["curve"] == row.curve)
        ]
        means = [mine[mine["size_factor"] == size]["value"].mean() for size in (1.0, 2.0, 4.0)]
        ratios = [means[1] / means[0], means[2] / means[1]]
        expected = np.mean(ratios[1:] if row.measure == "redundant" else ratios)
        assert row.gain == pytest.approx(expected, rel=1e-12)
        assert row.low <= row.gain <= row.high
    published = {
        m: (a, b)
        for m, a, b in result.gains[["measure", "published_min", "published_max"]].to_numpy()
    }
    assert published == {"prunable": (2.01, 2.14), "redundant": (2.09, 2.26)}


@pytest.fixture
def rewritten(
    result: StudyResult, tmp_path: Path
) -> Callable[[Callable[[str, dict[str, Any]], None]], Store]:
    """A copy of the store in which facts are changed by a function of id and facts."""

    def rewrite(change: Callable[[str, dict[str, Any]], None]) -> Store:
        store = Store(tmp_path / "rewritten")
        for one in result.chosen:
            for id in one.cell.search_ids:
                run = result.store.get(id)
                facts = dict(run.facts)
                change(id, facts)
                store.put(run.spec, run.measures, facts, {"curves": run.frame("curves")})
        return store

    return rewrite


def pick(result: StudyResult, store: Store) -> list[Any]:
    return [choose(one.cell, store) for one in result.chosen]


def test_a_choice_never_looks_at_test_or_training_accuracy(
    result: StudyResult, rewritten: Any
) -> None:
    accuracy = np.random.default_rng(0)

    def change(id: str, facts: dict[str, Any]) -> None:
        facts["test_accuracy"] = float(accuracy.uniform())
        facts["train_accuracy"] = float(accuracy.uniform())

    assert pick(result, rewritten(change)) == [one.candidate for one in result.chosen]


def test_a_choice_follows_the_mean_validation_accuracy(result: StudyResult, rewritten: Any) -> None:
    # The second candidate is better on average, the first on the first replicate alone.
    wanted: dict[str, float] = {}
    for one in result.chosen:
        first, second = one.cell.candidates
        for candidate, accuracies in ((first, (0.9, 0.5)), (second, (0.7, 0.8))):
            wanted |= dict(zip(one.cell.chosen_ids(candidate), accuracies, strict=True))

    def change(id: str, facts: dict[str, Any]) -> None:
        facts["validation_accuracy"] = wanted[id]

    assert pick(result, rewritten(change)) == [one.cell.candidates[1] for one in result.chosen]


def test_of_equal_candidates_the_first_is_chosen(result: StudyResult, rewritten: Any) -> None:
    def change(id: str, facts: dict[str, Any]) -> None:
        facts["validation_accuracy"] = 0.5

    assert pick(result, rewritten(change)) == [one.cell.candidates[0] for one in result.chosen]


def test_a_candidate_that_diverged_in_one_replicate_never_wins(
    result: StudyResult, rewritten: Any
) -> None:
    lost = {next(iter(one.cell.chosen_ids(one.cell.candidates[0]))) for one in result.chosen}

    def change(id: str, facts: dict[str, Any]) -> None:
        facts["validation_accuracy"] = 1.0
        for one in result.chosen:
            if id in one.cell.chosen_ids(one.cell.candidates[1]):
                facts["validation_accuracy"] = 0.0
        if id in lost:
            facts["validation_accuracy"] = None

    assert pick(result, rewritten(change)) == [one.cell.candidates[1] for one in result.chosen]


def test_where_all_diverged_the_first_is_chosen(small: Study) -> None:
    cell: Cell = small.cells("cpu")[0]
    assert cell.choose(dict.fromkeys(cell.search_ids, -np.inf)) == cell.candidates[0]


def test_an_unfinished_study_says_what_is_missing_and_the_command(
    small: Study, tmp_path: Path
) -> None:
    with pytest.raises(FrivolousError) as error:
        small.result(tmp_path / "none", scale="cpu", replicates=3, seed=4)
    assert str(error.value) == (
        f"store {tmp_path / 'none'} lacks 36 of the networks of figE7 at scale cpu, seed 4; make "
        "them with: frivolous run figE7 --scale cpu --seed 4 --replicates 3 --store "
        f"{tmp_path / 'none'}"
    )
    assert not (tmp_path / "none").exists()


def test_the_protocol_of_a_study_decides_its_measures(small: Study, tmp_path: Path) -> None:
    def run(**changed: Any) -> StudyResult:
        protocol = replace(AS_PUBLISHED, **changed)
        study = replace(small, protocol=protocol, curves=small.curves[:1])
        return study.run(tmp_path / "store", scale="cpu", replicates=1)

    usual = run().table
    for measure, other in (
        ("prunable", run(tolerance=0.05)),
        ("prunable", run(draw="mean")),
        ("redundant", run(count_crossing=False)),
        ("redundant", run(unexplained=0.3)),
        ("similarity", run(similar=0.05)),
        ("area", run(draws=1)),
    ):
        ours, theirs = (t[t["measure"] == measure]["value"] for t in (usual, other.table))
        assert not np.array_equal(ours, theirs), measure
        same = [t[t["measure"] == "accuracy"]["value"].tolist() for t in (usual, other.table)]
        assert same[0] == same[1]


def test_a_study_of_ones_own_has_a_result_and_a_report_without_published_numbers(
    small: Study, tmp_path: Path
) -> None:
    from frivolous.studies.report import report_html

    own = replace(
        small,
        name="mine",
        title="My study",
        panels=(Panel("b", "prunable"), Panel("c", "redundant")),
        curves=small.curves[:1],
        size_factors=(1.0, 2.0),
    )
    result = own.run(tmp_path / "store", scale="cpu", replicates=1)
    assert result.gains["published_min"].isna().all()
    assert set(result.compare()["rule"]) <= {"not published", "not measured"}
    lines = gain_lines(result)
    assert lines[0].endswith("(one replicate: no interval); nothing published")
    assert lines[1] == (
        "panel c, redundant: no doubling to take a gain of (the first one does not count)"
    )
    assert "accuracy" not in study_text(result)
    assert "My study" in report_html(result)


@pytest.mark.parametrize("sizes", [(1.0,), (1.0, 4.0), (1.0, 2.0, 3.0)])
def test_a_gain_is_per_doubling_whatever_sizes_a_study_has(
    sizes: tuple[float, ...], tiny: Study, tmp_path: Path
) -> None:
    from frivolous.studies.report import report_html

    study = replace(tiny, curves=tiny.curves[:1], size_factors=sizes)
    result = study.run(tmp_path, scale="cpu", replicates=2)
    table = result.table[result.table["measure"] == "prunable"]
    means = table.groupby("size_factor")["value"].mean()
    (found,) = result.gains[result.gains["measure"] == "prunable"]["gain"]
    if 2.0 in sizes:
        assert found == pytest.approx(means[2.0] / means[1.0], rel=1e-12)
    else:
        assert np.isnan(found)
    assert "no doubling" in "\n".join(gain_lines(result))
    assert report_html(result).endswith("</html>")


@pytest.mark.parametrize("factors", [(1e45, 1.0), (1e45,)])
def test_a_network_that_never_was_finite_loses_or_has_no_values(
    factors: tuple[float, ...], tiny: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from frivolous.studies import SCALES

    monkeypatch.setitem(SCALES, "cpu", replace(SCALES["cpu"], most_factors=2))
    study = replace(tiny, curves=(replace(tiny.curves[0], factors=factors),))
    result = study.run(tmp_path, scale="cpu", replicates=1)
    lost = [
        id
        for id in result.store.ids()
        if result.store.get(id).spec["initialiser"]["sigmas"][0] > 1e30
    ]
    assert [result.store.record(id).facts["validation_accuracy"] for id in lost] == [None] * 6
    if len(factors) == 2:
        assert set(result.choices()["factor"]) == {1.0}
        assert result.table["value"].notna().all()
    else:
        assert result.table["value"].isna().all()
        assert gain_lines(result)[0] == "panel b, prunable: no doubling to take a gain of"
        assert study_text(result).splitlines()[2].split() == ["1e-2", "1", "-", "-", "-"]
        result.compare()


def test_no_training_is_needed_to_read_a_result(
    result: StudyResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    from frivolous.studies.runs import train_dense

    monkeypatch.delattr(train_dense, "make")
    again = read_result(result.study, result.store.path, "cpu", None, 0)
    pd.testing.assert_frame_equal(again.table, result.table, check_exact=True)
    pd.testing.assert_frame_equal(again.gains, result.gains, check_exact=True)
    chosen = {
        (c.curve, c.size_factor, c.learning_rate, c.factor) for c in again.choices().itertuples()
    }
    assert chosen == {
        (one.cell.curve, one.cell.size_factor, one.candidate.learning_rate, one.candidate.factor)
        for one in result.chosen
    }
