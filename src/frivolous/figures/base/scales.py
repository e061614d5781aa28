"""The axes of a measure: its label, its scale, its ticks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator


@dataclass(frozen=True)
class Scale:
    """How a measure is drawn: panel title, axis label, and the kind of its axis.

    ``kind``: "log2"; "log10" (counts); "percent" (of values in [0, 1]); "unit" (0 to 1).
    ``capped``: a share of the 4x network, which the network's own size factor / 4 bounds.
    """

    title: str
    label: str
    kind: str
    capped: bool = False

    @property
    def logarithmic(self) -> bool:
        """Whether the axis is logarithmic, with no place for 0."""
        return self.kind in ("log2", "log10")

    @property
    def factor(self) -> float:
        """The factor by which values are multiplied when drawn."""
        return 100.0 if self.kind == "percent" else 1.0


MEASURES: dict[str, Scale] = {
    "accuracy": Scale("Test accuracy", "accuracy (%)", "percent"),
    "train_accuracy": Scale("Training accuracy", "accuracy (%)", "percent"),
    "unchanged_labels": Scale("Ablation curves", "unchanged labels (%)", "percent"),
    "prunable": Scale("Prunable units", "share of the 4× network", "log2", capped=True),
    "redundant": Scale("Redundant units", "share of the 4× network", "log2", capped=True),
    "non_prunable": Scale("Non-prunable units", "share of the 4× network", "log2", capped=True),
    "non_redundant": Scale("Non-redundant units", "share of the 4× network", "log2", capped=True),
    "effective": Scale("Effective width", "share of the 4× network", "log2", capped=True),
    "frivolous": Scale("Jointly frivolous units", "share of the 4× network", "log2", capped=True),
    "area": Scale("Area", "area under the ablation curve", "unit"),
    "compressibility": Scale("Compressibility", "share of the width", "unit"),
    "similarity": Scale("Similarity", "similar units per unit", "log2"),
    "similar": Scale("Similar units", "similar units per unit", "log2"),
    "silent": Scale("Silent units", "share of the width", "unit"),
    "constant": Scale("Constant units", "share of the width", "unit"),
    "num_parameters": Scale("Parameters", "number of parameters", "log10"),
    "mean_abs_r_conv2": Scale("Correlation in conv2", "mean |r| of two units", "unit"),
}

SIZES = (0.25, 0.5, 1.0, 2.0, 4.0)


def as_fraction(value: float) -> str:
    """Return a power of two as text: 1/4, 1/2, 1, 2; other numbers in short form.

    >>> as_fraction(0.25), as_fraction(4.0), as_fraction(0.3)
    ('1/4', '4', '0.3')

    """
    exact = Fraction(value).limit_denominator(4096)
    if math.isclose(float(exact), value) and exact.numerator == 1 and exact.denominator > 1:
        return f"1/{exact.denominator}"
    return f"{value:g}"


def size_axis(axes: Axes, sizes: Sequence[float]) -> None:
    """Make x the size factor on log2 with the factors themselves as ticks."""
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(list(sizes)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: as_fraction(value)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(min(sizes) / 2**0.45, max(sizes) * 2**0.45)
    axes.set_xlabel("size factor")


def value_axis(axes: Axes, scale: Scale, seen: np.ndarray) -> None:
    """Set scale, limits and ticks of y for the finite values ``seen`` (bars' ends included)."""
    axes.set_ylabel(scale.label)
    if scale.kind == "log2":
        _log2_axis(axes, seen[seen > 0])
    elif scale.kind == "log10":
        _log10_axis(axes, seen[seen > 0])
    elif scale.kind == "percent":
        low, high = (float(seen.min()), float(seen.max())) if len(seen) else (0.0, 100.0)
        pad = max(0.12 * (high - low), 0.5)
        axes.set_ylim(max(0.0, low - pad), min(100.8, high + pad))
    else:
        axes.set_ylim(-0.03, 1.03)
        axes.yaxis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 1.0]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def log2_ticks(axes: Axes) -> None:
    """Put a tick on every power of two, or on every second, third ... where more than eight fit.

    A share has no tick above 1, wherever the axis ends.
    """
    low, high = axes.get_ylim()
    if "share" in axes.get_ylabel():
        high = min(high, 1.0)
    first, last = math.ceil(math.log2(low) - 1e-9), math.floor(math.log2(high) + 1e-9)
    step = max(1, math.ceil((last - first + 1) / 8))
    powers = [p for p in range(first, last + 1) if p % step == 0]
    axes.yaxis.set_major_locator(FixedLocator([2.0**p for p in powers]))


def _log2_axis(axes: Axes, positive: np.ndarray) -> None:
    axes.set_yscale("log", base=2)
    low, high = (float(positive.min()), float(positive.max())) if len(positive) else (0.25, 1.0)
    axes.set_ylim(low / 2**0.35, high * 2**0.35)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: as_fraction(value)))
    axes.yaxis.set_minor_locator(NullLocator())
    log2_ticks(axes)


def _log10_axis(axes: Axes, positive: np.ndarray) -> None:
    """Put a tick on powers of ten, with 2 and 5 times them where they span less than two."""
    axes.set_yscale("log", base=10)
    low, high = (float(positive.min()), float(positive.max())) if len(positive) else (1.0, 10.0)
    low, high = low / 1.5, high * 1.5
    axes.set_ylim(low, high)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if math.log10(high / low) < 2 else (1,)
    ticks = [step * 10.0**power for power in powers for step in steps]
    axes.yaxis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short_count(value)))
    axes.yaxis.set_minor_locator(NullLocator())


def short_count(value: float) -> str:
    """Return a large count in thousands or millions.

    >>> short_count(500), short_count(20_000), short_count(1e8)
    ('500', '20 K', '100 M')

    """
    for unit, letter in ((1e9, " G"), (1e6, " M"), (1e3, " K")):
        if value >= unit:
            return f"{value / unit:g}{letter}"
    return f"{value:g}"
