"""Text tables."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

GAP = 2
"""Spaces between two columns."""


def plain_table(
    title: str, head: Sequence[str], rows: Sequence[Sequence[str]], *, width: int | None = None
) -> str:
    """Return rows of words and numbers as a text table; the first column to the left.

    Nothing is ever cut off. Where the columns do not fit into ``width`` characters, those left over
    follow in tables of their own below, each with the first column again. Cells may have several
    lines.

    >>> print(plain_table("", ("site", "a", "b"), [("fc", "1.5", "2")], width=9))
    site    a
    fc    1.5
    <BLANKLINE>
    site  b
    fc    2
    """
    sizes = [_size([name, *(row[at] for row in rows)]) for at, name in enumerate(head)]
    tables = []
    for columns in _packed(sizes, width):
        table = Table(box=None, pad_edge=False, padding=(0, GAP // 2))
        for at in columns:
            table.add_column(head[at], justify="right" if at else "left", no_wrap=True)
        for row in rows:
            table.add_row(*(row[at] for at in columns))
        tables.append(_rendered(table, sum(sizes[at] + GAP for at in columns)))
    text = "\n\n".join(tables)
    return f"{title}\n{text}" if title else text


def _size(cells: Sequence[str]) -> int:
    return max(cell_len(line) for cell in cells for line in cell.splitlines() or [""])


def _packed(sizes: Sequence[int], width: int | None) -> list[list[int]]:
    """Deal columns in order into tables of at most ``width``, the first column in each."""
    if width is None or len(sizes) == 1:
        return [list(range(len(sizes)))]
    tables, used = [[0]], sizes[0]
    for at, size in enumerate(sizes[1:], start=1):
        if used + GAP + size > width and len(tables[-1]) > 1:
            tables.append([0])
            used = sizes[0]
        tables[-1].append(at)
        used += GAP + size
    return tables


def _rendered(table: Table, width: int) -> str:
    """Return a table as plain text, without spaces at the ends of lines."""
    out = io.StringIO()
    Console(file=out, width=width, color_system=None, markup=False, highlight=False).print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip("\n").splitlines())


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
