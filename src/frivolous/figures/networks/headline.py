"""The headline of a network's figure: its counts, its accuracy, how it was ablated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from frivolous.figures.networks.site_bars import count_text


def headline(table: pd.DataFrame, facts: Mapping[str, Any]) -> tuple[str, str]:
    """Return (counts of the whole network, how they were obtained), each one line.

    ``table`` and ``facts`` as of a ``Measurement``; what they lack is left out.

    >>> table = pd.DataFrame({"site": "all", "grain": "channel", "width": 112,
    ...     "measure": ["prunable", "redundant"], "value": [29.1, 65.0]})
    >>> headline(table, {"examples": 500, "accuracy": 0.974})[0]
    '29.1 of 112 units are prunable, 65 of 112 redundant'
    >>> headline(table, {"examples": 500, "accuracy": 0.974})[1]
    'Accuracy 97.4% on 500 examples'

    """
    whole = table[table["site"].eq("all")].set_index("measure")
    parts = []
    for measure in ("prunable", "redundant"):
        if measure in whole.index and np.isfinite(whole.loc[measure, "value"]):
            row = whole.loc[measure]
            parts.append((measure, row["grain"], f"{count_text(row['value'])} of {row['width']:,}"))
    nouns = ["positions" if grain == "position" else "units" for _, grain, _ in parts]
    counts = [
        f"{said} {noun + ' ' if place == 0 or noun != nouns[0] else ''}"
        f"{'are ' if place == 0 else ''}{measure}"
        for place, ((measure, _, said), noun) in enumerate(zip(parts, nouns, strict=True))
    ]
    return ", ".join(counts), _circumstances(facts)


def _circumstances(facts: Mapping[str, Any]) -> str:
    said = ""
    if "accuracy" in facts:
        said = f"Accuracy {facts['accuracy']:.1%}"
        if "accuracy_low" in facts:
            low, high = 100 * facts["accuracy_low"], 100 * facts["accuracy_high"]
            said += f" [{low:.1f}, {high:.1f}]"
    if "examples" in facts:
        examples = f"{facts['examples']:,} example{'s' * (facts['examples'] != 1)}"
        said = f"{said} on {examples}" if said else examples
    if facts.get("precision") is not None:
        said += f"; curves followed for a precision of {facts['precision']:.3g} of the units"
    if facts.get("replacement") == "mean":
        said += "; ablated to the mean"
    if facts.get("left_out"):
        count = len(facts["left_out"])
        said += f"; {count} site{'s' * (count > 1)} left out"
    return said.removeprefix("; ")
