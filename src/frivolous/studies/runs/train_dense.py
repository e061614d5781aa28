"""From specs to finished runs: data, initial weights, training as a cohort, measurement."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from frivolous.data import DATASETS, Splits
from frivolous.families.initialisers import fixed, initialise, undrawn
from frivolous.families.mlp import MLP, mlp
from frivolous.inputs.batches import as_batches
from frivolous.measurement.measure import COLUMNS, CURVE_COLUMNS, Measurement, measure_network
from frivolous.measurement.run import GROUPS
from frivolous.measures import AS_PUBLISHED, AS_PUBLISHED_IMAGENET, AS_WRITTEN, Protocol
from frivolous.network import Network, trace
from frivolous.rng import generator, seed_of
from frivolous.statistics.jackknife import ORDER
from frivolous.studies.cell import Spec
from frivolous.studies.runs.dense_spec import DataSpec, FamilySpec, MeasureSpec, RunSpec
from frivolous.training.cohort.recipe import Recipe
from frivolous.training.cohort.train import Trained, accuracy_on, train_cohort

PROTOCOLS: dict[str, Protocol] = {
    p.name: p for p in (AS_WRITTEN, AS_PUBLISHED, AS_PUBLISHED_IMAGENET)
}
DECIDED = frozenset(field.name for field in fields(Protocol))


@dataclass(frozen=True)
class Finished:
    """One run as the store takes it."""

    spec: Spec
    measures: pd.DataFrame
    frames: Mapping[str, pd.DataFrame]
    facts: Mapping[str, Any]
    weights: Mapping[str, Tensor]


def make(
    specs: Sequence[RunSpec],
    *,
    device: torch.device | str = "cpu",
    progress: Callable[[float], None] | None = None,
) -> Iterator[Finished]:
    """Train the networks of ``specs`` as one cohort and measure each on the test examples.

    The specs have one family, data set and optimiser. ``progress`` gets the number of networks'
    worth of training done since the last call.
    """
    splits = splits_of(specs[0].data)
    states = initial_states(specs)
    recipes = [Recipe(**spec.training.model_dump()) for spec in specs]
    network = _network(specs[0].family, str(device))
    trained = train_cohort(states, recipes, splits, device=device, progress=progress)
    for spec, result in zip(specs, trained, strict=True):
        yield _measured(spec, result, splits, network)


@lru_cache(maxsize=2)
def splits_of(spec: DataSpec) -> Splits:
    """Return the data of a spec; the last two are kept."""
    options = spec.model_dump(exclude={"name"})
    return DATASETS[spec.name](**options)


def model_of(spec: RunSpec) -> MLP:
    """Return a network of the spec's family, its weights not drawn yet."""
    return _model(spec.family)


def _model(family: FamilySpec) -> MLP:
    return undrawn(lambda: mlp(family.inputs, family.size_factor, family.outputs, family.base))


def initial_states(specs: Sequence[RunSpec]) -> list[dict[str, Tensor]]:
    """Draw the initial weights; networks that start alike share their tensors."""
    known: dict[tuple[Any, ...], dict[str, Tensor]] = {}
    states = []
    for spec in specs:
        key = (spec.family, spec.initialiser, spec.seed, spec.replicate)
        if key not in known:
            model, start = model_of(spec), spec.initialiser
            drawn = generator("student", spec.family.model_dump(), spec.seed, spec.replicate)
            layers = [fixed(sigma, start.distribution) for sigma in start.sigmas]
            initialise(model, layers, drawn, bias=start.bias)
            known[key] = {name: value.detach() for name, value in model.state_dict().items()}
        states.append(known[key])
    return states


@lru_cache(maxsize=5)
def _network(family: FamilySpec, device: str) -> Network:
    """Return the graph of a family's networks, read once for every curve of that width."""
    return trace(_model(family), torch.zeros(2, family.inputs)).to(device)


def protocol_of(spec: MeasureSpec) -> Protocol:
    """Return the protocol that the spec spells out: its name alone does not decide a measure."""
    decided = {name: value for name, value in spec.model_dump().items() if name in DECIDED}
    return replace(PROTOCOLS.get(spec.protocol, AS_WRITTEN), name=spec.protocol, **decided)


def joint_of(spec: MeasureSpec) -> dict[str, Any]:
    """Return how the effective width is measured, where it is: groups of examples apart.

    Readers are then re-fitted on other examples than those whose labels are compared.
    """
    groups = 1 if spec.joint_tolerance is None else GROUPS
    return {"joint_tolerance": spec.joint_tolerance, "groups": groups}


def _measured(spec: RunSpec, result: Trained, splits: Splits, network: Network) -> Finished:
    test = splits.test.first(spec.measured.examples)
    if math.isnan(result.validation_accuracy):
        found = unmeasured(network, len(test))
    else:
        found = measure_network(
            network.with_weights(result.state),
            as_batches((test.inputs, test.labels), batch_size=len(test), device=network.device),
            protocol=protocol_of(spec.measured),
            **joint_of(spec.measured),
            seed=seed_of("measures", spec.seed, spec.replicate),
        )
    facts = {
        "validation_accuracy": result.validation_accuracy,
        "test_accuracy": found.facts["accuracy"],
        "train_accuracy": accuracy_on(result.state, splits.train),
        "best_epoch": result.best_epoch,
        "diverged": result.diverged,
        "data": dict(splits.facts),
        "device": str(network.device),
    }
    frames = {"curves": found.curves}
    if len(found.joint):
        frames["joint"] = found.joint
    return Finished(spec, found.table, frames, facts, result.state)


def unmeasured(network: Network, examples: int) -> Measurement:
    """Return NaN for every measure of a network whose scores were never finite numbers."""
    width = sum(site.width for site in network.sites)
    table = pd.DataFrame({"measure": ["prunable", "area", *ORDER]})
    table = table.assign(site="all", depth=-1, grain="channel", width=width, examples=examples)
    table = table.assign(value=math.nan, low=math.nan, high=math.nan)
    curves = pd.DataFrame(columns=list(CURVE_COLUMNS), dtype=float)
    return Measurement(table[list(COLUMNS)], curves, {"accuracy": math.nan})
