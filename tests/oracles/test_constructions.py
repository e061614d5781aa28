"""The constructions do what they state, by direct computation with numpy in float64."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
import scipy.integrate
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from frivolous.constructions import (
    Construction,
    curve_bounds,
    diluted_curve,
    exact_counts,
    exact_curve,
    more_of_both,
    neither,
    only_more_prunable,
    only_more_redundant,
    parity,
    silenced_scores,
)
from frivolous.errors import BadArgument, UnknownName
from frivolous.families import MLP

pytestmark = pytest.mark.rounding

BUILD: Mapping[str, Callable[[MLP, torch.Tensor], Construction]] = {
    "copies": more_of_both,
    "three copies": lambda narrow, x: more_of_both(narrow, x, factor=3),
    "silent": lambda narrow, x: more_of_both(narrow, x, how="silent"),
    "shared": lambda narrow, x: more_of_both(narrow, x, how="shared"),
    "shared by three": lambda narrow, x: more_of_both(narrow, x, how="shared", factor=3),
    "prunable": only_more_prunable,
    "redundant": lambda narrow, x: only_more_redundant(narrow, x, balance=64.0),
    "mirrored": lambda narrow, x: neither(narrow, x, shift=256.0),
    "blocked": lambda narrow, x: neither(narrow, x, how="blocked"),
}
every_construction = pytest.mark.parametrize("name", BUILD)
quick = settings(max_examples=15, deadline=None)


def dense(
    seed: int, sizes: Sequence[int], examples: int = 20, bias: bool = True
) -> tuple[MLP, torch.Tensor]:
    """A random network of these sizes, inputs and outputs among them, and random inputs."""
    rng = np.random.default_rng(seed)
    model = MLP(sizes[0], list(sizes[1:-1]), sizes[-1], bias=bias).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.from_numpy(rng.normal(size=tuple(parameter.shape))))
    return model, torch.from_numpy(rng.normal(size=(examples, sizes[0])))


@st.composite
def networks(draw: st.DrawFn, widest: int = 6, layers: int = 3) -> tuple[MLP, torch.Tensor]:
    hidden = draw(st.lists(st.integers(1, widest), min_size=1, max_size=layers))
    sizes = (draw(st.integers(1, 5)), *hidden, draw(st.integers(1, 4)))
    return dense(draw(st.integers(0, 10_000)), sizes, draw(st.integers(2, 20)), draw(st.booleans()))


def by_hand(
    model: MLP, inputs: torch.Tensor, silenced: Mapping[int, Sequence[int]]
) -> tuple[list[np.ndarray], np.ndarray]:
    """Activities of the hidden layers and scores, with units set to zero, in plain numpy."""
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    value, activities = inputs.numpy(), []
    for i in range(len(model.hidden) + 1):
        value = value @ state[f"layers.{i}.weight"].T
        value = value + state.get(f"layers.{i}.bias", 0)
        if i < len(model.hidden):
            value = np.where(value > 0, value, 0)
            value[:, list(silenced.get(i, []))] = 0
            activities.append(value)
    return activities, value


def any_sets(seed: int, widths: Sequence[int]) -> dict[int, list[int]]:
    rng = np.random.default_rng(seed)
    sizes = [rng.integers(0, width + 1) for width in widths]
    return {
        i: rng.permutation(w)[:k].tolist()
        for i, (w, k) in enumerate(zip(widths, sizes, strict=True))
    }


@every_construction
@quick
@given(made_from=networks())
def test_wide_computes_what_narrow_computes(name: str, made_from: tuple[MLP, torch.Tensor]) -> None:
    made = BUILD[name](*made_from)
    _, narrow = by_hand(made.narrow, made.narrow_inputs, {})
    _, wide = by_hand(made.wide, made.inputs, {})
    assert np.abs(wide - narrow).max() <= made.output_tolerance
    assert made.output_tolerance <= 1e-5 * (1 + np.abs(narrow).max())
    assert all(w >= 2 * n for n, w in zip(made.narrow.hidden, made.wide.hidden, strict=True))


@every_construction
@quick
@given(made_from=networks(), seed=st.integers(0, 1000))
def test_silenceable_units_change_nothing(
    name: str, made_from: tuple[MLP, torch.Tensor], seed: int
) -> None:
    made = BUILD[name](*made_from)
    _, intact = by_hand(made.wide, made.inputs, {})
    units = {i: chosen.tolist() for i, chosen in enumerate(made.silenceable)}
    some = {
        i: [units[i][j] for j in chosen]
        for i, chosen in any_sets(seed, [len(u) for u in units.values()]).items()
    }
    for silenced in (units, some):
        _, scores = by_hand(made.wide, made.inputs, silenced)
        np.testing.assert_allclose(scores, intact, rtol=1e-12, atol=made.output_tolerance)
    if made.curve == "diluted":
        wide, narrow = made.wide.hidden, made.narrow.hidden
        assert [len(u) for u in units.values()] == [
            w - n for w, n in zip(wide, narrow, strict=True)
        ]


@every_construction
@quick
@given(made_from=networks(), seed=st.integers(0, 1000))
def test_any_silenced_sets_give_the_stated_scores(
    name: str, made_from: tuple[MLP, torch.Tensor], seed: int
) -> None:
    made = BUILD[name](*made_from)
    silenced = any_sets(seed, made.wide.hidden)
    _, wide = by_hand(made.wide, made.inputs, silenced)
    stated = made.scores_without(silenced).numpy()
    np.testing.assert_allclose(stated, wide, rtol=1e-9, atol=1e-8 * (1 + np.abs(wide).max()))
    ours = silenced_scores(made.wide, made.inputs, silenced).numpy()
    np.testing.assert_allclose(ours, wide, rtol=1e-12, atol=1e-12 * (1 + np.abs(wide).max()))


@quick
@given(made_from=networks(), seed=st.integers(0, 1000))
@pytest.mark.parametrize("name", ["copies", "three copies", "silent", "prunable", "blocked"])
def test_silencing_a_set_is_silencing_its_part_in_the_narrow_network(
    name: str, made_from: tuple[MLP, torch.Tensor], seed: int
) -> None:
    made = BUILD[name](*made_from)
    silenced = any_sets(seed, made.wide.hidden)
    part = {i: [u for u in s if u < made.narrow.hidden[i]] for i, s in silenced.items()}
    _, wide = by_hand(made.wide, made.inputs, silenced)
    _, narrow = by_hand(made.narrow, made.narrow_inputs, part)
    np.testing.assert_allclose(wide, narrow, rtol=1e-12, atol=made.output_tolerance)
    assert (wide.argmax(1) == narrow.argmax(1)).all()


def no_ties(made: Construction) -> bool:
    """Whether labels are clear of rounding: a dead example of a network without bias is a tie."""
    best = np.sort(by_hand(made.narrow, made.narrow_inputs, {})[1], axis=1)[:, -2:]
    return best.shape[1] == 1 or bool((np.diff(best) > made.output_tolerance).all())


def clear_rank(activity: np.ndarray) -> int:
    """Rank of the centred activity; cases too close to call in float64 are not counted."""
    values = np.linalg.svd(activity - activity.mean(0), compute_uv=False)
    relative = values / max(np.abs(activity).max(), 1e-300)
    assume(not ((relative > 1e-12) & (relative < 1e-9)).any())
    return int((relative >= 1e-9).sum())


@every_construction
@quick
@given(made_from=networks())
def test_ranks_and_spectra_are_as_stated(name: str, made_from: tuple[MLP, torch.Tensor]) -> None:
    made = BUILD[name](*made_from)
    narrow, _ = by_hand(made.narrow, made.narrow_inputs, {})
    wide, _ = by_hand(made.wide, made.inputs, {})
    for layer, (before, after) in enumerate(zip(narrow, wide, strict=True)):
        own, more = clear_rank(before), after.shape[1] - before.shape[1]
        assert (made.narrow_rank[layer], made.rank[layer]) == (own, clear_rank(after))
        if name in ("prunable", "blocked"):
            assert made.rank[layer] == own + more
        elif name == "mirrored":
            assert made.rank[layer] >= own
        else:
            assert made.rank[layer] == own
        expected = np.linalg.eigvalsh(np.atleast_2d(np.cov(after.T, bias=True)))[::-1]
        found = made.spectrum[layer].numpy()
        np.testing.assert_allclose(found, expected, atol=1e-9 * max(1, expected[0]))
        assert (np.diff(found) <= 1e-12 * max(1, found[0])).all()


def test_ranks_of_a_wide_enough_data_set_are_full_or_not_by_construction() -> None:
    """With 60 examples in 8 dimensions 6 units are independent: redundant 0, and 0, n, 0, n, 0."""
    made_from = dense(3, (8, 6, 6, 3), 60)
    redundant = {
        name: [w - r for w, r in zip(made.wide.hidden, made.rank, strict=True)]
        for name, build in BUILD.items()
        if (made := build(*made_from))
    }
    assert redundant["copies"] == redundant["silent"] == redundant["redundant"] == [6, 6]
    assert redundant["shared"] == [6, 6]
    assert redundant["prunable"] == redundant["blocked"] == redundant["mirrored"] == [0, 0]


@pytest.mark.parametrize("name", ["prunable", "blocked"])
@quick
@given(made_from=networks(widest=4))
def test_blocked_units_are_uncorrelated(name: str, made_from: tuple[MLP, torch.Tensor]) -> None:
    made = BUILD[name](*made_from)
    activities, _ = by_hand(made.wide, made.inputs, {})
    for units, activity in zip(made.narrow.hidden, activities, strict=True):
        covariance = np.atleast_2d(np.cov(activity.T, bias=True))
        np.testing.assert_array_equal(np.unique(activity[:, units:]), [0, 1])
        among = covariance[units:, units:]
        np.testing.assert_array_equal(among, np.eye(len(among)) / 4)
        np.testing.assert_allclose(covariance[:units, units:], 0, atol=1e-13)


def test_uncorrelated_units_on_the_inputs_as_they_are() -> None:
    narrow, inputs = dense(5, (40, 3, 5, 2), 30)
    made = only_more_prunable(narrow, inputs, how="interpolated")
    assert made.inputs is inputs
    assert made.wide.hidden == (8, 10)
    activities, scores = by_hand(made.wide, inputs, {})
    np.testing.assert_allclose(scores, by_hand(narrow, inputs, {})[1], atol=made.output_tolerance)
    for units, activity, rank in zip(narrow.hidden, activities, made.rank, strict=True):
        covariance = np.cov(activity.T, bias=True)
        np.testing.assert_allclose(covariance[units:, units:], np.eye(5), atol=1e-10)
        np.testing.assert_allclose(covariance[:units, units:], 0, atol=1e-10)
        assert rank == units + 5
        assert rank == np.linalg.matrix_rank(activity - activity.mean(0), tol=1e-6)
    few = only_more_prunable(narrow, inputs, how="interpolated", extra=(2, 1))
    assert few.wide.hidden == (5, 6)


@quick
@given(
    seed=st.integers(0, 1000),
    units=st.integers(1, 5),
    outputs=st.integers(1, 4),
    power=st.integers(0, 12),
)
def test_weight_balancing_moves_scores_by_the_papers_number(
    seed: int, units: int, outputs: int, power: int
) -> None:
    """Casper et al. 2021, section 3: (b - theta_k) u_k / 2, here with its sign for each class."""
    narrow, inputs = dense(seed, (3, units, outputs))
    balance = 2.0**power
    made = only_more_redundant(narrow, inputs, balance=balance)
    (activity,), _ = by_hand(narrow, inputs, {})
    theta = narrow.layers[1].weight.detach().numpy()
    signed = balance * np.array([1, -1, 1, -1])[:outputs]
    _, intact = by_hand(made.wide, inputs, {})
    for k in range(units):
        for unit, offset in ((k + units, signed - theta[:, k]), (k, -signed - theta[:, k])):
            _, scores = by_hand(made.wide, inputs, {0: [unit]})
            moved = offset * activity[:, [k]] / 2
            np.testing.assert_allclose(scores - intact, moved, atol=1e-11 * balance)
        _, both = by_hand(made.wide, inputs, {0: [k, k + units]})
        _, without = by_hand(narrow, inputs, {0: [k]})
        np.testing.assert_allclose(both, without, atol=1e-11 * balance)


def test_the_same_balance_for_every_class_would_change_no_label() -> None:
    """Why the balance alternates: added to all scores alike, it leaves labels as sharing does."""
    narrow, inputs = dense(8, (3, 4, 3), 200)
    shared = more_of_both(narrow, inputs, how="shared").wide
    literal, ours = (only_more_redundant(narrow, inputs, balance=1024.0).wide for _ in range(2))
    theta = narrow.layers[1].weight.detach()
    with torch.no_grad():
        literal.layers[1].weight.copy_(torch.cat([theta + 1024, theta - 1024], 1) / 2)
    assert np.array_equal(exact_counts(literal, inputs), exact_counts(shared, inputs))
    assert exact_curve(ours, inputs)[1] < exact_curve(narrow, inputs)[1]


@quick
@given(seed=st.integers(0, 1000), units=st.integers(1, 4), outputs=st.integers(2, 4))
def test_mirrored_units_move_scores_without_bound(seed: int, units: int, outputs: int) -> None:
    narrow, inputs = dense(seed, (3, units, outputs))
    theta = narrow.layers[1].weight.detach().numpy()
    state = narrow.layers[0]
    z = inputs.numpy() @ state.weight.detach().numpy().T + state.bias.detach().numpy()
    for shift in (64.0, 4096.0):
        made = neither(narrow, inputs, shift=shift)
        _, intact = by_hand(made.wide, inputs, {})
        for k in range(units):
            _, first = by_hand(made.wide, inputs, {0: [k]})
            moved = -theta[:, k] * (z[:, [k]] + shift)
            np.testing.assert_allclose(first - intact, moved, atol=1e-11 * shift)
            _, second = by_hand(made.wide, inputs, {0: [k + units]})
            moved = -theta[:, k] * np.maximum(-z[:, [k]], 0)
            np.testing.assert_allclose(second - intact, moved, atol=1e-11 * shift)


@quick
@given(made_from=networks(widest=4, layers=2), layer=st.integers(-1, 0))
def test_exact_counts_are_those_of_a_plain_loop(
    made_from: tuple[MLP, torch.Tensor], layer: int
) -> None:
    model, inputs = made_from
    width = model.hidden[layer]
    index = layer % len(model.hidden)
    labels = by_hand(model, inputs, {})[1].argmax(1)
    totals = [
        sum(
            int((by_hand(model, inputs, {index: chosen})[1].argmax(1) == labels).sum())
            for chosen in itertools.combinations(range(width), k)
        )
        for k in range(width + 1)
    ]
    counts = exact_counts(model, inputs, layer)
    assert counts.tolist() == totals
    assert counts[0] == len(inputs)
    sets = [math.comb(width, k) * len(inputs) for k in range(width + 1)]
    np.testing.assert_array_equal(exact_curve(model, inputs, layer), counts / sets)


@quick
@given(
    curve=st.lists(st.floats(0, 1), min_size=2, max_size=5),
    more=st.integers(0, 4),
)
def test_diluted_curves_are_those_of_all_sets(curve: list[float], more: int) -> None:
    units, width = len(curve) - 1, len(curve) - 1 + more
    expected = [
        np.mean([curve[sum(u < units for u in s)] for s in itertools.combinations(range(width), k)])
        for k in range(width + 1)
    ]
    diluted = diluted_curve(np.array(curve), width)
    np.testing.assert_allclose(diluted, expected, atol=1e-12)
    assert diluted.mean() == pytest.approx(np.mean(curve), abs=1e-12)


@every_construction
@quick
@given(made_from=networks(widest=3, layers=2), layer=st.integers(-1, 0))
def test_exact_curves_lie_within_their_bounds(
    name: str, made_from: tuple[MLP, torch.Tensor], layer: int
) -> None:
    made = BUILD[name](*made_from)
    assume(no_ties(made))
    low, high = curve_bounds(made, layer)
    curve = exact_curve(made.wide, made.inputs, layer)
    assert (low <= curve + 1e-12).all()
    assert (curve <= high + 1e-12).all()
    if made.curve == "diluted":
        own = exact_curve(made.narrow, made.narrow_inputs, layer)
        np.testing.assert_allclose(curve, low, atol=1e-12)
        assert curve.mean() == pytest.approx(own.mean(), abs=1e-12)
    if name == "shared" and layer == -1:
        own = exact_curve(made.narrow, made.narrow_inputs, layer)
        assert curve[1] >= own[1] - 1e-12


@pytest.mark.parametrize("seed", range(3))
def test_broken_balances_cost_labels(seed: int) -> None:
    """The curves of the unprunable constructions fall far below the narrow network's at once."""
    made_from = dense(seed, (6, 4, 2), 100)
    own = exact_curve(*made_from)
    for build in (lambda *a: only_more_redundant(*a, balance=2.0**20), neither):
        made = build(*made_from)
        curve = exact_curve(made.wide, made.inputs)
        _, high = curve_bounds(made)
        counts = np.bincount(by_hand(*made_from, {})[1].argmax(1), minlength=2)
        if made.curve == "mirrored":
            assert (high[5:] <= counts.max() / 100 + 1e-12).all()
        assert curve[1] <= high[1] + 1e-12 < 0.93
        assert curve[1:8].mean() < diluted_curve(own, 8)[1:8].mean()


