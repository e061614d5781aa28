"""A measurement's table as text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from frivolous.terminal.tables import plain_table

if TYPE_CHECKING:
    import pandas as pd

MEASURES = ("prunable", "redundant", "area", "similarity", "compressibility", "silent", "constant")


def measurement_text(table: pd.DataFrame, facts: Mapping[str, Any]) -> str:
    """Return a measurement's table: one line per site, values with their 95% intervals."""
    rows = []
    for site, part in table.groupby("site", sort=False):
        by = {row["measure"]: row for _, row in part.iterrows()}
        width = f"{int(by['redundant']['width'])}"
        if by["prunable"]["grain"] == "position":
            width += f" ({int(by['prunable']['width'])} positions)"
        rows.append((str(site), width, *(_interval(by[name]) for name in MEASURES)))
    text = plain_table(
        f"{facts['examples']} examples; values with 95% intervals over examples",
        ("site", "width", *MEASURES),
        rows,
    )
    if "accuracy" in facts:
        text += (
            f"\naccuracy {facts['accuracy']:.3f} "
            f"[{facts['accuracy_low']:.3f}, {facts['accuracy_high']:.3f}]"
        )
    for layer, reason in facts.get("skipped", []):
        text += f"\nno site for {layer}: {reason}"
    return text


def _interval(row: pd.Series) -> str:
    digits = 2 if row["measure"] in ("area", "compressibility") else 1
    value = f"{row['value']:.{digits}f}"
    if math.isnan(row["low"]):
        return f"{value}\n(too few examples)"
    return f"{value}\n[{row['low']:.{digits}f}, {row['high']:.{digits}f}]"
