"""VGG19 with batch normalisation, in its form for CIFAR-10."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from frivolous.families.family import Family, schemes
from frivolous.families.norm_relu import norm_relu
from frivolous.families.sizes import image_of, scaled, share, whole_number, widths_of

BASE = (64, 128, 256, 512, 512, 512, 512)
IMAGE = (3, 32, 32)
CONVOLUTIONS = (2, 2, 4, 4, 4)


class VGG(nn.Module):
    """Five groups of 3 by 3 convolutions, each followed by pooling; two dense layers; scores.

    ``widths`` are those of the groups, in which every convolution has as many filters, then of
    ``fc1`` and ``fc2``; ``fc3`` gives the scores. Every convolution ``conv1``, ..., ``conv16`` is
    followed by batch normalisation (``norm1``, ...) and ReLU; max-pooling of 2 by 2 halves the
    image; the mean over the positions left enters ``fc1``. ``dropout`` acts after ``fc1`` and
    ``fc2``.

    Shapes: (N, C, H, W) to (N, classes), H and W at least 32.
    """

    def __init__(
        self, widths: Sequence[int], classes: int, image: Sequence[int], dropout: float
    ) -> None:
        super().__init__()
        *groups, first, second = widths_of("widths", widths, layers=len(BASE))
        read = image_of(image, smallest=32)[0]
        self.dropout = share("dropout", dropout)
        number = 0
        for written, convolutions in zip(groups, CONVOLUTIONS, strict=True):
            for _ in range(convolutions):
                number += 1
                self.add_module(f"conv{number}", nn.Conv2d(read, written, 3, padding=1))
                self.add_module(f"norm{number}", nn.BatchNorm2d(written))
                read = written
        self.fc1 = nn.Linear(read, first)
        self.fc2 = nn.Linear(first, second)
        self.fc3 = nn.Linear(second, whole_number("classes", classes))

    def forward(self, images: Tensor) -> Tensor:
        """Return the scores (N, classes) of images (N, C, H, W)."""
        maps, number = images, 0
        for convolutions in CONVOLUTIONS:
            for _ in range(convolutions):
                number += 1
                norm = cast(nn.BatchNorm2d, self.get_submodule(f"norm{number}"))
                maps = norm_relu(norm, self.get_submodule(f"conv{number}")(maps))
            maps = F.max_pool2d(maps, 2)
        value = F.dropout(F.relu(self.fc1(maps.mean((2, 3)))), self.dropout, self.training)
        value = F.dropout(F.relu(self.fc2(value)), self.dropout, self.training)
        scores: Tensor = self.fc3(value)
        return scores


def vgg19_bn(
    size_factor: float,
    *,
    classes: int = 10,
    image: Sequence[int] = IMAGE,
    base: Sequence[int] = BASE,
    dropout: float = 0.5,
) -> VGG:
    """Return VGG19 with batch normalisation, its layers ``int(n * size_factor)`` units wide.

    ``base`` holds the widths at size factor 1 of the five groups of convolutions and of the two
    dense layers. Heitmann's network for CIFAR-10: 16 convolutions with biases, dense layers of
    512 and 512 units behind the mean over positions, dropout of 0.5 after each of the two. Weights
    start from Glorot's normal and biases at 0.

    Raises :class:`~frivolous.errors.BadArgument` for an option out of its range, images below 32
    pixels a side and where a layer would be left without a unit.

    >>> from frivolous.families.mlp import parameter_count
    >>> parameter_count(vgg19_bn(1))
    20565834
    """
    widths = scaled(widths_of("base", base, layers=len(BASE)), size_factor)
    return VGG(widths, classes, image, dropout)


_LAYERS = [*(f"conv{i + 1}" for i in range(sum(CONVOLUTIONS))), "fc1", "fc2"]

VGG19_BN = Family(
    name="vgg19-bn",
    build=vgg19_bn,
    layers={name: name for name in _LAYERS},
    image=IMAGE,
    schemes=schemes("glorot-normal"),
)
