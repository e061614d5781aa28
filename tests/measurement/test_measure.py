"""``fv.measure`` against plain loops, scikit-learn, NumPy and SciPy, and against its symmetries."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import binomtest
from scipy.stats import t as student
from sklearn.decomposition import PCA
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import frivolous as fv
from frivolous.ablation.curves import permutation
from frivolous.measurement.measure import COLUMNS, CURVE_COLUMNS, Measurement
from frivolous.measures import AS_PUBLISHED
from frivolous.rng import deal

N, CLASSES, SEED = 120, 4, 3
FRACTIONS = [step / 6 for step in range(7)]
Edits = Mapping[str, Callable[[Tensor], Tensor]]


def drawn(model: nn.Module, seed: int = 0) -> nn.Module:
    """The model with weights (and running statistics) from a generator."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=random))
        for name, buffer in model.named_buffers():
            if "running" in name:
                buffer.copy_(torch.rand(buffer.shape, generator=random) + 0.5)
    return model


class Dense(nn.Module):
    """6 inputs, 12 and 9 units, 4 classes. In ``first`` two units are silent and one constant."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 12), nn.Linear(12, 9)
        self.scores = nn.Linear(9, CLASSES)
        drawn(self)
        with torch.no_grad():
            self.first.weight[:2] /= 100
            self.first.bias[:2] = -5
            self.first.weight[2] = 0
            self.first.bias[2] = 0.25

    def forward(self, x: Tensor, edits: Edits | None = None) -> Tensor:
        for name, layer in (("first", self.first), ("second", self.second)):
            x = torch.relu(layer(x))
            if edits and name in edits:
                x = edits[name](x)
        return self.scores(x)


class Conv(nn.Module):
    """1x6x6 images, 5 feature maps, batch normalisation, pooling, dropout, 7 units, 4 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 5, 3), nn.BatchNorm2d(5)
        self.pool, self.dropout = nn.MaxPool2d(2), nn.Dropout(0.5)
        self.fc, self.scores = nn.Linear(20, 7), nn.Linear(7, CLASSES)
        drawn(self)

    def forward(self, x: Tensor, edits: Edits | None = None) -> Tensor:
        x = torch.relu(self.norm(self.conv(x)))
        x = edits["conv"](x) if edits and "conv" in edits else x
        x = torch.relu(self.fc(self.dropout(self.pool(x)).flatten(1)))
        x = edits["fc"](x) if edits and "fc" in edits else x
        return self.scores(x)


CASES: dict[str, tuple[nn.Module, Tensor, dict[str, tuple[int, ...]]]] = {
    "dense": (
        Dense().eval(),
        torch.randn(N, 6, generator=torch.Generator().manual_seed(1)),
        {"first": (12,), "second": (9,)},
    ),
    "conv": (
        Conv().eval(),
        torch.randn(N, 1, 6, 6, generator=torch.Generator().manual_seed(2)),
        {"conv": (5, 4, 4), "fc": (7,)},
    ),
}
LABELS = torch.arange(N) % CLASSES
MEASURED: dict[Any, Measurement] = {}


def measured(name: str, **options: Any) -> Measurement:
    """The measurement of a case, made once."""
    key = (name, *sorted(options.items()))
    if key not in MEASURED:
        model, inputs, _ = CASES[name]
        MEASURED[key] = fv.measure(model, (inputs, LABELS), seed=SEED, **options)
    return MEASURED[key]


def activities(name: str) -> dict[str, Tensor]:
    """Every site's value by the model's own forward."""
    model, inputs, shapes = CASES[name]
    seen: dict[str, Tensor] = {}

    def watch(site: str) -> Callable[[Tensor], Tensor]:
        return lambda value: seen.setdefault(site, value)

    with torch.no_grad():
        model(inputs, {site: watch(site) for site in shapes})
    return seen


def samples(name: str, site: str) -> np.ndarray:
    """Rows of units in float64: one per example, or per example and position."""
    value = activities(name)[site].double()
    return value.transpose(1, -1).reshape(-1, value.shape[1]).numpy()


