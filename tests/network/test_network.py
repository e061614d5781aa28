"""Parts of a computation against the model itself and against each other, bit for bit."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from frivolous.errors import BadArgument
from frivolous.network import trace

pytestmark = pytest.mark.rounding


def test_the_network_is_the_model_in_evaluation_mode(known_case) -> None:
    model, inputs, net = known_case
    with torch.no_grad():
        for batch in (inputs, inputs[:1], inputs[:3]):
            assert torch.equal(net(batch), model(batch))


def test_split_equals_whole_at_every_site_bit_for_bit(known_case) -> None:
    _, inputs, net = known_case
    whole, values = net.activities(inputs)
    assert list(values) == [site.name for site in net.sites]
    for site in net.sites:
        alive = net.until(site.name, inputs)
        assert torch.equal(alive.value, values[site.name])
        assert torch.equal(net.onward(site.name, alive), whole)
        assert tuple(alive.value.shape) == (len(inputs), *site.shape)


def test_a_changed_value_continues_as_an_edit_does(known_case) -> None:
    _, inputs, net = known_case
    for site in net.sites:
        alive = net.until(site.name, inputs)
        changed = net.onward(site.name, alive.replace(alive.value * 0.5 - 1))
        assert torch.equal(changed, net.run(inputs, {site.name: lambda v: v * 0.5 - 1}))
        assert not torch.equal(changed, net(inputs))


def test_stacked_copies_are_independent_of_each_other(known_case) -> None:
    _, inputs, net = known_case
    for site in net.sites:
        alive = net.until(site.name, inputs)
        assert alive.stackable
        stacked = alive.stacked(3, {site.name: torch.cat([alive.value * k for k in (1, 0, 2)])})
        blocks = net.onward(site.name, stacked).chunk(3)
        for factor, block in zip((1, 0, 2), blocks, strict=True):
            alone = net.onward(site.name, alive.replace(alive.value * factor))
            torch.testing.assert_close(block, alone)


def test_a_computation_stopped_at_several_sites_runs_the_rest_by_edits(known_case) -> None:
    _, inputs, net = known_case
    names = [site.name for site in net.sites]
    alive = net.until(names, inputs)
    assert tuple(alive.heads) == net.heads(names)
    changed = alive.replace({name: alive.at(name) * 0.7 for name in alive.heads})
    rest = {name: lambda v: v * 0.7 for name in names if name not in alive.heads}
    whole = net.run(inputs, {name: lambda v: v * 0.7 for name in names})
    assert torch.equal(net.onward(names, changed, rest), whole)


def test_parallel_branches_are_both_heads(known) -> None:
    *_, net = known("branches")
    assert net.heads(["a", "b", "mix"]) == ("a", "b")
    assert net.heads(["b", "mix"]) == ("b",)


def test_with_weights_computes_what_a_model_with_them_does(known_case) -> None:
    model, inputs, net = known_case
    before = net(inputs)
    other = {
        name: tensor.clone() if tensor.dtype == torch.int64 else tensor * 0.9 + 0.01
        for name, tensor in model.state_dict().items()
    }
    renewed = net.with_weights(other)
    assert torch.equal(net(inputs), before)
    changed = copy.deepcopy(model)
    changed.load_state_dict(other)
    with torch.no_grad():
        assert torch.equal(renewed(inputs), changed(inputs))
    assert renewed.sites == net.sites


def test_with_weights_names_the_first_offender_and_counts_the_others(known) -> None:
    model, _, net = known("lenet")
    state = model.state_dict()
    with pytest.raises(BadArgument, match=r"no 'conv1.weight'.*\(6, 3, 3, 3\) \(7 more like it\)"):
        net.with_weights({})
    with pytest.raises(BadArgument, match="has 'extra', of shape .2,., which the network does not"):
        net.with_weights({**state, "extra": torch.zeros(2)})
    wrong = r"'fc1.bias'\]` has shape \(3,\); the network's has \(12,\)\. Pass the `state_dict"
    with pytest.raises(BadArgument, match=wrong):
        net.with_weights({**state, "fc1.bias": torch.zeros(3)})
    with pytest.raises(BadArgument, match=r"'fc1.bias'\]` is torch.float64"):
        net.with_weights({**state, "fc1.bias": torch.zeros(12).double()})


class _Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
        self.b.weight = self.a.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.a(x).relu())


def test_shared_weights_must_stay_shared() -> None:
    model, inputs = _Tied(), torch.randn(3, 4)
    net, state = trace(model, inputs), model.state_dict()
    double = {name: tensor * 2 for name, tensor in state.items()}
    model.load_state_dict(double)
    with torch.no_grad():
        assert torch.equal(net.with_weights(double)(inputs), model(inputs))
    with pytest.raises(BadArgument, match=r"differs from `state\['a.weight'\]`"):
        net.with_weights({**double, "b.weight": torch.zeros(4, 4)})


def test_the_network_shares_its_models_storage(build) -> None:
    model, inputs = build("mlp")
    net = trace(model, inputs)
    with torch.no_grad():
        model[0].weight.mul_(2)
        assert torch.equal(net(inputs), model(inputs))
    assert not any(tensor.requires_grad for tensor in net.state.values())


def test_gradients_are_not_recorded(known) -> None:
    _, inputs, net = known("mlp")
    inputs = inputs.clone().requires_grad_()
    alive = net.until("0", inputs)
    assert not alive.value.requires_grad
    assert not net(inputs).requires_grad


class _Keywords(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(3, 4), nn.Linear(2, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor, *, side: Tensor) -> Tensor:
        return self.c(torch.relu(self.a(x) - 2 * self.b(side)))


def test_keyword_inputs_are_known_by_name_not_by_order() -> None:
    model, x, side = _Keywords(), torch.randn(5, 3), torch.randn(5, 2)
    net = trace(model, {"side": side, "x": x})
    with torch.no_grad():
        expected = model(x, side=side)
    assert torch.equal(net({"x": x, "side": side}), expected)
    assert torch.equal(net({"side": side, "x": x}), expected)
    with pytest.raises(BadArgument, match="is one tensor; the network was traced with a dict of"):
        net(x)


def test_a_tuple_is_several_arguments() -> None:
    model = nn.Bilinear(3, 2, 4)
    x, y = torch.randn(5, 3), torch.randn(5, 2)
    with torch.no_grad():
        torch.testing.assert_close(trace(model, (x[:1], y[:1]))((x, y)), model(x, y))


def test_inputs_that_do_not_fit_are_named(known) -> None:
    _, inputs, net = known("lenet")
    with pytest.raises(BadArgument, match=r"shape \(7, 3, 9, 9\); the network was traced with"):
        net(torch.zeros(7, 3, 9, 9))
    with pytest.raises(BadArgument, match="`inputs` is torch.float64"):
        net(inputs.double())
    with pytest.raises(BadArgument, match="needs at least one example"):
        net(inputs[:0])
    with pytest.raises(BadArgument, match="is of type list"):
        net([inputs])


def test_misuse_of_an_alive_value_is_refused(known) -> None:
    _, inputs, net = known("lenet")
    alive = net.until("conv1", inputs)
    with pytest.raises(BadArgument, match="was stopped at conv1, not at conv2"):
        net.onward("conv2", alive)
    with pytest.raises(BadArgument, match=r"has shape \(7,\); the activity there has"):
        alive.replace(torch.zeros(7))


def test_moving_to_the_same_device_is_no_move_and_meta_moves_everything(known) -> None:
    _, inputs, net = known("resnet")
    assert net.to("cpu") is net
    far = net.to("meta")
    output = far(inputs)
    assert output.device.type == "meta"
    assert tuple(output.shape) == (7, 5)
    assert all(t.device.type == "cpu" for t in net.state.values())


@settings(max_examples=12, deadline=None)
@given(
    widths=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    convolutional=st.booleans(),
    batch=st.integers(1, 4),
)
def test_any_small_network_splits_where_it_should(widths, convolutional, batch) -> None:
    layers: list[nn.Module] = []
    read = 2
    for width in widths:
        layers += [nn.Conv2d(read, width, 1) if convolutional else nn.Linear(read, width)]
        layers += [nn.Sigmoid()]
        read = width
    tail = [nn.Flatten(), nn.Linear(read * 9, 3)] if convolutional else [nn.Linear(read, 3)]
    model = nn.Sequential(*layers, *tail)
    shape = (2, 3, 3) if convolutional else (2,)
    inputs = torch.randn(batch, *shape, generator=torch.Generator().manual_seed(batch))
    net = trace(model, inputs)
    assert [site.width for site in net.sites] == widths
    with torch.no_grad():
        whole = model(inputs)
    for site in net.sites:
        assert torch.equal(net.onward(site.name, net.until(site.name, inputs)), whole)
