"""Ablation against forward passes written out by hand, and its symmetries."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from frivolous.ablation.curves import FRACTIONS, ablation_curves, permutation
from frivolous.ablation.label_agreement import ablate, unchanged_counts
from frivolous.ablation.options import Ablation
from frivolous.ablation.predictions import labels
from frivolous.errors import BadArgument, NotFinite, UnknownName
from frivolous.network import trace


class Small(nn.Module):
    """conv-relu-pool-conv with a residual sum, then dense; its forward takes masks by hand."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.c1, self.c2 = nn.Conv2d(2, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.f1, self.f2 = nn.Linear(6 * 9, 12), nn.Linear(12, 4)
        rng = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for tensor in self.parameters():
                tensor.copy_(torch.randn(tensor.shape, generator=rng) * 0.3)

    def forward(self, x: Tensor, masks=None, means=None) -> Tensor:
        def silenced(name: str, value: Tensor) -> Tensor:
            if masks is None or name not in masks:
                return value
            keep = masks[name].to(value)
            return value * keep + (1 - keep) * (0 if means is None else means[name])

        a = silenced("c1", F.relu(self.c1(x)))
        a = F.max_pool2d(a, 2)
        b = silenced("c2", F.relu(self.c2(a) + a))
        c = silenced("f1", torch.tanh(self.f1(b.flatten(1))))
        return self.f2(c)


SHAPES = {"c1": (6, 6, 6), "c2": (6, 3, 3), "f1": (12,)}
WIDTHS = {"c1": 6, "c2": 6, "f1": 12}


@pytest.fixture(scope="module")
def model() -> Small:
    return Small().eval()


