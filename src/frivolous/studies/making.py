"""From specs to finished runs: data, initial weights, training as a cohort, measurement."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from frivolous.batches import as_batches
from frivolous.data import DATASETS, Splits
from frivolous.families.initialisers import fixed, initialise
from frivolous.families.mlp import MLP, mlp
from frivolous.measurement import measure_network
from frivolous.measures import AS_PUBLISHED, AS_WRITTEN, Protocol
from frivolous.network import Network, trace
from frivolous.seeds import generator, seed_of
from frivolous.studies.run_spec import DataSpec, MeasureSpec, RunSpec
from frivolous.training.cohort import Trained, test_accuracy, train_cohort
from frivolous.training.recipe import Recipe

PROTOCOLS: dict[str, Protocol] = {p.name: p for p in (AS_WRITTEN, AS_PUBLISHED)}


@dataclass(frozen=True)
class Finished:
    """One run as the store takes it."""

    spec: RunSpec
    measures: pd.DataFrame
    curves: pd.DataFrame
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
    splits = _splits(specs[0].data)
    states = _initial_states(specs)
    recipes = [Recipe(**spec.training.model_dump()) for spec in specs]
    network = _network(specs[0], splits, device)
    trained = train_cohort(states, recipes, splits, device=device, progress=progress)
    for spec, result in zip(specs, trained, strict=True):
        yield _measured(spec, result, splits, network)


@lru_cache(maxsize=2)
def _splits(spec: DataSpec) -> Splits:
    options = spec.model_dump(exclude={"name"})
    return DATASETS[spec.name](**options)


def _model(spec: RunSpec) -> MLP:
    family = spec.family
    return mlp(family.inputs, family.size_factor, family.outputs, family.base)


def _initial_states(specs: Sequence[RunSpec]) -> list[dict[str, Tensor]]:
    """Draw the initial weights; networks that start alike share their tensors."""
    known: dict[tuple[Any, ...], dict[str, Tensor]] = {}
    states = []
    for spec in specs:
        key = (spec.family, spec.initialiser, spec.seed, spec.replicate)
        if key not in known:
            model, start = _model(spec), spec.initialiser
            drawn = generator("student", spec.family.model_dump(), spec.seed, spec.replicate)
            layers = [fixed(sigma, start.distribution) for sigma in start.sigmas]
            initialise(model, layers, drawn, bias=start.bias)
            known[key] = {name: value.detach() for name, value in model.state_dict().items()}
        states.append(known[key])
    return states


def _network(spec: RunSpec, splits: Splits, device: torch.device | str) -> Network:
    return trace(_model(spec), splits.test.inputs[:2]).to(device)


def _protocol(spec: MeasureSpec) -> Protocol:
    return PROTOCOLS[spec.protocol]


def _measured(spec: RunSpec, result: Trained, splits: Splits, network: Network) -> Finished:
    test = splits.test.first(spec.measured.examples)
    found = measure_network(
        network.with_weights(result.state),
        as_batches((test.inputs, test.labels), batch_size=len(test), device=network.device),
        protocol=_protocol(spec.measured),
        groups=1,
        seed=seed_of("measures", spec.seed, spec.replicate),
    )
    facts = {
        "validation_accuracy": result.validation_accuracy,
        "test_accuracy": found.facts["accuracy"],
        "train_accuracy": test_accuracy(result.state, splits.train),
        "best_epoch": result.best_epoch,
        "diverged": result.diverged,
        "data": dict(splits.facts),
    }
    return Finished(spec, found.table, found.curves, facts, result.state)
