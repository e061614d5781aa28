"""Small models of architectures that a network is read from, written in PyTorch alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CLASSES = 3
TOKENS = 20
LENGTH = 6


@dataclass
class Scores:
    """An output as a dataclass, with more in it than scores."""

    logits: Tensor
    hidden: tuple[Tensor, ...] = ()


class Dense(nn.Module):
    """DenseNet: every layer reads all before it, concatenated, normalised and rectified."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(4 + 3 * i) for i in range(3))
        self.convs = nn.ModuleList(nn.Conv2d(4 + 3 * i, 3, 3, padding=1) for i in range(3))
        self.norm, self.out = nn.BatchNorm2d(13), nn.Linear(13, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        features = [self.stem(x)]
        for norm, conv in zip(self.norms, self.convs, strict=True):
            features.append(conv(F.relu(norm(torch.cat(features, 1)))))
        x = F.relu(self.norm(torch.cat(features, 1)))
        return self.out(x.mean((2, 3)))


class Inception(nn.Module):
    """Branches of several depths, one by pooling, concatenated twice."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b1, self.b2 = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 5, 1), nn.Conv2d(5, 4, 3, 1, 1)
        self.pooled, self.mix = nn.Conv2d(3, 3, 1), nn.Conv2d(11, 6, 3)
        self.out = nn.Linear(6 * 9, CLASSES)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        branches = [self.a(x), self.b2(F.relu(self.b1(x))), self.pooled(F.avg_pool2d(x, 3, 1, 1))]
        x = F.relu(self.mix(F.relu(torch.cat(branches, 1))))
        return {"scores": self.out(F.max_pool2d(x, 2).flatten(1))}


class Mobile(nn.Module):
    """Inverted residuals: depthwise convolutions, squeeze-and-excitation, linear bottlenecks."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 4, 3, 2, 1, bias=False), nn.BatchNorm2d(4)
        self.expand, self.depthwise = nn.Conv2d(4, 8, 1), nn.Conv2d(8, 8, 3, 1, 1, groups=8)
        self.squeeze, self.excite = nn.Conv2d(8, 2, 1), nn.Conv2d(2, 8, 1)
        self.project, self.bn = nn.Conv2d(8, 4, 1), nn.BatchNorm2d(4)
        self.last, self.out = nn.Conv2d(4, 6, 1), nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.norm(self.stem(x))
        y = F.hardswish(self.depthwise(F.hardswish(self.expand(x))))
        gate = self.excite(F.silu(self.squeeze(F.adaptive_avg_pool2d(y, 1))))
        x = x + self.bn(self.project(y * F.hardsigmoid(gate)))
        x = F.hardswish(self.last(x))
        return self.out(x.mean((2, 3))), x.argmax(1)


class Grouped(nn.Module):
    """Grouped convolutions with channels shuffled between, group normalisation, and gated units."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(4, 8, 3, groups=2), nn.Conv2d(8, 6, 3, groups=2)
        self.norm, self.fc = nn.GroupNorm(2, 8), nn.Linear(6, 10)
        self.out = nn.Linear(5, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = F.silu(self.norm(self.one(x)))
        n, c, h, w = x.shape
        x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        return self.out(F.glu(self.fc(F.relu(self.two(x)).mean((2, 3)))))


class Decoder(nn.Module):
    """A dense layer unfolded into feature maps, and transposed convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.up1 = nn.Linear(5, 4 * 4), nn.ConvTranspose2d(4, 6, 4, 2, 1)
        self.norm, self.up2 = nn.InstanceNorm2d(6), nn.ConvTranspose2d(6, 4, 2, 2, groups=2)
        self.out = nn.Conv2d(4, CLASSES, 1)

    def forward(self, z: Tensor) -> Tensor:
        x = F.relu(self.fc(z)).view(-1, 4, 2, 2)
        x = F.leaky_relu(self.norm(self.up1(x)))
        return self.out(torch.tanh(self.up2(x)))


class Gated(nn.Module):
    """Pre-norm blocks of gated units with RMS normalisation, one block shared by two places."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(TOKENS, 8)
        self.norm, self.gate_up, self.down = nn.RMSNorm(8), nn.Linear(8, 12), nn.Linear(6, 8)
        self.last = nn.RMSNorm(8)

    def forward(self, ids: Tensor) -> Scores:
        x = self.table(ids)
        hidden = [x]
        for _ in range(2):
            gate, up = self.gate_up(self.norm(x)).chunk(2, -1)
            x = x + self.down(F.silu(gate) * up)
            hidden.append(x)
        return Scores(F.linear(self.last(x), self.table.weight), tuple(hidden))


class Attending(nn.Module):
    """PyTorch's own attention: several inputs, batch in front or not, weights wanted or not."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.keys = nn.Linear(5, 8), nn.Linear(4, 8)
        self.cross = nn.MultiheadAttention(8, 2, batch_first=True)
        self.own = nn.MultiheadAttention(8, 4)
        self.out = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        x, memory = F.relu(self.embed(x)), F.relu(self.keys(memory))
        x = F.gelu(self.cross(x, memory, memory)[0]).transpose(0, 1)
        x = torch.tanh(self.own(x, x, x, need_weights=False)[0])
        return self.out(x.mean(0))


class ByHand(nn.Module):
    """Attention written out: queries from one head's keys, a mask, relative positions, einsum."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.proj, self.out = nn.Linear(5, 24), nn.Linear(8, 8), nn.Linear(8, CLASSES)
        self.bias = nn.Parameter(torch.randn(2, LENGTH, LENGTH))

    def forward(self, x: Tensor) -> Tensor:
        n, length, _ = x.shape
        q, k, v = self.qkv(x).view(n, length, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        scores = torch.einsum("nhqd,nhkd->nhqk", q, k) * 0.5 + self.bias
        hidden = torch.ones(length, length, dtype=torch.bool).triu(1)
        weights = scores.masked_fill(hidden, float("-inf")).softmax(-1)
        mixed = torch.einsum("nhqk,nhkd->nqhd", weights, v).flatten(2)
        return self.out(F.relu(self.proj(mixed))[:, -1])


class Stacked(nn.Module):
    """PyTorch's own transformer layers, the normalisation behind or in front."""

    def __init__(self, norm_first: bool) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            8, 2, 12, batch_first=not norm_first, norm_first=norm_first
        )
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.batch_first, self.embed = not norm_first, nn.Linear(5, 8)
        self.out = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        x = self.encoder(x if self.batch_first else x.transpose(0, 1))
        return self.out(x.mean(1 if self.batch_first else 0))


class Mixer(nn.Module):
    """MLP-Mixer: dense layers over positions and over channels in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm1, self.norm2 = nn.Conv2d(3, 6, 2, 2), nn.LayerNorm(6), nn.LayerNorm(6)
        self.tokens1, self.tokens2 = nn.Linear(16, 5), nn.Linear(5, 16)
        self.units1, self.units2 = nn.Linear(6, 7), nn.Linear(7, 6)
        self.out = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2)
        y = self.norm1(x).transpose(1, 2)
        x = x + self.tokens2(F.gelu(self.tokens1(y))).transpose(1, 2)
        x = x + self.units2(F.gelu(self.units1(self.norm2(x))))
        return self.out(x.mean(1))
