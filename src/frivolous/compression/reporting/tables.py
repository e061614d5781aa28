"""The tables of a compression's report: what was removed, what is left, what that changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import nn

from frivolous.compression.coupling.groups import PruningGroup
from frivolous.compression.criteria.calibration import ReaderStatistics
from frivolous.compression.criteria.methods import features_of
from frivolous.compression.export.surgery_spec import windows_of
from frivolous.compression.profiling import latency_of, memory_of
from frivolous.compression.pruner import Pruner
from frivolous.compression.reporting.held_out import compare_held_out
from frivolous.compression.reporting.skipped import cut_along, reason_of, skipped_layers
from frivolous.compression.reporting.unit_counts import own_units, total_units
from frivolous.compression.result import SITE_COLUMNS, WHOLE_COLUMNS, Report, ReportFacts
from frivolous.compression.search.label_test import Reference, clopper_pearson_upper
from frivolous.compression.search.search import Found, Search
from frivolous.inputs.batch import repeat_examples
from frivolous.inputs.batches import Batches
from frivolous.measures import curve
from frivolous.measures.unit_kinds import Thresholds, constant_units, silent_units

BATCHES = (1, 64)
"""Batch sizes at which latency and memory are measured."""


def report_of(
    pruner: Pruner,
    found: Found,
    module: nn.Module,
    intact: Reference,
    search: Batches,
    held: Batches,
    before: Mapping[str, Any],
    facts: Mapping[str, Any],
) -> Report:
    """Build the report of a compression; ``module`` is the one returned to the user."""
    after, outputs = compare_held_out(pruner, module, intact, held)
    bounds = curve.proportion(after["changed"], held.examples)
    sites = _sites(pruner, found)
    every = {
        **facts,
        "searched": search.examples,
        "held_out": held.examples,
        **after,
        "changed_share": after["changed"] / held.examples,
        "changed_low": float(bounds[0]),
        "changed_high": float(bounds[1]),
        "bound": clopper_pearson_upper(after["changed"], held.examples),
        "asked": len(found.asked),
        "left": skipped_layers(pruner),
        "cut_along": cut_along(pruner),
        "biases_added": added_biases(pruner.model, module),
        "norms_exchanged": list(windows_of(module)),
        **{f"{name}_before": value for name, value in before.items()},
    }
    whole = _whole(pruner, found, module, held, sites)
    return Report(sites, whole, outputs, cast(ReportFacts, every))


def added_biases(before: nn.Module, after: nn.Module) -> list[str]:
    """Paths of the layers that have a bias and had none."""
    known = {name for name, _ in before.named_parameters(remove_duplicate=False)}
    new = [n for n, _ in after.named_parameters(remove_duplicate=False) if n not in known]
    return [name.rpartition(".")[0] for name in new]


def _sites(pruner: Pruner, found: Found) -> pd.DataFrame:
    rows = []
    cut_of = {name: cut for cut in pruner.cuts for name in cut.places}
    for site in pruner.whole.sites:
        cut = cut_of.get(site.name)
        reason = reason_of(site.name, pruner)
        went = dict.fromkeys(SITE_COLUMNS[3:7], 0)
        after = site.width
        if cut is not None:
            units_S = cut.places[site.name]
            gone = found.thinner.keeping.gone[cut.number_U]
            names = _kinds(cut, pruner.statistics[cut.name], gone)
            here = units_S[~own_units(cut, site.name, np.flatnonzero(~gone))]
            after = site.width - len(here)
            went |= {kind: int((names[here] == kind).sum()) for kind in went}
        rows.append((site.name, site.width, after, *went.values(), reason))
    return pd.DataFrame(rows, columns=list(SITE_COLUMNS))


def _kinds(
    cut: PruningGroup, statistics: list[ReaderStatistics], gone_U: NDArray[np.bool_]
) -> NDArray[np.str_]:
    """Why each removed unit could go: shape (U,).

    Silent and constant as :mod:`frivolous.measures.unit_kinds` has them; redundant where the units
    kept explain 95% of its variance for some reader; else prunable.
    """
    limits = Thresholds()
    silent = np.ones(cut.units, dtype=bool)
    steady = np.ones(cut.units, dtype=bool)
    explained = np.zeros(cut.units, dtype=bool)
    kept = np.flatnonzero(~gone_U)
    for one in statistics:
        moments, t = one.moments, one.per_unit
        rate = moments.active_rate_U.reshape(-1, t).max(axis=1)
        middle = np.arange(cut.units) * t + t // 2
        variance, mean = moments.variance_U[middle], moments.mean_U[middle]
        silent &= silent_units(rate, limits.silent)
        steady &= constant_units(mean, variance, rate, limits.constant, limits.silent)
        explained |= _explained(one, kept, middle) >= limits.redundant
    return np.select([silent, steady, explained], ["silent", "constant", "redundant"], "prunable")


def _explained(
    one: ReaderStatistics, kept_K: NDArray[np.int64], middle_U: NDArray[np.int64]
) -> Any:
    """R squared of each unit's own feature, the middle one, by the features of the units kept."""
    covariance = one.moments.covariance_UU
    kept = features_of(kept_K, one.per_unit)
    scale = np.sqrt(np.diagonal(covariance)[kept])
    acting = kept[scale > 0]
    scale = scale[scale > 0]
    correlation = covariance[np.ix_(acting, acting)] / scale[:, None] / scale
    right = covariance[np.ix_(acting, middle_U)] / scale[:, None]
    solved = np.linalg.solve(correlation + 1e-8 * np.eye(len(acting)), right)
    variance = np.diagonal(covariance)[middle_U]
    known = (right * solved).sum(axis=0)
    return np.divide(known, variance, out=np.zeros(len(middle_U)), where=variance > 0)


