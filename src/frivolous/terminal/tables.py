"""Text tables."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table


def rendered(table: Table, width: int = 120) -> str:
    """Return a table as plain text."""
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(table)
    return out.getvalue().rstrip("\n")


def plain_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows of words and numbers as a text table; the first column to the left."""
    table = Table(box=None, pad_edge=False)
    for place, name in enumerate(head):
        table.add_column(name, justify="left" if place == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    text = "\n".join(line.rstrip() for line in rendered(table).splitlines())
    return f"{title}\n{text}" if title else text


def as_fraction(size: float) -> str:
    """Return a size factor as the papers write it.

    >>> as_fraction(0.25), as_fraction(2.0)
    ('1/4', '2')
    """
    return f"1/{round(1 / size)}" if size < 1 else f"{size:g}"


def mean_sd(values: Sequence[float], digits: int = 3) -> str:
    """Return mean ± sample SD, the SD left out with its reason where there is one value.

    >>> mean_sd([0.1, 0.2]), mean_sd([0.1])
    ('0.150 ± 0.071', '0.100 (n = 1)')
    """
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return "-"
    mean = sum(known) / len(known)
    if len(known) == 1:
        return f"{mean:.{digits}f} (n = 1)"
    variance = sum((value - mean) ** 2 for value in known) / (len(known) - 1)
    return f"{mean:.{digits}f} ± {math.sqrt(variance):.{digits}f}"
