"""The papers' AlexNet for CIFAR-10: two convolutional and two dense layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from frivolous.families.family import Family, schemes
from frivolous.families.layers import exporting, max_pool_same
from frivolous.families.response_norm import ResponseNorm
from frivolous.families.sizes import image_of, scaled, share, whole_number, widths_of

BASE = (96, 256, 384, 192)
IMAGE = (3, 32, 32)
BIASES: Mapping[str, float] = {"conv1": 0.0, "conv2": 0.1, "fc3": 0.1, "fc4": 0.1, "out": 0.0}


class AlexNet(nn.Module):
    """Convolution, ReLU, pooling and response normalisation twice; two dense layers; scores.

    Convolutions are 5 by 5 and keep the size of the image, pooling is 3 by 3 at every second
    pixel (:func:`~frivolous.families.layers.max_pool_same`), normalisation runs across 5 feature
    maps with alpha 2e-5 each and beta 0.75. ``dropout`` acts after ``fc3`` and after ``fc4``.

    Shapes: (N, C, H, W) to (N, classes).
    """

    def __init__(
        self,
        widths: Sequence[int],
        classes: int = 10,
        image: Sequence[int] = IMAGE,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        first, second, third, fourth = widths_of("widths", widths, layers=4)
        channels, height, width = image_of(image)
        pooled = -(-height // 4) * -(-width // 4)
        self.dropout = share("dropout", dropout)
        self.conv1 = nn.Conv2d(channels, first, 5, padding=2)
        self.conv2 = nn.Conv2d(first, second, 5, padding=2)
        self.norm1 = ResponseNorm(radius=2, bias=1.0, alpha=2e-5, beta=0.75)
        self.norm2 = ResponseNorm(radius=2, bias=1.0, alpha=2e-5, beta=0.75)
        self.fc3 = nn.Linear(second * pooled, third)
        self.fc4 = nn.Linear(third, fourth)
        self.out = nn.Linear(fourth, whole_number("classes", classes))

    def forward(self, images: Tensor) -> Tensor:
        """Return the scores (N, classes) of prepared images (N, C, H, W)."""
        maps = self.norm1(self._pooled(self.conv1(images)))
        maps = self.norm2(self._pooled(self.conv2(maps)))
        value = F.dropout(F.relu(self.fc3(maps.flatten(1))), self.dropout, self.training)
        value = F.dropout(F.relu(self.fc4(value)), self.dropout, self.training)
        scores: Tensor = self.out(value)
        return scores

    def _pooled(self, maps: Tensor) -> Tensor:
        """Return the maxima of ReLU; it may follow them, to the bit, with a quarter of the work."""
        if exporting():
            return max_pool_same(F.relu(maps))
        return F.relu_(max_pool_same(maps))

    def extra_repr(self) -> str:
        """Return the constants that no layer shows."""
        return f"dropout={self.dropout}"


def alexnet(
    size_factor: float,
    *,
    classes: int = 10,
    image: Sequence[int] = IMAGE,
    base: Sequence[int] = BASE,
    dropout: float = 0.0,
) -> AlexNet:
    """Return the papers' AlexNet, each hidden layer ``int(n * size_factor)`` units wide.

    ``base`` holds the widths at size factor 1 of conv1, conv2, fc3 and fc4.

    Details that Casper et al. 2021 (section 4 and appendix) leave open follow the original code:
    images are cropped to 28 by 28 and resized back to 32 by 32, so that ``fc3`` reads 8 by 8
    positions; biases start at 0 (conv1, scores) and 0.1 (the others), "bias terms" in the text;
    "Gaussian" initialisers are normals truncated at 2 standard deviations and re-scaled to
    their nominal variance. Both put dropout of 0.5 after the dense layers only.

    Raises :class:`~frivolous.errors.BadArgument` for an option out of its range and where a layer
    would be left without a unit.

    >>> from frivolous.families.mlp import parameter_count
    >>> parameter_count(alexnet(1 / 4))
    438746
    """
    widths = scaled(widths_of("base", base, layers=4), size_factor)
    return AlexNet(widths, classes, image, dropout)


ALEXNET = Family(
    name="alexnet",
    build=alexnet,
    layers={"conv1": "conv1", "conv2": "conv2", "fc3": "fc3", "fc4": "fc4"},
    image=IMAGE,
    schemes=schemes("glorot-truncated", BIASES),
)
