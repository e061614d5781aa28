"""The library's measures answer, on the constructions, what the proofs say."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch

from frivolous.ablation.curves import AblationCurve, ablation_curves
from frivolous.ablation.label_agreement import ablate
from frivolous.constructions import (
    Construction,
    curve_bounds,
    diluted_curve,
    exact_curve,
    more_of_both,
    neither,
    only_more_prunable,
    only_more_redundant,
    parity,
    silenced_scores,
)
from frivolous.families import MLP, fixed, initialise
from frivolous.measures import curve as curves
from frivolous.measures import redundancy, similarity
from frivolous.network import Network, trace
from frivolous.statistics.streaming import collect

BUILD: Mapping[str, Callable[[MLP, torch.Tensor], Construction]] = {
    "copies": more_of_both,
    "silent": lambda narrow, x: more_of_both(narrow, x, how="silent"),
    "shared": lambda narrow, x: more_of_both(narrow, x, how="shared"),
    "prunable": only_more_prunable,
    "redundant": lambda narrow, x: only_more_redundant(narrow, x, balance=2.0**16),
    "mirrored": neither,
    "blocked": lambda narrow, x: neither(narrow, x, how="blocked"),
}
MORE_REDUNDANT = ("copies", "silent", "shared", "redundant")
DILUTED = ("copies", "silent", "prunable", "blocked")
WIDTHS = (6, 5)
EXAMPLES = 96


@pytest.fixture(scope="module")
def made() -> dict[str, Construction]:
    """All constructions from one network of two hidden layers, 6 and 5 units."""
    generator = torch.Generator().manual_seed(4)
    narrow = MLP(8, WIDTHS, 3).double()
    initialise(narrow, fixed(1.0, "normal"), generator, bias=0.1)
    inputs = torch.randn(EXAMPLES, 8, generator=generator, dtype=torch.float64)
    return {name: build(narrow, inputs) for name, build in BUILD.items()}


@pytest.fixture(scope="module")
def traced(made: dict[str, Construction]) -> dict[str, Network]:
    return {name: trace(one.wide, one.inputs) for name, one in made.items()}


@pytest.fixture(scope="module")
def narrow(made: dict[str, Construction]) -> Network:
    return trace(made["copies"].narrow, made["copies"].narrow_inputs)


def covariances(network: Network, inputs: torch.Tensor) -> list[np.ndarray]:
    found = collect(network, inputs.split(40), examples=len(inputs))
    return [np.asarray(found[site.name].moments().covariance_UU) for site in network.sites]


@pytest.mark.parametrize("name", BUILD)
def test_sites_are_the_hidden_layers(
    name: str, made: dict[str, Construction], traced: dict[str, Network]
) -> None:
    assert tuple(site.width for site in traced[name].sites) == made[name].wide.hidden


@pytest.mark.parametrize("name", BUILD)
def test_redundant_units(
    name: str, made: dict[str, Construction], traced: dict[str, Network], narrow: Network
) -> None:
    """At tolerance 0 width less rank; at any tolerance what the stated spectrum says."""
    one = made[name]
    own = covariances(narrow, one.narrow_inputs)
    wide = covariances(traced[name], one.inputs)
    for layer, (before, after) in enumerate(zip(own, wide, strict=True)):
        units, extra = len(before), len(after) - len(before)
        count = redundancy.redundant_units(after, tolerance=0)
        assert count == len(after) - one.rank[layer]
        more = count - redundancy.redundant_units(before, tolerance=0)
        assert more == (extra if name in MORE_REDUNDANT else 0)
        spectrum = one.spectrum[layer].numpy()
        for tolerance in (0.01, 0.05, 0.15):
            needed = redundancy.components_needed(after, tolerance)
            assert needed == redundancy.components_needed(spectrum, tolerance)
            if name in MORE_REDUNDANT:
                assert needed == redundancy.components_needed(before, tolerance)
                assert redundancy.redundant_units(after, tolerance) == len(after) - needed
        if name == "blocked":
            share = redundancy.compressibility(after, 0)
            assert share == redundancy.compressibility(before, 0) * units / len(after)


def test_similar_units(
    made: dict[str, Construction], traced: dict[str, Network], narrow: Network
) -> None:
    """A copy adds itself and the copies of all that were similar; silent and blocked add none."""
    own = covariances(narrow, made["copies"].narrow_inputs)
    for name in ("copies", "silent", "shared", "redundant", "prunable"):
        for before, after in zip(own, covariances(traced[name], made[name].inputs), strict=True):
            counts = similarity.similar_counts(before)
            nothing = np.zeros(len(after) - len(before), dtype=int)
            expected = (
                np.concatenate([counts, nothing])
                if name in ("silent", "prunable")
                else np.tile(2 * counts + 1, 2)
            )
            np.testing.assert_array_equal(similarity.similar_counts(after), expected)
            assert similarity.similarity(after) == pytest.approx(expected.mean())


@pytest.mark.parametrize("name", BUILD)
@pytest.mark.parametrize("seed", range(3))
def test_ablating_any_sets_gives_the_stated_scores(
    name: str, seed: int, made: dict[str, Construction], traced: dict[str, Network]
) -> None:
    one, network = made[name], traced[name]
    rng = np.random.default_rng(seed)
    sets = [np.flatnonzero(rng.random(width) < 0.4).tolist() for width in one.wide.hidden]
    plan = {site.name: chosen for site, chosen in zip(network.sites, sets, strict=True)}
    scores = ablate(network, one.inputs, plan)
    stated = one.scores_without(dict(enumerate(sets)))
    largest = float(scores.abs().max())
    torch.testing.assert_close(scores, stated, rtol=1e-9, atol=1e-9 * (1 + largest))


@pytest.mark.parametrize("name", BUILD)
def test_ablating_the_silenceable_changes_nothing(
    name: str, made: dict[str, Construction], traced: dict[str, Network]
) -> None:
    one, network = made[name], traced[name]
    plan = {s.name: u.tolist() for s, u in zip(network.sites, one.silenceable, strict=True)}
    scores, intact = ablate(network, one.inputs, plan), network(one.inputs)
    assert float((scores - intact).abs().max()) <= one.output_tolerance
    assert (scores.argmax(1) == intact.argmax(1)).all()


def measured(network: Network, inputs: torch.Tensor, draws: int) -> AblationCurve:
    """The curve of the last hidden layer, at every number of units."""
    site = network.sites[-1]
    steps = [k / site.width for k in range(site.width + 1)]
    found = ablation_curves(
        network, [inputs], sites=[site.name], together=False, fractions=steps, draws=draws
    )
    return found[site.name]


@pytest.mark.parametrize("name", BUILD)
def test_ablation_curves_are_the_exact_ones(
    name: str, made: dict[str, Construction], traced: dict[str, Network]
) -> None:
    """Random sets against all sets: the mean of 150 draws within 4 standard errors at every k."""
    one = made[name]
    found = measured(traced[name], one.inputs, draws=150)
    exact = exact_curve(one.wide, one.inputs)
    silenced = [int(p * found.units) for p in found.fractions]
    assert found.units == one.wide.hidden[-1]
    shares = found.shares
    error = shares.std(0) / np.sqrt(len(shares))
    assert (np.abs(shares.mean(0) - exact[silenced]) <= 4 * error + 1e-12).all()
    assert (shares[:, 0] == 1).all()
    assert (shares[:, -1] == exact[-1]).all()
    low, high = curve_bounds(one)
    assert (low - 1e-12 <= exact).all()
    assert (exact <= high + 1e-12).all()


def counted(curve: np.ndarray) -> tuple[float, float]:
    """Prunable units and area of an exact curve, as the library counts them."""
    fractions = np.linspace(0, 1, len(curve))
    units = curves.prunable_units(fractions, curve[None], width=len(curve) - 1)
    return units, float(curves.area(fractions, curve)[0])


def test_prunable_units_of_the_four_kinds(made: dict[str, Construction]) -> None:
    """More where units are diluted or shared, no more where balances break."""
    own, own_area = counted(exact_curve(made["copies"].narrow, made["copies"].narrow_inputs))
    for name, one in made.items():
        curve = exact_curve(one.wide, one.inputs)
        units, area = counted(curve)
        if name in DILUTED:
            diluted = diluted_curve(exact_curve(one.narrow, one.narrow_inputs), len(curve) - 1)
            assert (units, area) == pytest.approx(counted(diluted), abs=1e-9)
            assert units > 1.5 * own
            # The mean over all counts is kept; the trapezoid rule takes half of both ends off.
            ends = (curve[0] + curve[-1]) / 2
            mean = (own_area * WIDTHS[-1] + ends) / (WIDTHS[-1] + 1)
            assert area == pytest.approx((mean * len(curve) - ends) / (len(curve) - 1))
        elif name == "shared":
            assert units > 1.5 * own
            assert area > own_area
        else:
            assert units <= own
            assert area < own_area


@pytest.mark.parametrize("bits", [2, 3, 5])
def test_parity(bits: int) -> None:
    made, count = parity(bits), 2**bits
    essential = trace(made.minterms, made.inputs)
    wasteful = trace(made.frivolous.wide, made.inputs)
    found = measured(essential, made.inputs, draws=5)
    silenced = np.array([int(p * count) for p in found.fractions])
    np.testing.assert_array_equal(found.unchanged, np.tile(count - silenced, (5, 1)))
    assert curves.prunable_units(found.fractions, found.shares, count) == pytest.approx(0.2 * count)
    (covariance,) = covariances(essential, made.inputs)
    assert redundancy.redundant_units(covariance, tolerance=0) == 1
    needed = int(np.ceil(0.95 * (count - 1)))
    assert redundancy.components_needed(covariance, tolerance=0.05) == needed
    (covariance,) = covariances(wasteful, made.inputs)
    assert redundancy.redundant_units(covariance) == count - 1
    found = measured(wasteful, made.inputs, draws=5)
    assert set(np.unique(found.unchanged)) <= {count // 2, count}
    exact = silenced_scores(made.frivolous.wide, made.inputs, {0: range(1, count)}).argmax(1)
    assert (exact == made.labels).all()
