"""Compression end to end: networks that are known to need so many units, budgets, and promises."""

from __future__ import annotations

import copy
import importlib
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from generated import HOOKS, picture
from removal import rounding_of
from torch import Tensor, nn
from torch.nn.utils import parametrize

import frivolous as fv
from frivolous.compression.criteria.methods import METHODS
from frivolous.compression.profiling import Latency
from frivolous.compression.pruner import Pruner
from frivolous.compression.result import Compression
from frivolous.compression.search.label_test import clopper_pearson_upper, divergence, reference_of
from frivolous.constructions import (
    Construction,
    more_of_both,
    only_more_prunable,
    only_more_redundant,
)
from frivolous.families import MLP, fixed, initialise
from frivolous.inputs.batches import as_batches
from frivolous.network import trace

pytestmark = pytest.mark.rounding

compressing = importlib.import_module("frivolous.compression.compress")
asking = importlib.import_module("frivolous.compression.selection")
NARROW = (6, 5)


@cache
def narrow() -> tuple[MLP, Tensor]:
    """A network without units to spare, and inputs."""
    model = MLP(8, NARROW, 3).double()
    initialise(model, fixed(1.0, "normal"), torch.Generator().manual_seed(4), bias=0.1)
    generator = torch.Generator().manual_seed(5)
    return model, torch.randn(400, 8, generator=generator, dtype=torch.float64)


WIDE: dict[str, Callable[[MLP, Tensor], Construction]] = {
    "copies": more_of_both,
    "three copies": lambda model, x: more_of_both(model, x, factor=3),
    "silent": lambda model, x: more_of_both(model, x, how="silent"),
    "shared": lambda model, x: more_of_both(model, x, how="shared"),
    "redundant": lambda model, x: only_more_redundant(model, x, balance=64.0),
    "prunable": only_more_prunable,
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("name", WIDE)
def test_a_wide_network_without_a_changed_score_is_as_narrow_as_it_was(
    name: str, dtype: torch.dtype
) -> None:
    made = WIDE[name](*narrow())
    wide, x = made.wide.to(dtype), made.inputs.to(dtype)
    thin = fv.compress(wide, x, tolerance=0)
    assert tuple(len(kept) for kept in thin.kept.values()) == NARROW
    with torch.no_grad():
        scores, ours = wide(x), thin.model(x)
    assert torch.equal(scores.argmax(1), ours.argmax(1))
    assert float((scores - ours).abs().max()) <= 16 * rounding_of(wide, x)
    assert ours.dtype == dtype
    assert thin.report.facts["changed"] == 0
    sites = thin.report.sites
    went = sites[["silent", "constant", "prunable", "redundant"]].sum(axis=1)
    assert (sites.before - sites.after == went).all()


def test_inputs_far_from_zero_are_compressed_as_those_around_it() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU())
        model.append(nn.Linear(16, 3))
        x = torch.randn(600, 8)
    far = copy.deepcopy(model)
    with torch.no_grad():  # the same network for columns such as a year
        far[0].bias -= 2000 * far[0].weight.sum(1)
    assert rounding_of(far, x + 2000) > 50 * rounding_of(model, x)
    near, away = (
        fv.compress(one, inputs, units=0.5, method="magnitude")
        for one, inputs in ((model, x), (far, x + 2000))
    )
    for name, kept in near.kept.items():
        np.testing.assert_array_equal(kept, away.kept[name])
    for method in ("joint", "prune"):
        thin = fv.compress(far, x + 2000, tolerance=0.1, method=method)
        assert not thin.report.sites.reason.any()


def test_a_network_without_units_to_spare_is_left_whole() -> None:
    model, x = narrow()
    thin = fv.compress(model, x, tolerance=0)
    assert tuple(len(kept) for kept in thin.kept.values()) == NARROW
    for name, tensor in model.state_dict().items():
        assert torch.equal(thin.model.state_dict()[name], tensor)


class Net(nn.Module):
    """A residual block between convolutions, then dense layers."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.norm = nn.Conv2d(2, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12)
        self.two, self.back = nn.Conv2d(12, 10, 3, padding=1), nn.Conv2d(10, 12, 1)
        self.three, self.out = nn.Linear(12 * 4, 16), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.one(x)))
        x = F.max_pool2d(F.relu(x + self.back(F.relu(self.two(x)))), 2)
        return self.out(F.relu(self.three(x.flatten(1))))


@cache
def net() -> tuple[nn.Module, Tensor]:
    """A network with weights drawn anew, in evaluation mode, and 500 images."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Net().eval(), torch.randn(500, 2, 4, 4)


