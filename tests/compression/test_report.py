"""The report: what else changed, what was left and why, and numbers with their uncertainty."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binom
from torch import Tensor, nn

import frivolous as fv
from frivolous.compression.profiling import Latency, latency_of, paired
from frivolous.compression.reporting.held_out import Moved
from frivolous.compression.result import Compression


def drawn(count: int, *shape: int) -> Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(0))


def seeded(build: type[nn.Module], *arguments: Any) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build(*arguments).eval()


# ---- other outputs


@dataclass
class Found:
    """A detector's answer."""

    logits: Tensor
    box: Tensor
    places: tuple[Tensor, Tensor]
    best: Tensor


class Detector(nn.Module):
    """Scores, boxes, and others, as a dictionary, a tuple or a dataclass."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 12, 3), nn.Conv2d(12, 16, 3)
        self.scores, self.box, self.form = nn.Linear(16, 3), nn.Linear(16, 4), form

    def forward(self, x: Tensor) -> Any:
        x = self.two(self.one(x).relu()).relu()
        maps = x.mean((2, 3))
        scores, box = self.scores(maps), self.box(maps)
        if self.form == "tuple":
            return scores, box
        if self.form == "dict":
            return {"logits": scores, "box": box}
        return Found(scores, box, (box[:, :2] * 2, box.mean()), scores.argmax(1))


IMAGES = drawn(300, 3, 8, 8)


@cache
def detected(form: str, **options: Any) -> tuple[nn.Module, Compression]:
    model = seeded(Detector, form)
    with torch.no_grad():
        model.scores.bias += torch.tensor([1.0, 0.0, 0.0])  # sure of one class
    given = {"output": 0} if form == "tuple" else {}
    return model, fv.compress(model, IMAGES[:200], held_out=IMAGES[200:], **given, **options)


@pytest.mark.parametrize(("form", "name"), [("dict", "box"), ("tuple", "1"), ("dataclass", "box")])
def test_how_far_other_outputs_moved(form: str, name: str) -> None:
    model, thin = detected(form, tolerance=0.05)
    with torch.no_grad():
        ours, theirs = (one(IMAGES[200:]) for one in (model, thin.model))
    pick = (lambda given: given.box) if form == "dataclass" else lambda given: given[
        1 if form == "tuple" else "box"
    ]  # fmt: skip
    before, after = pick(ours).double().numpy(), pick(theirs).double().numpy()
    row = thin.report.outputs.set_index("output").loc[name]
    change, spread = np.abs(after - before).mean(), before.std(axis=0, ddof=1).mean()
    assert row.change == pytest.approx(change)
    assert row.largest == pytest.approx(np.abs(after - before).max())
    assert row.spread == pytest.approx(spread)
    assert row.moved == pytest.approx(change / spread)
    text = str(thin.report)
    moved = f"{change / spread:.2g}"
    assert f"Output '{name}': moved by {moved} of its spread over examples (mean abs" in text
    assert change / spread > 0.05
    warning = text.splitlines()[1]
    assert warning.startswith(
        "Warning: outputs other than the scores moved by more than 0.05 of their spread over "
        f"examples: '{name}' ({moved})"
    )


def test_outputs_that_cannot_be_compared_and_those_that_are_no_numbers() -> None:
    _, thin = detected("dataclass", tolerance=0.05)
    outputs = thin.report.outputs.set_index("output")
    assert list(outputs.index) == ["box", "places.0", "places.1"], "numbers of classes are none"
    assert outputs.reason["places.1"] == "its first axis is not that of the examples"
    assert outputs.moved["places.0"] == pytest.approx(outputs.moved["box"], rel=0.5)
    assert "Output 'places.1': not compared; its first axis is not that of the" in str(thin.report)


def test_without_a_tolerance_there_is_no_warning_and_one_output_says_nothing() -> None:
    _, thin = detected("dict", units=0.8)
    assert "Warning" not in str(thin.report)
    assert "Output 'box': moved by " in str(thin.report)
    alone = fv.compress(mlp(), drawn(200, 6), units=0.6)
    assert len(alone.report.outputs) == 0
    assert "Output" not in str(alone.report)


class Features(nn.Module):
    """Scores beside the units that are cut."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.out = nn.Linear(6, 12), nn.Linear(12, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.one(x).relu()
        return self.out(hidden), hidden


def test_an_output_of_another_shape_is_named() -> None:
    thin = fv.compress(seeded(Features), drawn(200, 6), keep={"one": 5}, output=0)
    why = "it has shape (5,) per example, in the original (12,)"
    assert f"Output '1': not compared; {why}." in str(thin.report)


