"""What a compression returns: the thinner module, the units kept, and the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import nn

from frivolous.inputs.batch import Inputs

SITE_COLUMNS = ("site", "before", "after", "silent", "constant", "prunable", "redundant", "reason")
WHOLE_COLUMNS = ("quantity", "unit", "batch", "before", "after", "ratio", "low", "high")
OUTPUT_COLUMNS = ("output", "change", "largest", "spread", "moved", "reason")


@dataclass(frozen=True, eq=False)
class Report:
    """What was removed, what is left and what that changed.

    ``sites`` has a row per site: units before and after, how many of each kind went (silent,
    constant, redundant, prunable: the first that applies) and, where nothing can be cut, the
    reason. ``whole`` has a row per quantity of the network: units (the sums of ``sites``),
    parameters, multiply-adds of one example, latency and memory at batch sizes; ``ratio`` is of
    after to before, for latency the median over paired runs, between ``low`` and ``high`` at 95%.
    ``outputs`` has a row per output of the model other than the scores: the mean and the largest
    absolute change on held-out examples, the original's standard deviation over examples
    (``spread``), and ``moved``, the mean change in units of it; or the reason why there is none.
    ``facts`` has the rest: method, budget, examples that were searched and held out, labels changed
    with the bound, accuracy before and after, largest change of a score, how far silenced and
    removed units lie apart; ``left`` lists the layers that keep all units with each reason,
    ``cut_along`` has the site that others' units went with,
    ``biases_added`` the layers that were given a bias, ``hooks`` those whose hooks the module no
    longer has.
    """

    sites: pd.DataFrame
    whole: pd.DataFrame
    outputs: pd.DataFrame
    facts: Mapping[str, Any]

    def __str__(self) -> str:
        from frivolous.compression.summary import as_text

        return as_text(self)


@dataclass(frozen=True, eq=False)
class Compression:
    """A thinner network.

    ``model`` is a module of the class that was given, with smaller layers, in the mode and on the
    device of the original, without the hooks that were on it. ``kept`` maps each site to the units
    that are left, by their indices in the original, ascending. ``sequence`` has a row per network
    that was tested on held-out examples: the share of parameters and multiply-adds left,
    units of all sites, changed labels and their bound.
    """

    model: nn.Module
    kept: Mapping[str, NDArray[np.int64]]
    report: Report
    sequence: pd.DataFrame

    def save(self, folder: str | Path) -> Path:
        """Write the weights (safetensors) and what is needed to load them (JSON) into a folder."""
        from frivolous.compression.export.save import save

        return save(self, folder)

    def export_onnx(self, path: str | Path, example_inputs: Inputs) -> Path:
        """Write the model as an ONNX file for batches of any size, checked in onnxruntime.

        ``example_inputs`` is a batch as the model takes it. Needs the extra ``onnx``.
        """
        from frivolous.compression.export.onnx import export_onnx

        return export_onnx(self.model, path, example_inputs)
