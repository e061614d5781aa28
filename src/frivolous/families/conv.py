"""Conv-2, Conv-4 and Conv-6: pairs of convolutions, then two dense layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from frivolous.families.family import Family, schemes
from frivolous.families.sizes import image_of, scaled, whole_number, widths_of

CONVOLUTIONS = (64, 64, 128, 128, 256, 256)
DENSE = (256, 256)
IMAGE = (3, 32, 32)


class ConvNet(nn.Module):
    """Pairs of 3 by 3 convolutions, each pair followed by pooling; two dense layers; scores.

    ``widths`` are those of ``conv1``, ``conv2``, ..., ``fc1`` and ``fc2``; ``fc3`` gives the
    scores. Convolutions keep the size of the image, max-pooling of 2 by 2 halves it (a last odd
    row or column is left out).

    Shapes: (N, C, H, W) to (N, classes).
    """

    def __init__(self, widths: Sequence[int], classes: int, image: Sequence[int]) -> None:
        super().__init__()
        *filters, first, second = widths_of("widths", widths)
        halvings = len(filters) // 2
        read, height, width = image_of(image, smallest=2**halvings)
        for i, written in enumerate(filters):
            self.add_module(f"conv{i + 1}", nn.Conv2d(read, written, 3, padding=1))
            read = written
        self.convolutions = len(filters)
        self.fc1 = nn.Linear(read * (height >> halvings) * (width >> halvings), first)
        self.fc2 = nn.Linear(first, second)
        self.fc3 = nn.Linear(second, whole_number("classes", classes))

    def forward(self, images: Tensor) -> Tensor:
        """Return the scores (N, classes) of images (N, C, H, W)."""
        maps = images
        for number in range(1, self.convolutions + 1):
            maps = F.relu(self.get_submodule(f"conv{number}")(maps))
            if number % 2 == 0:
                maps = F.max_pool2d(maps, 2)
        scores: Tensor = self.fc3(F.relu(self.fc2(F.relu(self.fc1(maps.flatten(1))))))
        return scores


def conv(
    convolutions: int,
    size_factor: float,
    *,
    classes: int = 10,
    image: Sequence[int] = IMAGE,
    base: Sequence[int] | None = None,
) -> ConvNet:
    """Return Conv-2, Conv-4 or Conv-6, its layers ``int(n * size_factor)`` units wide.

    ``base`` holds the widths at size factor 1 of the ``convolutions`` and of the two dense
    layers. Heitmann's networks for CIFAR-10 (after Frankle and Carbin 2019); weights start from
    Glorot's normal and biases at 0.

    Raises :class:`~frivolous.errors.BadArgument` for an option out of its range and where a layer
    would be left without a unit.

    >>> from frivolous.families.mlp import parameter_count
    >>> [parameter_count(conv(n, 1)) for n in (2, 4, 6)]
    [4301642, 2425930, 2262602]
    """
    widths = (*CONVOLUTIONS[:convolutions], *DENSE) if base is None else base
    widths = widths_of("base", widths, layers=convolutions + len(DENSE))
    return ConvNet(scaled(widths, size_factor), classes, image)


def _family(convolutions: int) -> Family:
    build: Callable[..., nn.Module] = partial(conv, convolutions)
    names = [*(f"conv{i + 1}" for i in range(convolutions)), "fc1", "fc2"]
    return Family(
        name=f"conv-{convolutions}",
        build=build,
        layers={name: name for name in names},
        image=IMAGE,
        schemes=schemes("glorot-normal"),
    )


CONV_2, CONV_4, CONV_6 = (_family(convolutions) for convolutions in (2, 4, 6))