def unchanged_by_loop(
    name: str, sites: tuple[str, ...], grain: str, replacement: str, draws: int = 3
) -> np.ndarray:
    """Counts (draws, fractions) of unchanged labels, one forward pass of the model for each."""
    model, inputs, shapes = CASES[name]
    depth = {site: at for at, site in enumerate(shapes)}
    means = {site: value.double().mean(0) for site, value in activities(name).items()}
    if grain == "channel":
        means = {
            site: mean.mean(tuple(range(1, mean.dim())), keepdim=True).expand(mean.shape)
            if mean.dim() > 1
            else mean
            for site, mean in means.items()
        }
    with torch.no_grad():
        intact = model(inputs).argmax(1)
        counts = np.zeros((draws, len(FRACTIONS)), dtype=int)
        for draw in range(draws):
            for column, fraction in enumerate(FRACTIONS):
                edits = {}
                for site in sites:
                    shape = shapes[site]
                    units = math.prod(shape) if grain == "position" else shape[0]
                    order = permutation(units, SEED, draw, depth[site])
                    off = torch.zeros(units, dtype=torch.bool)
                    for unit in order[: int(fraction * units)].tolist():
                        off[unit] = True
                    off = (
                        off.reshape(shape)
                        if grain == "position"
                        else off.reshape(-1, *[1] * (len(shape) - 1)).expand(shape)
                    )
                    fill = means[site].float() if replacement == "mean" else torch.zeros(shape)
                    edits[site] = lambda value, off=off, fill=fill: torch.where(off, fill, value)
                counts[draw, column] = int((model(inputs, edits).argmax(1) == intact).sum())
    return counts


def crossing_by_hand(shares: list[float], tolerance: float) -> float:
    """Where a polygon first falls below 1 - tolerance."""
    level = 1 - tolerance
    for at in range(len(shares) - 1):
        if shares[at + 1] < level:
            return FRACTIONS[at] + (shares[at] - level) / (shares[at] - shares[at + 1]) / 6
    return 1.0


@pytest.mark.parametrize("name", CASES)
def test_table_has_fixed_columns_and_order(name: str) -> None:
    table, (_, _, shapes) = measured(name).table, CASES[name]
    assert tuple(table.columns) == COLUMNS
    assert (
        *("site", "depth", "grain", "width", "measure", "value", "low", "high", "examples"),
    ) == COLUMNS
    kinds = [
        "prunable",
        "area",
        *("redundant", "similarity", "compressibility", "silent", "constant", "effective"),
    ]
    assert table.measure.tolist() == kinds * 3
    assert table.site.tolist() == [site for site in (*shapes, "all") for _ in kinds]
    assert table.depth.tolist() == [depth for depth in (0, 1, -1) for _ in kinds]
    widths = [shape[0] for shape in shapes.values()]
    assert table.width.tolist() == [n for n in (*widths, sum(widths)) for _ in kinds]
    assert set(table.examples) == {N}
    assert set(table.grain) == {"channel"}
    assert table.notna().all(axis=None)
    assert (table.low <= table.value).all()
    assert (table.value <= table.high).all()


@pytest.mark.parametrize("grain", ["channel", "position"])
@pytest.mark.parametrize("replacement", ["zero", "mean"])
@pytest.mark.parametrize("name", CASES)
def test_ablation_is_that_of_a_plain_loop(name: str, grain: str, replacement: str) -> None:
    found = measured(name, grain=grain, replacement=replacement)
    shapes = CASES[name][2]
    for site, sites in {**{site: (site,) for site in shapes}, "all": tuple(shapes)}.items():
        counts = unchanged_by_loop(name, sites, grain, replacement)
        curve = found.curves[found.curves.site == site]
        assert np.array_equal((curve.unchanged * N).round().astype(int), counts.ravel())
        shares = (counts / N).tolist()
        units = sum(math.prod(shapes[s]) if grain == "position" else shapes[s][0] for s in sites)
        best = max(crossing_by_hand(row, 0.2) for row in shares) * units
        assert found.value("prunable", site) == pytest.approx(best)
        area = np.mean([sum((a + b) / 12 for a, b in pairwise(row)) for row in shares])
        assert found.value("area", site) == pytest.approx(area)
        row = found.table[(found.table.site == site) & (found.table.measure == "prunable")]
        assert row.width.tolist() == [units]
        assert row.grain.tolist() == [grain]


