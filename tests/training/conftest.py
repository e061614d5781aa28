"""A small convolutional network, images it can learn, and a way to train it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from frivolous.data.splits import Examples, Splits
from frivolous.rng import generator


def _images(count: int, seed: int) -> Examples:
    drawn = generator("loop test", seed)
    labels = torch.randint(0, 4, (count,), generator=drawn)
    values = torch.rand(count, 2, 6, 6, generator=drawn)
    return Examples(values + labels.view(-1, 1, 1, 1) / 4, labels)


@pytest.fixture
def splits() -> Splits:
    """Give 50 training, 20 validation and 8 test images (2, 6, 6) of 4 classes."""
    return Splits(_images(50, 0), _images(20, 1), _images(8, 2), classes=4)


@pytest.fixture
def network() -> Callable[..., nn.Sequential]:
    """Give the function that makes the network, always in the same state."""

    def make(*, dropout: float = 0.0, norm: bool = False) -> nn.Sequential:
        model = nn.Sequential(
            nn.Conv2d(2, 4, 3),
            nn.BatchNorm2d(4) if norm else nn.Identity(),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(64, 4),
        )
        drawn = generator("loop test network")
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.dim() > 1:
                    parameter.copy_(torch.randn(parameter.shape, generator=drawn) * 0.1)
                else:
                    parameter.fill_(1.0 if name == "1.weight" else 0.0)
        return model

    return make