@pytest.mark.parametrize("bits", [1, 2, 3])
def test_parity_by_one_unit_or_by_all(bits: int) -> None:
    made = parity(bits)
    count = 2**bits
    strings = made.inputs[:, 1:].long().numpy()
    assert len(np.unique(strings, axis=0)) == count
    assert (made.labels.numpy() == np.bitwise_xor.reduce(strings, axis=1)).all()
    assert (made.inputs[:, 0].long() == made.labels).all()
    for model in (made.identity, made.minterms, made.frivolous.wide):
        assert (by_hand(model, made.inputs, {})[1].argmax(1) == made.labels.numpy()).all()
    assert (made.minterms.hidden, made.frivolous.wide.hidden) == ((count,), (count,))
    k = np.arange(count + 1)
    sets = np.array([math.comb(count, size) for size in k])
    assert (exact_counts(made.minterms, made.inputs) == sets * (count - k)).all()
    np.testing.assert_allclose(
        exact_curve(made.frivolous.wide, made.inputs), 1 - k / (2 * count), atol=1e-15
    )
    assert exact_curve(made.identity, made.inputs).tolist() == [1, 0.5]
    (activity,), _ = by_hand(made.minterms, made.inputs, {})
    np.testing.assert_array_equal(activity, np.eye(count))
    assert np.linalg.matrix_rank(activity - activity.mean(0)) == count - 1
    assert made.frivolous.rank == (1,)
    assert len(made.frivolous.silenceable[0]) == count - 1