@pytest.mark.parametrize("tolerance", [0.0, 0.05, 0.5])
def test_tolerance(tolerance: float) -> None:
    found = measured("dense", tolerance=tolerance)
    counts = unchanged_by_loop("dense", ("first",), "channel", "zero")
    best = max(crossing_by_hand((row / N).tolist(), tolerance) for row in counts) * 12
    assert found.value("prunable", "first") == pytest.approx(best)
    assert found.facts["tolerance"] == tolerance
    assert found.value("redundant") == measured("dense").value("redundant")


def test_curves() -> None:
    curves = measured("conv").curves
    assert tuple(curves.columns) == CURVE_COLUMNS
    assert curves.site.tolist() == [site for site in ("conv", "fc", "all") for _ in range(21)]
    assert curves.draw.tolist() == [draw for draw in (0, 1, 2) for _ in range(7)] * 3
    assert curves.fraction.tolist() == FRACTIONS * 9
    assert curves[curves.site == "conv"].ablated.tolist() == [0, 0, 1, 2, 3, 4, 5] * 3
    for row in curves.itertuples():
        bounds = (1.0, 1.0)
        if row.fraction > 0:
            bounds = binomtest(round(row.unchanged * N), N).proportion_ci(method="wilson")
        assert (row.low, row.high) == pytest.approx(tuple(bounds))


def statistics(rows: np.ndarray, *, smooth: bool = False) -> dict[str, float]:
    """The measures of samples of units, by scikit-learn and NumPy.

    ``smooth``: redundant units with the share of the next component that 5% still allow.
    """
    width = rows.shape[1]
    ratios = PCA(svd_solver="full").fit(rows).explained_variance_ratio_
    explained = np.cumsum(ratios)
    needed: float = int((explained < 0.95 - 1e-9).sum()) + 1
    if smooth:
        needed -= (explained[int(needed) - 1] - 0.95) / ratios[int(needed) - 1]
    varying = rows[:, rows.std(axis=0) > 0]
    r = np.abs(np.corrcoef(varying.T))
    active, mean = (rows != 0).mean(axis=0), rows.mean(axis=0)
    variance = rows.var(axis=0, ddof=1)
    steady = variance <= 1e-4 * (mean**2 + variance)
    return {
        "redundant": width - needed,
        "compressibility": (width - needed) / width,
        "similarity": ((r >= 0.5).sum() - len(r)) / width,
        "silent": int((active <= 0.01).sum()),
        "constant": int((steady & (active > 0.01)).sum()),
    }


