"""Networks for images trained the way everybody writes it: a data set, a loader, torch.optim.

The peer of the training benchmark. Modules are those a tutorial shows, in PyTorch's default memory
format; images are prepared one at a time in ``__getitem__`` by tensor operations.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset


class PlainAlexNet(nn.Module):
    """The papers' AlexNet with ``nn.LocalResponseNorm``."""

    def __init__(self, size_factor: float) -> None:
        super().__init__()
        first, second, third, fourth = (int(n * size_factor) for n in (96, 256, 384, 192))
        self.features = nn.Sequential(
            nn.Conv2d(3, first, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0),
            nn.Conv2d(first, second, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0),
        )
        self.scores = nn.Sequential(
            nn.Flatten(),
            nn.Linear(second * 64, third),
            nn.ReLU(),
            nn.Linear(third, fourth),
            nn.ReLU(),
            nn.Linear(fourth, 10),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return scores (N, 10) of images (N, 3, 32, 32)."""
        scores: Tensor = self.scores(self.features(images))
        return scores


class PlainBlock(nn.Module):
    """The basic block of a residual network."""

    def __init__(self, read: int, written: int, stride: int, project: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(read, written, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(written)
        self.conv2 = nn.Conv2d(written, written, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(written)
        self.shortcut = nn.Sequential()
        if project:
            self.shortcut = nn.Sequential(
                nn.Conv2d(read, written, 1, stride, bias=False), nn.BatchNorm2d(written)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's feature maps."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out = out + self.shortcut(x)
        return F.relu(out)


def plain_resnet56(size_factor: float) -> nn.Module:
    """Return ResNet56: a convolution, three groups of nine blocks, scores."""
    read, *groups = (int(n * size_factor) for n in (16, 16, 32, 64))
    layers: list[nn.Module] = [nn.Conv2d(3, read, 3, 1, 1, bias=False), nn.BatchNorm2d(read)]
    layers.append(nn.ReLU())
    for group, written in enumerate(groups):
        for block in range(9):
            stride = 2 if group > 0 and block == 0 else 1
            layers.append(PlainBlock(read, written, stride, block == 0))
            read = written
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(read, 10))


class PlainImages(Dataset[tuple[Tensor, Tensor]]):
    """Decoded images (N, 3, 32, 32) of bytes, augmented and standardised one at a time."""

    def __init__(self, images: Tensor, labels: Tensor, family: str) -> None:
        self.images, self.labels, self.family = images, labels, family

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image = self.images[index].float()
        side = 28 if self.family == "alexnet" else 32
        if self.family == "resnet56":
            image = F.pad(image, (4, 4, 4, 4))
        room = image.shape[-1] - side + 1
        top, left = torch.randint(room, (2,)).tolist()
        image = image[:, top : top + side, left : left + side]
        flip, light, contrast = torch.rand(3).tolist()
        if flip < 0.5:
            image = image.flip(2)
        if self.family == "alexnet":
            image = image + (light * 126 - 63)
            mean = image.mean((1, 2), keepdim=True)
            image = (image - mean) * (0.2 + 1.6 * contrast) + mean
        spread, mean = torch.std_mean(image)
        image = (image - mean) / spread.clamp(min=image.numel() ** -0.5)
        if self.family == "alexnet":
            image = F.interpolate(image[None], (32, 32), mode="bilinear", align_corners=False)[0]
        return image, self.labels[index]


def plain_loader(
    images: Tensor, labels: Tensor, family: str, batch: int, workers: int
) -> DataLoader[tuple[Tensor, Tensor]]:
    """Return a loader of prepared batches."""
    return DataLoader(
        PlainImages(images, labels, family),
        batch,
        shuffle=True,
        num_workers=workers,
        drop_last=True,
        persistent_workers=workers > 0,
    )
