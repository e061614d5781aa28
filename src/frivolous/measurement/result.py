"""The result of a measurement: its frames and facts, look-up, text, figure and files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from frivolous.errors import BadArgument, one_line
from frivolous.measurement.rows import CORRELATION_COLUMNS
from frivolous.measurement.unit_table import JOINT_COLUMNS, UNIT_COLUMNS, empty
from frivolous.measures import AS_WRITTEN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ALL = "all"
FACTS = "measurement.json"
FRAMES = ("table", "curves", "correlations", "units", "joint")


@dataclass(frozen=True)
class Measurement:
    """The measured numbers of one network.

    ``table``: one row per site and measure; columns ``site, depth, grain, width, measure, value,
    low, high, examples``. Measures: ``prunable`` and ``redundant`` (units), ``area`` (0 to 1),
    ``similarity`` (units), ``compressibility`` (share of the width), ``silent`` and ``constant``
    (units). Site ``all`` is the whole network (or the chosen sites, where ``sites`` left some out;
    ``facts["left_out"]`` names those): sums of units; means over sites, each equal in weight, of
    similarity and compressibility; prunable and area as ``facts["sites"]`` says:

    - "together and alone", "together": of the curve of every site ablated together;
    - "mean of single sites": of the mean of the sites' own curves, order by order; no example ever
      loses units of two sites at once. The area is the mean of the sites' areas;
    - "one site": of that site's own curve. With several, each has its own rows and "all" has none.

    In every case ``width`` of a prunable row counts the units of the sites in its curve and
    ``value`` is the curve's crossing times that width, so ``value / width`` is the crossing as a
    share of the units, which the papers plot times size factor / 4. The preprint's removability of
    a network, per layer and then averaged, is the mean of the sites' areas.
    ``low`` and ``high`` bound the 95% interval over examples, NaN where there are too few to say.
    Measured to a ``precision``, ``examples`` of a prunable row is how many the curve took, and its
    bounds hold at every number of examples (a confidence sequence).

    ``curves``: the ablation curves, one row per site, draw and fraction; ``unchanged`` is the share
    of unchanged labels with its 95% interval (of a mean over sites: as wide as if the sites' labels
    changed for the same examples, the widest that it can be), ``spread`` its standard deviation
    over draws.

    ``correlations``: how the absolute correlations of pairs of units are distributed, one row per
    site and bin (:func:`frivolous.measurement.rows.correlation_frame`).

    ``units``: one row per unit, with its kind
    (:func:`frivolous.measurement.unit_table.unit_frame`), and ``joint``: the order in which the
    units of each site can go, readers re-fitted, with the error after each
    (:func:`frivolous.measurement.unit_table.joint_frame`); both empty where they were left out.
    Measure ``effective`` of the table is the fewest units of a site that keep all but
    ``facts["joint_tolerance"]`` of the labels so, each site by itself; "all" is the sum.
    """

    table: pd.DataFrame
    curves: pd.DataFrame
    facts: Mapping[str, Any] = field(default_factory=dict)
    correlations: pd.DataFrame = field(default_factory=lambda: empty(CORRELATION_COLUMNS))
    units: pd.DataFrame = field(default_factory=lambda: empty(UNIT_COLUMNS))
    joint: pd.DataFrame = field(default_factory=lambda: empty(JOINT_COLUMNS))

    def value(self, measure: str, site: str = ALL) -> float:
        """One value of the table."""
        rows = self.table[(self.table.measure == measure) & (self.table.site == site)]
        if len(rows) != 1:
            known = ", ".join(self.table.site.unique())
            raise BadArgument(
                f"no value of measure '{measure}' at site '{site}'; sites: {known}; measures: "
                f"{', '.join(self.table.measure.unique())}."
            )
        return float(rows.value.iloc[0])

    def summary(self) -> str:
        """The table as text for a terminal: one line per site, each value with its interval."""
        from frivolous.text.measurement import measurement_text

        return measurement_text(self.table, self.facts, self.units, self.curves)

    def plot(self, title: str = "") -> Figure:
        """Draw the ablation curves and the counts of every site.

        ``title``: what was measured, such as the network's name; default the counts of site "all".
        Accuracy and number of examples are printed below it.
        """
        from frivolous.figures import headline, measurement_figure

        counts, how = headline(self.table, self.facts)
        return measurement_figure(
            self.table,
            self.curves,
            title=title or counts,
            claim=f"{counts}. {how}" if title else how,
            tolerance=self.facts.get("tolerance", AS_WRITTEN.tolerance),
            draw=self.facts.get("draw", AS_WRITTEN.draw),
        )

    def plot_joint(self, title: str = "") -> Figure:
        """Draw joint frivolity: labels and the readers' error against the units kept, by site.

        ``title``: what was measured; default how many units do. Raises :class:`BadArgument` where
        the effective width was left out.
        """
        from frivolous.figures import headline, joint_figure

        rows = self.table[self.table.measure == "effective"]
        whole = rows[rows.site == ALL]
        counts = ""
        if len(whole):
            value, width = whole.value.iloc[0], whole.width.iloc[0]
            counts = f"{value:,.0f} of {width:,} units do, each site by itself with its readers "
            counts += "re-fitted"
        _, how = headline(self.table, self.facts)
        return joint_figure(
            self.joint,
            self.table,
            title=title or counts,
            claim=f"{counts}. {how}" if title and counts else how,
            tolerance=self.facts.get("joint_tolerance") or 0.0,
        )

    def save(self, folder: str | Path) -> Path:
        """Write the frames as Parquet and the facts as ``measurement.json`` into ``folder``.

        One file per frame, such as ``table.parquet``; :func:`load_measurement` reads them back.
        """
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name in FRAMES:
                getattr(self, name).to_parquet(folder / f"{name}.parquet", index=False)
            text = json.dumps(dict(self.facts), indent=2, sort_keys=True)
            (folder / FACTS).write_text(text + "\n")
        except OSError as error:
            raise BadArgument(
                f"`folder` {folder} cannot be written ({error.strerror}); name a folder that can."
            ) from error
        return folder


def load_measurement(folder: str | Path) -> Measurement:
    """Read what :meth:`Measurement.save` wrote.

    Raises :class:`BadArgument` for a folder that holds no measurement, or a damaged one.
    """
    folder = Path(folder)
    files = [FACTS, *(f"{name}.parquet" for name in FRAMES)]
    missing = [name for name in files if not (folder / name).is_file()]
    if missing:
        raise BadArgument(
            f"`folder` {folder} holds no measurement: it has no {missing[0]}. Pass a folder that "
            "`Measurement.save` or `frivolous measure --out` wrote."
        )
    try:
        facts = json.loads((folder / FACTS).read_text())
        frames = {name: pd.read_parquet(folder / f"{name}.parquet") for name in FRAMES}
    except (OSError, ValueError) as error:  # Arrow's and JSON's errors are ValueErrors
        raise BadArgument(
            f"`folder` {folder} holds a measurement that cannot be read ({one_line(str(error))}). "
            "Measure again."
        ) from error
    return Measurement(facts=facts, **frames)