@pytest.mark.parametrize(
    ("name", "site"), [("dense", "first"), ("dense", "second"), ("conv", "conv"), ("conv", "fc")]
)
def test_statistics_and_their_jackknife(name: str, site: str) -> None:
    """Values, and intervals from leaving out each of eight groups of examples."""
    found, rows = measured(name), samples(name, site)
    group_N = deal(0, N, 8, SEED)
    group = np.repeat(group_N, len(rows) // N)
    whole = statistics(rows)
    without = [statistics(rows[group != g], smooth=True) for g in range(8)]
    most = {"similarity": rows.shape[1] - 1, "compressibility": 1}
    for measure, value in whole.items():
        left_out = [one[measure] for one in without]
        error = math.sqrt(7 / 8 * sum((x - sum(left_out) / 8) ** 2 for x in left_out))
        reach = student.ppf(0.975, 7) * error
        row = found.table[(found.table.site == site) & (found.table.measure == measure)].iloc[0]
        assert row.value == pytest.approx(value), measure
        assert row.low == pytest.approx(max(0, value - reach)), measure
        assert row.high == pytest.approx(min(most.get(measure, rows.shape[1]), value + reach))


def test_the_dense_case_has_silent_and_constant_units() -> None:
    """Else the comparison above would compare nothing."""
    found = measured("dense")
    assert found.value("silent", "first") >= 2
    assert found.value("constant", "first") == 1


@pytest.mark.parametrize("name", CASES)
def test_all_is_sums_of_counts_and_means_of_shares(name: str) -> None:
    found = measured(name)
    one, two = CASES[name][2]
    for measure in ("redundant", "silent", "constant"):
        total = found.value(measure, one) + found.value(measure, two)
        assert found.value(measure) == total
    for measure in ("similarity", "compressibility"):
        mean = (found.value(measure, one) + found.value(measure, two)) / 2
        assert found.value(measure) == pytest.approx(mean)


def test_interval_of_all_leaves_out_a_group_at_every_site_at_once() -> None:
    group = deal(0, N, 8, SEED)
    without = [
        sum(
            statistics(samples("dense", s)[group != g], smooth=True)["redundant"]
            for s in ("first", "second")
        )
        for g in range(8)
    ]
    squares = sum((count - sum(without) / 8) ** 2 for count in without)
    reach = student.ppf(0.975, 7) * math.sqrt(7 / 8 * squares)
    row = measured("dense").table.query("site == 'all' and measure == 'redundant'").iloc[0]
    assert row.low == pytest.approx(max(0, row.value - reach))
    assert row.high == pytest.approx(min(21, row.value + reach))


def test_accuracy_and_its_interval() -> None:
    model, inputs, _ = CASES["conv"]
    with torch.no_grad():
        right = int((model(inputs).argmax(1) == LABELS).sum())
    facts = measured("conv").facts
    bounds = binomtest(right, N).proportion_ci(method="wilson")
    assert facts["accuracy"] == right / N
    assert (facts["accuracy_low"], facts["accuracy_high"]) == pytest.approx(tuple(bounds))
    assert "accuracy" not in fv.measure(model, inputs).facts


def assert_same(one: Measurement, other: Measurement) -> None:
    # The network computes in float32: other batches, other rounding of the activity.
    pd.testing.assert_frame_equal(one.table, other.table, rtol=1e-6, atol=1e-9)
    pd.testing.assert_frame_equal(one.curves, other.curves)


@pytest.mark.parametrize("batch_size", [1, 7, N, 1000])
def test_batch_size_does_not_change_the_answer(batch_size: int) -> None:
    assert_same(measured("conv", batch_size=batch_size), measured("conv"))


def test_form_of_the_data_does_not_change_the_answer() -> None:
    model, inputs, _ = CASES["dense"]
    whole = measured("dense")
    loader = DataLoader(TensorDataset(inputs, LABELS), batch_size=50)
    for data in (loader, list(loader), iter(list(loader)), [(inputs, LABELS)]):
        assert_same(fv.measure(model, data, seed=SEED), whole)
    for data in (inputs, {"x": inputs}, inputs.split(33)):
        assert_same(fv.measure(model, data, seed=SEED), whole)


def test_permuting_hidden_units_changes_no_statistic() -> None:
    model, inputs, _ = CASES["dense"]
    moved = copy.deepcopy(model)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        moved.first.weight.copy_(model.first.weight[order])
        moved.first.bias.copy_(model.first.bias[order])
        moved.second.weight.copy_(model.second.weight[:, order])
    one, other = measured("dense").table, fv.measure(moved, inputs, seed=SEED).table
    ablated = ("prunable", "area")
    pd.testing.assert_frame_equal(
        one[~one.measure.isin(ablated)], other[~other.measure.isin(ablated)], rtol=1e-6
    )


def test_seed_decides_the_orders() -> None:
    model, inputs, _ = CASES["conv"]
    assert_same(fv.measure(model, inputs, seed=SEED), measured("conv"))
    other = fv.measure(model, inputs, seed=SEED + 1)
    assert not other.curves.unchanged.equals(measured("conv").curves.unchanged)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("frozen", [True, False])
def test_model_is_left_as_it_was_whatever_its_mode(training: bool, frozen: bool) -> None:
    original, inputs, _ = CASES["conv"]
    model = copy.deepcopy(original).train(training).requires_grad_(not frozen)
    model.norm.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    assert_same(fv.measure(model, inputs, seed=SEED), measured("conv"))
    assert [module.training for module in model.modules()] == modes
    assert all(parameter.requires_grad is not frozen for parameter in model.parameters())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())
    after = model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_global_generators_are_left_as_they_were() -> None:
    model, inputs, _ = CASES["conv"]
    torch_state, numpy_state = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    fv.measure(model, inputs, grain="position")
    assert torch.equal(torch.random.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002


class Three(nn.Module):
    """Three hidden layers, to leave one out."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 8), nn.Linear(8, 7), nn.Linear(7, 6)
        self.out = nn.Linear(6, CLASSES)
        drawn(self, seed=4)

    def forward(self, x: Tensor, edits: Edits | None = None) -> Tensor:
        for name in ("a", "b", "c"):
            x = torch.relu(getattr(self, name)(x))
            x = edits[name](x) if edits and name in edits else x
        return self.out(x)


def test_some_sites_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each as when all are measured; "all" is those chosen, together, and the rest is named."""
    model, inputs = Three(), CASES["dense"][1]
    whole = fv.measure(model, inputs, seed=SEED)
    some = fv.measure(model, inputs, seed=SEED, sites=["c", "a", "c"])
    assert some.table.site.unique().tolist() == ["a", "c", "all"]
    assert some.facts["left_out"] == ["b"]
    assert whole.facts["left_out"] == []
    for site in ("a", "c"):
        one, other = (found.table[found.table.site == site] for found in (whole, some))
        pd.testing.assert_frame_equal(one.reset_index(drop=True), other.reset_index(drop=True))
    assert some.value("redundant") == some.value("redundant", "a") + some.value("redundant", "c")
    monkeypatch.setitem(CASES, "three", (model, inputs, {"a": (8,), "b": (7,), "c": (6,)}))
    counts = unchanged_by_loop("three", ("a", "c"), "channel", "zero")
    curve = some.curves[some.curves.site == "all"]
    assert np.array_equal((curve.unchanged * N).round().astype(int), counts.ravel())
    assert "not measured: b" in some.summary()


def test_one_site_is_all_of_itself() -> None:
    found = fv.measure(CASES["dense"][0], CASES["dense"][1], sites="second")
    columns = ["measure", "value", "low", "high", "width"]
    one, whole = (found.table[found.table.site == s][columns] for s in ("second", "all"))
    pd.testing.assert_frame_equal(one.reset_index(drop=True), whole.reset_index(drop=True))


def test_protocol_of_the_published_figures() -> None:
    """The component that crosses 5% counts as redundant: one more at each site."""
    model, inputs, _ = CASES["conv"]
    published = fv.measure(model, inputs, seed=SEED, protocol=AS_PUBLISHED)
    for site in ("conv", "fc"):
        assert published.value("redundant", site) == measured("conv").value("redundant", site) + 1
    assert published.facts["protocol"] == "as published"


def test_double_precision_agrees() -> None:
    model, inputs, _ = CASES["dense"]
    double = fv.measure(copy.deepcopy(model).double(), inputs.double(), seed=SEED)
    single = measured("dense")
    pd.testing.assert_frame_equal(single.table, double.table, rtol=1e-5)


def test_one_example_has_values_without_intervals_of_statistics() -> None:
    model, inputs, _ = CASES["dense"]
    table = fv.measure(model, inputs[:1]).table
    none = table[table.low.isna()].measure.unique().tolist()
    assert none == ["redundant", "similarity", "compressibility", "silent", "constant"]
    assert table.value.notna().all()


def test_saved_tables_are_the_measurement(tmp_path: Path) -> None:
    found = measured("conv")
    folder = found.save(tmp_path / "new" / "folder")
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "table.parquet"), found.table)
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "curves.parquet"), found.curves)
    assert json.loads((folder / "measurement.json").read_text()) == dict(found.facts)


def test_plot_draws_the_line_of_the_tolerance_that_was_measured() -> None:
    figure = measured("dense", tolerance=0.05).plot()
    levels = [line.get_ydata()[0] for line in figure.axes[0].lines if len(line.get_xdata()) == 2]
    assert levels == pytest.approx([0.95])


def test_progress_is_told() -> None:
    model, inputs, _ = CASES["dense"]
    told: list[str] = []
    fv.measure(model, inputs, progress=told.append)
    stages = list(dict.fromkeys(line.partition(":")[0] for line in told))
    alone, width = "units alone", "effective width"
    assert stages == [
        *("accuracy", "activity", "ablation"),
        *(alone, f"{alone}, first", f"{alone}, second"),
        *(width, f"{width}, first", f"{width}, second"),
    ]
    assert any(line.startswith(f"{width}, second: 50%, about ") for line in told)
    told.clear()
    fv.measure(model, inputs, joint_tolerance=None, unit_examples=None, progress=told.append)
    assert [line for line in told if ":" not in line] == ["accuracy", "activity", "ablation"]
