"""The caption below the figure of a study."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from frivolous.figures.base.panel import Drawn, Panel, rows_of


def study_caption(
    means: pd.DataFrame,
    gains: pd.DataFrame,
    panels: Sequence[Panel],
    drawn: Sequence[Drawn],
    source: str,
    scale: str = "",
) -> str:
    """Say what points, bars and grey marks are, the number of replicates, and what is missing."""
    counts = pd.concat([rows_of(means, panel)["n"] for panel in panels])
    counts = counts[counts > 0]
    least, most = (int(counts.min()), int(counts.max())) if len(counts) else (0, 0)
    if all(panel.measure == "num_parameters" for panel in panels):
        said = ["Points: exact counts, which no training changes."]
    elif most <= 1:
        said = ["One trained network per point (n = 1), hence no error bars."]
    else:
        n = f"{most}" if least == most else f"{least} to {most}"
        said = [f"Points: means over n = {n} trained networks; bars: ± SD (n − 1)."]
    if any(panel.published for panel in drawn):
        said.append(f"Grey marks: {source}, with SD where it is known.")
    said += measured_at(scale)
    shown = pd.concat([rows_of(gains, panel) for panel in panels])
    if np.isfinite(shown["gain"].to_numpy(float)).any():
        interval = np.isfinite(shown["low"].to_numpy(float)).any()
        said.append(
            "g: mean ratio per doubling of width"
            + (", with 95% bootstrap interval over replicates." if interval else " (no interval).")
        )
    below, empty = sum(p.below for p in drawn), sum(p.empty for p in drawn)
    if below:
        said.append(
            f"Open markers at the lower edge: {below} mean{'s' * (below > 1)} at or below 0, which "
            "a log axis cannot show."
        )
    if empty:
        said.append(f"Left out: {empty} point{'s' * (empty > 1)} without a finite value.")
    return " ".join([*said, *_versions(panels)])


def measured_at(scale: str) -> list[str]:
    """Return the sentence that says at which scale the study was run; none where it is unknown.

    ``scale`` may say more after a comma: "paper, in part".

    >>> measured_at("cpu")
    ["Measured at scale cpu, which is not the paper's size: compare shapes, not values."]

    """
    if not scale:
        return []
    name, comma, rest = scale.partition(",")
    if name == "paper":
        return [f"Measured at the paper's scale{comma}{rest}."]
    return [
        f"Measured at scale {scale}, which is not the paper's size: compare shapes, not values."
    ]


def _versions(panels: Sequence[Panel]) -> list[str]:
    """Say which papers the panels with grey names are of."""
    named: dict[str, list[str]] = {}
    for panel in panels:
        if panel.earlier:
            version = panel.version or "earlier versions of the paper"
            named.setdefault(version, []).append(panel.name)
    said = [f"{', '.join(names)}: {version}" for version, names in named.items()]
    return [f"Grey panel names: {'; '.join(said)}."] if said else []
