"""What a run is called: a hash of its resolved spec."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any

from frivolous.errors import BadArgument

_ID = re.compile(r"[0-9a-f]{16}")


def run_id(spec: Mapping[str, Any]) -> str:
    """The name of the run that a resolved spec describes: the same on every machine, for ever.

    First 16 hexadecimal digits of the SHA-256 of the spec's JSON with sorted keys, no spaces and
    floats by ``repr``. A tuple equals a list; 1 and 1.0 differ. Raises
    :class:`~frivolous.errors.BadArgument` for a value that JSON cannot hold, NaN included.

    >>> run_id({"width": 2, "seed": 0}) == run_id({"seed": 0, "width": 2})
    True
    >>> run_id({"seed": 0})
    'bd0488843468e63c'
    """
    return hashlib.sha256(canonical_json(plain_spec(spec))).hexdigest()[:16]


def plain_spec(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A spec made of plain values, or :class:`~frivolous.errors.BadArgument`."""
    if not isinstance(spec, Mapping):
        raise BadArgument(
            f"`spec` is a {type(spec).__name__}; it is a mapping of names to plain values. "
            "Pass the resolved spec as a dict."
        )
    return plain(spec, "spec")


def canonical_json(value: Any) -> bytes:
    """The one JSON text of a plain value: sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def plain(value: Any, name: str) -> Any:
    """A copy of ``value`` made of dict, list, str, int, float, bool and None only.

    Raises :class:`~frivolous.errors.BadArgument` naming the place, as in ``spec['lr']``.
    """
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise BadArgument(
                    f"a key of `{name}` is {key!r}, of type {type(key).__name__}; "
                    "keys are strings. Pass it as a string."
                )
        return {str.__str__(key): plain(item, f"{name}[{key!r}]") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, f"{name}[{place}]") for place, item in enumerate(value)]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise BadArgument(f"`{name}` is {value!r}; numbers are finite here. Pass None.")
        return float(value)
    raise BadArgument(
        f"`{name}` is a {type(value).__name__}; only mappings, lists, strings, numbers, "
        "True, False and None can be written as JSON. Convert it first."
    )


def plain_facts(value: Any, name: str) -> Any:
    """Like :func:`plain`, for facts that nothing is named after.

    A scalar of NumPy or PyTorch becomes its number, and a number that is not finite becomes None,
    so that the record of a diverged run is written too.
    """
    if isinstance(value, Mapping):
        return plain(
            {key: plain_facts(item, f"{name}[{key!r}]") for key, item in value.items()}, name
        )
    if isinstance(value, list | tuple):
        return [plain_facts(item, f"{name}[{place}]") for place, item in enumerate(value)]
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return plain(value, name)


def is_id(name: str) -> bool:
    """Whether ``name`` can be a run's id."""
    return _ID.fullmatch(name) is not None


def checked_id(id: str) -> str:
    """``id`` itself, or :class:`~frivolous.errors.BadArgument` where it cannot be a run's id."""
    if not isinstance(id, str) or not is_id(id):
        raise BadArgument(
            f"`id` is 16 hexadecimal digits in lower case; got {id!r}. "
            "Pass what run_id(spec) gives."
        )
    return id
