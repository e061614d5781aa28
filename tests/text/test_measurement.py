"""A measurement on a terminal: every number there, no line too long, what is missing explained."""

from __future__ import annotations

import math
import re
from typing import Any

import pandas as pd
import pytest

from frivolous.text.measurement import measurement_text
from frivolous.text.tables import plain_table

MEASURES = ("prunable", "redundant", "area", "similarity", "compressibility", "silent", "constant")
FACTS: dict[str, Any] = {
    "examples": 500,
    "tolerance": 0.2,
    "unexplained": 0.05,
    "draws": 3,
    "draw": "best",
    "skipped": [],
}


def frame(*sites: str, low: float = 1.25, grain: str = "channel") -> pd.DataFrame:
    """A table in which every value tells its site and measure."""
    return pd.DataFrame(
        [
            {
                "site": site,
                "depth": at,
                "grain": grain if measure in ("prunable", "area") else "channel",
                "width": 1600 if grain == "position" and measure in ("prunable", "area") else 100,
                "measure": measure,
                "value": 10 * at + rank + 0.5,
                "low": low,
                "high": 90.0,
                "examples": 500,
            }
            for at, site in enumerate(sites)
            for rank, measure in enumerate(MEASURES)
        ]
    )


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_no_line_is_longer_than_the_terminal(width: int) -> None:
    text = measurement_text(frame("conv1", "conv2", "all"), FACTS, width=width)
    assert max(map(len, text.splitlines())) <= width
    assert not any(line != line.rstrip() for line in text.splitlines())


@pytest.mark.parametrize("width", [40, 80, 120])
def test_every_number_is_there_at_any_width(width: int) -> None:
    text = measurement_text(frame("conv1", "all"), FACTS, width=width)
    for measure in MEASURES:
        assert text.count(measure) >= 1
    for rank, measure in enumerate(MEASURES):
        digits = 2 if measure in ("area", "compressibility") else 1
        assert f" {rank + 0.5:.{digits}f}" in text
        assert f" {rank + 10.5:.{digits}f}" in text
    assert text.count("[1.2, 90.0]") == 4  # prunable and similarity of two sites
    assert text.count("[1.2, 90]") == 6  # whole counts
    assert text.count("[1.25, 90.00]") == 4  # area and compressibility


def test_a_wide_terminal_has_one_table_a_narrow_one_several() -> None:
    table = frame("conv1", "all")
    for width, tables in ((120, 1), (80, 2), (10, 8)):
        text = measurement_text(table, FACTS, width=width)
        assert len(re.findall(r"^site ", text, flags=re.MULTILINE)) == tables


def test_names_are_never_cut_off() -> None:
    name = "backbone.stages.3.blocks.11.feed_forward.projection_in"
    assert name in measurement_text(frame(name, "[bold]x[/bold]"), FACTS, width=60)
    assert "[bold]x[/bold]" in measurement_text(frame(name, "[bold]x[/bold]"), FACTS, width=60)


def test_a_missing_interval_says_why() -> None:
    table = frame("fc", low=math.nan)
    few = measurement_text(table, {**FACTS, "examples": 1}, width=120)
    assert "1 example;" in few
    assert "no interval: one example alone has none" in few
    assert "no interval: the examples of a site above 4,096" in measurement_text(table, FACTS)
    assert "no interval" not in measurement_text(frame("fc"), FACTS)


def test_notes_below_the_table() -> None:
    facts = {
        **FACTS,
        "accuracy": 0.91,
        "accuracy_low": 0.88,
        "accuracy_high": 0.93,
        "skipped": [["pos", "the axis of the units that it reads is not known"]],
        "left_out": ["conv3"],
    }
    text = measurement_text(frame("conv1", "conv2", "all"), facts, width=200)
    assert "accuracy 0.910 [0.880, 0.930]" in text
    assert "no site for pos: the axis of the units that it reads is not known" in text
    assert "not measured: conv3" in text
    assert "all: the 2 sites above ablated together" in text
    assert "at most 0.2 of labels changed, the best of 3 random orders" in " ".join(text.split())


def test_positions_are_told_apart_from_units() -> None:
    assert "(1600 positions)" in measurement_text(frame("conv1", grain="position"), FACTS)


def test_the_terminal_decides_the_width(monkeypatch: pytest.MonkeyPatch) -> None:
    table = frame("conv1", "all")
    for width in (60, 120):
        monkeypatch.setenv("COLUMNS", str(width))
        assert measurement_text(table, FACTS) == measurement_text(table, FACTS, width=width)


def test_table_without_a_width_is_one_table() -> None:
    rows = [(f"row {at}", *("0.1234567" for _ in range(30))) for at in range(3)]
    text = plain_table("a title", ("name", *map(str, range(30))), rows)
    assert text.splitlines()[0] == "a title"
    assert len(text.splitlines()) == 5
    assert text.count("0.1234567") == 90
