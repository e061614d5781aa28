"""A row per unit: what ``fv.measure`` says of each, and in which order they can go."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

import frivolous as fv
from frivolous.ablation.label_agreement import unchanged_counts
from frivolous.errors import BadArgument
from frivolous.measurement.measure import JOINT_COLUMNS, UNIT_COLUMNS, Measurement
from frivolous.measures.unit_kinds import Thresholds
from frivolous.network import trace
from frivolous.text.measurement import measurement_text

N = 300


class Made(nn.Module):
    """Eight units of known kinds: of u, a copy, a blocked one, silent, constant and so on."""

    KINDS = (
        "redundant functional",  # u
        "redundant functional",  # 2 u, read as well
        "essential",
        "non-redundant blocked",
        "silent",
        "constant",
        "redundant blocked",  # follows unit 7 and is not read
        "redundant functional",
    )

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.scores = nn.Linear(4, 8), nn.Linear(8, 2)
        with torch.no_grad():
            self.hidden.weight.zero_()
            self.hidden.bias.zero_()
            for unit, (feature, scale) in {
                0: (0, 1.0), 1: (0, 2.0), 2: (1, 1.0), 3: (2, 1.0), 6: (3, -3.0), 7: (3, -1.0)
            }.items():  # fmt: skip
                self.hidden.weight[unit, feature] = scale
            self.hidden.bias[4], self.hidden.bias[5] = -1.0, 1.0
            self.scores.weight.copy_(
                torch.tensor([[1.0, 0.25, -2.0, 0.0, 3.0, 0.5, 0.0, 1.0], [0.0] * 8])
            )
            self.scores.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        return self.scores(torch.relu(self.hidden(x)))


@pytest.fixture(scope="module")
def x() -> Tensor:
    return torch.randn(N, 4, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def found(x: Tensor) -> Measurement:
    return fv.measure(Made(), x)


def test_kinds_of_units(found: Measurement) -> None:
    units = found.units
    assert tuple(units.columns) == UNIT_COLUMNS
    assert units.kind.tolist() == list(Made.KINDS)
    assert units.unit.tolist() == list(range(8))
    assert set(units.site) == {"hidden"}
    assert set(units.examples) == {N}


def test_what_is_said_of_each_unit(found: Measurement, x: Tensor) -> None:
    with torch.no_grad():
        activity = torch.relu(Made().hidden(x)).double().numpy()
    units = found.units
    np.testing.assert_allclose(units["mean"], activity.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(units.sd, activity.std(axis=0, ddof=1), atol=1e-6)
    np.testing.assert_allclose(units.active, (activity != 0).mean(axis=0))
    assert units.twin[[0, 1, 6, 7]].tolist() == [1, 0, 7, 6]
    np.testing.assert_allclose(units.twin_r[[0, 1, 6, 7]], 1)
    assert units.twin[[4, 5]].tolist() == [-1, -1]
    # Unit 0 is read most: 1 against 0.25 * 2; nobody reads unit 6.
    assert units.group.tolist() == [0, 0, 2, 3, 4, 5, 7, 7]
    np.testing.assert_allclose(units.outgoing, [1, 0.25, 2, 0, 3, 0.5, 0, 1])
    assert units.explained[[4, 5]].isna().all()
    assert (units.predicted[[0, 1, 6, 7]] > 0.999).all()
    assert (units.predicted[[2, 3]] < 0.1).all()
    assert (units.changed_low <= units.changed).all()
    assert (units.changed <= units.changed_high).all()
    assert (units.divergence[[3, 4, 6]] == 0).all()


def test_the_order_and_the_effective_width(found: Measurement) -> None:
    joint = found.joint
    assert tuple(joint.columns) == JOINT_COLUMNS
    assert joint.kept.tolist() == [7, 6, 5, 4, 3, 2, 1, 0]
    # Three directions count: u, the third unit and the last.
    assert set(joint.unit[:5]) - {0, 1, 6, 7} == {3, 4, 5}
    assert (joint.error[:5] < 1e-9).all()
    assert joint.error[5] > 1e-3
    assert joint.error.is_monotonic_increasing
    assert joint.error.iloc[-1] == pytest.approx(1)
    tried = joint.unchanged.notna()
    assert (joint.low[tried] <= joint.unchanged[tried]).all()
    assert found.value("effective") == found.value("effective", "hidden") == 3
    assert joint.unchanged[joint.kept == 3].item() == 1


def test_thresholds_are_taken_and_told(x: Tensor) -> None:
    found = fv.measure(Made(), x, thresholds=Thresholds(changed=0.9, divergence=9.0, silent=0.6))
    assert found.facts["thresholds"]["silent"] == 0.6
    assert set(found.units.kind) == {"silent", "constant"}
    assert "silent: active on at most 0.6 of samples" in " ".join(found.summary().split())


def test_fewer_examples_for_the_units(x: Tensor) -> None:
    found = fv.measure(Made(), x, unit_examples=100, seed=5)
    assert set(found.units.examples) == {100}
    again = fv.measure(Made(), x.split(77), unit_examples=100, seed=5)
    pd.testing.assert_frame_equal(found.units, again.units, rtol=1e-6)


def test_left_out_on_request(x: Tensor) -> None:
    found = fv.measure(Made(), x, unit_examples=None, joint_tolerance=None)
    assert found.units.empty
    assert found.joint.empty
    assert tuple(found.units.columns) == UNIT_COLUMNS
    assert "effective" not in set(found.table.measure)
    assert "effective" not in found.summary()
    assert "kinds" not in found.summary()


def test_the_summary_tells_kinds_and_effective_width(found: Measurement) -> None:
    wide = measurement_text(found.table, found.facts, found.units, width=250)
    text = " ".join(wide.split())
    assert "kinds of units, each silenced alone on 300 examples; silent: active on at" in text
    assert "redundant functional redundant blocked non-redundant blocked essential" in text
    assert "hidden 1 1 3 1 1 1" in text
    assert "effective: the fewest units of a site by itself with which at most 0.02" in text


def test_saved_and_loaded(found: Measurement, tmp_path: Path) -> None:
    found.save(tmp_path / "m")
    again = fv.load_measurement(tmp_path / "m")
    assert again.facts == found.facts
    for name in ("table", "curves", "correlations", "units", "joint"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(found, name))
    assert again.summary() == found.summary()


def test_what_is_no_measurement(found: Measurement, tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match=r"holds no measurement: it has no measurement\.json"):
        fv.load_measurement(tmp_path)
    found.save(tmp_path)
    (tmp_path / "units.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(BadArgument, match=r"cannot be read \(.*\)\. Measure again\."):
        fv.load_measurement(tmp_path)
    found.save(tmp_path)
    (tmp_path / "measurement.json").write_text("{")
    with pytest.raises(BadArgument, match=r"cannot be read"):
        fv.load_measurement(tmp_path)
    (tmp_path / "joint.parquet").unlink()
    with pytest.raises(BadArgument, match=r"it has no joint\.parquet"):
        fv.load_measurement(tmp_path)


def test_wrong_arguments(x: Tensor) -> None:
    with pytest.raises(BadArgument, match=r"`joint_tolerance` is a share in \[0, 1\); got 2"):
        fv.measure(Made(), x, joint_tolerance=2.0)
    with pytest.raises(BadArgument, match=r"`unit_examples` is a whole number of examples"):
        fv.measure(Made(), x, unit_examples=0)


def test_units_are_not_redundant_because_examples_are_few() -> None:
    model = nn.Sequential(nn.Linear(30, 60), nn.ReLU(), nn.Linear(60, 3))
    few = torch.randn(40, 30, generator=torch.Generator().manual_seed(1))
    units = fv.measure(model, few).units
    assert (units.explained > 0.999).all()
    assert not units.kind.str.startswith("redundant").any()


def test_units_of_few_causes_are_redundant_although_examples_are_as_few_as_units() -> None:
    # 40 units that five inputs decide, all active: half of 80 examples are as many as units.
    model = nn.Sequential(nn.Linear(5, 40), nn.Softplus(), nn.Linear(40, 3))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(
                torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2))
            )
        model[0].bias += 8  # far from its bend a Softplus is a line
    few = torch.randn(80, 5, generator=torch.Generator().manual_seed(1))
    units = fv.measure(model, few).units
    assert (units.predicted > 0.95).all()
    assert units.kind.str.startswith("redundant").all()


def test_one_example_cannot_be_kept_apart() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    found = fv.measure(model, torch.randn(1, 3, generator=torch.Generator().manual_seed(0)))
    assert found.facts["fitted_to_themselves"] == ["0"]
    assert "effective at 0: re-fitted to the examples that it is tested on" in found.summary()
    assert (
        found.value("effective", "0"),
        *found.table.low[found.table.measure == "effective"],
    ) == (*(0, 0, 0),)


def test_permuting_units_permutes_their_rows_and_changes_nothing_else(x: Tensor) -> None:
    order = torch.tensor([6, 2, 0, 7, 5, 1, 3, 4])
    moved = Made()
    with torch.no_grad():
        moved.hidden.weight.copy_(moved.hidden.weight[order])
        moved.hidden.bias.copy_(moved.hidden.bias[order])
        moved.scores.weight.copy_(moved.scores.weight[:, order])
    one, other = fv.measure(Made(), x), fv.measure(moved, x)
    was = one.units.loc[order.numpy()].reset_index(drop=True)
    same = ["site", "kind", "active", "mean", "sd", "changed", "divergence", "outgoing", "examples"]
    pd.testing.assert_frame_equal(was[same], other.units[same], rtol=1e-5)
    for name in ("twin_r", "explained", "predicted"):
        np.testing.assert_allclose(was[name], other.units[name], rtol=1e-5, atol=1e-8)
    statistics = ["redundant", "effective", "similarity", "compressibility", "silent", "constant"]
    for measure in statistics:
        assert other.value(measure) == pytest.approx(one.value(measure), rel=1e-6)
    # The random orders are of places: the same units silenced give the same labels.
    network, rearranged = trace(Made(), x[:2]), trace(moved, x[:2])
    sets = [[0], [1, 2], [3, 5, 7], list(range(8))]
    by_place = [{"hidden": [order.tolist().index(unit) for unit in some]} for some in sets]
    counts, _ = unchanged_counts(network, [x], [{"hidden": some} for some in sets])
    np.testing.assert_array_equal(unchanged_counts(rearranged, [x], by_place)[0], counts)


def test_scaling_what_writes_and_what_reads_units_changes_no_count(x: Tensor) -> None:
    scale = 2.0 ** torch.tensor([3, -2, 0, 5, -4, 1, -1, 2])
    scaled = Made()
    with torch.no_grad():
        scaled.hidden.weight *= scale[:, None]
        scaled.hidden.bias *= scale
        scaled.scores.weight /= scale
    one, other = fv.measure(Made(), x), fv.measure(scaled, x)
    for measure in ("prunable", "effective", "area", "similarity", "silent", "constant"):
        assert other.value(measure) == pytest.approx(one.value(measure), rel=1e-6), measure
    # All units alike: shares of the variance are then the same too.
    with torch.no_grad():
        alike = Made()
        alike.hidden.weight *= 8
        alike.hidden.bias *= 8
        alike.scores.weight /= 8
    both = fv.measure(alike, x)
    pd.testing.assert_frame_equal(both.table, one.table, rtol=1e-6)
