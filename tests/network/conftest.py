"""Small models of every kind that a network is read from."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from frivolous.network import Network, trace


class Lenet(nn.Module):
    """conv-relu-pool-LRN twice, then dense; one activation module for everything."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 8, 3, padding=1)
        self.pool, self.norm = nn.MaxPool2d(2), nn.LocalResponseNorm(5, alpha=0.1)
        self.act, self.drop = nn.ReLU(), nn.Dropout(0.5)
        self.fc1, self.fc2 = nn.Linear(8 * 4, 12), nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.pool(self.act(self.conv1(x))))
        x = self.norm(self.pool(self.act(self.conv2(x))))
        return self.fc2(self.drop(self.act(self.fc1(x.flatten(1)))))


class Block(nn.Module):
    """A basic residual block, activation after the sum, in place."""

    def __init__(self, read: int, written: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(read, written, 3, stride, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(written), nn.BatchNorm2d(written)
        self.conv2 = nn.Conv2d(written, written, 3, 1, 1, bias=False)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = (
            nn.Sequential(nn.Conv2d(read, written, 1, stride), nn.BatchNorm2d(written))
            if stride > 1
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class Resnet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.layer1, self.layer2 = Block(4, 4, 1), Block(4, 8, 2)
        self.fc = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer2(self.layer1(F.relu(self.bn(self.conv(x)))))
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


class PreBlock(nn.Module):
    def __init__(self, read: int, written: int, stride: int) -> None:
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(read), nn.BatchNorm2d(written)
        self.conv1 = nn.Conv2d(read, written, 3, stride, 1)
        self.conv2 = nn.Conv2d(written, written, 3, 1, 1)
        self.shortcut = nn.Conv2d(read, written, 1, stride) if stride > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(x))
        short = x if self.shortcut is None else self.shortcut(y)
        return short + self.conv2(F.relu(self.bn2(self.conv1(y))))


class PreResnet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.block1, self.block2 = PreBlock(4, 4, 1), PreBlock(4, 6, 2)
        self.bn, self.fc = nn.BatchNorm2d(6), nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn(self.block2(self.block1(self.conv(x)))))
        return self.fc(x.mean((2, 3)))


class Twice(nn.Module):
    """One layer called twice, in-place activations, and a raw parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.fc0, self.fc = nn.Linear(6, 7), nn.Linear(7, 7)
        self.last = nn.Parameter(torch.randn(5, 7))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu_(self.fc0(x))
        x = F.relu(self.fc(x), inplace=True)
        x = self.fc(x).tanh_()
        return F.linear(x, self.last)


class Branches(nn.Module):
    """Two parallel convolutions of a sequence, concatenated."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv1d(2, 3, 3, padding=1), nn.Conv1d(2, 4, 1)
        self.mix, self.fc = nn.Conv1d(7, 6, 3), nn.Linear(6 * 4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([F.relu(self.a(x)), F.avg_pool1d(F.gelu(self.b(x)), 3, 1, 1)], dim=1)
        x = F.max_pool1d(self.mix(x), 2)
        return self.fc(x.view(x.size(0), -1))


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 8), nn.BatchNorm1d(8), nn.GELU(), nn.Linear(8, 5)
    )


def volume() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv3d(1, 3, 3), nn.ELU(), nn.AdaptiveMaxPool3d(2), nn.Flatten(), nn.Linear(24, 5))
    )


BUILDERS = {
    "mlp": (mlp, (6,)),
    "lenet": (Lenet, (3, 8, 8)),
    "resnet": (Resnet, (3, 8, 8)),
    "preresnet": (PreResnet, (3, 8, 8)),
    "twice": (Twice, (6,)),
    "branches": (Branches, (2, 10)),
    "volume": (volume, (1, 6, 6, 6)),
}

Build = Callable[[str], tuple[nn.Module, Tensor]]


def settled(model: nn.Module, seed: int = 0) -> nn.Module:
    """Parameters and running statistics drawn anew, so that no normalisation is the identity."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in model.parameters():
            scale = 1 if tensor.dim() < 2 else tensor[0].numel() ** -0.5
            tensor.copy_(torch.randn(tensor.shape, generator=rng) * scale)
        for name, buffer in model.named_buffers():
            if "running" in name:
                buffer.copy_(torch.rand(buffer.shape, generator=rng) + 0.5)
    return model


def made(name: str) -> tuple[nn.Module, Tensor]:
    """A model by name, in evaluation mode, and a batch of seven inputs."""
    make, shape = BUILDERS[name]
    inputs = torch.randn(7, *shape, generator=torch.Generator().manual_seed(1))
    return settled(make()).eval(), inputs


@cache
def read_once(name: str) -> tuple[nn.Module, Tensor, Network]:
    """A model, its inputs and its network, read from one example: for tests that change none."""
    model, inputs = made(name)
    return model, inputs, trace(model, inputs[:1])


@pytest.fixture
def build() -> Build:
    """A model of a test's own."""
    return made


@pytest.fixture(params=list(BUILDERS))
def case(request: pytest.FixtureRequest) -> tuple[nn.Module, Tensor]:
    return made(request.param)


@pytest.fixture
def known() -> Callable[[str], tuple[nn.Module, Tensor, Network]]:
    """A model by name with its network, which all tests share."""
    return read_once


@pytest.fixture(params=list(BUILDERS))
def known_case(request: pytest.FixtureRequest) -> tuple[nn.Module, Tensor, Network]:
    return read_once(request.param)
