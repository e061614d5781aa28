"""The pass against statistics of all activations at once, on networks whose activity is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import Tensor

from frivolous.errors import BadArgument, NotFinite, UnknownName
from frivolous.measures import redundancy, similarity
from frivolous.rng import choose, deal
from frivolous.statistics.streaming import collect


@dataclass(frozen=True)
class Place:
    """A site as the pass sees it."""

    name: str
    width: int
    axis: int = -1
    positions: tuple[int, ...] = ()


class Known:
    """A network whose activities are functions of the inputs."""

    def __init__(self, *parts: tuple[Place, Callable[[Tensor], Tensor]]) -> None:
        self.sites = tuple(place for place, _ in parts)
        self._of = {place.name: of for place, of in parts}

    def activities(self, inputs, sites=None):
        return inputs, {name: self._of[name](inputs) for name in (sites or self._of)}


def dense(width: int = 6, name: str = "fc") -> Known:
    return Known((Place(name, width), lambda x: x.relu()))


def maps(width: int = 3, side: int = 5) -> Known:
    return Known((Place("conv", width, 1, (side, side)), lambda x: x))


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def as_rows(value: Tensor, axis: int) -> np.ndarray:
    """Samples as rows, position by position, in a plain loop."""
    if axis == -1:
        return value.reshape(-1, value.shape[-1]).double().numpy()
    rows = [
        value[n].reshape(value.shape[1], -1)[:, p]
        for n in range(len(value))
        for p in range(value[0, 0].numel())
    ]
    return torch.stack(rows).double().numpy()


def test_a_dense_site_is_numpys_and_scikit_learns():
    x = normal(400, 6) @ normal(6, 6, seed=1)
    found = collect(dense(), x.split(37), examples=400)["fc"].moments()
    activity_NU = x.relu().double().numpy()
    covariance = np.cov(activity_NU.T)
    np.testing.assert_allclose(found.covariance_UU, covariance, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(
        similarity.correlations(found.covariance_UU), np.corrcoef(activity_NU.T), atol=1e-12
    )
    np.testing.assert_allclose(
        redundancy.spectrum(found.covariance_UU), PCA().fit(activity_NU).explained_variance_
    )
    assert found.active_U.tolist() == (activity_NU > 0).sum(axis=0).tolist()
    assert found.low_U.tolist() == activity_NU.min(axis=0).tolist()
    assert found.high_U.tolist() == activity_NU.max(axis=0).tolist()


@pytest.mark.parametrize(
    ("place", "shape"),
    [
        (Place("a", 4, 1, (3, 5)), (50, 4, 3, 5)),
        (Place("a", 4, 1, (7,)), (50, 4, 7)),
        (Place("a", 4, -1, (7,)), (50, 7, 4)),
        (Place("a", 4, -1, (2, 3)), (50, 2, 3, 4)),
        (Place("a", 4, -1, ()), (50, 4)),
    ],
)
def test_every_position_is_a_sample_and_means_are_exact(place, shape):
    x = normal(*shape)
    found = collect(Known((place, lambda x: x)), x.split(16), examples=50)["a"]
    rows_NU = as_rows(x, place.axis)
    moments = found.moments()
    assert moments.count == len(rows_NU)
    assert len(found.samplings) == 1
    np.testing.assert_allclose(moments.covariance_UU, np.cov(rows_NU.T), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(found.mean_U, rows_NU.mean(axis=0), atol=1e-14)
    np.testing.assert_allclose(found.position_mean, x.double().mean(dim=0), atol=1e-14)
    assert found.position_mean.shape == shape[1:]


@pytest.mark.parametrize("size", [1, 7, 100, 300, 1000])
def test_batches_change_nothing(size):
    x = normal(300, 6)
    whole = collect(dense(), [x], examples=300)["fc"]
    cut = collect(dense(), x.split(size), examples=300)["fc"]
    np.testing.assert_allclose(cut.mean_U, whole.mean_U, rtol=1e-12)
    for group in range(8):
        one, other = cut.samplings[0][group], whole.samplings[0][group]
        assert one.count == other.count
        np.testing.assert_allclose(one.scatter_UU, other.scatter_UU, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("cap", "size"), [(777, 16), (1, 7), (24, 50), (1249, 1), (300, 13)])
def test_the_cap_is_exact_whatever_the_batches(cap, size):
    x = normal(50, 3, 5, 5)
    found = collect(maps(), x.split(size), examples=50, cap=cap, samplings=2)["conv"]
    assert [found.moments(s).count for s in (0, 1)] == [cap, cap]
    np.testing.assert_allclose(found.mean_U, x.double().mean(dim=(0, 2, 3)), atol=1e-14)


@pytest.mark.parametrize("cap", [1250, 5000])
def test_at_the_cap_nothing_is_sampled(cap):
    found = collect(maps(), normal(50, 3, 5, 5).split(9), examples=50, cap=cap)["conv"]
    assert [sampling[0].count > 0 for sampling in found.samplings] == [True]
    assert found.moments().count == 1250


def test_a_site_without_positions_is_never_sampled():
    found = collect(dense(), normal(50, 6).split(9), examples=50, cap=10)["fc"]
    assert found.moments().count == 50


def test_samples_are_distinct_and_even_over_examples():
    # Each sample is its own index: the scatter and extremes of a sampling tell which were drawn.
    index = torch.arange(40 * 25, dtype=torch.float64).reshape(40, 1, 5, 5)
    seen: list[float] = []
    for seed in range(200):
        found = collect(maps(width=1), index.split(8), examples=40, cap=1, samplings=1, seed=seed)[
            "conv"
        ].moments()
        seen.append(float(found.mean_U[0]))
        assert found.low_U == found.high_U
    assert len(set(seen)) > 100
    all_but_one = collect(maps(width=1), [index], examples=40, cap=999, samplings=1)["conv"]
    left_out = 999 * 1000 / 2 - all_but_one.moments().mean_U[0] * 999
    assert left_out == pytest.approx(round(left_out), abs=1e-6)
    assert 0 <= round(left_out) < 1000


def test_samplings_are_independent_and_reproducible():
    x = normal(60, 3, 5, 5)

    def scatters(seed: int) -> list[np.ndarray]:
        found = collect(maps(), x.split(16), examples=60, cap=200, seed=seed)["conv"]
        return [found.moments(sampling).scatter_UU for sampling in range(3)]

    first, again, other = scatters(0), scatters(0), scatters(1)
    np.testing.assert_array_equal(first, again)
    distinct = [*first, *other]
    for i, one in enumerate(distinct):
        for two in distinct[:i]:
            assert np.abs(one - two).max() > 1e-3


def test_a_sampling_estimates_the_covariance_of_all():
    x = normal(400, 3, 5, 5) * torch.tensor([1.0, 2.0, 0.5])[:, None, None]
    found = collect(maps(), x.split(64), examples=400, cap=4000, samplings=1)["conv"].moments()
    np.testing.assert_allclose(found.variance_U, [1.0, 4.0, 0.25], rtol=0.1)


def test_leaving_out_a_group_is_leaving_out_its_examples():
    x = normal(101, 6)
    found = collect(dense(), x.split(30), examples=101, groups=4, seed=5)["fc"]
    group_N = deal(0, 101, 4, 5)
    assert found.groups == 4
    for group in range(4):
        kept = x[torch.from_numpy(group_N != group)].relu().double().numpy()
        np.testing.assert_allclose(
            found.without(group).covariance_UU, np.cov(kept.T), rtol=1e-12, atol=1e-13
        )


def test_positions_of_an_example_stay_in_its_group():
    x = normal(20, 3, 5, 5)
    found = collect(maps(), x.split(6), examples=20, groups=5)["conv"]
    group_N = deal(0, 20, 5, 0)
    for group, part in enumerate(found.samplings[0]):
        rows = as_rows(x[torch.from_numpy(group_N == group)], 1)
        np.testing.assert_allclose(part.mean_U, rows.mean(axis=0), atol=1e-12)


@pytest.mark.parametrize(("width", "groups"), [(8, 8), (1024, 8), (1025, 4), (4096, 4), (4097, 1)])
def test_wide_sites_have_fewer_groups(width, groups):
    found = collect(dense(width), [normal(9, 1).expand(9, width)], examples=9)["fc"]
    assert found.groups == groups


@pytest.mark.parametrize("groups", [1, 2, 3, 8])
@pytest.mark.parametrize("size", [1, 10, 777, 5000])
def test_dealing_is_even_and_independent_of_batches(groups, size):
    whole = deal(0, 5000, groups, seed=3)
    parts = [deal(at, min(at + size, 5000), groups, 3) for at in range(0, 5000, size)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    counts = np.bincount(whole, minlength=groups)
    assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("labels", [np.arange(8000) // 800, np.arange(8000) % 10])
def test_groups_have_every_class_whether_sorted_or_taking_turns(labels):
    group_N = deal(0, 8000, 8, seed=0)
    for group in range(8):
        of_class = np.bincount(labels[group_N == group], minlength=10)
        assert of_class.min() > 60  # 100 expected


@pytest.mark.parametrize(("available", "wanted"), [(1000, 5), (1000, 249), (1000, 900), (7, 7)])
def test_choosing_is_distinct_and_uniform(available, wanted):
    random = torch.Generator().manual_seed(1)
    times = np.zeros(available)
    draws = 400
    for _ in range(draws):
        drawn = choose(available, wanted, random)
        assert len(set(drawn.tolist())) == wanted
        times[drawn] += 1
    share = wanted / available
    sd = np.sqrt(draws * share * (1 - share))
    assert np.abs(times - draws * share).max() <= 5.5 * sd + 1e-9


def test_permuting_units_permutes_statistics():
    x, order = normal(80, 6), [3, 1, 5, 0, 4, 2]
    one = collect(dense(), x.split(9), examples=80)["fc"].moments()
    other = collect(dense(), x[:, order].split(9), examples=80)["fc"].moments()
    np.testing.assert_allclose(
        other.covariance_UU, one.covariance_UU[np.ix_(order, order)], rtol=1e-12, atol=1e-14
    )
    np.testing.assert_array_equal(other.active_U, one.active_U[order])


def test_a_large_offset_costs_no_variance():
    x = normal(500, 6).double()
    network = Known((Place("fc", 6), lambda x: x + 1e6))
    found = collect(network, x.split(33), examples=500)["fc"].moments()
    np.testing.assert_allclose(found.covariance_UU, np.cov(x.numpy().T), rtol=1e-8, atol=1e-8)


def test_constant_and_silent_units_have_no_variance_at_all():
    x = normal(100, 3)
    x[:, 1], x[:, 2] = 0.1, -1.0
    found = collect(dense(3), x.split(7), examples=100)["fc"].moments()
    assert not found.scatter_UU[1:].any()
    assert found.active_rate_U.tolist()[1:] == [1.0, 0.0]
    assert found.mean_U[1] == np.float32(0.1)
    assert redundancy.components_needed(found.covariance_UU, tolerance=0) == 1


def test_all_silent():
    found = collect(dense(), [-torch.ones(10, 6)], examples=10)["fc"].moments()
    assert found.active_U.tolist() == [0] * 6
    assert redundancy.redundant_units(found.covariance_UU) == 6


def test_one_example_and_one_unit():
    found = collect(dense(1), [torch.ones(1, 1)], examples=1)["fc"]
    assert found.groups == 1
    assert found.moments().covariance_UU.tolist() == [[0.0]]
    assert found.mean_U.tolist() == [1.0]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_precisions(dtype):
    x = normal(64, 6).to(dtype)
    found = collect(dense(), x.split(10), examples=64)["fc"].moments()
    np.testing.assert_allclose(
        found.covariance_UU, np.cov(x.relu().double().numpy().T), rtol=1e-12, atol=1e-14
    )


def test_sites_can_be_chosen_and_are_passed_over_once():
    calls: list[list[str]] = []

    class Counted(Known):
        def activities(self, inputs, sites=None):
            calls.append(list(sites))
            return super().activities(inputs, sites)

    network = Counted(
        (Place("a", 6), lambda x: x), (Place("b", 6), lambda x: -x), (Place("c", 6), lambda x: x)
    )
    found = collect(network, normal(20, 6).split(10), examples=20, sites=["c", "b"])
    assert list(found) == ["c", "b"]
    assert calls == [["c", "b"]] * 2


def test_means_by_position_are_optional():
    x = normal(20, 3, 5, 5)
    found = collect(maps(), x.split(6), examples=20, position_means=False)["conv"]
    assert found.position_mean is None
    np.testing.assert_allclose(found.mean_U, x.double().mean(dim=(0, 2, 3)), atol=1e-14)
    tokens = Known((Place("t", 4, -1, (7,)), lambda x: x))
    y = normal(20, 7, 4)
    found = collect(tokens, y.split(6), examples=20, position_means=False)["t"]
    np.testing.assert_allclose(found.mean_U, y.double().mean(dim=(0, 1)), atol=1e-14)


def test_no_gradient_is_kept_and_inputs_are_left_alone():
    x = normal(20, 6)
    before, weight = x.clone(), torch.ones(6, requires_grad=True)
    collect(Known((Place("fc", 6), lambda x: x * weight)), [x], examples=20)
    assert torch.equal(x, before)
    assert weight.grad is None


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite_are_named_and_counted(bad):
    x = normal(20, 6)
    x[13, 2] = x[14, 5] = bad
    network = Known((Place("block.fc", 6), lambda x: x))
    with pytest.raises(NotFinite) as caught:
        collect(network, x.split(10), examples=20)
    assert str(caught.value) == (
        "site 'block.fc': 2 of 60 activities of examples 10 to 19 are NaN or infinite; a measure "
        "needs numbers. Look for inputs or weights that are not finite."
    )


COUNTS = "Pass the number of examples in all batches."


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"examples": 21}, f"`examples` is 21, but the batches hold 20. {COUNTS}"),
        ({"examples": 15}, f"`examples` is 15, but the batches hold 20 or more. {COUNTS}"),
        ({"examples": 0}, "`examples` is 1 or more; got 0."),
        ({"examples": 20, "groups": 0}, "`groups` is 1 or more; got 0."),
        ({"examples": 20, "samplings": 0}, "`samplings` is 1 or more; got 0."),
        ({"examples": 20, "cap": 0}, "`cap` is 1 or more; got 0."),
    ],
)
def test_messages_of_counts(options, text):
    with pytest.raises(BadArgument) as caught:
        collect(dense(), normal(20, 6).split(10), **options)
    assert str(caught.value) == text


def test_messages_of_names_and_shapes():
    with pytest.raises(UnknownName, match="unknown site 'cf'; did you mean 'fc'. Known: fc."):
        collect(dense(), [normal(4, 6)], examples=4, sites=["cf"])
    with pytest.raises(BadArgument) as caught:
        collect(maps(), [normal(4, 3, 5, 6)], examples=4)
    assert str(caught.value) == (
        "site 'conv' has the shape (3, 5, 5) per example; a batch gave (3, 5, 6). "
        "Pass inputs of the shape the network was traced with."
    )


def test_messages_of_groups_and_samplings():
    found = collect(dense(), [normal(4, 6)], examples=4, groups=1)["fc"]
    with pytest.raises(BadArgument) as caught:
        found.without(0)
    assert str(caught.value) == (
        "site 'fc' keeps its 4 examples in one group; leaving it out leaves nothing. "
        "Read `groups` first, or collect narrower sites."
    )
    with pytest.raises(BadArgument) as caught:
        found.moments(1)
    assert str(caught.value) == (
        "`sampling` is 0 to 0 at 'fc'; got 1. A site that is not sampled has one."
    )
    several = collect(dense(), [normal(4, 6)], examples=4, groups=2)["fc"]
    with pytest.raises(BadArgument, match="`group` is 0 to 1 at 'fc'; got 2."):
        several.without(2)