@pytest.fixture(scope="module")
def inputs() -> Tensor:
    return torch.randn(50, 2, 6, 6, generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def net(model, inputs):
    return trace(model, inputs[:2])


def kept(site: str, units: Tensor, grain: str) -> Tensor:
    """The mask of one site by hand, in a shape that multiplies its activity."""
    if grain == "position":
        mask = torch.ones(SHAPES[site]).flatten()
        mask[units] = 0
        return mask.reshape(SHAPES[site])
    mask = torch.ones(WIDTHS[site])
    mask[units] = 0
    return mask.reshape(-1, *([1] * (len(SHAPES[site]) - 1)))


def fill(site: str, mean: Tensor, grain: str) -> Tensor:
    if grain == "position":
        return mean
    return mean.reshape(-1, *([1] * (len(SHAPES[site]) - 1)))


@pytest.mark.parametrize("grain", ["channel", "position"])
@pytest.mark.parametrize("replacement", ["zero", "mean"])
@pytest.mark.parametrize("sites", [["c1"], ["c2"], ["f1"], ["c1", "f1"], ["c1", "c2", "f1"]])
def test_ablate_is_the_forward_with_masks(model, net, inputs, sites, grain, replacement) -> None:
    rng = torch.Generator().manual_seed(5)
    sizes = {s: WIDTHS[s] if grain == "channel" else int(np.prod(SHAPES[s])) for s in sites}
    units = {s: torch.randperm(n, generator=rng)[: n // 2] for s, n in sizes.items()}
    means = None
    if replacement == "mean":
        shapes = {s: (WIDTHS[s],) if grain == "channel" else SHAPES[s] for s in sites}
        means = {s: torch.randn(shape, generator=rng) for s, shape in shapes.items()}
    by_hand = means and {s: fill(s, mean, grain) for s, mean in means.items()}
    with torch.no_grad():
        expected = model(inputs, {s: kept(s, u, grain) for s, u in units.items()}, by_hand)
    how = Ablation(grain=grain, replacement=replacement, means=means)
    output = ablate(net, inputs, units, how)
    torch.testing.assert_close(output, expected, rtol=1e-5, atol=1e-6)
    assert not torch.equal(output, net(inputs))


@pytest.mark.parametrize("grain", ["channel", "position"])
@pytest.mark.parametrize("replacement", ["zero", "mean"])
def test_curves_count_what_a_plain_loop_counts(model, net, inputs, grain, replacement) -> None:
    seed, draws = 11, 2
    _, values = net.activities(inputs)
    axes = {"c1": (0, 2, 3), "c2": (0, 2, 3), "f1": (0,)}
    means = {s: v.mean(axes[s] if grain == "channel" else 0) for s, v in values.items()}
    curves = ablation_curves(
        net,
        list(inputs.split(20)),
        Ablation(grain=grain, replacement=replacement, means=means),
        draws=draws,
        seed=seed,
    )
    groups = {"c1": ["c1"], "c2": ["c2"], "f1": ["f1"], "all": ["c1", "c2", "f1"]}
    assert list(curves) == list(groups)
    sizes = {s: WIDTHS[s] if grain == "channel" else int(np.prod(SHAPES[s])) for s in WIDTHS}
    depths = {"c1": 0, "c2": 1, "f1": 2}
    by_hand = {s: fill(s, m, grain) for s, m in means.items()} if replacement == "mean" else None
    intact = model(inputs).argmax(1)
    for name, sites in groups.items():
        curve = curves[name]
        assert (curve.site, curve.grain, curve.replacement) == (name, grain, replacement)
        assert curve.units == sum(sizes[s] for s in sites)
        assert curve.examples == 50
        assert curve.unchanged.shape == (draws, len(FRACTIONS))
        assert curve.unchanged.dtype == np.int64
        for draw in range(draws):
            for column, fraction in enumerate(FRACTIONS):
                masks = {}
                for s in sites:
                    order = permutation(sizes[s], seed, draw, depths[s])
                    masks[s] = kept(s, order[: int(fraction * sizes[s])], grain)
                expected = int((model(inputs, masks, by_hand).argmax(1) == intact).sum())
                assert curve.unchanged[draw, column] == expected
    assert (curves["all"].shares[:, 0] == 1).all()
    assert curves["all"].shares[:, -1].max() < 1
    # Something lies between none and all, or the loop above compares next to nothing.
    assert len(np.unique(curves["c1"].unchanged)) > 3


def test_stacked_equals_one_by_one_and_any_batch_size(net, inputs) -> None:
    counts = [
        {
            name: curve.unchanged.tolist()
            for name, curve in ablation_curves(net, inputs.split(size), stack_bytes=room).items()
        }
        for size, room in [(50, 0), (50, 2**14), (50, 2**30), (7, 2**30), (1, 0), (13, None)]
    ]
    assert all(count == counts[0] for count in counts)


def test_a_site_is_measured_the_same_whatever_else_is(net, inputs) -> None:
    everything = ablation_curves(net, [inputs])
    two = ablation_curves(net, [inputs], sites=["f1", "c2"])
    assert list(two) == ["c2", "f1", "c2+f1"]
    for name in ("c2", "f1"):
        assert np.array_equal(two[name].unchanged, everything[name].unchanged)
    assert two["c2+f1"].units == 18
    assert list(ablation_curves(net, [inputs], sites=["f1"])) == ["f1"]
    assert list(ablation_curves(net, [inputs], together=False)) == ["c1", "c2", "f1"]


def test_permuting_hidden_units_with_their_plans_changes_nothing(model, net, inputs) -> None:
    order = torch.randperm(12, generator=torch.Generator().manual_seed(2))
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state["f1.weight"], state["f1.bias"] = state["f1.weight"][order], state["f1.bias"][order]
    state["f2.weight"] = state["f2.weight"][:, order]
    shuffled = net.with_weights(state)
    place = order.argsort()  # where each old unit went
    plans = [
        {"f1": permutation(12, 0, draw, 2)[:count]} for draw in range(3) for count in range(13)
    ]
    moved = [{"f1": place[plan["f1"]]} for plan in plans]
    before, _ = unchanged_counts(net, [inputs], plans)
    after, _ = unchanged_counts(shuffled, [inputs], moved)
    assert np.array_equal(before, after)
    assert len(set(before.tolist())) > 3


def test_a_unit_without_readers_weights_can_be_silenced_for_nothing(model, net, inputs) -> None:
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state["f2.weight"][:, :5] = 0
    counts, examples = unchanged_counts(
        net.with_weights(state), [inputs], [{"f1": range(5)}, {"f1": []}, {}, {"f1": range(12)}]
    )
    assert counts[:3].tolist() == [examples] * 3
    assert counts[3] < examples


def test_plans_are_counted_in_their_own_order(net, inputs) -> None:
    plans = [{"f1": [0, 1]}, {"c2": [3], "c1": [0]}, {"f1": [5]}, {"c1": [0], "c2": [3]}]
    together, _ = unchanged_counts(net, [inputs[:30], inputs[30:]], plans)
    alone = [unchanged_counts(net, [inputs], [plan])[0][0] for plan in plans]
    assert together.tolist() == alone
    assert together[1] == together[3]


def test_repeated_runs_and_one_shot_iterables_agree(net, inputs) -> None:
    first = ablation_curves(net, [inputs], seed=4)["all"].unchanged
    again = ablation_curves(net, iter([inputs]), seed=4)["all"].unchanged
    other = ablation_curves(net, [inputs], seed=5)["all"].unchanged
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_layer_called_twice_is_silenced_call_by_call() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.out = nn.Linear(5, 5), nn.Linear(5, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(torch.tanh(self.fc(torch.tanh(self.fc(x)))))

    model, x = Twice().eval(), torch.randn(6, 5)
    keep = torch.tensor([1.0, 0, 1, 0, 1])
    with torch.no_grad():
        first = torch.tanh(model.fc(torch.tanh(model.fc(x)) * keep))
        second = torch.tanh(model.fc(torch.tanh(model.fc(x)))) * keep
        net = trace(model, x)
        torch.testing.assert_close(ablate(net, x, {"fc": [1, 3]}), model.out(first))
        torch.testing.assert_close(ablate(net, x, {"fc:2": [1, 3]}), model.out(second))


def test_sequences_of_dense_values_are_masked_along_their_last_axis() -> None:
    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.b(torch.relu(self.a(x)).mean(1))

    model, x = Pooled().eval(), torch.randn(6, 5, 3)
    net = trace(model, x)
    with torch.no_grad():
        value = torch.relu(model.a(x))
        channel = value.clone()
        channel[..., [0, 2]] = 0
        position = value.flatten(1).clone()
        position[:, [0, 7, 19]] = 0
        expected = model.b(channel.mean(1)), model.b(position.view(6, 5, 4).mean(1))
    torch.testing.assert_close(ablate(net, x, {"a": [0, 2]}), expected[0])
    torch.testing.assert_close(
        ablate(net, x, {"a": [0, 7, 19]}, Ablation(grain="position")), expected[1]
    )


def test_permutations_are_fixed_for_ever() -> None:
    assert permutation(8, 0, 0, 0).sort().values.tolist() == list(range(8))
    drawn = {
        tuple(permutation(30, s, d, k).tolist()) for s in (0, 1) for d in (0, 1) for k in (0, 1)
    }
    assert len(drawn) == 8
    torch.manual_seed(1)
    first = permutation(30, 0, 0, 0)
    torch.manual_seed(2)
    assert torch.equal(first, permutation(30, 0, 0, 0))


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (torch.zeros(5), r"shape \(5,\), one number per example.*stack\(\[-z / 2, z / 2\]"),
        (torch.zeros(5, 1), r"shape \(5, 1\), one number per example"),
        (torch.zeros(5, 3, 2, 2), r"shape \(5, 3, 2, 2\);.*by a mean over positions"),
        (torch.zeros(5, 3).long(), r"torch.int64 of shape \(5, 3\);.*scores before the arg-max"),
    ],
)
def test_an_output_without_labels_is_refused(output, message) -> None:
    with pytest.raises(BadArgument, match=message):
        labels(output)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fractions": []}, r"`fractions` are increasing proportions.*got \[\]"),
        ({"fractions": [0, 0.5, 0.5]}, "increasing proportions"),
        ({"fractions": [0, 1.5]}, r"in \[0, 1\]; got \[0.0, 1.5\]"),
        ({"fractions": [0, float("nan")]}, "increasing proportions"),
        ({"draws": 0}, "`draws` is a whole number of at least 1; got 0"),
        ({"draws": 1.5}, "`draws` is a whole number of at least 1; got 1.5"),
        ({"ablation": Ablation(replacement="mean")}, "`means` has nothing for site 'c1'"),
        (
            {"ablation": Ablation(replacement="mean", means=dict.fromkeys(WIDTHS, torch.zeros(6)))},
            r"`means\['f1'\]` has shape \(6,\); at grain 'channel' it must have \(12,\)",
        ),
        ({"sites": []}, "`sites` is empty"),
    ],
)
def test_bad_arguments_are_named(net, inputs, options, message) -> None:
    with pytest.raises(BadArgument, match=message):
        ablation_curves(net, [inputs], **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grain": "pixel"}, "`grain` is one of channel, position; got 'pixel'"),
        ({"replacement": "noise"}, "`replacement` is one of zero, mean; got 'noise'"),
        (
            {"silenced_as": {"c1": torch.zeros(6)}, "replacement": "mean"},
            "and so does replacement 'mean'. Pass one of them.",
        ),
    ],
)
def test_what_no_network_makes_right_is_refused_at_once(options, message) -> None:
    with pytest.raises(BadArgument, match=message):
        Ablation(**options)


