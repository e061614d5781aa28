"""What the protocol's ``sites`` make of the curves, and silenced units that are not zero."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from frivolous.ablation.curves import ablation_curves, permutation
from frivolous.ablation.label_agreement import ablate
from frivolous.ablation.options import Ablation
from frivolous.ablation.pre_norm import value_of_zeroed_layer
from frivolous.errors import BadArgument, UnknownName
from frivolous.inputs.batches import as_batches
from frivolous.measurement.measure import Measurement, measure_network
from frivolous.measures import AS_PUBLISHED, AS_PUBLISHED_IMAGENET, AS_WRITTEN, Protocol
from frivolous.network import Network, trace

N, SEED = 60, 5
SITES = ("conv1", "conv2", "fc")
WIDTHS = {"conv1": 6, "conv2": 8, "fc": 5}


class Net(nn.Module):
    """2x8x8 images, two convolutions with batch normalisation, one dense layer, 4 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(2, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.conv2, self.norm2 = nn.Conv2d(6, 8, 3), nn.BatchNorm2d(8)
        self.fc, self.scores = nn.Linear(8, 5), nn.Linear(5, 4)
        random = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=random))
            for name, buffer in self.named_buffers():
                if "running" in name:
                    buffer.copy_(torch.rand(buffer.shape, generator=random) + 0.5)
            # Scores about their mean over examples: else one class is everyone's label.
            self.eval()
            self.scores.bias -= self(images()).mean(0)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm1(self.conv1(x)))
        x = torch.relu(self.norm2(self.conv2(x))).mean((2, 3))
        return self.scores(torch.relu(self.fc(x)))