@cache
def compressed(**options: Any) -> Compression:
    return fv.compress(*net(), **options)


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def whole(thin: Compression, quantity: str) -> tuple[float, float]:
    row = thin.report.whole.set_index("quantity").loc[quantity]
    return float(row.before), float(row.after)


@pytest.mark.parametrize("kind", ["units", "parameters", "flops"])
@pytest.mark.parametrize("share", [0.7, 0.3])
def test_a_budget_is_met_and_not_by_far(kind: str, share: float) -> None:
    thin = compressed(**{kind: share})
    model, x = net()
    quantity = {"flops": "multiply-adds"}.get(kind, kind)
    before, after = whole(thin, quantity)
    assert 0.7 * share <= after / before <= share
    assert whole(thin, "parameters") == (parameters(model), parameters(thin.model))
    assert whole(thin, "units") == tuple(thin.report.sites[["before", "after"]].sum())
    kept = {name: len(units) for name, units in thin.kept.items()}
    after_of = thin.report.sites.set_index("site").after
    assert kept == {name: after_of[name] for name in kept}
    assert thin.model(x[:2]).shape == (2, 4)


def test_units_of_the_sites_that_are_named() -> None:
    thin = compressed(units=1.0)
    assert {name: len(units) for name, units in thin.kept.items()} == {
        name: int(width) for name, width in zip(*_widths(thin), strict=True)
    }
    model, x = net()
    kept = fv.compress(model, x, keep={"two": 3, "three": 16})
    assert kept.model.two.out_channels == kept.model.back.in_channels == len(kept.kept["two"]) == 3
    assert kept.model.three.out_features == 16
    assert kept.model.one.out_channels == 12
    assert (np.diff(kept.kept["two"]) > 0).all()


def _widths(thin: Compression) -> tuple[Any, Any]:
    return thin.report.sites.site, thin.report.sites.before


def test_a_latency_is_met_by_what_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def latency(before: nn.Module, after: nn.Module, inputs: Tensor) -> Latency:
        asked.append(len(inputs))
        ratio = parameters(after) / parameters(before)
        return Latency(1.0, ratio, ratio, ratio, ratio)

    monkeypatch.setattr(asking, "latency_of", latency)
    model, x = net()
    thin = fv.compress(model, x, latency=0.4)
    assert 0.25 <= parameters(thin.model) / parameters(model) <= 0.4
    assert set(asked) == {1}
    monkeypatch.setattr(asking, "latency_of", lambda *_: Latency(1.0, 1.0, 1.0, 1.0, 1.0))
    with pytest.raises(fv.errors.BadArgument, match=r"`latency` is 0.4; the least .* is 1, with"):
        fv.compress(model, x, latency=0.4)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_keeps_to_the_budget(name: str) -> None:
    thin = compressed(parameters=0.5, method=name)
    before, after = whole(thin, "parameters")
    assert after <= 0.5 * before
    assert thin.report.facts["method"] == name
    assert thin.report.facts["masked_apart"] < 1e-5


def test_fits_are_better_than_excision_at_the_same_size() -> None:
    model, x = net()
    intact = reference_of(trace(model, x[:2]), as_batches(x))
    apart = {
        name: divergence(trace(compressed(parameters=0.5, method=name).model, x[:2]), intact)
        for name in ("joint", "prune", "magnitude", "random")
    }
    assert apart["joint"] == min(apart.values())


def test_held_out_labels_are_within_the_tolerance() -> None:
    thin = compressed(tolerance=0.1)
    facts = thin.report.facts
    model, x = net()
    assert facts["searched"] + facts["held_out"] == len(x)
    assert facts["bound"] <= 0.1
    assert facts["bound"] == pytest.approx(
        clopper_pearson_upper(facts["changed"], facts["held_out"])
    )
    passed = thin.sequence[thin.sequence.bound <= 0.1]
    assert (thin.sequence.bound[:-1] <= 0.1).all()
    assert passed.iloc[-1].changed == facts["changed"]
    assert passed.iloc[-1].units == thin.report.sites.after.sum()
    assert (thin.kept["back"] == thin.kept["one"]).all(), "both terms of the residual sum are one"
    assert parameters(thin.model) < parameters(model)
    assert thin.sequence.units.is_monotonic_decreasing