def test_change_and_spread_of_a_plain_loop() -> None:
    before, after = drawn(30, 4, 2).double() + 1000, drawn(60, 4, 2)[30:].double() + 1000
    moved = Moved("value")
    for start in range(0, 30, 7):
        moved.add(before[start : start + 7], after[start : start + 7], min(7, 30 - start))
    _, change, largest, spread, ratio, reason = moved.row()
    deviations = [
        float(torch.stack([before[n, i, j] for n in range(30)]).std())
        for i in range(4)
        for j in range(2)
    ]
    assert spread == pytest.approx(np.mean(deviations))
    assert change == pytest.approx(float((after - before).abs().mean()))
    assert (largest, ratio) == pytest.approx((float((after - before).abs().max()), change / spread))
    assert reason == ""
    still = Moved("still")
    still.add(torch.full((5, 2), float("-inf")), torch.full((5, 2), float("-inf")), 5)
    assert still.row()[1] == 0, "what is masked in both did not move"


# ---- what was left


def mlp(*widths: int) -> nn.Module:
    first, second = widths or (12, 8)
    return seeded(
        nn.Sequential,
        *(nn.Linear(6, first), nn.ReLU(), nn.Linear(first, second), nn.ReLU()),
        nn.Linear(second, 3),
    )


class Recurrent(nn.Module):
    """Layers before, of and after a recurrent one."""

    def __init__(self) -> None:
        super().__init__()
        self.front, self.rnn = nn.Linear(6, 12), nn.LSTM(12, 10, batch_first=True)
        self.head, self.out = nn.Linear(10, 14), nn.Linear(14, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.head(self.rnn(self.front(x).relu())[0][:, -1]).relu())


def left(thin: Compression) -> dict[str, str]:
    return {layer: one["reason"] for one in thin.report.facts["left"] for layer in one["layers"]}


def test_every_layer_that_was_left_is_named_with_its_reason() -> None:
    thin = fv.compress(seeded(Recurrent), drawn(300, 5, 6), units=0.5)
    assert set(left(thin)) == {"front", "rnn"}
    assert len(thin.kept["head"]) == 7, "it is cut, whatever it reads"
    assert all("lstm" in why for why in left(thin).values())
    text = str(thin.report)
    assert re.search(r"^left: front \(1 layer\): .*'lstm'", text, flags=re.MULTILINE)
    assert re.search(r"^left: rnn \(1 layer\): .*'lstm'", text, flags=re.MULTILINE)


class Tabled(nn.Module):
    """A table of tokens, one of bags, a layer read by a recurrent one, and bare parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.bag = nn.Embedding(9, 6), nn.EmbeddingBag(9, 5)
        self.rnn, self.cell = nn.GRU(6, 4, batch_first=True), nn.RNNCell(4, 4)
        self.mixed, self.inner = nn.Parameter(torch.randn(9, 7)), nn.Parameter(torch.randn(7, 8))
        self.out = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        last = self.cell(self.rnn(self.table(x))[0][:, -1])
        h = (torch.cat([last, self.bag(x)], 1) @ self.mixed).relu()
        return self.out((h @ self.inner).relu())


def test_layers_of_other_operations_and_bare_parameters_are_named() -> None:
    data = torch.randint(0, 9, (60, 5), generator=torch.Generator().manual_seed(0))
    report = str(fv.compress(seeded(Tabled), data, units=0.9).report)
    for name in ("table", "bag", "rnn", "cell", "mixed", "inner"):
        assert re.search(rf"\b{name}\b", report), name
    assert re.search(r"left: .*\bbag\b.*: 'embedding_bag' is in none of the tables", report)
    assert not re.search(r"with \w+: *$|: ,|left: ,", report, re.MULTILINE)


class Gated(nn.Module):
    """Two layers weighed by a gate: the product of gate and values is no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.one, self.two = nn.Linear(6, 2), nn.Linear(6, 8), nn.Linear(6, 8)
        self.inner, self.out = nn.Linear(8, 10), nn.Linear(10, 3)

    def forward(self, x: Tensor) -> Tensor:
        values = torch.stack([self.one(x).relu(), self.two(x).relu()], 1)
        mixed = torch.einsum("ne,nef->nf", self.gate(x).softmax(-1), values)
        return self.out(self.inner(mixed).relu())


def test_products_of_values_are_not_told_as_layers() -> None:
    thin = fv.compress(seeded(Gated), drawn(200, 6), units=0.9)
    assert set(left(thin)) == {"gate", "one", "two"}


