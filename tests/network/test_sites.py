"""Which values are sites, by models whose answer is known from their construction."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from frivolous.errors import UnknownName
from frivolous.network import trace

#: name, width, axis, positions, readers
SITES = {
    "mlp": [("0", 9, -1, (), ("2.weight",)), ("2", 8, -1, (), ("5.weight",))],
    "lenet": [
        ("conv1", 6, 1, (8, 8), ("conv2.weight",)),
        ("conv2", 8, 1, (4, 4), ("fc1.weight",)),
        ("fc1", 12, -1, (), ("fc2.weight",)),
    ],
    "resnet": [
        ("conv", 4, 1, (8, 8), ("layer1.conv1.weight",)),
        ("layer1.conv1", 4, 1, (8, 8), ("layer1.conv2.weight",)),
        ("layer1.conv2", 4, 1, (8, 8), ("layer2.conv1.weight", "layer2.downsample.0.weight")),
        ("layer2.conv1", 8, 1, (4, 4), ("layer2.conv2.weight",)),
        ("layer2.conv2", 8, 1, (4, 4), ("fc.weight",)),
    ],
    "preresnet": [
        ("conv", 4, 1, (8, 8), ("block1.conv1.weight",)),
        ("block1.conv1", 4, 1, (8, 8), ("block1.conv2.weight",)),
        ("block1.conv2", 4, 1, (8, 8), ("block2.shortcut.weight", "block2.conv1.weight")),
        ("block2.conv1", 6, 1, (4, 4), ("block2.conv2.weight",)),
        ("block2.shortcut", 6, 1, (4, 4), ("fc.weight",)),
    ],
    "twice": [
        ("fc0", 7, -1, (), ("fc.weight",)),
        ("fc", 7, -1, (), ("fc.weight",)),
        ("fc:2", 7, -1, (), ("last",)),
    ],
    "branches": [
        ("a", 3, 1, (10,), ("mix.weight",)),
        ("b", 4, 1, (10,), ("mix.weight",)),
        ("mix", 6, 1, (8,), ("fc.weight",)),
    ],
    "volume": [("0", 3, 1, (4, 4, 4), ("4.weight",))],
}


@pytest.mark.parametrize("name", SITES)
def test_every_layer_but_the_last_has_the_site_that_its_tail_ends_in(name, known) -> None:
    *_, net = known(name)
    found = [(s.name, s.width, s.axis, s.positions, s.readers) for s in net.sites]
    assert found == SITES[name]
    assert [site.depth for site in net.sites] == list(range(len(net.sites)))
    assert net.skipped == ()


def test_writers_are_followed_through_every_residual_sum(known) -> None:
    *_, net = known("resnet")
    writers = {site.name: site.writers for site in net.sites}
    assert writers["layer1.conv1"] == ("layer1.conv1.weight",)
    assert writers["layer1.conv2"] == ("layer1.conv2.weight", "conv.weight")
    assert writers["layer2.conv2"] == ("layer2.conv2.weight", "layer2.downsample.0.weight")


def test_a_site_is_the_value_after_its_activation(known) -> None:
    model, inputs, net = known("lenet")
    _, values = net.activities(inputs)
    first = F.relu(model.conv1(inputs))
    second = F.relu(model.conv2(model.norm(model.pool(first))))
    assert torch.equal(values["conv1"], first)
    assert torch.equal(values["conv2"], second)
    assert tuple(values["conv2"].shape[1:]) == net.site("conv2").shape


def test_shapes_put_the_units_back_on_their_axis() -> None:
    net = trace(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), torch.zeros(2, 5, 3))
    site = net.site("0")
    assert (site.width, site.axis, site.positions, site.shape) == (4, -1, (5,), (5, 4))


class _Softmax(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.c(self.b(self.a(x).softmax(-1)))


def test_a_layer_behind_an_unknown_operation_is_listed_with_the_reason() -> None:
    net = trace(_Softmax(), torch.zeros(2, 3))
    assert [site.name for site in net.sites] == ["b"]
    ((layer, reason),) = net.skipped
    assert layer == "b"
    assert "reads through 'softmax'" in reason
    assert "return self.c(self.b(self.a(x).softmax(-1)))" in reason


class _MeanOverUnits(_Softmax):
    def forward(self, x: Tensor) -> Tensor:
        mean = self.a(x).relu().mean(1, keepdim=True)
        return self.c(F.relu(self.b(mean.expand(-1, 4))))


def test_a_mean_over_the_units_mixes_them() -> None:
    net = trace(_MeanOverUnits(), torch.zeros(2, 3))
    assert [site.name for site in net.sites] == ["b"]
    assert [layer for layer, _ in net.skipped] == ["b"]
    assert "'mean'" in net.skipped[0][1]


class _Matmul(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w, self.v = nn.Parameter(torch.randn(3, 4)), nn.Parameter(torch.randn(4, 2))

    def forward(self, x: Tensor) -> Tensor:
        return torch.matmul(torch.relu(x @ self.w), self.v)


def test_a_product_with_a_raw_parameter_is_a_layer_of_that_name() -> None:
    (site,) = trace(_Matmul(), torch.zeros(2, 3)).sites
    assert (site.name, site.width, site.writers, site.readers) == ("w", 4, ("w",), ("v",))


class _Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.fc = nn.GRU(3, 4, batch_first=True), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.rnn(x)[0][:, -1])


def test_a_recurrent_layer_is_skipped_not_silently_left_out() -> None:
    net = trace(_Recurrent(), torch.zeros(2, 5, 3))
    assert net.sites == ()
    assert [layer for layer, _ in net.skipped] == ["fc"]


class _RecurrentBehind(_Recurrent):
    def __init__(self) -> None:
        super().__init__()
        self.before = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.before(x).relu())


def test_a_recurrent_layer_that_reads_another_is_skipped_itself() -> None:
    net = trace(_RecurrentBehind(), torch.zeros(2, 5, 3))
    assert net.sites == ()
    assert [layer for layer, _ in net.skipped] == ["rnn", "fc"]
    assert "it reads through 'gru'" in net.skipped[0][1]
    assert "return self.fc(self.rnn(x)[0][:, -1])" in net.skipped[0][1]


class _Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.one(x)
        x = x + self.two(F.relu(x))
        return self.three(x)


def test_a_stream_that_no_activation_follows_is_no_layers_own() -> None:
    x = torch.randn(5, 4)
    net = trace(_Block(), x)
    assert [(site.name, site.readers) for site in net.sites] == [("one", ("two.weight",))]
    assert [layer for layer, _ in net.skipped] == ["three"]
    asked = trace(_Block(), x, residual=True)
    assert [(site.name, site.kind) for site in asked.sites] == [
        ("one.residual", "residual"),
        ("one", "layer"),
        ("residual", "residual"),
    ]
    assert asked.skipped == ()


def test_an_activation_after_the_sum_makes_the_units_the_layers_own(known) -> None:
    for name in ("resnet", "preresnet"):
        model, inputs, without = known(name)
        net = trace(model, inputs, residual=True)
        layers = [site for site in net.sites if site.kind == "layer"]
        assert [site.name for site in layers] == [site.name for site in without.sites]
    streams = [(site.name, site.readers) for site in net.sites if site.kind == "residual"]
    assert streams == [("conv.residual", ("block1.conv1.weight",))]


def test_a_parametrised_weight_keeps_its_layers_name() -> None:
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(3, 4))
    net = trace(nn.Sequential(layer, nn.ReLU(), nn.Linear(4, 2)), torch.zeros(2, 3))
    (site,) = net.sites
    assert site.name == "0"
    assert set(site.writers) == {
        "0.parametrizations.weight.original0",
        "0.parametrizations.weight.original1",
    }


def test_an_unknown_site_is_answered_with_the_nearest(known) -> None:
    *_, net = known("lenet")
    with pytest.raises(UnknownName, match=r"unknown site 'conv_1'; did you mean 'conv1'\?"):
        net.site("conv_1")
