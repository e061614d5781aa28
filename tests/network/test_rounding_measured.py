"""How far rounding moves scores, measured: against plain modules in other precisions."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from frivolous.network import trace
from frivolous.network.rounding import Rounding, apart, cast_to, finest_of, in_precision

pytestmark = pytest.mark.rounding


class Far(nn.Module):
    """Layers whose inputs may lie far from zero, with a table and a constant in between."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.a = nn.Embedding(5, 8), nn.Linear(8, 16)
        self.norm, self.out = nn.LayerNorm(16), nn.Linear(16, 3)
        self.register_buffer("shift", torch.linspace(-1, 1, 16))

    def forward(self, x: Tensor, token: Tensor) -> Tensor:
        x = self.norm(self.a(x + self.table(token)).relu() + self.shift)
        return self.out(x.to(torch.float32).to(self.shift.dtype))


def far(offset: float) -> tuple[Far, tuple[Tensor, Tensor]]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Far().eval()
        x = torch.randn(20, 8) + offset
    with torch.no_grad():  # the same function of columns such as a year
        model.a.bias -= offset * model.a.weight.sum(1)
        return model, (x, torch.arange(20) % 5)


@torch.no_grad()
def test_in_another_precision_it_is_the_module_in_that_precision() -> None:
    model, (x, token) = far(0.0)
    net = in_precision(trace(model, (x, token)), torch.float64)
    double = copy.deepcopy(model).double()
    double.forward = lambda x, token: double.out(
        double.norm(double.a(x + double.table(token)).relu() + double.shift)
    )
    torch.testing.assert_close(
        net((x.double(), token)), double(x.double(), token), rtol=0, atol=1e-14
    )
    assert net.dtype == torch.float64
    assert finest_of(net) is net


@torch.no_grad()
@pytest.mark.parametrize("offset", [0.0, 2000.0])
def test_rounding_is_the_distance_from_double_precision(offset: float) -> None:
    model, inputs = far(offset)
    net = trace(model, inputs)
    twin = finest_of(net)
    wanted = float((net(inputs).double() - twin(cast_to(twin, inputs))).abs().max())
    least = 4 * torch.finfo(torch.float32).eps * float(net(inputs).abs().max())
    assert Rounding(net).of(inputs) == max(wanted, least)
    assert Rounding(net).of(inputs, net(inputs)) == max(wanted, least)


def test_inputs_far_from_zero_round_more() -> None:
    near, away = (Rounding(trace(*case)).of(case[1]) for case in (far(0.0), far(2000.0)))
    assert away > 20 * near


def test_of_double_precision_it_is_scaled_from_single() -> None:
    model, (x, token) = far(2000.0)
    net = trace(copy.deepcopy(model).double(), (x.double(), token))
    single = Rounding(trace(model, (x, token))).of((x, token))
    ratio = torch.finfo(torch.float64).eps / torch.finfo(torch.float32).eps
    assert 0.1 < Rounding(net).of((x.double(), token)) / (single * ratio) < 10


def test_numbers_that_overflow_in_the_other_precision_count_as_the_last_place() -> None:
    model = nn.Sequential(nn.Linear(4, 3)).double()
    x = torch.full((2, 4), 1e200, dtype=torch.float64)
    net = trace(model, x)
    largest = float(net(x).abs().max())
    assert Rounding(net).of(x) == 4 * torch.finfo(torch.float64).eps * largest


def test_scores_of_different_shapes_are_infinitely_apart() -> None:
    assert apart(torch.zeros(2, 3), torch.zeros(2, 4)) == float("inf")
    assert apart(torch.tensor([1.0, 2.0]), torch.tensor([1.5, 2.0])) == 0.5
