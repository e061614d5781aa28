"""The budget of a compression, checked before any work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from frivolous.errors import BadArgument

SHARES = ("units", "parameters", "flops", "latency")


@dataclass(frozen=True)
class Budget:
    """One budget: ``kind`` is tolerance, keep or one of :data:`SHARES`."""

    kind: str
    amount: Any


def budget_of(
    tolerance: float | None,
    units: float | None,
    parameters: float | None,
    flops: float | None,
    latency: float | None,
    keep: Mapping[str, int] | None,
) -> Budget:
    """The one budget that is given; by default a tolerance of 0.02.

    Raises :class:`BadArgument` for several, and for a number out of its range.
    """
    given: dict[str, Any] = {
        "tolerance": tolerance,
        "units": units,
        "parameters": parameters,
        "flops": flops,
        "latency": latency,
        "keep": keep,
    }
    named = {name: value for name, value in given.items() if value is not None}
    if len(named) > 1:
        raise BadArgument(
            f"{', '.join(f'`{name}`' for name in named)} are {len(named)} budgets; a compression "
            "has one. Pass the one that must hold, and read the others in the report."
        )
    kind, amount = next(iter(named.items())) if named else ("tolerance", 0.02)
    if kind == "keep":
        if not isinstance(amount, Mapping) or not amount:
            raise BadArgument(
                f"`keep` maps sites to how many of their units stay; got {amount!r}. "
                "Pass e.g. {'conv1': 40}."
            )
    elif isinstance(amount, bool) or not isinstance(amount, int | float):
        raise BadArgument(f"`{kind}` is a share, a number; got {amount!r}.")
    elif kind == "tolerance" and not 0 <= amount < 1:
        hint = f" For {amount:g} percent pass {amount / 100:g}." if 1 <= amount < 100 else ""
        raise BadArgument(f"`tolerance` is a share in [0, 1); got {amount:g}.{hint}")
    elif kind != "tolerance" and not 0 < amount <= 1:
        hint = f" For {amount:g} percent pass {amount / 100:g}." if 1 < amount <= 100 else ""
        raise BadArgument(
            f"`{kind}` is the share of {kind} that may be left, in (0, 1]; got {amount:g}.{hint}"
        )
    return Budget(kind, amount)
