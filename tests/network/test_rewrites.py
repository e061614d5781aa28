"""Exchanged steps against PyTorch's own, bit for bit, and places behind pooling."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from frivolous.network import trace
from frivolous.network.rewrites import max_pool, response_norm


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", [(3, 7, 4, 5), (2, 9, 11), (2, 4, 3, 4, 2)])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_response_norm_is_that_of_torch(shape: tuple[int, ...], size: int) -> None:
    x = 3 * drawn(*shape)
    for beta in (0.75, 1.3):
        expected = F.local_response_norm(x, size, 0.1, beta, 2.0)
        assert torch.equal(response_norm(x, size, 0.1, 2.0, beta), expected)
        half = response_norm(x.bfloat16(), size, 0.1, 2.0, beta)
        torch.testing.assert_close(half, expected.bfloat16(), rtol=0.02, atol=1e-3)


@pytest.mark.parametrize("options", [{}, {"stride": 1, "padding": 1}, {"ceil_mode": True}])
def test_pooling_is_that_of_torch(options: dict[str, int]) -> None:
    x = drawn(2, 5, 9, 8)
    x[0, 0, 0, 0] = torch.nan
    found = max_pool(F.max_pool2d)(x, 3, **options)
    assert found.is_contiguous()
    torch.testing.assert_close(found, F.max_pool2d(x, 3, **options), rtol=0, atol=0, equal_nan=True)
    assert torch.equal(max_pool(F.max_pool2d)(x[0, 1:], 3), F.max_pool2d(x[0, 1:], 3))


class Lenet(nn.Module):
    """Response norm of images and of sequences, by module and by function; pooling twice."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(2, 6, 3, padding=1), nn.Conv2d(6, 8, 3, padding=1)
        self.three, self.scores = nn.Conv1d(8, 5, 3), nn.Linear(5, 3)
        self.norm = nn.LocalResponseNorm(3, alpha=0.1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(F.max_pool2d(F.relu(self.one(x)), 2))
        x = F.max_pool2d(F.max_pool2d(F.relu(self.two(x)), 2), 3, 1, 1)
        x = F.local_response_norm(F.relu(self.three(x.flatten(2))), 5, 0.2)
        return self.scores(x.mean(2))


@pytest.fixture(scope="module")
def model() -> nn.Module:
    model = Lenet().eval()
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=random))
    return model


def test_a_network_with_exchanged_steps_is_the_model(model: nn.Module) -> None:
    x = drawn(6, 2, 8, 8)
    network = trace(model, x[:2])
    ops = [step.op for step in network.program.steps]
    assert ops.count("response_norm") == 2
    assert not {"avg_pool2d", "avg_pool3d", "pow"} & set(ops)
    with torch.no_grad():
        assert torch.equal(network(x), model(x))
    for site in network.sites:
        alive = network.until(site.name, x)
        assert torch.equal(network.onward(site.name, alive), network(x))


def test_another_chain_is_left_as_it_is() -> None:
    class ByHand(nn.Module):
        def __init__(self, window: int, last: bool) -> None:
            super().__init__()
            self.one, self.scores = nn.Conv2d(2, 6, 3), nn.Linear(6, 3)
            self.window, self.last = window, last

        def forward(self, x: Tensor) -> Tensor:
            x = F.relu(self.one(x))
            squares = F.pad((x * x)[:, None], (0, 0, 0, 0, 1, self.window - 2))
            mean = F.avg_pool3d(squares, (self.window, 1, 1), 1)[:, 0]
            x = x / (1 + 0.1 * mean) ** 0.75
            return self.scores((x + mean if self.last else x).mean((2, 3)))

    x = drawn(4, 2, 5, 5)
    for window, last in ((3, True), (4, False)):  # what is inside is read; not a centred window
        model = ByHand(window, last).eval()
        network = trace(model, x)
        assert "avg_pool3d" in [step.op for step in network.program.steps]
        with torch.no_grad():
            assert torch.equal(network(x), model(x))


def test_places_behind_pooling_silence_the_same_channels(model: nn.Module) -> None:
    x = drawn(6, 2, 8, 8)
    network = trace(model, x[:2])
    late = network.past_pooling()
    assert {name for name in network.places if late.places[name] != network.places[name]} == {
        "one",
        "two",
    }
    assert late.until("two", x).value.shape == (6, 8, 2, 2)
    keep = (torch.arange(8) % 3 > 0).float().view(8, 1, 1)
    for shift in (0.0, -0.5):  # silenced to zero, or to another number, below those of others

        def silence(value: Tensor, shift: float = shift) -> Tensor:
            return value * keep + (1 - keep) * shift

        first = network.run(x, {"two": silence})
        assert torch.equal(late.run(x, {"two": silence}), first)
        assert not torch.equal(first, network(x))


def test_a_value_that_others_read_too_stays_where_it_is() -> None:
    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
            self.scores = nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            x = F.relu(self.one(x))
            x = F.max_pool2d(x, 2) + F.avg_pool2d(self.two(x), 2)
            return self.scores(x.mean((2, 3)))

    network = trace(Skip(), drawn(2, 1, 4, 4))
    assert network.past_pooling() is network
