"""Local response normalisation across neighbouring feature maps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from frivolous.families.layers import exporting, maps_of, rows_of


class ResponseNorm(nn.Module):
    """Divide every feature map by the activity of its neighbours at the same position.

    ``y_c = x_c / (bias + alpha * sum of x_k**2 over |k - c| <= radius) ** beta``; feature maps
    beyond the first and the last count as 0. Shapes: (N, C, H, W) to the same.

    ``alpha`` is per feature map, as TensorFlow has it (``tf.nn.lrn``); PyTorch's own takes it
    times the ``2 * radius + 1`` maps of a window.

    It is :func:`response_norm`, several times faster than PyTorch's own and the same to rounding;
    in an exported graph it is PyTorch's own, which :func:`frivolous.trace` reads.

    >>> layer = ResponseNorm(radius=1, bias=1.0, alpha=1.0, beta=1.0)
    >>> layer(torch.ones(1, 3, 1, 1)).flatten().tolist()
    [0.3333333432674408, 0.25, 0.3333333432674408]
    """

    def __init__(
        self, radius: int = 2, bias: float = 1.0, alpha: float = 2e-5, beta: float = 0.75
    ) -> None:
        super().__init__()
        self.radius = radius
        self.bias = bias
        self.alpha = alpha
        self.beta = beta

    def forward(self, maps: Tensor) -> Tensor:
        """Return the normalised feature maps."""
        if not exporting():
            return response_norm(maps, self.radius, self.bias, self.alpha, self.beta)
        window = 2 * self.radius + 1
        return F.local_response_norm(maps, window, self.alpha * window, self.beta, self.bias)

    def extra_repr(self) -> str:
        """Return the constants, as they are given to the constructor."""
        return f"radius={self.radius}, bias={self.bias}, alpha={self.alpha}, beta={self.beta}"


def response_norm(maps: Tensor, radius: int, bias: float, alpha: float, beta: float) -> Tensor:
    """Return what :class:`ResponseNorm` computes, made for training.

    Sums over neighbours are products with a banded matrix, on memory in which the feature maps
    of a position are adjacent (``torch.channels_last``, which the result has in any case).
    The gradient is written out, and one tensor is kept for it besides input and output. It can be
    differentiated once. Half precisions are computed in float32, under autocast too.

    Shapes: (N, C, ...) to the same.

    >>> response_norm(torch.ones(1, 3, 1, 1), 1, 1.0, 1.0, 0.5).shape
    torch.Size([1, 3, 1, 1])
    """
    result: Tensor = _ResponseNorm.apply(maps, radius, bias, alpha, beta)
    return result


class _ResponseNorm(torch.autograd.Function):
    """With d = bias + u**2 @ band: y = u / d**beta; du = g / d**beta - 2 beta u (g y / d @ band).

    Rows are positions, columns feature maps; the band, alpha near the diagonal, is symmetric.
    """

    @staticmethod
    def forward(
        ctx: Any, maps: Tensor, radius: int, bias: float, alpha: float, beta: float
    ) -> Tensor:
        rows = rows_of(_single(maps))
        place = torch.arange(rows.shape[1], device=rows.device)
        band = ((place[:, None] - place).abs() <= radius).to(rows.dtype).mul_(alpha)
        # Autocast leaves products alone that are written into a tensor; others lose precision.
        divisor = torch.full_like(rows, bias).addmm_(rows * rows, band)
        result = rows / _power(divisor, beta)
        ctx.save_for_backward(rows, divisor, result, band)
        ctx.beta, ctx.dtype = beta, maps.dtype
        return maps_of(result, maps).to(maps.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        rows, divisor, result, band = ctx.saved_tensors
        down = rows_of(_single(gradient))
        shared = (down * result).div_(divisor)
        shared = torch.mm(shared, band, out=torch.empty_like(shared))
        own = down / _power(divisor, ctx.beta)
        own.addcmul_(rows, shared, value=-2 * ctx.beta)
        return maps_of(own, gradient).to(ctx.dtype), None, None, None, None


def _power(divisor: Tensor, beta: float) -> Tensor:
    """Return ``divisor ** beta``; the papers' 3/4 by two square roots, faster than by logarithm."""
    if beta != 0.75:
        return divisor.pow(beta)
    return divisor.sqrt().mul_(divisor).sqrt_()


def _single(tensor: Tensor) -> Tensor:
    """Return the tensor in float32 where it is less precise, else itself."""
    return tensor.float() if tensor.element_size() < 4 else tensor
