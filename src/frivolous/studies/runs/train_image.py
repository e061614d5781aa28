"""From the specs of image networks to finished runs: data, weights, training, measurement."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from frivolous.ablation.pre_norm import value_of_zeroed_layer
from frivolous.data import DATASETS, Splits
from frivolous.data.images.transforms import PREPARATIONS
from frivolous.data.random_labels import with_random_labels
from frivolous.errors import look_up
from frivolous.families import FAMILIES, Family
from frivolous.families.initialisers import undrawn
from frivolous.inputs.batches import Batches, prepared
from frivolous.measurement.measure import Measurement
from frivolous.network import Network, trace
from frivolous.rng import generator, seed_of
from frivolous.studies.engine import Finished
from frivolous.studies.runs.image_spec import ImageDataSpec, ImageFamilySpec, ImageSpec
from frivolous.studies.runs.measure import finished, measure_run, unmeasured
from frivolous.training.single.checkpoint import forget
from frivolous.training.single.train import Result, train_network

BATCH = 256
"""Images of one batch of a measurement."""

ON_DISK = ("cifar10", "imagenet")
"""Sources that are told where their data lies."""


def make(
    specs: Sequence[ImageSpec],
    *,
    device: torch.device | str = "cpu",
    progress: Callable[[float], None] | None = None,
    folder: str | Path | None = None,
    checkpoints: Sequence[Path | None] = (),
) -> Iterator[Finished]:
    """Train the networks of ``specs`` one after another and measure each on the test examples.

    ``folder`` is where data lies that do not come with the package. ``checkpoints``, one for each
    spec or none at all, are the files that trainings go on from; each is removed when the caller
    has taken the run.
    """
    for spec, checkpoint in zip(specs, checkpoints or [None] * len(specs), strict=True):
        yield _made(spec, str(device), progress, folder, checkpoint)
        if checkpoint is not None:
            forget(checkpoint)


def splits_of(spec: ImageDataSpec, seed: int, folder: str | Path | None = None) -> Splits:
    """Return the data of a spec; of sources on disk the last one is kept in memory."""
    splits = _splits(spec.model_copy(update={"random_labels": False}), folder)
    return with_random_labels(splits, seed) if spec.random_labels else splits


@lru_cache(maxsize=2)
def _splits(spec: ImageDataSpec, folder: str | Path | None) -> Splits:
    options: dict[str, Any] = dict(spec.options)
    if spec.name in ON_DISK:
        options["folder"] = folder
    return look_up(DATASETS, spec.name, "data set")(**options)


def model_of(spec: ImageSpec) -> nn.Module:
    """Return the untrained network of a spec, its weights drawn from the spec's seeds.

    Curves that differ in nothing but data or training start from the same weights.
    """
    family = family_of(spec)
    model = _model(spec.family)
    drawn = generator("image network", spec.family.model_dump(), spec.seed, spec.replicate)
    family.start(model, spec.start, drawn)
    return model


def family_of(spec: ImageSpec) -> Family:
    """Return the family that a spec names."""
    return look_up(FAMILIES, spec.family.name, "family")


def _model(spec: ImageFamilySpec) -> nn.Module:
    family = look_up(FAMILIES, spec.name, "family")
    return undrawn(lambda: family.build(spec.size_factor, **dict(spec.options)))


@lru_cache(maxsize=2)
def network_of(spec: ImageFamilySpec, device: str) -> Network:
    """Return the graph of a family's networks, read once for every curve of that width."""
    family = look_up(FAMILIES, spec.name, "family")
    shape = dict(spec.options).get("image", family.image)
    assert isinstance(shape, tuple)
    model = _model(spec)
    family.start(model, "default", generator("traced"))
    return trace(model, torch.zeros(2, *(int(size) for size in shape))).to(device)


def _made(
    spec: ImageSpec,
    device: str,
    progress: Callable[[float], None] | None,
    folder: str | Path | None,
    checkpoint: Path | None,
) -> Finished:
    splits = splits_of(spec.data, spec.seed, folder)
    result = train_network(
        model_of(spec),
        spec.training,
        splits,
        seed=seed_of("image training", spec.seed, spec.replicate),
        device=device,
        checkpoint=checkpoint,
        progress=progress,
    )
    network = network_of(spec.family, device)
    frames = {"history": pd.DataFrame([vars(record) for record in result.history], dtype=float)}
    if result.failed is not None:
        found = unmeasured(network, spec.measured.examples)
    else:
        test = prepared(
            splits.test,
            PREPARATIONS[spec.training.preparation].test,
            batch_size=BATCH,
            device=device,
            limit=spec.measured.examples,
        )
        measuring = _Measuring(spec, family_of(spec).layers, network, test)
        found = measuring.measure(result.state)
        frames["correlations"] = found.correlations
        if result.snapshots:
            frames["snapshots"] = measuring.snapshots(result.snapshots)
    return finished(result, found, frames, **_facts(spec, result, splits, device))


def _facts(spec: ImageSpec, result: Result, splits: Splits, device: str) -> dict[str, Any]:
    failed = result.failed
    return {
        "train_accuracy": result.train_accuracy,
        "epochs": result.epochs,
        "diverged": failed is not None,
        "failed": None if failed is None else {"step": failed.step, "loss": failed.loss},
        "data": {**splits.facts, "source": spec.data.name},
        "device": device,
    }


@dataclass(frozen=True)
class _Measuring:
    """One family's network on its test examples, its sites under the papers' names of layers."""

    spec: ImageSpec
    layers: Mapping[str, str]
    network: Network
    test: Batches

    def measure(self, state: Mapping[str, Tensor]) -> Measurement:
        """Measure the network with these weights; the frames name the papers' layers."""
        network, measured = self.network.with_weights(dict(state)), self.spec.measured
        early = [self.layers[name] for name in measured.before_normalisation]
        found = measure_run(
            self.spec,
            network,
            self.test,
            sites=[self.layers[name] for name in measured.layers],
            ablated_sites=[self.layers[name] for name in measured.ablated] or None,
            silenced_as={
                name: value_of_zeroed_layer(network, name, self.test.first(1)) for name in early
            },
        )
        correlations = self._named(found.correlations)
        return replace(
            found,
            table=_with_correlations(self._named(found.table), correlations),
            curves=self._named(found.curves),
            correlations=correlations,
            joint=self._named(found.joint),
        )

    def _named(self, frame: pd.DataFrame) -> pd.DataFrame:
        names = {site: layer for layer, site in self.layers.items()}
        return frame.assign(site=frame["site"].map(lambda site: names.get(site, site)))

    def snapshots(self, states: Mapping[int, Mapping[str, Tensor]]) -> pd.DataFrame:
        """Return the measures of earlier states: ``before_end`` epochs, ``test_accuracy``."""
        parts = []
        for before in sorted(states):
            found = self.measure(states[before])
            accuracy = found.facts["accuracy"]
            parts.append(found.table.assign(before_end=before, test_accuracy=accuracy))
        return pd.concat(parts, ignore_index=True)


def _with_correlations(table: pd.DataFrame, correlations: pd.DataFrame) -> pd.DataFrame:
    """Return the measures with the mean absolute correlation of every layer besides."""
    means = correlations.groupby("site", sort=False)["mean"].first()
    like = table[table["measure"] == "similarity"].set_index("site").loc[means.index]
    rows = like.assign(measure="mean_abs_r", value=means, low=math.nan, high=math.nan)
    return pd.concat([table, rows.reset_index()[list(table.columns)]], ignore_index=True)
