"""A study that was interrupted, extended or damaged goes on and gives what it would have given."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from frivolous.errors import FrivolousError
from frivolous.store import Store
from frivolous.studies import engine
from frivolous.studies.choice import choose
from frivolous.studies.result import StudyResult
from frivolous.studies.runs import train_dense
from frivolous.studies.study import Study

same = pd.testing.assert_frame_equal


class Spy:
    """Which runs were trained and which were put, by id."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.trained: list[str] = []
        self.put: list[str] = []
        self.stop_after = -1
        make, put = train_dense.make, Store.put

        def spied_make(specs: Any, **options: Any) -> Iterator[engine.Finished]:
            from frivolous.store import run_id

            self.trained += [run_id(spec.resolved()) for spec in specs]
            yield from make(specs, **options)

        def spied_put(store: Store, *arguments: Any, **options: Any) -> Any:
            if len(self.put) == self.stop_after:
                raise KeyboardInterrupt
            record = put(store, *arguments, **options)
            self.put.append(record.id)
            return record

        patch.setattr(train_dense, "make", spied_make)
        patch.setattr(Store, "put", spied_put)


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    return Spy(monkeypatch)


@pytest.fixture(scope="module")
def finished(tiny: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which the study is finished, undisturbed."""
    return tiny.run(tmp_path_factory.mktemp("finished") / "store", scale="cpu").store.path


@pytest.fixture
def undisturbed(tiny: Study, finished: Path, tmp_path: Path) -> StudyResult:
    """The undisturbed result, in a copy of its store."""
    shutil.copytree(finished, tmp_path / "undisturbed")
    return tiny.result(tmp_path / "undisturbed", scale="cpu")


@pytest.mark.parametrize("puts", [0, 1, 4, 23])
def test_interrupted_and_repeated_is_value_for_value_the_same(
    puts: int, tiny: Study, undisturbed: StudyResult, spy: Spy, tmp_path: Path
) -> None:
    spy.stop_after = puts
    with pytest.raises(KeyboardInterrupt):
        tiny.run(tmp_path / "store", scale="cpu")
    before = list(spy.put)
    assert len(before) == puts
    spy.stop_after, spy.trained = -1, []
    result = tiny.run(tmp_path / "store", scale="cpu")
    assert not set(before) & set(spy.trained)
    assert len(spy.put) == len(set(spy.put)) == 24
    same(result.table, undisturbed.table, check_exact=True)
    same(result.gains, undisturbed.gains, check_exact=True)
    for one in result.chosen:
        for id in one.runs:
            mine, theirs = (r.store.get(id).weights() for r in (result, undisturbed))
            assert all(mine[name].equal(theirs[name]) for name in theirs)
            assert len(mine) == 4


def test_a_finished_study_trains_nothing(tiny: Study, undisturbed: StudyResult, spy: Spy) -> None:
    again = tiny.run(undisturbed.store.path, scale="cpu")
    assert spy.trained == spy.put == []
    same(again.table, undisturbed.table, check_exact=True)


def test_more_replicates_train_only_what_is_new(
    tiny: Study, undisturbed: StudyResult, spy: Spy, tmp_path: Path
) -> None:
    before = set(undisturbed.store.ids())
    more = tiny.run(undisturbed.store.path, scale="cpu", replicates=3)
    assert len(spy.trained) == len(set(spy.trained)) == 12
    assert not before & set(spy.trained)
    assert more.replicates == 3
    fresh = tiny.run(tmp_path / "fresh", scale="cpu", replicates=3)
    same(more.table, fresh.table, check_exact=True)
    fewer = tiny.result(undisturbed.store.path, scale="cpu", replicates=2)
    same(fewer.table, undisturbed.table, check_exact=True)


def test_replicates_of_the_chosen_candidate_only(tiny: Study, spy: Spy, tmp_path: Path) -> None:
    from dataclasses import replace

    curves = tuple(replace(curve, searched=1) for curve in tiny.curves)
    study = replace(tiny, curves=curves, size_factors=(1.0, 2.0))
    result = study.run(tmp_path, scale="cpu", replicates=3)
    assert len(spy.trained) == len(set(spy.trained)) == 4 * (2 + 2)
    assert result.table.groupby(["panel", "curve", "size_factor"]).size().eq(3).all()
    for one in result.chosen:
        rates = {result.store.get(id).spec["training"]["learning_rate"] for id in one.runs}
        assert rates == {one.candidate.learning_rate}
        assert all(len(result.store.get(id).weights()) == 4 for id in one.runs)


def kept(result: StudyResult) -> set[str]:
    store = result.store
    return {id for id in store.ids() if "weights.safetensors" in store.record(id).files}


@pytest.mark.parametrize("weights", ["chosen", "all", "none"])
def test_weights_are_kept_of_whom_they_are_asked(weights: str, tiny: Study, tmp_path: Path) -> None:
    result = tiny.run(tmp_path, scale="cpu", weights=weights)
    chosen = {id for one in result.chosen for id in one.runs}
    wanted = {"chosen": chosen, "all": set(result.store.ids()), "none": set()}
    assert kept(result) == wanted[weights]


def test_a_choice_that_changed_says_that_its_weights_were_not_kept(
    tiny: Study, undisturbed: StudyResult
) -> None:
    one = undisturbed.chosen[0]
    other = next(c for c in one.cell.candidates if c != one.candidate)
    lost = next(iter(one.cell.chosen_ids(other)))
    with pytest.raises(FrivolousError) as error:
        undisturbed.store.get(lost).weights()
    assert str(error.value).endswith(
        "was kept without its weights. Make it again in a new store, keeping weights."
    )


def damage(store: Store, id: str, file: str, *, same_size: bool) -> None:
    path = store.path / "runs" / id / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content) if same_size else bytes(content[:-1]))


@pytest.mark.parametrize(
    ("file", "same_size"),
    [("measures.parquet", True), ("record.json", False), ("weights.safetensors", True)],
)
def test_a_damaged_run_is_said_set_aside_and_made_again(
    file: str, same_size: bool, tiny: Study, undisturbed: StudyResult, spy: Spy
) -> None:
    store = undisturbed.store
    one = undisturbed.chosen[2]
    table = undisturbed.table.copy()
    damage(store, one.runs[1], file, same_size=same_size)
    again = tiny.run(store.path, scale="cpu")
    assert spy.trained == [one.runs[1]]
    (note,) = again.store.notes
    assert note.startswith(f"run {one.runs[1]} is corrupt ({file}: ")
    assert note.endswith("it will be made again")
    (aside,) = (store.path / "set-aside").iterdir()
    assert aside.name.startswith(one.runs[1])
    same(again.table, table, check_exact=True)
    assert len(again.store.get(one.runs[1]).weights()) == 4


def test_a_damaged_candidate_is_made_again_before_the_choice(
    tiny: Study, undisturbed: StudyResult, spy: Spy
) -> None:
    one = undisturbed.chosen[0]
    loser = next(id for id in one.cell.search_ids if id not in one.runs)
    damage(undisturbed.store, loser, "record.json", same_size=False)
    assert choose(one.cell, Store(undisturbed.store.path)) is None
    tiny.run(undisturbed.store.path, scale="cpu")
    assert spy.trained == [loser]
    assert choose(one.cell, undisturbed.store) == one.candidate
