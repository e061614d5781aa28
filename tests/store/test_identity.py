"""Ids are frozen: a run made by one version is found by the next."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frivolous.errors import BadArgument
from frivolous.store import run_id

SPEC = {
    "version": 1,
    "family": "mlp",
    "hidden": (64, 64),
    "lr": 1e-05,
    "bias": True,
    "augment": None,
    "data": {"name": "digits", "noise": 0.1},
}
# Written by hand: what the id of SPEC is the hash of.
TEXT = (
    '{"augment":null,"bias":true,"data":{"name":"digits","noise":0.1},"family":"mlp",'
    '"hidden":[64,64],"lr":1e-05,"version":1}'
)


def test_golden_id() -> None:
    assert run_id(SPEC) == "2219f3fdfd8a048d"
    assert run_id(SPEC) == hashlib.sha256(TEXT.encode()).hexdigest()[:16]


def test_same_id_in_a_process_with_another_hash_seed() -> None:
    script = f"from frivolous.store import run_id; print(run_id({SPEC!r}))"
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    child = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True
    )
    assert child.stdout.strip() == run_id(SPEC)


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), PLAIN, max_size=4))
def test_order_of_keys_and_tuples_do_not_matter(spec: dict[str, Any]) -> None:
    def turned(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: turned(value[key]) for key in reversed(value)}
        return tuple(map(turned, value)) if isinstance(value, list) else value

    assert run_id(turned(spec)) == run_id(spec)


def test_a_numpy_float_is_its_number() -> None:
    assert run_id({"lr": np.float64(0.1)}) == run_id({"lr": 0.1})


@pytest.mark.parametrize(
    ("one", "other"), [(1, 1.0), (1, True), (0.1, 0.1 + 2**-55), ("1", 1), (None, "null"), ([], {})]
)
def test_different_values_differ(one: object, other: object) -> None:
    assert run_id({"x": one}) != run_id({"x": other})


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"lr": float("nan")}, r"`spec\['lr'\]` is nan; numbers are finite here. Pass None."),
        (
            {"a": [1, {"b": float("-inf")}]},
            r"`spec\['a'\]\[1\]\['b'\]` is -inf; numbers are finite",
        ),
        ({"a": {3: 1}}, r"a key of `spec\['a'\]` is 3, of type int; keys are strings"),
        ({"n": np.int64(3)}, r"`spec\['n'\]` is a int64; only mappings, lists, strings"),
        ({"s": {1}}, r"`spec\['s'\]` is a set; only mappings"),
        ([1], r"`spec` is a list; it is a mapping of names to plain values"),
    ],
)
def test_what_json_cannot_hold_is_named(spec: Any, message: str) -> None:
    with pytest.raises(BadArgument, match=message):
        run_id(spec)
