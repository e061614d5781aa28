"""The registry: every room reads a measure's row, and answers a wrong name with the same error."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import frivolous as fv
from frivolous import figures
from frivolous.errors import BadArgument, UnknownName
from frivolous.measures import AS_PUBLISHED, AS_WRITTEN, redundancy
from frivolous.measures.registry import MEASURES, OF_WIDTH, Measure, measure_named, statistics_from
from frivolous.measures.site_activity import SiteActivity
from frivolous.statistics import jackknife
from frivolous.studies.panel_values import READINGS, RunNumbers, panel_value, table_name

RUN = RunNumbers(
    {
        ("a", "prunable"): (8.0, 16.0),
        ("all", "prunable"): (12.0, 48.0),
        ("a", "effective"): (4.0, 16.0),
        ("a", "compressibility"): (0.75, 16.0),
        ("a", "silent"): (2.0, 16.0),
        ("a", "area"): (0.5, 16.0),
        ("b", "area"): (1.0, 32.0),
        ("all", "area"): (0.25, 48.0),
        ("a", "mean_abs_r"): (0.125, 16.0),
    },
    {"test_accuracy": 0.9, "train_accuracy": None},
)


def measured() -> fv.Measurement:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))
    return fv.measure(model, torch.randn(120, 4), joint_tolerance=None, unit_examples=None)


def table(measure: str) -> pd.DataFrame:
    frame = pd.DataFrame({"size_factor": [1.0, 2.0], "value": [0.1, 0.25], "x": [-1.0, 0.0]})
    return frame.assign(panel="d", curve="c", replicate=0, site="all", measure=measure)


@pytest.mark.parametrize("name", MEASURES)
def test_every_row_is_whole(name: str) -> None:
    row = MEASURES[name]
    assert row.name == name
    assert row.title
    assert row.words
    assert row.scale.reading in READINGS or name == "num_parameters"
    # Computed by a function of activity or of a curve, or by a method of its own.
    assert (row.statistic is not None) == (
        row.source in ("activity", "curve") and name != "prunable"
    )
    assert row.reads in MEASURES or row.scale.reading == "fact"


def test_what_is_read_from_a_run() -> None:
    quarter = 0.25
    assert panel_value("accuracy", RUN, "a", quarter) == 0.9
    assert math.isnan(panel_value("train_accuracy", RUN, "a", quarter))
    assert panel_value("prunable", RUN, "a", quarter) == 8 / 16 / 4
    assert panel_value("non_prunable", RUN, "a", quarter) == (1 - 8 / 16) / 4
    # The mean over sites of shares, not the sum of the units.
    assert panel_value("redundant", RUN, "a", quarter) == 0.75 / 4
    assert panel_value("non_redundant", RUN, "a", quarter) == 0.25 / 4
    assert panel_value("effective", RUN, "a", quarter) == 4 / 16 / 4
    assert panel_value("silent", RUN, "a", quarter) == 2 / 16
    assert panel_value("mean_abs_r_conv2", RUN, "a", quarter) == 0.125
    assert panel_value("area", RUN, "a", quarter) == 0.5
    assert panel_value("area", RUN, "all", quarter) == 0.75  # the mean of the sites' own
    assert panel_value("unchanged_labels", RUN, "all", quarter) == 0.25  # of the joint curve
    assert table_name("unchanged_labels") == "area"
    assert table_name("mean_abs_r_conv2") == "mean_abs_r_conv2"


def test_parameters_are_of_no_run() -> None:
    with pytest.raises(BadArgument, match="no run has a value of num_parameters.*'parameters'"):
        panel_value("num_parameters", RUN, "all", 1.0)


WRONG: dict[str, Callable[[str], Any]] = {
    "look-up": measure_named,
    "measurement": lambda name: measured().value(name),
    "panel": lambda name: panel_value(name, RUN, "a", 1.0),
    "figure of a study": lambda name: figures.study_figure(table(name)),
    "counts": lambda name: figures.counts_figure(table(name)),
    "last epochs": lambda name: figures.last_epochs_figure(table(name)),
    "axis": lambda name: figures.Panel("a", name).scale,
    "title": lambda name: figures.Panel("a", name).heading,
}


@pytest.mark.parametrize("where", WRONG)
def test_an_unknown_measure_is_one_error_everywhere(where: str) -> None:
    words = "unknown measure 'prunabel'; did you mean 'prunable'? Known: accuracy, train_accuracy, "
    with pytest.raises(UnknownName, match=f"^{re.escape(words)}"):
        WRONG[where]("prunabel")


def test_a_site_without_steps_lies_at_its_count_or_above() -> None:
    activity_NU = np.random.default_rng(0).standard_normal((50, 6)) * np.arange(1, 7)
    covariance = np.cov(activity_NU.T)
    sites = {
        (protocol.name, smooth): SiteActivity(
            covariance, activity_NU.mean(0), np.ones(6), protocol, smooth
        ).redundant
        for protocol in (AS_WRITTEN, AS_PUBLISHED)
        for smooth in (False, True)
    }
    count = redundancy.redundant_units(covariance)
    assert sites["as written", False] == count
    assert sites["as published", False] == count + 1
    assert sites["as written", True] == sites["as published", True]
    assert count <= sites["as written", True] < count + 1


def test_a_row_is_all_that_a_measure_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Measure(
        "idle",
        "Idle share",
        OF_WIDTH,
        "share",
        "mean",
        "activity",
        lambda site: 1 - site.active_rate_U.mean(),
        meaning="share of zeros",
    )
    monkeypatch.setitem(MEASURES, "idle", row)
    # What is looked up once, when the library is loaded.
    monkeypatch.setattr(jackknife, "STATISTICS", statistics_from("activity"))
    found = measured()
    first, second, whole = (found.value("idle", site) for site in ("0", "2", "all"))
    assert 0 < first < 1
    assert whole == pytest.approx((first + second) / 2)
    bounds = found.table[found.table["measure"].eq("idle")]
    assert (bounds["low"] < bounds["value"]).all()
    text = " ".join(found.summary().split())
    assert f"{first:.2f}" in text
    assert "idle: share of zeros" in text
    assert "similarity, compressibility and idle means" in text
    run = RunNumbers.of(found.table, {})
    assert panel_value("idle", run, "all", 0.25) == whole
    axes = figures.study_figure(table("idle")).axes[0]
    assert (axes.get_title(loc="left"), axes.get_ylabel()) == ("Idle share", "share of the width")


def test_a_measure_of_curves_has_the_bounds_of_the_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Measure(
        "rest_of_labels",
        "Labels without units",
        OF_WIDTH,
        "share",
        source="curve",
        statistic=lambda fractions_F, shares_DF: shares_DF[:, -1].mean(),
    )
    monkeypatch.setitem(MEASURES, row.name, row)
    found = measured()
    assert found.value(row.name) < 1
    for site in ("0", "2", "all"):
        curves, table = (frame[frame["site"].eq(site)] for frame in (found.curves, found.table))
        last = curves.loc[curves["fraction"].eq(1), ["unchanged", "low", "high"]].mean()
        here = table.loc[table["measure"].eq(row.name), ["value", "low", "high"]].iloc[0]
        assert here.tolist() == pytest.approx(last.tolist())
