"""Networks that several benchmarks measure, and where hooks have to stand to reach their sites.

The library finds a network's sites by itself. Its peers are told them here: for each site the
module whose output (or input) is the site's value, or a value that is zero where the site's is.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from frivolous.families import FAMILIES
from frivolous.rng import generator


@dataclass(frozen=True)
class Place:
    """Where a hook reaches a site: at the output of ``module``, or at its ``input``."""

    module: str
    input: bool = False


@dataclass(frozen=True)
class Subject:
    """A network in evaluation mode, the shape of an example and the places of its sites."""

    net: nn.Module
    shape: tuple[int, ...]
    places: dict[str, Place]

    def inputs(self, examples: int) -> Tensor:
        """Random examples, always the same."""
        return torch.randn(examples, *self.shape, generator=torch.Generator().manual_seed(1))


def dense() -> Subject:
    """Two hidden layers of 512 units."""
    return _dense(2)


def dense3() -> Subject:
    """Three hidden layers of 512 units."""
    return _dense(3)


def _dense(hidden: int) -> Subject:
    layers: list[nn.Module] = []
    for read in (784, *[512] * (hidden - 1)):
        layers += [nn.Linear(read, 512), nn.ReLU()]
    return _sequential((784,), *layers, nn.Linear(512, 10))


def convolutional() -> Subject:
    """The papers' small AlexNet at a quarter of its width, on 32 x 32 images."""
    return alexnet(0.25)


def alexnet(factor: float = 1) -> Subject:
    """The papers' AlexNet for 32 x 32 images."""
    first, second, third, fourth = (int(n * factor) for n in (96, 256, 384, 192))
    return _sequential(
        (3, 32, 32),
        *(nn.Conv2d(3, first, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)),
        nn.LocalResponseNorm(5),
        *(nn.Conv2d(first, second, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)),
        nn.LocalResponseNorm(5),
        nn.Flatten(),
        *(nn.Linear(second * 64, third), nn.ReLU(), nn.Linear(third, fourth), nn.ReLU()),
        nn.Linear(fourth, 10),
    )


def _sequential(shape: tuple[int, ...], *layers: nn.Module) -> Subject:
    places = {
        str(i - 1): Place(str(i)) for i, layer in enumerate(layers) if isinstance(layer, nn.ReLU)
    }
    net = nn.Sequential(*layers).eval()
    return Subject(_balanced(net, shape), shape, places)


@torch.no_grad()
def _balanced(net: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    """Take the mean scores off the last bias: else random weights give one label to all."""
    last = [module for module in net.modules() if isinstance(module, nn.Linear)][-1]
    last.bias -= net(torch.randn(64, *shape)).mean(0)
    return net


def resnet56(factor: float = 0.5) -> Subject:
    """The papers' ResNet-56, its normalisation fitted to random images."""
    family, shape = FAMILIES["resnet56"], (3, 32, 32)
    net = family.build(factor, norm_decay=0.5)
    family.start(net, "default", generator("benchmark"))
    # Fresh running statistics normalise nothing, and 27 blocks then add up to huge scores.
    with torch.no_grad():
        for _ in range(6):
            net(torch.randn(64, *shape))
    places = {"conv": Place("groups", input=True)}
    for path, module in net.named_modules():
        if hasattr(module, "second"):
            places[f"{path}.first"] = Place(f"{path}.second", input=True)
            places[f"{path}.second"] = Place(path)
    return Subject(_balanced(net.eval(), shape), shape, places)


def product_speed(clock: Callable[[], float], size: int = 2048) -> float:
    """Multiply-adds per second of one large float32 product: the median of seven."""
    a = torch.randn(size, size)
    times = []
    for _ in range(7):
        start = clock()
        a @ a
        times.append(clock() - start)
    return size**3 / statistics.median(times)