def images() -> Tensor:
    return torch.randn(N, 2, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def model() -> Net:
    return Net()


@pytest.fixture(scope="module")
def inputs() -> Tensor:
    return images()


@pytest.fixture(scope="module")
def network(model: Net, inputs: Tensor) -> Network:
    return trace(model, inputs[:2])


@pytest.fixture(scope="module")
def measured(network: Network, inputs: Tensor) -> Callable[..., Measurement]:
    """The measurement under a protocol, made once."""
    known: dict[Any, Measurement] = {}

    def find(sites: str, protocol: Protocol = AS_WRITTEN, **options: Any) -> Measurement:
        key = (sites, protocol.name, *sorted(options.items()))
        if key not in known:
            known[key] = measure_network(
                network,
                as_batches(inputs, batch_size=25),
                protocol=replace(protocol, sites=sites),
                groups=1,
                seed=SEED,
                **options,
            )
        return known[key]

    return find


def zeroed_by_hook(model: Net, inputs: Tensor, off: dict[nn.Module, Tensor], intact: Tensor) -> int:
    """Unchanged labels with these channels of these modules' outputs zeroed by a hook."""

    def hook(module: nn.Module, _: Any, value: Tensor) -> Tensor:
        value = value.clone()
        value[:, off[module]] = 0
        return value

    handles = [module.register_forward_hook(hook) for module in off]
    try:
        with torch.no_grad():
            return int((model(inputs).argmax(1) == intact).sum())
    finally:
        for handle in handles:
            handle.remove()


def shares(found: Measurement, site: str) -> np.ndarray:
    return found.curves[found.curves.site == site].unchanged.to_numpy().reshape(-1, 7)


def crossing(curve: np.ndarray, level: float = 0.8) -> float:
    """Where a polygon over 0, 1/6, ..., 1 first falls below the level."""
    for at in range(6):
        if curve[at + 1] < level:
            return (at + (curve[at] - level) / (curve[at] - curve[at + 1])) / 6
    return 1.0


def test_mean_of_single_sites(measured) -> None:
    single, joint = measured("mean of single sites"), measured("together")
    mean = np.mean([shares(joint, site) for site in SITES], axis=0)
    assert shares(single, "all") == pytest.approx(mean)
    # A joint ablation is another curve: the two protocols can be told apart here.
    assert np.abs(shares(joint, "all") - mean).max() > 0.1
    best = max(crossing(curve) for curve in mean)
    row = single.table.query("site == 'all' and measure == 'prunable'").iloc[0]
    assert row.width == sum(WIDTHS.values())
    assert row.value / row.width == pytest.approx(best)
    assert row.low <= row.value <= row.high
    areas = [joint.value("area", site) for site in SITES]
    assert single.value("area") == pytest.approx(np.mean(areas))
    for site in SITES:
        assert single.value("prunable", site) == joint.value("prunable", site)
    for measure in ("redundant", "similarity", "compressibility"):
        assert single.value(measure) == joint.value(measure)
    assert single.facts["sites"] == "mean of single sites"


def test_no_joint_ablation_is_run_for_the_mean(network, inputs, monkeypatch) -> None:
    asked = []

    def spy(*args: Any, **options: Any) -> Any:
        asked.append(options["together"])
        return ablation_curves(*args, **options)

    monkeypatch.setattr("frivolous.measurement.run.ablation_curves", spy)
    for protocol in (AS_PUBLISHED_IMAGENET, AS_PUBLISHED):
        measure_network(network, as_batches(inputs), protocol=protocol, groups=1)
    assert asked == [False, True]


def test_one_site(measured) -> None:
    joint = measured("together")
    alone = measured("one site", ablated_sites=("conv2",))
    assert np.array_equal(shares(alone, "all"), shares(joint, "conv2"))
    assert alone.curves.site.unique().tolist() == ["conv2", "all"]
    row = alone.table.query("site == 'all' and measure == 'prunable'").iloc[0]
    assert (row.value, row.width) == (joint.value("prunable", "conv2"), 8)
    # Statistics are those of every site, ablated or not.
    assert alone.value("redundant") == joint.value("redundant")
    assert alone.value("redundant", "fc") == joint.value("redundant", "fc")


def test_one_site_of_several_leaves_the_whole_out(measured) -> None:
    found = measured("one site")
    assert found.curves.site.unique().tolist() == list(SITES)
    with pytest.raises(BadArgument, match="no value of measure 'prunable' at site 'all'"):
        found.value("prunable")
    assert found.value("prunable", "fc") == measured("together").value("prunable", "fc")
    assert found.value("redundant") == measured("together").value("redundant")
    assert "ablated one at a time" in found.summary()


def test_some_sites_ablated_together(measured, network, inputs) -> None:
    found = measured("together", ablated_sites=("fc", "conv1"))
    expected = ablation_curves(network, [inputs], sites=["conv1", "fc"], seed=SEED)
    assert shares(found, "all") == pytest.approx(expected["conv1+fc"].shares)
    assert found.curves.site.unique().tolist() == ["conv1", "fc", "all"]
    assert found.table[found.table.site == "conv2"].measure.tolist()[0] == "redundant"
    assert "conv2" in found.summary()
    assert found.plot() is not None


def test_ablated_sites_are_among_the_measured(network, inputs) -> None:
    batches = as_batches(inputs)
    with pytest.raises(BadArgument, match="`ablated_sites` names fc; it names at least one of"):
        measure_network(network, batches, sites=["conv1"], ablated_sites=["fc"])
    with pytest.raises(BadArgument, match="`ablated_sites` names no site;"):
        measure_network(network, batches, ablated_sites=[])


def test_a_layer_silenced_before_its_normalisation(model, network, inputs) -> None:
    """Equal to zeroing the convolution's channels by a hook, alone and together with others."""
    values = value_of_zeroed_layer(network, "conv1", inputs[:3])
    norm = model.norm1
    with torch.no_grad():
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        by_hand = torch.relu(norm.bias - scale * norm.running_mean)
    torch.testing.assert_close(values, by_hand)
    assert (values > 0).any()
    silenced = {"conv1": values}
    found = measure_network(
        network, as_batches(inputs, batch_size=25), silenced_as=silenced, groups=1, seed=SEED
    )
    zero = measure_network(network, as_batches(inputs, batch_size=25), groups=1, seed=SEED)
    assert not np.array_equal(shares(found, "conv1"), shares(zero, "conv1"))
    assert np.array_equal(shares(found, "fc"), shares(zero, "fc"))
    with torch.no_grad():
        intact = model(inputs).argmax(1)
    relus = {"conv2": model.norm2, "fc": model.fc}
    for draw in range(3):
        for column in range(7):
            order = {
                site: permutation(WIDTHS[site], SEED, draw, depth)[: column * WIDTHS[site] // 6]
                for depth, site in enumerate(SITES)
            }
            counts = zeroed_by_hook(model, inputs, {model.conv1: order["conv1"]}, intact)
            assert shares(found, "conv1")[draw, column] == pytest.approx(counts / N)
            # A zero before a ReLU is a zero behind it: the same hook serves the other sites.
            off = {model.conv1: order["conv1"]} | {relus[s]: order[s] for s in relus}
            counts = zeroed_by_hook(model, inputs, off, intact)
            assert shares(found, "all")[draw, column] == pytest.approx(counts / N)


def test_silenced_at_single_positions(model, network, inputs) -> None:
    value = torch.linspace(-1, 1, 6)
    places = torch.tensor([0, 3, 70, 383])
    activity = network.until("conv1", inputs).at("conv1").flatten(1).clone()
    activity[:, places] = value[places // 64]
    with torch.no_grad():
        x = torch.relu(model.norm2(model.conv2(activity.view(N, 6, 8, 8)))).mean((2, 3))
        expected = model.scores(torch.relu(model.fc(x)))
    how = Ablation(grain="position", silenced_as={"conv1": value})
    found = ablate(network, inputs, {"conv1": places}, how)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"silenced_as": {"conv1": torch.zeros(5)}},
            BadArgument,
            r"`silenced_as\['conv1'\]` has shape \(5,\); it must have \(6,\), one number per unit",
        ),
        (
            {"silenced_as": {"conv1": torch.full((6,), float("nan"))}},
            BadArgument,
            r"`silenced_as\['conv1'\]` holds NaN or infinite numbers",
        ),
        ({"silenced_as": {"conv": torch.zeros(6)}}, UnknownName, "unknown site 'conv'"),
    ],
)
def test_bad_values_of_silenced_units_are_named(network, inputs, options, error, message) -> None:
    with pytest.raises(error, match=message):
        measure_network(network, as_batches(inputs), **options)