def test_search_and_held_out_examples_are_different_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = net()
    marked = x.clone()
    marked[:, 0, 0, 0] = torch.arange(len(x)) / 1000
    seen: dict[str, set[int]] = {"search": set(), "held": set()}

    class Recording(torch.utils.data.Dataset[Tensor]):
        def __len__(self) -> int:
            return len(marked)

        def __getitem__(self, place: int) -> Tensor:
            return marked[place]

    def note(kind: str, batches: Any) -> None:
        for inputs in batches:
            seen[kind] |= set((inputs[:, 0, 0, 0] * 1000).round().int().tolist())

    study, intact = Pruner.study, compressing.reference_of
    monkeypatch.setattr(
        Pruner, "study", lambda own, m, fit, **k: (note("search", fit), study(own, m, fit, **k))
    )
    monkeypatch.setattr(
        compressing,
        "reference_of",
        lambda n, held, *rest: (note("held", held), intact(n, held, *rest))[1],
    )
    fv.compress(model, Recording(), units=0.8)
    assert seen["search"].isdisjoint(seen["held"])
    assert seen["search"] | seen["held"] == set(range(len(x)))
    assert len(seen["held"]) == 250


def test_what_is_held_out_is_no_part_of_the_search() -> None:
    model, x = net()
    rows = [x[300:], x[300:] * 5 + 1]
    one, other = (fv.compress(model, x[:300], parameters=0.5, held_out=part) for part in rows)
    _same(one, other)
    assert one.report.facts["held_out"] == 200
    assert one.report.facts["largest_score"] != other.report.facts["largest_score"]


def _same(one: Compression, other: Compression) -> None:
    first, second = one.model.state_dict(), other.model.state_dict()
    assert list(first) == list(second)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all((one.kept[name] == other.kept[name]).all() for name in one.kept)


@pytest.mark.parametrize("method", ["joint", "random"])
def test_the_same_seed_gives_the_same_bits(method: str) -> None:
    model, x = net()
    options: dict[str, Any] = {"parameters": 0.5, "method": method}
    state = torch.random.get_rng_state()
    again = fv.compress(model, x, **options)
    assert torch.equal(torch.random.get_rng_state(), state)
    _same(compressed(**options), again)
    other = fv.compress(model, x, **options, seed=1)
    assert any(
        not torch.equal(a, b)
        for a, b in zip(again.model.parameters(), other.model.parameters(), strict=True)
        if a.shape == b.shape
    ) or any(len(again.kept[n]) != len(other.kept[n]) for n in again.kept)


def test_fine_tuning_brings_the_scores_closer() -> None:
    model, x = net()
    intact = reference_of(trace(model, x[:2]), as_batches(x))
    plain, tuned = (fv.compress(model, x, parameters=0.15, finetune=epochs) for epochs in (0, 20))
    before, after = (divergence(trace(one.model, x[:2]), intact, 500) for one in (plain, tuned))
    assert after < before
    assert {name: len(k) for name, k in plain.kept.items()} == {
        name: len(k) for name, k in tuned.kept.items()
    }
    facts = tuned.report.facts
    assert facts["finetune"] == 20
    assert facts["bound"] == clopper_pearson_upper(facts["changed"], facts["held_out"])
    assert all(p.grad is None for p in tuned.model.parameters())


def test_the_module_is_a_plain_one_and_the_model_as_it_was() -> None:
    model, x = net()
    before = picture(model)
    thin = compressed(parameters=0.5)
    assert picture(model) == before
    assert type(thin.model) is Net
    assert not parametrize.is_parametrized(thin.model)
    assert all(not getattr(m, hooks) for m in thin.model.modules() for hooks in HOOKS)
    assert not thin.model.training
    assert not any("mask" in name for name in thin.model.state_dict())
    assert list(thin.model.state_dict()) == list(model.state_dict())
    text = str(thin.report)
    assert "Compressed (joint, parameters 0.5)" in text
    assert "of 250 held-out examples" in text
    with torch.no_grad():
        apart = (thin.model(x) - model(x)).abs().max()
    assert float(apart) > 0


