"""What is said while a network is measured: shares, and the time that the rest may take."""

from __future__ import annotations

import pytest
import torch

from frivolous.inputs import progress
from frivolous.inputs.batches import as_batches
from frivolous.inputs.progress import Progress, duration


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    hand = Clock()
    monkeypatch.setattr(progress, "time", hand)
    return hand


def test_the_rest_takes_as_long_as_what_is_done_did(clock: Clock) -> None:
    lines: list[str] = []
    work = Progress(lines.append)
    work.begin("ablation")
    clock.now += 10
    work.share(0.25)
    assert lines == ["ablation", "ablation: 25%, about 30 s left"]


def test_lines_do_not_come_thick_and_fast(clock: Clock) -> None:
    lines: list[str] = []
    work = Progress(lines.append)
    work.begin("activity")
    for number in range(100):
        clock.now += 0.1
        work.share((number + 1) / 100)
    assert 15 <= len(lines) <= 21


def test_parts_share_the_whole(clock: Clock) -> None:
    lines: list[str] = []
    work = Progress(lines.append)
    work.begin("units", parts=4)
    work.part("units of a", 0)
    clock.now += 60
    work.part("units of b", 1)
    clock.now += 36
    work.share(0.5)
    assert lines[1:] == [
        "units of a",
        "units of b: 25%, about 3 min left",
        "units of b: 38%, about 3 min left",
    ]


def test_batches_tell_how_many_are_read(clock: Clock) -> None:
    lines: list[str] = []
    work = Progress(lines.append)
    work.begin("activity")
    told = work.through(as_batches(torch.zeros(8, 2), batch_size=2))
    assert told.examples == 8
    for _ in told:
        clock.now += 5
    assert lines[1:] == [
        "activity: 25%, about 15 s left",
        "activity: 50%, about 10 s left",
        "activity: 75%, about 5 s left",
        "activity: 100%, about 0 s left",
    ]


def test_nobody_need_listen() -> None:
    work = Progress(None)
    work.begin("activity")
    work.part("activity of a", 0)
    assert work.what == "activity of a"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 s"), (89, "89 s"), (95, "2 min"), (3599, "1 h 0 min"), (7300, "2 h 2 min")],
)
def test_a_time_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words
