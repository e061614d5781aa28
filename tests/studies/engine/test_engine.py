"""The engine with work that costs nothing: what is made, by whom, in what order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from frivolous.store import Store, run_id
from frivolous.studies import engine


@dataclass
class Group:
    """Runs of ``seeds``; the second half is known only when the first is done."""

    label: str
    seeds: tuple[int, ...]
    made: list[int] = field(default_factory=list)
    while_making: Callable[[], None] = lambda: None

    def spec(self, id: str) -> dict[str, Any]:
        return {"seed": self.by_id()[id]}

    def by_id(self) -> dict[str, int]:
        return {run_id({"seed": seed}): seed for seed in self.seeds}

    def missing(self, store: Store) -> list[str]:
        ids = list(self.by_id())
        half = ids[: len(ids) // 2]
        wanted = half if len(store.complete(half)) < len(half) else ids
        return [id for id in wanted if not store.has(id)]

    def make(
        self, ids: Sequence[str], store: Store, progress: Callable[[float], None]
    ) -> Iterator[tuple[str, engine.Finished, bool]]:
        for id in ids:
            self.while_making()
            self.made.append(self.by_id()[id])
            frame = pd.DataFrame({"value": [float(self.made[-1])]})
            run = engine.Finished(frame, {"curves": frame}, {"made": True}, {"w": np.ones(2)})
            progress(1)
            yield id, run, self.made[-1] % 2 == 0


@dataclass
class Diary:
    """A listener that writes everything down."""

    lines: list[tuple[Any, ...]] = field(default_factory=list)
    on_waiting: Callable[[], None] = lambda: None

    def already_done(self, label: str, runs: int) -> None:
        self.lines.append(("already done", label, runs))

    def under_way(self, label: str) -> None:
        self.lines.append(("under way", label))

    def advance(self, runs: float) -> None:
        self.lines.append(("advance", runs))

    def waiting(self, runs: int) -> None:
        self.lines.append(("waiting", runs))
        self.on_waiting()

    def finished(self, label: str) -> None:
        self.lines.append(("finished", label))


@pytest.fixture(autouse=True)
def short_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "PAUSE", 0.001)


def test_groups_are_made_in_order_and_told_of(tmp_path: Path) -> None:
    store, diary = Store(tmp_path), Diary()
    groups = [Group("first", (1, 2, 3, 4)), Group("second", (5, 6))]
    engine.work(groups, store, diary)
    assert [group.made for group in groups] == [[1, 2, 3, 4], [5, 6]]
    one = ("advance", 1)
    assert diary.lines == [
        *[("under way", "first"), one, one] * 2,
        ("finished", "first"),
        *[("under way", "second"), one] * 2,
        ("finished", "second"),
    ]
    assert len(store.ids()) == 6


def test_only_runs_worth_keeping_keep_their_weights(tmp_path: Path) -> None:
    store, group = Store(tmp_path), Group("g", (1, 2))
    engine.work([group], store, Diary())
    odd, even = (store.get(id) for id in group.by_id())
    assert list(even.weights()) == ["w"]
    assert "weights.safetensors" not in odd.record.files
    assert odd.frames == ("measures", "curves")


def test_what_is_done_is_not_made_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    engine.work([Group("g", (1, 2))], store, Diary())
    group, diary = Group("g", (1, 2, 3, 4)), Diary()
    engine.work([group], store, diary)
    assert group.made == [3, 4]
    again = Group("g", (1, 2, 3, 4))
    engine.work([again], store, diary)
    assert again.made == []


def test_runs_claimed_elsewhere_are_left_and_waited_for(tmp_path: Path) -> None:
    theirs, free = Group("theirs", (1, 2)), Group("free", (3, 4))
    other = Store(tmp_path)
    claim = other.claim(theirs.by_id())

    def they_finish() -> None:
        # The other process puts one of its two runs and dies: its claim is given back.
        frame = pd.DataFrame({"value": [1.0]})
        other.put({"seed": 1}, frame, {}, {"curves": frame})
        claim.release()

    diary = Diary(on_waiting=they_finish)
    engine.work([theirs, free], Store(tmp_path), diary)
    assert free.made == [3, 4]
    assert theirs.made == [2]
    kinds = [line[0] for line in diary.lines]
    assert kinds.index("waiting") > kinds.index("finished")
    assert diary.lines.count(("waiting", 1)) == 1
    assert diary.lines[-1] == ("finished", "theirs")


def test_two_engines_make_every_run_once(tmp_path: Path) -> None:
    barrier = threading.Barrier(2, timeout=120)
    met = threading.Event()

    def meet() -> None:
        if not met.is_set():
            barrier.wait()
            met.set()

    engines = [
        [Group(name, seeds, while_making=meet) for name, seeds in (("a", (1, 2)), ("b", (3, 4)))]
        for _ in range(2)
    ]
    threads = [
        threading.Thread(target=engine.work, args=(groups, Store(tmp_path), Diary()))
        for groups in engines
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
        assert not thread.is_alive()
    made = [seed for groups in engines for group in groups for seed in group.made]
    assert sorted(made) == [1, 2, 3, 4]
    assert all(any(group.made for group in groups) for groups in engines)


def test_an_error_gives_the_claim_back(tmp_path: Path) -> None:
    def fail() -> None:
        raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError, match="out of luck"):
        engine.work([Group("g", (1, 2), while_making=fail)], Store(tmp_path), Diary())
    after = Group("g", (1, 2))
    with Store(tmp_path).claim(after.by_id()) as claim:
        assert len(claim.ids) == 2