class Summed(nn.Module):
    """Two layers whose sum is read."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.out = nn.Linear(6, 12), nn.Linear(6, 12), nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out((self.one(x) + self.two(x)).relu())


def test_a_layer_without_a_row_is_named_with_the_site_that_it_is_cut_with() -> None:
    thin = fv.compress(seeded(Summed), drawn(200, 6), units=0.5)
    (site,) = thin.report.sites.site
    (other,) = {"one", "two"} - {site}
    assert thin.model.get_submodule(other).out_features == len(thin.kept[site]) == 6
    assert thin.report.facts["cut_along"] == {other: site}
    assert f"cut along with {site}: {other}" in str(thin.report).splitlines()
    assert thin.report.facts["left"] == []


def test_units_of_a_layer_that_was_left_cannot_be_asked_for() -> None:
    with pytest.raises(fv.errors.BadArgument) as caught:
        fv.compress(seeded(Recurrent), drawn(300, 5, 6), keep={"front": 4})
    assert str(caught.value).startswith(
        "`keep` names 'front', which cannot be cut: 'lstm' may need"
    )


def test_a_reason_is_said_once() -> None:
    norms = [part for _ in range(3) for part in (nn.Linear(6, 6), nn.LayerNorm(6), nn.ReLU())]
    model = seeded(nn.Sequential, *norms, nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 3))
    thin = fv.compress(model, drawn(200, 6), units=0.8)
    why = "'layer_norm' works on all units together"
    assert left(thin).keys() == {"0", "3", "6"}
    text = str(thin.report)
    assert text.count(why) == 1
    assert "left: 0, 3, 6 (3 layers): " + why in text
    assert [line.split() for line in text.splitlines() if line.startswith("0 ")] == [
        ["0", "6", "left"]
    ]


def test_a_layer_of_one_unit_says_so() -> None:
    thin = fv.compress(mlp(12, 1), drawn(200, 6), units=0.6)
    assert left(thin) == {"2": "it has one unit, which stays"}
    assert thin.report.sites.set_index("site").reason["2"] == "it has one unit, which stays"


def test_no_hidden_layer_at_all() -> None:
    with pytest.raises(fv.errors.FrivolousError) as caught:
        fv.compress(nn.Linear(6, 3), drawn(100, 6), units=0.5)
    assert str(caught.value) == (
        "`model` has no hidden layer that could be cut: no layer reads what another one writes."
    )


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"tolerance": 0.016}, "no smaller network keeps its labels within the tolerance"),
        ({"tolerance": 0}, "no smaller network keeps its scores"),
        ({"units": 1.0}, "the whole network is within the budget"),
        ({"latency": 1.0}, "the whole network is within the budget"),
        ({"keep": {"0": 2}}, "all units are asked for"),
    ],
)
def test_nothing_removed_is_said_first(options: dict[str, Any], why: str) -> None:
    model = mlp(2, 2)
    with torch.no_grad():  # every unit decides
        model[0].weight.zero_()[:, :2] = torch.eye(2)
        model[0].bias.fill_(5.0)
        model[2].weight.copy_(torch.eye(2))
        model[2].bias.zero_()
        model[4].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]))
        model[4].bias.zero_()
    thin = fv.compress(model, drawn(400, 6), **options)
    lines = str(thin.report).splitlines()
    assert lines[0].startswith(f"Nothing removed: {why} (joint, ")
    assert all("(no difference seen)" in line for line in lines if line.startswith("latency"))
    assert sum(line.startswith("latency") for line in lines) == 2


# ---- units that go together


class Grouped(nn.Module):
    """A convolution in four groups, read and written by others; a residual sum."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.inner = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 16, 3, padding=1, groups=4)
        self.back, self.out = nn.Conv2d(16, 8, 1), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        return self.out((x + self.back(self.inner(x).relu())).relu().mean((2, 3)))


@pytest.mark.parametrize("share", [0.8, 0.5])
def test_totals_are_the_sums_of_the_table(share: float) -> None:
    model = seeded(Grouped)
    thin = fv.compress(model, drawn(200, 3, 8, 8), units=share)
    sites, whole = thin.report.sites, thin.report.whole.set_index("quantity").loc["units"]
    own = {name: part.out_channels for name, part in model.named_modules() if name in thin.kept}
    assert dict(zip(sites.site, sites.before, strict=True)) == own
    assert (whole.before, whole.after) == (sites.before.sum(), sites.after.sum())
    assert whole.after <= share * whole.before
    assert sites.after.sum() == sum(len(kept) for kept in thin.kept.values())
    went = sites[["silent", "constant", "prunable", "redundant"]].sum(axis=1)
    assert (sites.before - sites.after == went).all()


