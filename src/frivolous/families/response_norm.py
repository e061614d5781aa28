"""Local response normalisation across neighbouring feature maps."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class ResponseNorm(nn.Module):
    """Divide every feature map by what it and its neighbours respond at the same position.

    ``y_c = x_c / (bias + alpha * sum of x_k**2 over |k - c| <= radius) ** beta``; feature maps
    beyond the first and the last count as 0. Shapes: (N, C, H, W) to the same.

    ``alpha`` is per feature map, as TensorFlow has it (``tf.nn.lrn``); PyTorch's own takes it
    times the ``2 * radius + 1`` maps of a window.

    >>> import torch
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
        window = 2 * self.radius + 1
        return F.local_response_norm(maps, window, self.alpha * window, self.beta, self.bias)

    def extra_repr(self) -> str:
        """Return the constants, as they are given to the constructor."""
        return f"radius={self.radius}, bias={self.bias}, alpha={self.alpha}, beta={self.beta}"
