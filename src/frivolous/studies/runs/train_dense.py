"""From specs to finished runs: data, initial weights, training as a cohort, measurement."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from frivolous.data import DATASETS, Splits
from frivolous.families.initialisers import fixed, initialise, undrawn
from frivolous.families.mlp import MLP, mlp
from frivolous.inputs.batches import as_batches
from frivolous.network import Network, trace
from frivolous.rng import generator
from frivolous.studies.engine import Finished
from frivolous.studies.runs.dense_spec import DataSpec, FamilySpec, RunSpec
from frivolous.studies.runs.measure import finished, measure_run, unmeasured
from frivolous.training.cohort.train import Trained, accuracy_on, train_cohort


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
    recipes = [spec.training for spec in specs]
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


def _measured(spec: RunSpec, result: Trained, splits: Splits, network: Network) -> Finished:
    test = splits.test.first(spec.measured.examples)
    if math.isnan(result.validation_accuracy):
        found = unmeasured(network, len(test))
    else:
        batch = as_batches((test.inputs, test.labels), batch_size=len(test), device=network.device)
        found = measure_run(spec, network.with_weights(result.state), batch)
    return finished(
        result,
        found,
        train_accuracy=accuracy_on(result.state, splits.train),
        diverged=result.diverged,
        data=dict(splits.facts),
        device=str(network.device),
    )
