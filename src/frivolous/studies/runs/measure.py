"""What a trained network of any kind is measured by, and what its run keeps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from frivolous.inputs.batches import Batches
from frivolous.measurement.measure import COLUMNS, CURVE_COLUMNS, Measurement, measure_network
from frivolous.measurement.run import GROUPS
from frivolous.network import Network
from frivolous.rng import seed_of
from frivolous.statistics.jackknife import ORDER
from frivolous.studies.engine import Finished
from frivolous.studies.runs.dense_spec import RunSpec
from frivolous.studies.runs.image_spec import ImageSpec
from frivolous.training.cohort.train import Trained
from frivolous.training.single.train import Result


def measure_run(
    spec: RunSpec | ImageSpec, network: Network, test: Batches, **where: Any
) -> Measurement:
    """Measure a network by the protocol that its spec spells out.

    For the effective width readers are re-fitted on other examples than those whose labels are
    compared: on groups of their own. ``where``: further arguments of ``measure_network``.
    """
    measured = spec.measured
    return measure_network(
        network,
        test,
        protocol=measured.as_protocol(),
        joint_tolerance=measured.joint_tolerance,
        groups=1 if measured.joint_tolerance is None else GROUPS,
        seed=seed_of("measures", spec.seed, spec.replicate),
        **where,
    )


def unmeasured(network: Network, examples: int) -> Measurement:
    """Return NaN for every measure of a network whose scores were never finite numbers."""
    width = sum(site.width for site in network.sites)
    table = pd.DataFrame({"measure": ["prunable", "area", *ORDER]})
    table = table.assign(site="all", depth=-1, grain="channel", width=width, examples=examples)
    table = table.assign(value=math.nan, low=math.nan, high=math.nan)
    curves = pd.DataFrame(columns=list(CURVE_COLUMNS), dtype=float)
    return Measurement(table[list(COLUMNS)], curves, {"accuracy": math.nan})


def finished(
    result: Trained | Result,
    found: Measurement,
    frames: Mapping[str, pd.DataFrame] | None = None,
    **facts: Any,
) -> Finished:
    """Return what is kept of a trained and measured network, further frames and facts included."""
    every = {"curves": found.curves, **(frames or {})}
    if len(found.joint):
        every["joint"] = found.joint
    known = {
        "validation_accuracy": result.validation_accuracy,
        "test_accuracy": found.facts["accuracy"],
        "best_epoch": result.best_epoch,
    }
    return Finished(found.table, every, known | facts, result.state)
