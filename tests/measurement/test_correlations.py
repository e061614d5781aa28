"""The distribution of correlations of a site's units, against NumPy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from frivolous.errors import BadArgument
from frivolous.inputs.batches import as_batches
from frivolous.measurement.measure import CORRELATION_COLUMNS, Measurement, measure_network
from frivolous.measures import AS_PUBLISHED, AS_WRITTEN
from frivolous.measures.similarity import distribution
from frivolous.network import trace

N = 90


@pytest.fixture(scope="module")
def model() -> nn.Module:
    """Ten feature maps: one is silent, two are copies of each other up to scale."""
    random = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 10, 3), nn.ReLU(), nn.Flatten(), nn.Linear(160, 3))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=random))
        net[0].bias[0] = -100
        net[0].weight[2], net[0].bias[2] = 3 * net[0].weight[1], 3 * net[0].bias[1]
    return net.eval()


@pytest.fixture(scope="module")
def inputs() -> torch.Tensor:
    return torch.randn(N, 1, 6, 6, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def found(model: nn.Module, inputs: torch.Tensor) -> Measurement:
    batches = as_batches(inputs, batch_size=40)
    return measure_network(trace(model, inputs[:2]), batches, protocol=AS_PUBLISHED, groups=1)


def test_bins_are_those_of_numpy(found: Measurement, model: nn.Module, inputs) -> None:
    with torch.no_grad():
        rows = torch.relu(model[0](inputs)).movedim(1, -1).reshape(-1, 10).double().numpy()
    r = np.abs(np.corrcoef(rows[:, 1:].T))[np.triu_indices(9, 1)]
    kept = r[r < 0.99999]
    assert len(kept) == 35  # the two copies are left out
    frame = found.correlations
    assert tuple(frame.columns) == CORRELATION_COLUMNS
    assert frame.site.unique().tolist() == ["0"]
    assert frame.low.tolist() == pytest.approx(np.arange(200) / 200)
    assert frame.high.tolist() == pytest.approx(np.arange(1, 201) / 200)
    assert frame.pairs.tolist() == np.histogram(kept, 200, (0, 1))[0].tolist()
    assert frame["mean"].unique() == pytest.approx([kept.mean()])
    assert (frame.undefined.unique().tolist(), frame.copies.unique().tolist()) == ([9], [1])


def test_a_protocol_without_a_limit_keeps_copies_in_the_last_bin(model, inputs) -> None:
    found = measure_network(trace(model, inputs[:2]), as_batches(inputs), protocol=AS_WRITTEN)
    assert found.correlations.pairs.iloc[-1] == 1
    assert found.correlations.pairs.sum() == 36
    assert found.correlations.copies.max() == 0


def test_the_first_sampling_counts(model, inputs) -> None:
    network, batches = trace(model, inputs[:2]), as_batches(inputs)
    several, one = (
        measure_network(network, batches, protocol=replace(AS_WRITTEN, cap=300, samplings=count))
        for count in (3, 1)
    )
    pd.testing.assert_frame_equal(several.correlations, one.correlations)
    assert several.value("similarity") != one.value("similarity")


def test_saved(found: Measurement, tmp_path: Path) -> None:
    read = pd.read_parquet(found.save(tmp_path) / "correlations.parquet")
    pd.testing.assert_frame_equal(read, found.correlations)


def test_a_distribution_holds_every_pair_once() -> None:
    draw = np.random.default_rng(0).normal(size=(50, 30))
    covariance = np.cov(draw.T)
    covariance[3] = covariance[:, 3] = 0
    spread = distribution(covariance, below=0.2, bins=7)
    varies = np.delete(draw, 3, axis=1)
    pairs = np.abs(np.corrcoef(varies.T)[np.triu_indices(29, k=1)])
    pairs = pairs[pairs < 0.2]
    assert spread.pairs.tolist() == np.histogram(pairs, 7, (0, 1))[0].tolist()
    assert spread.mean == pytest.approx(pairs.mean())
    assert spread.undefined == 29
    assert spread.pairs.sum() + spread.undefined + spread.copies == 30 * 29 // 2


def test_without_pairs_there_is_no_mean() -> None:
    spread = distribution([[2.0]])
    assert (spread.pairs.sum(), spread.undefined, spread.copies) == (0, 0, 0)
    assert np.isnan(spread.mean)
    with pytest.raises(BadArgument, match="`bins` is 1 or more; got 0. Pass 200."):
        distribution([[2.0]], bins=0)
