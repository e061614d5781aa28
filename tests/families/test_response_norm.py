"""The training form of response normalisation against PyTorch's own and against differences."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from frivolous import trace
from frivolous.families.alexnet import alexnet
from frivolous.families.layers import max_pool_same
from frivolous.families.response_norm import ResponseNorm, response_norm
from frivolous.rng import generator

IMAGES: list[tuple[int, ...]] = [(2, 24, 4, 5), (3, 3, 2, 2), (2, 1, 3, 3), (0, 6, 4, 4)]
OTHERS: list[tuple[int, ...]] = [(4, 7), (2, 6, 5), (2, 6, 2, 3, 2)]
CONSTANTS = [(2, 1.0, 2e-5, 0.75), (2, 1.0, 0.3, 0.75), (1, 2.0, 0.5, 0.5), (0, 1.0, 1.0, 1.0)]


def draws(seed: int, *shape: int) -> Iterator[Tensor]:
    random = generator(seed, "response norm")
    while True:
        yield torch.randn(*shape, generator=random, dtype=torch.float64).mul_(5)


def by_sum(maps: Tensor, radius: int, bias: float, alpha: float, beta: float) -> Tensor:
    """The definition, one feature map after the other."""
    places = range(maps.shape[1])
    windows = [slice(max(0, place - radius), place + radius + 1) for place in places]
    sums = [(maps[:, window] ** 2).sum(1) for window in windows]
    return maps / (bias + alpha * torch.stack(sums, 1)) ** beta


@pytest.mark.parametrize("shape", IMAGES + OTHERS)
@pytest.mark.parametrize("constants", CONSTANTS)
def test_it_is_the_definition_forward_and_backward(
    shape: tuple[int, ...], constants: tuple[int, float, float, float]
) -> None:
    random = draws(1, *shape)
    maps, down = next(random).requires_grad_(), next(random)
    ours, defined = response_norm(maps, *constants), by_sum(maps, *constants)
    torch.testing.assert_close(ours, defined, rtol=1e-12, atol=1e-12)
    gradients = [torch.autograd.grad(value, maps, down)[0] for value in (ours, defined)]
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("constants", CONSTANTS)
def test_gradient_is_that_of_differences(constants: tuple[int, float, float, float]) -> None:
    maps = next(draws(2, 2, 6, 2, 3)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: response_norm(x, *constants), maps)


@pytest.mark.parametrize("format", [torch.contiguous_format, torch.channels_last])
def test_it_is_the_one_of_pytorch_to_rounding(format: torch.memory_format) -> None:
    random = (value.float().to(memory_format=format) for value in draws(3, 8, 24, 16, 16))
    maps, down = next(random).requires_grad_(), next(random)
    fast, plain = ResponseNorm()(maps), F.local_response_norm(maps, 5, 1e-4, 0.75, 1.0)
    assert torch.equal(fast, ResponseNorm().eval()(maps))
    torch.testing.assert_close(fast, plain, rtol=1e-6, atol=1e-6)
    gradients = [torch.autograd.grad(value, maps, down)[0] for value in (fast, plain)]
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-5)


def test_order_of_memory_changes_no_bit_and_a_second_time_gives_the_same() -> None:
    maps = next(draws(4, 4, 24, 8, 8)).float()
    results = [
        response_norm(value, 2, 1.0, 2e-5, 0.75)
        for value in (maps, maps, maps.to(memory_format=torch.channels_last))
    ]
    assert all(torch.equal(results[0], other) for other in results[1:])
    assert results[0].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_half_precision_is_rounded_once(half: torch.dtype) -> None:
    """Squares of 300 overflow float16; one in 16 bits leaves no room for alpha times a square."""
    maps = next(draws(5, 2, 6, 4, 4)).mul_(60).to(half).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = response_norm(maps, 2, 1.0, 2e-5, 0.75)
        (gradient,) = torch.autograd.grad(value, maps, torch.ones_like(value))
    exact = maps.detach().double().requires_grad_()
    defined = by_sum(exact, 2, 1.0, 2e-5, 0.75)
    (true,) = torch.autograd.grad(defined, exact, torch.ones_like(defined))
    assert value.dtype == gradient.dtype == half
    step = torch.finfo(half).eps
    torch.testing.assert_close(value.double(), defined, rtol=step, atol=1e-6)
    torch.testing.assert_close(gradient.double(), true, rtol=step, atol=1e-5)


def test_alexnet_learns_the_same_and_is_still_read() -> None:
    """One gradient with the training form and with PyTorch's; ``trace`` in either mode."""
    network = alexnet(1, base=(8, 8, 8, 8)).double()
    other = copy.deepcopy(network)
    other.norm = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)  # type: ignore[assignment]
    images = next(draws(6, 4, 3, 32, 32))
    for model in (network, other):
        model.train()(images).logsumexp(1).sum().backward()
    for ours, plain in zip(network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, plain.grad, rtol=1e-9, atol=1e-12)
    sites = [site.name for site in trace(network.float(), images[:2].float()).sites]
    assert sites == ["conv1", "conv2", "fc3", "fc4"]


@pytest.mark.parametrize("side", [8, 7])
def test_relu_after_pooling_gives_the_same_bits(side: int) -> None:
    """Ties, zeros and windows without a positive number included."""
    network = alexnet(1, base=(3, 3, 3, 3))
    random = (value.round().float() for value in draws(7, 4, 3, side, side))
    maps = next(random).sub_(5).requires_grad_()
    weight = next(random)[:, :, : -(-side // 2), : -(-side // 2)]
    results = []
    for pooled in (network._pooled(maps * 1), max_pool_same(F.relu(maps))):
        results.append((pooled, *torch.autograd.grad((pooled * weight).sum(), maps)))
    assert (results[0][0] == 0).any()
    assert all(torch.equal(*pair) for pair in zip(*results, strict=True))


def test_exporting_in_training_mode_keeps_the_form_that_is_read() -> None:
    program = torch.export.export(ResponseNorm().train(), (torch.ones(2, 6, 4, 4),), strict=False)
    operations = [str(node.target) for node in program.graph.nodes]
    assert any("avg_pool3d" in name for name in operations)
    assert not any("addmm" in name for name in operations)


def test_without_values_only_the_shape_is_found() -> None:
    maps = torch.empty(2, 6, 4, 4, device="meta")
    assert response_norm(maps, 2, 1.0, 2e-5, 0.75).shape == maps.shape
