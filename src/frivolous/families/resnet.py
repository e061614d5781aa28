"""Residual networks of the papers: ResNet56 for CIFAR-10 and ResNet18 for ImageNet."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from frivolous.families.family import Family, schemes
from frivolous.families.layers import max_pool_same
from frivolous.families.norm_relu import norm_relu
from frivolous.families.sizes import image_of, scaled, share, whole_number, widths_of

BASE_56 = (16, 16, 32, 64)
BASE_18 = (64, 64, 128, 256, 512)
IMAGE_56 = (3, 32, 32)
IMAGE_18 = (3, 224, 224)
BATCH_NORM_DECAY = 0.997


class Projection(nn.Conv2d):
    """A convolution of 1 by 1 without bias; at every second pixel, it reads those pixels alone.

    Equal to rounding to ``nn.Conv2d``. In training on a processor, of fewer than 8 maps: there the
    gradient of oneDNN's strided AVX2 kernel writes beyond its memory (its issue 6035).
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return maps (N, written, ceil(H / stride), ceil(W / stride))."""
        if self.training and self.in_channels < 8 and input.device.type == "cpu":
            down, across = self.stride
            return F.conv2d(input[:, :, ::down, ::across], self.weight)
        return super().forward(input)


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut: ``relu(norm(second(...)) + shortcut)``.

    The shortcut is the input itself, or ``norm(projection(input))`` by a convolution of 1 by 1.
    Shapes: (N, read, H, W) to (N, written, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(self, read: int, written: int, stride: int, project: bool, decay: float) -> None:
        super().__init__()
        self.first = nn.Conv2d(read, written, 3, stride, padding=1, bias=False)
        self.first_norm = _norm(written, decay)
        self.second = nn.Conv2d(written, written, 3, padding=1, bias=False)
        self.second_norm = _norm(written, decay)
        self.projection: nn.Module | None = None
        if project:
            self.projection = Projection(read, written, 1, stride, bias=False)
            self.projection_norm = _norm(written, decay)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the block's feature maps."""
        shortcut = maps
        if self.projection is not None:
            shortcut = self.projection_norm(self.projection(maps))
        inner = norm_relu(self.first_norm, self.first(maps))
        return norm_relu(self.second_norm, self.second(inner), shortcut)


class ResNet(nn.Module):
    """A first convolution, groups of :class:`Block`, the mean over positions, then scores.

    ``widths`` are the feature maps of the first convolution and of every group. Every group
    starts with a block that has a projection, the first group too, and all but the first halve
    the image there. ``stem`` "small" is a convolution of 3 by 3; "large" one of 7 by 7 at every
    second pixel and max-pooling of 3 by 3 at every second pixel.

    Shapes: (N, channels, H, W) to (N, classes), whatever H and W.
    """

    def __init__(
        self,
        widths: Sequence[int],
        blocks: int,
        stem: str,
        *,
        classes: int,
        channels: int,
        decay: float,
    ) -> None:
        super().__init__()
        self.large = stem == "large"
        size, stride = (7, 2) if self.large else (3, 1)
        self.conv = nn.Conv2d(channels, widths[0], size, stride, padding=size // 2, bias=False)
        self.norm = _norm(widths[0], decay)
        self.groups = nn.Sequential(
            *(
                _group(read, written, blocks, 1 if i == 0 else 2, decay)
                for i, (read, written) in enumerate(pairwise(widths))
            )
        )
        self.dense = nn.Linear(widths[-1], whole_number("classes", classes))

    def forward(self, images: Tensor) -> Tensor:
        """Return the scores (N, classes) of prepared images (N, channels, H, W)."""
        maps = norm_relu(self.norm, self.conv(images))
        if self.large:
            maps = max_pool_same(maps)
        scores: Tensor = self.dense(self.groups(maps).mean((2, 3)))
        return scores


def resnet56(
    size_factor: float,
    *,
    classes: int = 10,
    image: Sequence[int] = IMAGE_56,
    base: Sequence[int] = BASE_56,
    norm_decay: float = BATCH_NORM_DECAY,
) -> ResNet:
    """Return the papers' ResNet56: a convolution and three groups of nine blocks.

    ``base`` holds the feature maps at size factor 1 of the first convolution and of each group;
    widths are ``int(n * size_factor)``.

    The text lists 16, 16, 32, 64 and 128 filters and "Glorot" weights; the original code has
    the 16, 16, 32 and 64 built here, and draws convolutions from truncated normals of variance
    1 / fan_in and the scores' weights from Glorot's uniform. Batch normalisation has epsilon
    1e-5 and keeps ``norm_decay`` of its running statistics at a step; the papers' 0.997 needs a
    thousand steps, pass 0.9 for short training.

    Raises :class:`~frivolous.errors.BadArgument` for an option out of its range and where a layer
    would be left without a unit.

    >>> from frivolous.families.mlp import parameter_count
    >>> parameter_count(resnet56(1 / 4))
    54518
    """
    widths = scaled(widths_of("base", base, layers=4), size_factor)
    decay = share("norm_decay", norm_decay)
    channels = image_of(image)[0]
    return ResNet(widths, 9, "small", classes=classes, channels=channels, decay=decay)


def resnet18(
    size_factor: float,
    *,
    classes: int = 1001,
    image: Sequence[int] = IMAGE_18,
    base: Sequence[int] = BASE_18,
    norm_decay: float = BATCH_NORM_DECAY,
) -> ResNet:
    """Return the papers' ResNet18: a convolution and four groups of two blocks.

    ``base`` holds the feature maps at size factor 1 of the first convolution and of each group;
    widths are ``int(n * size_factor)``. The original code has 1001 classes: ImageNet's and
    one for the background.

    The text lists 64, 64, 128 and 256 filters and kernels of 7 by 7 throughout; the original
    code has the 64 and 64, 128, 256, 512 built here, and 7 by 7 in the first convolution only.
    Weights and normalisation are those of :func:`resnet56`.

    Raises :class:`~frivolous.errors.BadArgument` for an option out of its range and where a layer
    would be left without a unit.

    >>> from frivolous.families.mlp import parameter_count
    >>> parameter_count(resnet18(1 / 4))
    831513
    """
    widths = scaled(widths_of("base", base, layers=5), size_factor)
    decay = share("norm_decay", norm_decay)
    channels = image_of(image)[0]
    return ResNet(widths, 2, "large", classes=classes, channels=channels, decay=decay)


def _group(read: int, written: int, blocks: int, stride: int, decay: float) -> nn.Sequential:
    rest = (Block(written, written, 1, False, decay) for _ in range(blocks - 1))
    return nn.Sequential(Block(read, written, stride, True, decay), *rest)


def _norm(maps: int, decay: float) -> nn.BatchNorm2d:
    """Return batch normalisation whose running statistics keep ``decay`` of themselves a step."""
    return nn.BatchNorm2d(maps, eps=1e-5, momentum=1 - decay)


def _layers(groups: int, blocks: int) -> dict[str, str]:
    last = {f"block-{i + 1}": f"groups.{i}.{blocks - 1}.second" for i in range(groups)}
    return {"init-conv": "conv", **last}


_SCHEMES = schemes({"dense": "glorot-uniform", "*": "lecun-truncated"})

RESNET56 = Family("resnet56", resnet56, _layers(3, 9), IMAGE_56, _SCHEMES)
RESNET18 = Family("resnet18", resnet18, _layers(4, 2), IMAGE_18, _SCHEMES)
