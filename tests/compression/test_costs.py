"""Sizes against the modules' own counts and PyTorch's, and the path from all units to the least."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
from generated import Generated
from removal import bench_of
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from frivolous import families
from frivolous.compression.coupling.costs import Sizes, path
from frivolous.compression.pruner import PrunedNetwork, Pruner
from frivolous.compression.surgery.graph import remove_channels


class Mobile(nn.Module):
    """Inverted residuals with depthwise convolutions and squeeze-and-excitation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.expand = nn.Conv2d(3, 6, 3, 2, 1, bias=False), nn.Conv2d(6, 10, 1)
        self.norm = nn.BatchNorm2d(6)
        self.depthwise = nn.Conv2d(10, 10, 3, padding=1, groups=10)
        self.squeeze, self.excite = nn.Conv2d(10, 4, 1), nn.Conv2d(4, 10, 1)
        self.project, self.out = nn.Conv2d(10, 6, 1), nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        y = torch.relu(self.depthwise(torch.relu(self.expand(x))))
        gate = self.excite(torch.relu(self.squeeze(y.mean((2, 3), keepdim=True))))
        return self.out((x + self.project(y * gate.sigmoid())).mean((2, 3)))


def encoder() -> nn.Module:
    layer = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True, dropout=0)
    return nn.Sequential(layer, nn.Flatten(), nn.Linear(40, 5))


CASES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "dense": (lambda: families.mlp(12, 1 / 8), (12,)),
    "alexnet": (lambda: families.FAMILIES["alexnet"].build(0.1), (3, 32, 32)),
    "resnet": (lambda: families.FAMILIES["resnet18"].build(0.05), (3, 32, 32)),
    "mobile": (Mobile, (3, 8, 8)),
    "decoder": (lambda: nn.Sequential(
        nn.ConvTranspose2d(3, 6, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(6, 7, 2, 2), nn.ReLU(),
        nn.Conv2d(7, 2, 1), nn.Flatten(), nn.Linear(2 * 16**2, 5),
    ), (3, 4, 4)),
    "encoder": (encoder, (5, 8)),
    "generated": (lambda: Generated(4), (3, 6, 6)),
}  # fmt: skip


