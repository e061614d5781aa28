"""Data sources; each gives :class:`Splits`."""

from __future__ import annotations

from collections.abc import Callable

from frivolous.data.digits import digits
from frivolous.data.examples import Examples, Splits
from frivolous.data.teacher import teacher_data

DATASETS: dict[str, Callable[..., Splits]] = {"teacher": teacher_data, "digits": digits}

__all__ = ["DATASETS", "Examples", "Splits", "digits", "teacher_data"]
