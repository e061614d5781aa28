"""Networks of random structure: every way in which layers can share units."""

from __future__ import annotations

import random
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Part = Callable[[nn.ModuleList, Tensor], Tensor]
CLASSES = 5
HOOKS = [name for name in vars(nn.Module()) if name.endswith("hooks") and name[0] == "_"]


class Generated(nn.Module):
    """Some parts in a row, drawn by a seed, and a head that reads what they give.

    A part is a function of all layers and a value; it knows its layers by their numbers.
    """

    def __init__(self, seed: int, parts: int = 4) -> None:
        super().__init__()
        self.rng, self.layers = random.Random(seed), nn.ModuleList()
        self.used: list[str] = []
        self.units = 3
        self.parts = [self.plain()]
        for kind in self.rng.sample(KINDS, parts):
            self.used.append(kind)
            self.parts.append(getattr(self, kind)())
        self.parts.append(self.flat() if self.rng.random() < 0.5 else self.pooled())

    def forward(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x = part(self.layers, x)
        return x

    def add(self, layer: nn.Module) -> int:
        self.layers.append(layer)
        return len(self.layers) - 1

    def conv(self, read: int, written: int, kernel: int = 3, groups: int = 1) -> int:
        bias = self.rng.random() < 0.5
        layer = nn.Conv2d(read, written, kernel, 1, kernel // 2, groups=groups, bias=bias)
        if self.rng.random() < 0.3:
            layer.weight.requires_grad_(False)
        return self.add(layer)

    def act(self) -> Callable[[Tensor], Tensor]:
        return self.rng.choice([F.relu, F.gelu, F.silu, torch.tanh, F.leaky_relu])

    def plain(self) -> Part:
        width = self.rng.choice([4, 6, 8])
        conv, act = self.conv(self.units, width), self.act()
        norm = self.add(nn.BatchNorm2d(width) if self.rng.random() < 0.7 else nn.Identity())
        self.units = width
        return lambda m, x: act(m[norm](m[conv](x)))

    def residual(self) -> Part:
        width, act = self.rng.choice([3, 5]), self.act()
        one, two = self.conv(self.units, width), self.conv(width, self.units)
        norm = self.add(nn.BatchNorm2d(self.units))
        return lambda m, x: act(x + m[norm](m[two](act(m[one](x)))))

    def before(self) -> Part:
        """A residual block that normalises what it reads."""
        width = self.rng.choice([3, 5])
        one, two = self.conv(self.units, width), self.conv(width, self.units)
        first, second = self.add(nn.BatchNorm2d(self.units)), self.add(nn.BatchNorm2d(width))
        return lambda m, x: x + m[two](F.relu(m[second](m[one](F.relu(m[first](x))))))

    def joined(self) -> Part:
        one, two = self.conv(self.units, 3, 1), self.conv(self.units, 5)
        act, keep = self.act(), self.rng.random() < 0.5
        self.units = 8 + keep * self.units
        return lambda m, x: act(torch.cat([m[one](x), m[two](x)] + [x] * keep, 1))

    def depthwise(self) -> Part:
        times = self.rng.choice([1, 2])
        conv = self.conv(self.units, self.units * times, groups=self.units)
        self.units *= times
        return lambda m, x: F.relu(m[conv](x))

    def grouped(self) -> Part:
        width = 4 if self.units % 2 else self.units
        first = self.conv(self.units, width, 1)
        conv, self.units = self.conv(width, 6, groups=2), 6
        return lambda m, x: torch.tanh(m[conv](F.relu(m[first](x))))

    def sloped(self) -> Part:
        conv, self.units = self.conv(self.units, 6), 6
        act = self.add(nn.PReLU(6))
        return lambda m, x: m[act](m[conv](x))

    def gated(self) -> Part:
        conv, self.units = self.conv(self.units, 10), 5
        if self.rng.random() < 0.5:
            return lambda m, x: F.glu(m[conv](x), 1)

        def gate(m: nn.ModuleList, x: Tensor) -> Tensor:
            one, two = m[conv](x).chunk(2, 1)
            return torch.sigmoid(one) * two

        return gate

    def excited(self) -> Part:
        down, up = self.conv(self.units, 3, 1), self.conv(3, self.units, 1)
        return lambda m, x: x * torch.sigmoid(m[up](F.relu(m[down](x.mean((2, 3), keepdim=True)))))

    def shared(self) -> Part:
        conv = self.conv(self.units, self.units)
        return lambda m, x: F.relu(m[conv](torch.tanh(m[conv](x))))

    def shrunk(self) -> Part:
        return lambda m, x: F.max_pool2d(x, 2)

    def neighbours(self) -> Part:
        """A normalisation over neighbours, read by one layer: its units go before it."""
        conv, read = self.conv(self.units, 8), self.conv(8, 4, 1)
        norm, self.units = self.add(nn.LocalResponseNorm(3, alpha=0.5)), 4
        return lambda m, x: m[read](m[norm](F.relu(m[conv](x))))

    def flat(self) -> Part:
        side = 3 if "shrunk" in self.used else 6
        dense, out = self.add(nn.Linear(self.units * side**2, 7)), self.add(nn.Linear(7, CLASSES))
        return lambda m, x: m[out](F.relu(m[dense](x.flatten(1))))

    def pooled(self) -> Part:
        out = self.add(nn.Linear(self.units, CLASSES))
        return lambda m, x: m[out](x.mean((2, 3)))


KINDS = [
    *("residual", "before", "joined", "depthwise", "grouped", "sloped", "gated", "excited"),
    *("shared", "shrunk", "neighbours"),
]


def generated(seed: int, parts: int = 4) -> Generated:
    """A network with no parameter or statistic of 0 or 1, some of its parts in train mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Generated(seed, parts)
        with torch.no_grad():
            for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
                if "running_var" in name:
                    tensor.uniform_(0.5, 1.5)
                elif tensor.dtype.is_floating_point:
                    scale = 0.5 if tensor.dim() < 2 else tensor[0].numel() ** -0.5
                    tensor.normal_().mul_(scale)
    return model.train(seed % 2 == 0)


def picture(model: nn.Module) -> list[object]:
    """Everything of a model that reading or cutting it might change."""
    tensors = [*model.named_parameters(), *model.named_buffers()]
    return [
        *((name, id(t), t._version, t.requires_grad, tuple(t.shape)) for name, t in tensors),
        *(
            (name, id(m), m.training, repr(m), *(len(getattr(m, hooks)) for hooks in HOOKS))
            for name, m in model.named_modules()
        ),
    ]