def test_a_value_that_depends_on_the_inputs_is_refused() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.b(torch.relu(x + self.a(x)))

    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    with pytest.raises(BadArgument, match="`site` 'a' does not give the same value for all"):
        value_of_zeroed_layer(trace(Residual(), x), "a", x)


def test_weights_with_running_statistics_are_exchanged(network, inputs) -> None:
    """A network of the same graph with another state is the other model, buffers and all."""
    other = Net()
    random = torch.Generator().manual_seed(9)
    state = {
        name: torch.tensor(7)
        if value.dim() == 0
        else torch.rand(value.shape, generator=random) + 0.1
        for name, value in other.state_dict().items()
    }
    other.load_state_dict(state)
    exchanged = network.with_weights(state)
    with torch.no_grad():
        assert torch.equal(exchanged(inputs), other(inputs))
    assert not torch.equal(exchanged(inputs), network(inputs))
    # Nothing is copied or planned again.
    assert all(exchanged.state[name] is not None for name in state)
    same = [exchanged.state[n].data_ptr() == state[n].data_ptr() for n in state]
    assert all(same)
    assert exchanged._plans is network._plans
    with pytest.raises(BadArgument, match="`state` has no 'norm1.running_mean'"):
        network.with_weights({n: v for n, v in state.items() if n != "norm1.running_mean"})
