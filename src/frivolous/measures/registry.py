"""One row for each measure: where its numbers come from, its unit, its words and its axis.

Tables, terminal text, figures and the results of studies take from :data:`MEASURES` all that they
know of a measure. To add one, write a pure function in a module of this room and a row here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from frivolous.errors import look_up
from frivolous.measures import curve, similarity, unit_kinds

Reading = Literal["value", "fact", "area", "mean", "share", "of largest", "rest", "none"]


@dataclass(frozen=True)
class Scale:
    """The axis of a measure in a study's panel.

    ``kind``: "log2"; "log10" (counts); "percent" (of values in [0, 1]); "unit" (0 to 1).

    ``reading`` says how a panel reads its value of a run: the "value" of the site's row; a "fact";
    the "area" under the curve that it shows, by whose name it stands in a study's table; for all
    sites the "mean" of their own; a count as a "share" of the width; the same times the network's
    size, a share "of largest", the 4x network; the "rest" of that size. Of "none" no run has one.
    """

    label: str
    kind: Literal["log2", "log10", "percent", "unit"]
    reading: Reading = "value"

    @property
    def logarithmic(self) -> bool:
        """Whether the axis has no place for 0."""
        return self.kind in ("log2", "log10")

    @property
    def factor(self) -> float:
        """What values are multiplied with to be drawn."""
        return 100.0 if self.kind == "percent" else 1.0

    @property
    def capped(self) -> bool:
        """Whether it is a share of the 4x network, which the own size factor / 4 bounds."""
        return self.reading in ("of largest", "rest")


@dataclass(frozen=True)
class Measure:
    """All that the library knows of one measure.

    ``title`` stands above a panel, ``words`` (by default the name) at the head of a column, and
    ``meaning`` below a measurement's table, braces filled from the measurement's facts.

    ``unit``: a "count" of whole units, a "number" of any kind, a "share" in [0, 1].
    ``over_sites`` makes the whole network's value of those of its sites: their "sum", their "mean"
    (of equal weights), or "jointly", where it is no function of them.

    ``source``, where the rows of ``Measurement.table`` come from:

    - "activity": ``statistic(site)`` of a :class:`frivolous.measures.site_activity.SiteActivity`,
      from 0 to ``most(width)``, by default the width for a count and 1 for a share;
    - "curve": ``statistic(fractions_F, shares_DF)`` of an ablation curve, which rises with the
      shares, so that bounds of the curve give its own; prunable units have none, as sequential
      sampling bounds them more closely;
    - "readers": removing units with the readers re-fitted, which may be left out;
    - "run": no row; only runs of a study have a value, by ``scale.reading``.

    A report calls it ``in_report``, by default ``words``. A panel reads the rows (or the fact)
    named ``reads``, by default its own.

    >>> measure_named("redundant").over_sites, measure_named("similarity").largest(8)
    ('sum', 7)
    """

    name: str
    title: str
    scale: Scale
    unit: Literal["count", "number", "share"]
    over_sites: Literal["sum", "mean", "jointly"] = "jointly"
    source: Literal["curve", "activity", "readers", "run"] = "run"
    statistic: Callable[..., float] | None = None
    most: Callable[[float], float] | None = None
    words: str = ""
    meaning: str = ""
    reads: str = ""
    in_report: str = ""

    def __post_init__(self) -> None:
        """Fill in what follows from the name where nothing else is said."""
        object.__setattr__(self, "words", self.words or self.name.replace("_", "-"))
        object.__setattr__(self, "reads", self.reads or self.name)
        object.__setattr__(self, "in_report", self.in_report or self.words)

    def largest(self, width: float) -> float:
        """Return the largest value that a site of so many units can have."""
        if self.most is not None:
            return self.most(width)
        return {"count": width, "share": 1.0}.get(self.unit, math.inf)


ACCURACY = Scale("accuracy (%)", "percent", "fact")
UNCHANGED = Scale("unchanged labels (%)", "percent", "area")
AREA = Scale("area under the ablation curve", "unit", "mean")
OF_WIDTH = Scale("share of the width", "unit", "share")
OF_LARGEST = Scale("share of the 4× network", "log2", "of largest")
REST = Scale(OF_LARGEST.label, "log2", "rest")
CORRELATION = Scale("mean |r| of two units", "unit")
PARAMETERS = Scale("number of parameters", "log10", "none")

MEASURES: dict[str, Measure] = {
    "accuracy": Measure(
        "accuracy",
        "Test accuracy",
        ACCURACY,
        "share",
        words="test accuracy",
        reads="test_accuracy",
        in_report="test accuracy (%)",
    ),
    "train_accuracy": Measure(
        "train_accuracy",
        "Training accuracy",
        ACCURACY,
        "share",
        words="training accuracy",
        in_report="training accuracy (%)",
    ),
    "unchanged_labels": Measure(
        "unchanged_labels",
        "Ablation curves",
        UNCHANGED,
        "share",
        words="unchanged labels",
        reads="area",
    ),
    "prunable": Measure(
        "prunable",
        "Prunable units",
        OF_LARGEST,
        "number",
        source="curve",
        meaning="units to ablate with at most {tolerance:.3g} of labels changed, the {draw} of "
        "{draws} random orders{ranging}",
    ),
    "redundant": Measure(
        "redundant",
        "Redundant units",
        OF_LARGEST,
        "count",
        "sum",
        "activity",
        lambda site: site.redundant,
        meaning="those beyond {explained:.3g} of the variance",
        # The mean over sites of each one's share: every layer counts the same, whatever its width.
        reads="compressibility",
    ),
    "non_prunable": Measure("non_prunable", "Non-prunable units", REST, "number", reads="prunable"),
    "non_redundant": Measure(
        "non_redundant", "Non-redundant units", REST, "count", reads="compressibility"
    ),
    "effective": Measure(
        "effective",
        "Effective width",
        OF_LARGEST,
        "count",
        "sum",
        "readers",
        meaning="the fewest units of a site by itself with which at most {joint_tolerance:.3g} of "
        "labels change, the weights that read them re-fitted",
    ),
    "area": Measure(
        "area",
        "Area",
        AREA,
        "share",
        source="curve",
        statistic=lambda fractions_F, shares_DF: curve.area(fractions_F, shares_DF).mean(),
        meaning="under the ablation curve, 1 where no label changes",
    ),
    "similarity": Measure(
        "similarity",
        "Similarity",
        Scale("similar units per unit", "log2"),
        "number",
        "mean",
        "activity",
        lambda site: similarity.similarity(site.covariance_UU, site.protocol.similar),
        most=lambda width: width - 1,
    ),
    "compressibility": Measure(
        "compressibility",
        "Compressibility",
        OF_WIDTH,
        "share",
        "mean",
        "activity",
        lambda site: site.redundant / site.width,
        meaning="redundant / width",
    ),
    "silent": Measure(
        "silent",
        "Silent units",
        OF_WIDTH,
        "count",
        "sum",
        "activity",
        lambda site: unit_kinds.silent_units(site.active_rate_U).sum(),
    ),
    "constant": Measure(
        "constant",
        "Constant units",
        OF_WIDTH,
        "count",
        "sum",
        "activity",
        lambda site: unit_kinds.constant_units(
            site.mean_U, site.covariance_UU.diagonal(), site.active_rate_U
        ).sum(),
    ),
    "mean_abs_r": Measure(
        "mean_abs_r", "Correlation", CORRELATION, "share", words="mean |r|", in_report="mean_abs_r"
    ),
    "mean_abs_r_conv2": Measure(
        "mean_abs_r_conv2",
        "Correlation in conv2",
        CORRELATION,
        "share",
        words="mean |r|",
        reads="mean_abs_r",
        in_report="mean |r| in conv2",
    ),
    "num_parameters": Measure(
        "num_parameters", "Parameters", PARAMETERS, "count", words="parameters"
    ),
}
"""Every measure by name, in the order in which texts show them."""


def measure_named(name: str) -> Measure:
    """Return a measure's row; an unknown name is answered with the nearest known one."""
    return look_up(MEASURES, name, "measure")


def statistics_from(source: str) -> dict[str, Callable[..., float]]:
    """Return the statistics of one source by the names of their measures."""
    rows = [row for row in MEASURES.values() if row.source == source]
    return {row.name: row.statistic for row in rows if row.statistic is not None}
