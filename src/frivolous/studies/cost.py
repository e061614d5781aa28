"""How long studies take, and the default scale of each.

Estimates are sums over single networks (``Cell.cost``), within a factor of a few; epochs that
early stopping saves are counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from frivolous.studies.cell import Cell, Spec

if TYPE_CHECKING:
    from frivolous.studies.study import Study

SHORT = 30.0
"""Minutes on two cores within which a study runs at the paper's scale by default."""

UNITS = (
    ("second", 1 / 60, 10),
    ("minute", 1.0, 1),
    ("hour", 60.0, 1),
    ("day", 60.0 * 24, 1),
    ("week", 60.0 * 24 * 7, 1),
    ("month", 60.0 * 24 * 30.4, 1),
    ("year", 60.0 * 24 * 365, 1),
)
"""Units of time: name, minutes, and what their numbers are rounded to."""


def usual_scale(study: Study) -> str:
    """Return the default scale of the command line: the paper's if that is short.

    Pass the whole study, so that a part of a study has the same scale as the whole.
    """
    return "paper" if minutes(study.cells("paper")) <= SHORT else "cpu"


def minutes(cells: Sequence[Cell]) -> float:
    """Return the minutes that all networks of ``cells`` take on two cores, shared ones once."""
    later = sum((cell.replicates - cell.searched) * cell.cost for cell in cells)
    return (sum(spec.cost for spec in searched(cells)) + later) / 60


def searched(cells: Sequence[Cell]) -> set[Spec]:
    """Return the networks that candidates are compared on; those shared by two cells once."""
    return {
        cell.spec(candidate, replicate)
        for cell in cells
        for candidate in cell.candidates
        for replicate in range(cell.searched)
    }


def as_time(minutes: float) -> str:
    """Return a length of time in words.

    >>> as_time(0.4), as_time(1.6), as_time(100), as_time(4e5)
    ('about 20 seconds', 'about 2 minutes', 'about 2 hours', 'about 9 months')
    """
    name, size, step = [unit for unit in UNITS if unit[1] * 1.5 <= max(minutes, 0.025)][-1]
    count = max(step, step * round(minutes / size / step))
    return f"about {count} {name}{'' if count == 1 else 's'}"


def cost_text(study: Study, scale: str, replicates: int | None = None) -> str:
    """Return what a study costs at a scale: networks, time on two cores, and on one GPU."""
    if study.kind == "parameters":
        other = "" if scale == "paper" else ", and counts are those of the paper's scale"
        return f"nothing is trained{other}"
    cells = study.cells(scale, replicates)
    gpu = f", {study.gpu} on one GPU" if scale == "paper" and study.gpu else ""
    count = study.networks(scale, replicates)
    noun = "network" if count == 1 else "networks"
    return f"{count} {noun}, {as_time(minutes(cells))} on two cores{gpu}"
