"""The two records against the table of PROTOCOL.md, row by row."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import pytest

from frivolous.errors import BadArgument
from frivolous.measures.conventions import (
    AS_PUBLISHED,
    AS_PUBLISHED_IMAGENET,
    AS_WRITTEN,
    Protocol,
    differences,
)

ROWS = {
    "grain": ("position", "channel"),
    "sites": ("together and alone", "together"),
    "count": ("units", "share of the 4x network"),
    "count_crossing": (False, True),
    "gain_skips_first": (False, True),
    "pairs_below": (None, 0.99999),
    "error_bars": ("replicates", "replicates, samplings and sites"),
    "drop_last_batch": (False, True),
}
SAME = {
    "fractions": (0 / 6, 1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 6 / 6),
    "draws": 3,
    "draw": "best",
    "tolerance": 0.2,
    "unexplained": 0.05,
    "similar": 0.5,
    "batch_size": 128,
    "cap": 50_000,
    "samplings": 3,
}


def test_differences_are_the_tables_rows_each_with_a_reason():
    found = {d.field: (d.first, d.second) for d in differences(AS_WRITTEN, AS_PUBLISHED)}
    assert found == ROWS
    for one in differences(AS_WRITTEN, AS_PUBLISHED):
        assert one.why == AS_PUBLISHED.why[one.field]
        assert "\n" not in one.why


def test_what_both_share():
    for record in (AS_WRITTEN, AS_PUBLISHED):
        assert {name: getattr(record, name) for name in SAME} == SAME


def test_the_reason_is_found_from_either_side():
    there = differences(AS_WRITTEN, AS_PUBLISHED)
    back = differences(AS_PUBLISHED, AS_WRITTEN)
    assert [(d.field, d.why) for d in there] == [(d.field, d.why) for d in back]


def test_every_reason_names_a_field():
    names = {f.name for f in dataclasses.fields(Protocol)}
    for record in (AS_PUBLISHED, AS_PUBLISHED_IMAGENET):
        assert set(record.why) <= names


def test_imagenet_panels_differ_from_the_others_with_reasons():
    found = {d.field: d for d in differences(AS_PUBLISHED, AS_PUBLISHED_IMAGENET)}
    assert set(found) == {"sites", "draws", "samplings", "drop_last_batch"}
    assert "no reason is recorded" not in {d.why for d in found.values()}


def test_an_own_protocol_says_where_no_reason_is_recorded():
    (only,) = differences(AS_WRITTEN, dataclasses.replace(AS_WRITTEN, tolerance=0.5))
    assert (only.field, only.first, only.second) == ("tolerance", 0.2, 0.5)
    assert only.why == "no reason is recorded"


@pytest.mark.parametrize(
    ("n", "used"), [(10_000, 9856), (1000, 768), (256, 128), (255, 255), (100, 100), (1, 1)]
)
def test_examples_used(n, used):
    assert AS_PUBLISHED.examples_used(n) == used
    assert AS_WRITTEN.examples_used(n) == n


def test_examples_used_with_the_other_batch_sizes_of_the_papers():
    for size, used in ((32, 9952), (512, 9216)):
        record = dataclasses.replace(AS_PUBLISHED, batch_size=size)
        assert record.examples_used(10_000) == used


def test_records_travel_between_processes():
    assert pickle.loads(pickle.dumps(AS_PUBLISHED)) == AS_PUBLISHED
    assert copy.deepcopy(AS_PUBLISHED) == AS_PUBLISHED
    assert hash(AS_PUBLISHED) != hash(AS_WRITTEN)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"grain": "layer"}, "`grain` is one of channel, position; got 'layer'."),
        ({"draws": 0}, "`draws` is 1 or more; got 0."),
        ({"tolerance": 20}, "`tolerance` is a share in [0, 1); got 20. For 20 percent pass 0.2."),
    ],
)
def test_messages(changes, text):
    with pytest.raises(BadArgument) as caught:
        Protocol(**changes)
    assert str(caught.value) == text


def test_examples_used_needs_examples():
    with pytest.raises(BadArgument, match="`n` is a number of examples, 1 or more; got 0."):
        AS_WRITTEN.examples_used(0)