@quick
@given(seed=st.integers(0, 1000), bits=st.integers(1, 7))
def test_every_minterm_matters_alike(seed: int, bits: int) -> None:
    """Not on average only: any k units silenced leave exactly 2 ** bits - k labels unchanged."""
    made = parity(bits)
    chosen = any_sets(seed, made.minterms.hidden)[0]
    labels = silenced_scores(made.minterms, made.inputs, {0: chosen}).argmax(1)
    assert int((labels == made.labels).sum()) == 2**bits - len(chosen)
    assert (labels[labels != made.labels] == 2).all()


def test_area_of_the_diluted_curve() -> None:
    """By counts the mean is kept; by the trapezoid rule the ends weigh less as units are added."""
    curve = np.array([1.0, 0.9, 0.2])
    by_width = [scipy.integrate.trapezoid(diluted_curve(curve, w), dx=1 / w) for w in (2, 200)]
    assert by_width == pytest.approx([0.75, (201 * 0.7 - 0.6) / 200])


@every_construction
def test_no_global_generator_is_touched(name: str) -> None:
    made_from = dense(0, (3, 2, 2))
    before = torch.get_rng_state()
    BUILD[name](*made_from)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda n, x: more_of_both(n, x, how="copy"), UnknownName, "did you mean 'copies'?"),
        (lambda n, x: neither(n, x, how="block"), UnknownName, "did you mean 'blocked'?"),
        (
            lambda n, x: more_of_both(n, x, factor=1),
            BadArgument,
            "`factor` is a whole number of at",
        ),
        (
            lambda n, x: more_of_both(n, x[:, :2]),
            BadArgument,
            "`inputs` has the shape (examples, 3)",
        ),
        (lambda n, x: more_of_both(n, x[:1]), BadArgument, "at least 2 examples; got (1, 3)."),
        (lambda n, x: more_of_both(n, x.float()), BadArgument, "torch.float64; got torch.float32."),
        (lambda n, x: more_of_both(n, x * math.nan), BadArgument, "`inputs` is finite; got NaN"),
        (
            lambda n, x: more_of_both(torch.nn.Linear(3, 2), x),
            BadArgument,
            "families.MLP; got Linear.",
        ),
        (lambda n, x: only_more_redundant(n, x, 0), BadArgument, "`balance` is a positive number"),
        (
            lambda n, x: only_more_prunable(n, x, how="interpolated"),
            BadArgument,
            "`inputs` spans 3 dimensions, of which 0 have no correlation with the hidden units; 4 ",
        ),
        (
            lambda n, x: only_more_prunable(n, x, extra=(1, 2)),
            BadArgument,
            "none larger than the one before; got (1, 2).",
        ),
        (lambda n, x: neither(n, x, shift=0.5), BadArgument, "`shift` is at least as large as any"),
        (lambda n, x: exact_curve(n, x, 2), BadArgument, "index of one of 2 hidden layers; got 2."),
        (lambda n, x: exact_curve(MLP(3, [17], 2).double(), x), BadArgument, "16 are the most."),
        (
            lambda n, x: diluted_curve(np.ones(3), 1),
            BadArgument,
            "the 2 units of the curve; got 1.",
        ),
        (lambda n, x: parity(0), BadArgument, "`bits` is a whole number from 1 to 16; got 0."),
    ],
)
def test_errors_say_what_to_do(
    make: Callable[[MLP, torch.Tensor], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        make(*dense(1, (3, 2, 4, 2)))