def test_bad_data_and_units_are_named(net, inputs) -> None:
    with pytest.raises(BadArgument, match="`batches` holds no example"):
        ablation_curves(net, [])
    with pytest.raises(BadArgument, match=r"`batches` is one tensor of shape .*Pass `\[x\]`"):
        ablation_curves(net, inputs)
    with pytest.raises(UnknownName, match="unknown site 'c3'; did you mean"):
        ablation_curves(net, [inputs], sites=["c3"])
    with pytest.raises(BadArgument, match="has 12; at grain 'channel' its units are 0 to 11"):
        ablate(net, inputs, {"f1": [3, 12]})
    with pytest.raises(BadArgument, match="site 'f1' has -1"):
        ablate(net, inputs, {"f1": [-1]})
    with pytest.raises(BadArgument, match=r"torch.bool of shape \(12,\).*nonzero\(\)"):
        ablate(net, inputs, {"f1": torch.ones(12, dtype=torch.bool)})
    with pytest.raises(BadArgument, match="`network` has no site"):
        ablation_curves(trace(nn.Linear(3, 2), torch.zeros(2, 3)), [torch.zeros(2, 3)])


def test_nan_is_traced_to_the_first_site_that_has_it(model, net, inputs) -> None:
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state["c2.bias"][2] = float("nan")
    with pytest.raises(NotFinite, match="the activity at site 'c2' is NaN or infinite before"):
        ablation_curves(net.with_weights(state), [inputs])
    state = dict(model.state_dict(), **{"f2.bias": torch.full((4,), float("inf"))})
    with pytest.raises(NotFinite, match="the network's output is NaN or infinite before"):
        unchanged_counts(net.with_weights(state), [inputs], [{}])


def test_nan_that_silencing_makes_is_named() -> None:
    class Dividing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            value = torch.sigmoid(self.a(x))
            return self.b(value) / value.abs().sum(1, keepdim=True)

    inputs = torch.randn(5, 3)
    with pytest.raises(NotFinite, match="when units of site 'a' are silenced"):
        ablation_curves(trace(Dividing(), inputs), [inputs])