def test_it_compiles_and_exports() -> None:
    thin = compressed(parameters=0.5)
    x = net()[1][:3]
    with torch.no_grad():
        wanted = thin.model(x)
        quick = torch.compile(thin.model, backend="eager", fullgraph=True)
        torch.testing.assert_close(quick(x), wanted)
        exported = torch.export.export(thin.model, (x,)).module()
        torch.testing.assert_close(exported(x), wanted)


def test_a_model_in_training_mode_and_labels_that_only_tell_the_accuracy() -> None:
    model, x = net()
    labels = model(x).argmax(1)
    model.train()
    try:
        thin = fv.compress(model, (x, labels), parameters=0.5)
        assert thin.model.training
    finally:
        model.eval()
    facts = thin.report.facts
    assert facts["accuracy_before"] == 1
    assert facts["accuracy_after"] == 1 - facts["changed_share"]
    thin.model.eval()
    _same(compressed(parameters=0.5), thin)


SEARCH = re.compile(r"search: at most (\d+) networks?, about \d+ (s|min)")


def test_progress_is_told_and_long_stages_before_they_begin() -> None:
    lines: list[str] = []
    model, x = net()
    fv.compress(model, x, units=0.8, progress=lines.append)
    assert lines[0] == "reading the model"
    assert lines[-1] == "report"
    assert all(line and "\n" not in line for line in lines)
    told = r"statistics of every reader: about \d+ (s|min) and \d+(\.\d)? [GM]B"
    assert sum(bool(re.fullmatch(told, line)) for line in lines) == 1
    lines.clear()
    fv.compress(model, x, tolerance=0, progress=lines.append)
    told = r"units without which .*: at most \d+ networks, about \d+ (s|min)"
    assert sum(bool(re.fullmatch(told, line)) for line in lines) == 1
    lines.clear()
    thin = fv.compress(model, x, tolerance=0.1, progress=lines.append)
    (most,) = [int(told[1]) for line in lines if (told := SEARCH.fullmatch(line))]
    asked = [line for line in lines if line.startswith("networks of")]
    assert 0 < len(asked) == len(thin.sequence) <= most
    assert lines.index(asked[0]) == 1 + next(
        i for i, line in enumerate(lines) if SEARCH.match(line)
    )


def test_a_budget_in_float64() -> None:
    model, x = narrow()
    thin = fv.compress(model, x, units=0.8)
    assert sum(len(kept) for kept in thin.kept.values()) <= 0.8 * sum(NARROW)
    assert next(thin.model.parameters()).dtype == torch.float64
    single = fv.compress(copy.deepcopy(model).float(), x.float(), units=0.8)
    assert all((thin.kept[name] == single.kept[name]).all() for name in thin.kept)
    with torch.no_grad():
        torch.testing.assert_close(
            single.model(x.float()).double(), thin.model(x), atol=1e-3, rtol=0
        )


class Joined(nn.Module):
    """Two layers side by side, one of them with little to say."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(2, 2, 1), nn.Conv2d(2, 8, 1)
        self.out = nn.Linear(10, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.relu(torch.cat([self.one(x), self.two(x)], 1)).mean((2, 3)))


def joined() -> tuple[Joined, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, x = Joined().eval(), net()[1]
    with torch.no_grad():
        model.one.weight *= 1e-3
        model.out.weight[:, :2] *= 1e-3
    return model, x


@pytest.mark.parametrize("method", ["joint", "magnitude"])
def test_every_layer_of_a_concatenation_keeps_a_unit(method: str) -> None:
    model, x = joined()
    thin = fv.compress(model, x, units=0.5, method=method)
    assert thin.model.one.out_channels == 1
    assert 1 <= thin.model.two.out_channels <= 4
    assert thin.model(x[:2]).shape == (2, 4)
    least = fv.compress(model, x, keep={"one": 2}, method=method)
    assert least.model.one.out_channels == least.model.two.out_channels == 1
    with pytest.raises(fv.errors.BadArgument, match="of which 2 or more stay"):
        fv.compress(model, x, keep={"one": 1}, method=method)


def test_which_units_are_of_one_layer() -> None:
    model, x = joined()
    pruner = Pruner(model, trace(model, x[:2]), None)
    (cut,) = pruner.cuts
    units = {tuple(part.nonzero()[0].tolist()) for part in pruner.parts(cut)}
    # Of either layer what it writes, and all that their reader reads.
    assert units == {(0, 1), tuple(range(2, 10)), tuple(range(10))}