def _whole(
    pruner: Pruner, found: Found, module: nn.Module, held: Batches, sites: pd.DataFrame
) -> pd.DataFrame:
    flops = [pruner.sizes_left(k)[1] for k in (pruner.keeping({}), found.thinner.keeping)]
    parameters = [sum(p.numel() for p in m.parameters()) for m in (pruner.model, module)]
    counts = {
        ("units", "count"): [sites.before.sum(), sites.after.sum()],
        ("parameters", "count"): parameters,
        ("multiply-adds", "per example"): flops,
    }
    rows: list[tuple[Any, ...]] = [
        (*name, 0, *map(float, pair), _share(pair), np.nan, np.nan) for name, pair in counts.items()
    ]
    first = held.first()
    for size in BATCHES:
        inputs = repeat_examples(first, size)
        time = latency_of(pruner.model, module, inputs)
        told = time.before, time.after, time.ratio, time.low, time.high
        rows.append(("latency", "seconds", size, *told))
        memory = [float(memory_of(m, inputs)) for m in (pruner.model, module)]
        rows.append(("memory", "bytes", size, *memory, _share(memory), np.nan, np.nan))
    return pd.DataFrame(rows, columns=list(WHOLE_COLUMNS))


def _share(pair: Sequence[float]) -> float:
    return float(pair[1]) / float(pair[0]) if pair[0] else np.nan


def sequence_of(work: Search, found: Found) -> pd.DataFrame:
    """The networks that were tested on held-out examples, in that order."""
    whole, pruner = work.sizes.both(work.whole), work.pruner
    rows = []
    for units, changed in found.asked:
        left = work.sizes.both(units) / np.maximum(whole, 1)
        total = total_units(pruner.whole, pruner.cuts, pruner.orders, units)
        rows.append((*left.tolist(), total, changed.count, changed.share, changed.high))
    columns = ["parameters", "flops", "units", "changed", "changed_share", "bound"]
    return pd.DataFrame(rows, columns=columns)