def test_units_asked_for_are_the_sites_own() -> None:
    model, x = seeded(Grouped), drawn(100, 3, 8, 8)
    for count in (4, 8, 12, 16):
        thin = fv.compress(model, x, keep={"inner": count})
        assert thin.model.inner.out_channels == len(thin.kept["inner"]) == count
        assert thin.report.sites.set_index("site").after["inner"] == count
    for count in (0, 5, 20):
        with pytest.raises(fv.errors.BadArgument) as caught:
            fv.compress(model, x, keep={"inner": count})
        assert str(caught.value) == (
            f"`keep` has {count} units for 'inner'; it has 16, of which 4 or more stay, "
            "in groups of 4."
        )


def test_two_counts_for_the_same_units() -> None:
    with pytest.raises(fv.errors.BadArgument) as caught:
        fv.compress(seeded(Grouped), drawn(100, 3, 8, 8), keep={"stem": 8, "back": 4})
    assert "whose units are the same. Name one of them." in str(caught.value)


# ---- latency


def test_the_median_ratio_lies_between_order_statistics() -> None:
    random = np.random.default_rng(0)
    pairs = [(1.0, float(r)) for r in random.lognormal(size=41)]
    found = paired(pairs)
    ratios = sorted(after for _, after in pairs)
    assert found.ratio == pytest.approx(np.median(ratios))
    k = ratios.index(found.low) + 1
    assert found.high == ratios[41 - k]
    # Among n fair coins fewer than k heads, or more than n - k: the chance of being missed.
    assert 2 * binom.cdf(k - 1, 41, 0.5) <= 0.05 < 2 * binom.cdf(k, 41, 0.5)


def test_intervals_hold_as_often_as_they_say() -> None:
    random = np.random.default_rng(1)
    draws = random.lognormal(mean=np.log(0.9), size=(1000, 15))
    found = [paired([(1.0, float(r)) for r in row]) for row in draws]
    held = np.mean([one.low <= 0.9 <= one.high for one in found])
    assert held >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / 1000)


class Slow(nn.Module):
    """Takes its time on a clock that only it moves."""

    now = 0.0

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def forward(self, x: Tensor) -> Tensor:
        order.append(self.seconds)
        Slow.now += self.seconds
        return x


order: list[float] = []


def test_modules_are_timed_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.perf_counter", lambda: Slow.now)
    order.clear()
    found = latency_of(Slow(0.1), Slow(0.05), torch.zeros(1))
    assert found.before == pytest.approx(0.1)
    assert found.after == pytest.approx(0.05)
    assert (found.ratio, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))
    turns = [tuple(sorted(order[i : i + 2])) for i in range(0, len(order), 2)]
    assert set(turns) == {(0.05, 0.1)}, "each pair has one run of both"
    assert len(turns) >= 7


@pytest.mark.parametrize(
    ("time", "words"),
    [
        (Latency(1e-3, 9e-4, 0.9, 0.85, 0.96), "1 ms -> 0.9 ms (ratio 0.90 [0.85, 0.96])"),
        (Latency(1e-3, 9e-4, 0.9, 0.85, 1.02), "1 ms -> 0.9 ms (no difference seen)"),
        (Latency(1e-3, 2e-3, 2.0, 1.9, 2.1), "1 ms -> 2 ms (ratio 2.00 [1.90, 2.10])"),
    ],
)
def test_latency_as_text(time: Latency, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frivolous.compression.reporting.tables.latency_of", lambda *_: time)
    thin = fv.compress(mlp(), drawn(200, 6), units=0.5)
    lines = [line for line in str(thin.report).splitlines() if line.startswith("latency")]
    assert len(lines) == 2
    assert all(line.endswith(words) for line in lines)
    rows = thin.report.whole[thin.report.whole.quantity == "latency"]
    assert (
        rows[["before", "after", "ratio", "low", "high"]].to_numpy().tolist()
        == [[time.before, time.after, time.ratio, time.low, time.high]] * 2
    )


def test_normalisations_that_are_exchanged_are_named() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.ReLU(), nn.LocalResponseNorm(3), nn.Conv2d(8, 6, 3), nn.ReLU(),
            nn.Flatten(), nn.Linear(6 * 4, 3),
        )  # fmt: skip
        x = torch.randn(60, 3, 6, 6)
    said = "Response normalisations exchanged for ones that know which neighbours went: '2'; the"
    thin = fv.compress(model, x, keep={"0": 5})
    assert thin.report.facts["norms_exchanged"] == ["2"]
    assert said in str(thin.report)
    assert "exchanged" not in str(fv.compress(model, x, keep={"3": 4}).report)
