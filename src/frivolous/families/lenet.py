"""LeNet-300-100: two dense layers for images of handwritten digits."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from frivolous.families.family import Family, schemes
from frivolous.families.sizes import image_of, scaled, whole_number, widths_of

BASE = (300, 100)
IMAGE = (1, 28, 28)


class LeNet(nn.Module):
    """Two dense layers of ReLU units ``fc1`` and ``fc2``, then scores ``fc3``.

    Shapes: (N, C, H, W) to (N, classes).
    """

    def __init__(self, widths: Sequence[int], classes: int, image: Sequence[int]) -> None:
        super().__init__()
        first, second = widths_of("widths", widths, layers=2)
        channels, height, width = image_of(image)
        self.fc1 = nn.Linear(channels * height * width, first)
        self.fc2 = nn.Linear(first, second)
        self.fc3 = nn.Linear(second, whole_number("classes", classes))

    def forward(self, images: Tensor) -> Tensor:
        """Return the scores (N, classes) of images (N, C, H, W)."""
        scores: Tensor = self.fc3(F.relu(self.fc2(F.relu(self.fc1(images.flatten(1))))))
        return scores


def lenet(
    size_factor: float,
    *,
    classes: int = 10,
    image: Sequence[int] = IMAGE,
    base: Sequence[int] = BASE,
) -> LeNet:
    """Return LeNet-300-100, its hidden layers ``int(n * size_factor)`` units wide.

    Heitmann's network for MNIST (after Frankle and Carbin 2019); weights start from Glorot's normal
    and biases at 0.

    Raises :class:`~frivolous.errors.BadArgument` for an option out of its range and where a layer
    would be left without a unit.

    >>> from frivolous.families.mlp import parameter_count
    >>> parameter_count(lenet(1))
    266610
    """
    return LeNet(scaled(widths_of("base", base, layers=2), size_factor), classes, image)


LENET = Family(
    name="lenet-300-100",
    build=lenet,
    layers={"fc1": "fc1", "fc2": "fc2"},
    image=IMAGE,
    schemes=schemes("glorot-normal"),
)
