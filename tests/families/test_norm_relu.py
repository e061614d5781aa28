"""Normalisation, shortcut and ReLU of a training step against PyTorch's own, written plainly."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from frivolous import trace
from frivolous.families import norm_relu as module
from frivolous.families.norm_relu import norm_relu
from frivolous.families.resnet import resnet56
from frivolous.rng import generator

pytestmark = pytest.mark.rounding

OURS = [(4, 3, 8, 8), (3, 4, 5, 7), (2, 1, 1, 1), (8, 7, 2, 2), (3, 24, 4, 4), (2, 100, 4, 3)]
PYTORCHS = [(6, 16, 4, 4), (2, 64, 3, 3), (2, 200, 3, 3)]
SIDE_BY_SIDE = torch.channels_last


@pytest.fixture(autouse=True)
def worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small tensors count as worth it."""
    monkeypatch.setattr(module, "_WORTH_IT", 0)


def plainly(norm: nn.BatchNorm2d, maps: Tensor, shortcut: Tensor | None) -> Tensor:
    return F.relu(norm(maps) if shortcut is None else norm(maps) + shortcut)


def drawn_norm(features: int, momentum: float = 0.1) -> nn.BatchNorm2d:
    """A normalisation with scales of both signs, as training can leave it."""
    random = generator(1, "norm")
    norm = nn.BatchNorm2d(features, momentum=momentum)
    with torch.no_grad():
        norm.weight.normal_(generator=random)
        norm.bias.normal_(generator=random)
    return norm


def drawn(shape: tuple[int, ...], times: int) -> list[Tensor]:
    random = generator(2, "maps")
    tensors = (torch.randn(shape, generator=random) * 2 + 3 for _ in range(times))
    return [tensor.to(memory_format=SIDE_BY_SIDE) for tensor in tensors]


def step(function: object, norm: nn.BatchNorm2d, tensors: list[Tensor]) -> list[Tensor]:
    """Return what a step gives: result, gradients, running statistics."""
    maps, down, *shortcut = tensors
    leaves = [value.detach().requires_grad_() for value in (maps, *shortcut)]
    result = function(norm, leaves[0], leaves[1] if shortcut else None)  # type: ignore[operator]
    asked = [*leaves, norm.weight, norm.bias]
    gradients = torch.autograd.grad(result, asked, down.to(result.dtype))
    return [result.detach(), *gradients, *norm.buffers()]


@pytest.mark.parametrize("shape", OURS)
@pytest.mark.parametrize("shortcut", [False, True])
def test_it_is_the_plain_computation_of_double_precision(
    shape: tuple[int, ...], shortcut: bool
) -> None:
    norm, tensors = drawn_norm(shape[1]), drawn(shape, 3 if shortcut else 2)
    exact = step(plainly, copy.deepcopy(norm).double(), [value.double() for value in tensors])
    for ours, true in zip(step(norm_relu, norm, tensors), exact, strict=True):
        torch.testing.assert_close(ours.to(true.dtype), true, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("features", [3, 24])
def test_it_is_closer_to_double_precision_than_pytorchs_own(features: int) -> None:
    norm, tensors = drawn_norm(features), drawn((64, features, 32, 32), 2)
    exact = step(plainly, copy.deepcopy(norm).double(), [value.double() for value in tensors])
    theirs = step(plainly, copy.deepcopy(norm), tensors)
    ours = step(norm_relu, norm, tensors)
    for one, other, true in zip(ours[:-1], theirs[:-1], exact[:-1], strict=True):
        assert (one - true).abs().mean() < (other - true).abs().mean()


@pytest.mark.parametrize("shortcut", [False, True])
@pytest.mark.parametrize("shape", PYTORCHS)
def test_multiples_of_16_and_many_feature_maps_are_normalised_by_pytorch_to_the_bit(
    shape: tuple[int, ...], shortcut: bool
) -> None:
    norm, tensors = drawn_norm(shape[1]), drawn(shape, 3 if shortcut else 2)
    plain = step(plainly, copy.deepcopy(norm), tensors)
    ours = step(norm_relu, norm, tensors)
    assert all(torch.equal(one, other) for one, other in zip(ours, plain, strict=True))


@pytest.mark.parametrize("shape", [OURS[0], PYTORCHS[0]])
def test_nothing_given_is_written_on(shape: tuple[int, ...]) -> None:
    tensors = drawn(shape, 3)
    before = [value.clone() for value in tensors]
    step(norm_relu, drawn_norm(shape[1]), tensors)
    assert all(torch.equal(one, other) for one, other in zip(tensors, before, strict=True))


def test_it_is_pytorch_to_the_bit_where_its_own_function_does_not_apply() -> None:
    """Memory by feature map, evaluation, no scale, averages over all batches, float64, hooks."""
    maps, down = drawn((4, 3, 8, 8), 2)
    seen: list[Tensor] = []
    hooked = drawn_norm(3)
    hooked.register_forward_hook(lambda *arguments: seen.append(arguments[2]))
    cases = [
        (drawn_norm(3), maps.contiguous()),
        (drawn_norm(3).eval(), maps),
        (nn.BatchNorm2d(3, track_running_stats=False), maps),
        (nn.BatchNorm2d(3, momentum=None), maps),
        (drawn_norm(3).double(), maps.double()),
        (hooked, maps),
    ]
    for norm, value in cases:
        plain = step(plainly, copy.deepcopy(norm), [value, down])
        ours = step(norm_relu, norm, [value, down])
        assert all(torch.equal(one, other) for one, other in zip(ours, plain, strict=True))
    assert len(seen) == 2
    assert (seen[1] < 0).any()


def test_one_number_a_feature_map_cannot_be_normalised() -> None:
    with pytest.raises(ValueError, match="more than 1 value"):
        norm_relu(drawn_norm(3), torch.ones(1, 3, 1, 1).to(memory_format=SIDE_BY_SIDE))


def test_half_of_a_sum_does_not_lose_the_other_halfs_precision() -> None:
    norm, (maps, shortcut) = drawn_norm(16), drawn((4, 16, 4, 4), 2)
    half = maps.bfloat16()
    expected = F.relu(copy.deepcopy(norm).bfloat16()(half) + shortcut)
    assert torch.equal(norm_relu(norm.bfloat16(), half, shortcut), expected)


def test_a_network_in_training_takes_it_and_its_graph_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """ResNet56 at 1/4 has 4, 8 and 16 feature maps; all but those of 16 are no multiple of it."""
    applied: list[torch.Size] = []
    applies = module._left_over

    def counted(norm: nn.BatchNorm2d, maps: Tensor, shortcut: Tensor | None) -> bool:
        if applies(norm, maps, shortcut):
            applied.append(maps.shape)
            return True
        return False

    monkeypatch.setattr(module, "_left_over", counted)
    model = resnet56(1 / 4, image=(3, 8, 8))
    (images,) = drawn((4, 3, 8, 8), 1)
    model(images).sum().backward()
    assert applied == [torch.Size((4, 4, 8, 8))] * 19 + [torch.Size((4, 8, 4, 4))] * 18
    applied.clear()
    assert len(trace(model, (images,)).sites) == 55
    assert applied == []


def test_of_few_numbers_pytorchs_own_is_the_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WORTH_IT", 4 * 3 * 8 * 8 + 1)
    norm, tensors = drawn_norm(3), drawn((4, 3, 8, 8), 2)
    plain = step(plainly, copy.deepcopy(norm), tensors)
    ours = step(norm_relu, norm, tensors)
    assert all(torch.equal(one, other) for one, other in zip(ours, plain, strict=True))