@cache
def known(name: str) -> tuple[Pruner, Sizes, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = CASES[name][0]().eval()
        x = torch.randn(2, *CASES[name][1])
    pruner = bench_of(model, x)
    return pruner, pruner.sizes(), x


def drawn(pruner: Pruner, seed: int) -> tuple[int, ...]:
    random = np.random.default_rng(seed)
    return tuple(int(random.integers(max(1, c.units // 2), c.units + 1)) for c in pruner.cuts)


def counted(module: nn.Module, x: Tensor) -> tuple[int, float]:
    """Parameters, and half of the operations that PyTorch counts for one example.

    Without what a local response normalisation sums, which counts nowhere.
    """
    sums = [0]
    for part in module.modules():
        if type(part).__name__ == "WindowedResponseNorm":
            part.register_forward_hook(
                lambda own, _, out: sums.append(own.band.numel() * out[0, 0].numel())
            )
    math = sdpa_kernel(SDPBackend.MATH)
    with math, FlopCounterMode(display=False) as counter, torch.no_grad():
        # In evaluation mode an encoder's layer is one operation, which PyTorch does not count.
        module.train(any(isinstance(part, nn.TransformerEncoderLayer) for part in module.modules()))
        module(x)
    flops = counter.get_total_flops() / 2 / len(x) - sum(sums)
    return sum(p.numel() for p in module.parameters()), flops


@pytest.mark.parametrize("name", CASES)
def test_both_are_what_the_cut_module_has(name: str) -> None:
    pruner, sizes, x = known(name)
    whole = tuple(cut.units for cut in pruner.cuts)
    for units in (whole, *(drawn(pruner, seed) for seed in range(3))):
        gone = {
            cut.name: np.random.default_rng(0).permutation(cut.units)[: cut.units - count]
            for cut, count in zip(pruner.cuts, units, strict=True)
        }
        keeping = pruner.keeping(gone)
        module = pruner.module(
            PrunedNetwork(units, keeping, remove_channels(pruner.network, keeping))
        )
        found, wanted = sizes.both(units), counted(module, x)
        assert found.tolist() == pytest.approx(wanted, rel=1e-9), (units, whole)


@pytest.mark.parametrize("name", CASES)
def test_slopes_are_differences(name: str) -> None:
    pruner, sizes, _ = known(name)
    units = np.array(drawn(pruner, 5), dtype=float)
    slopes = sizes.slopes(units)
    for c in range(len(units)):
        step = np.zeros(len(units))
        step[c] = 1e-4
        difference = (sizes.both(units + step) - sizes.both(units - step)) / 2e-4
        np.testing.assert_allclose(slopes[c], difference, rtol=1e-6)
    assert (slopes > 0).all()


def costs(pruner: Pruner, seed: int, *, convex: bool = False) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    made = []
    for cut in pruner.cuts:
        steps = random.exponential(size=cut.units) ** 2
        made.append(np.concatenate([[0], np.cumsum(np.sort(steps) if convex else steps)])[::-1])
    return made


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("worth", [(0.5, 0.5), (1.0, 0.0), (0.0, 1.0)])
def test_the_path_goes_from_all_units_to_one_each(name: str, worth: tuple[float, float]) -> None:
    pruner, sizes, _ = known(name)
    whole = tuple(cut.units for cut in pruner.cuts)
    found = path(costs(pruner, 1), sizes, [1] * len(whole), [1.0] * len(whole), worth)
    assert found.units[0] == whole
    assert found.units[-1] == (1,) * len(whole)
    assert found.cost[0] == 0
    assert (np.diff(found.cost) >= 0).all()
    assert len(found) == len(found.cost)
    for before, after in zip(found.units, found.units[1:], strict=False):
        changed = [(b, a) for b, a in zip(before, after, strict=True) if b != a]
        assert len(changed) == 1
        assert changed[0][1] < changed[0][0]
    sizes_of = np.array([sizes.both(units) for units in found.units])
    assert (np.diff(sizes_of, axis=0) < 0).all()


def test_a_convex_cost_is_paid_as_it_is() -> None:
    pruner, sizes, _ = known("alexnet")
    given = costs(pruner, 2, convex=True)
    found = path(given, sizes, [1] * len(given), [1.0] * len(given))
    for units, cost in zip(found.units, found.cost, strict=True):
        assert cost == pytest.approx(sum(c[k] for c, k in zip(given, units, strict=True)))


def test_the_cheapest_saving_goes_first_one_by_one() -> None:
    """One parameter each, nothing else: units go in the order of their price."""
    sizes = Sizes(np.zeros((2, 1)), np.eye(2)[:, None], np.ones((2, 2)), np.zeros(2))
    first, second = np.array([9.0, 4, 1, 0]), np.array([6.0, 3, 1, 0])
    found = path([first, second], sizes, [0, 1], [1.0, 1.0])
    assert found.units == ((3, 3), (2, 3), (2, 2), (2, 1), (1, 1), (0, 1))
    assert found.cost.tolist() == [0, 1, 2, 4, 7, 12]
    dearer = path([first, second], sizes, [0, 1], [10.0, 1.0])
    assert dearer.units[:3] == ((3, 3), (3, 2), (3, 1))


def test_a_bend_inwards_is_taken_at_once() -> None:
    sizes = Sizes(np.zeros((1, 1)), np.ones((1, 1, 1)), np.ones((1, 2)), np.zeros(2))
    found = path([np.array([8.0, 6, 6, 6, 0])], sizes, [0], [1.0])
    assert found.cost[-1] == 8
    assert (np.diff(found.cost) >= 0).all()
