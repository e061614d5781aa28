"""Transforms from stored images to a network's inputs: crops, flips, colours, scaling, by batch.

A preparation works on whole batches (N, C, H, W) of uint8 images on any device. Random numbers are
drawn on the CPU from a generator and moved, so every device sees the same draws. Lengths are shares
of the image's side: the papers' 28 of 32 pixels are 14 of 16 in a small run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from frivolous.data.images.resizing import legacy_bilinear
from frivolous.errors import BadArgument

IMAGENET_MEANS = (123.68, 116.78, 103.94)
"""Means of ImageNet's red, green and blue, of 255, as TensorFlow's official models have them."""

MIDDLE = 128.0

Scaling = Literal["unit", "standardised", "centred", "symmetric"]


@dataclass(frozen=True)
class Draws:
    """The random numbers of one batch of N images: everything that :meth:`Preparation.apply` needs.

    ``corner`` (2, N): row and column of the crop; ``flip`` (N,): mirror left and right;
    ``brightness`` (N,): added to every pixel, of 255; ``contrast`` (N,): factor about the mean.
    """

    corner: Tensor
    flip: Tensor
    brightness: Tensor
    contrast: Tensor


@dataclass(frozen=True)
class Preparation:
    """How images become inputs: the same steps for training and testing, random or central.

    In order: pad with zeros, crop, flip, brightness, contrast, scale, resize back to the size
    before. Only ``train`` draws, and only where ``augmented``; otherwise crops are central.

    Args:
        scaling: ``unit`` divides by 255 (floats pass unchanged); ``standardised`` gives each image
            mean 0 and standard deviation 1 over pixels and channels, divided by at least
            1 / sqrt(numbers) as ``tf.image.per_image_standardization`` does; ``centred`` subtracts
            ImageNet's channel means and divides by nothing; ``symmetric`` maps 0..255 to -1..1.
        augmented: draw pad-crops, flips, brightness and contrast in training.
        crop: side of the crop, as a share of the side; resized back by :func:`legacy_bilinear`.
        pad: zeros on each side before a crop of the image's own size, as a share; training only.
        brightness: largest change either way, of 255. Standardisation takes it out again.
        contrast: range of the factor about each image's channel means.
    """

    scaling: Scaling
    augmented: bool = False
    crop: float = 1.0
    pad: float = 0.0
    brightness: float = 0.0
    contrast: tuple[float, float] = (1.0, 1.0)

    def train(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return the batch as a network reads it in training: floats (N, C, H, W).

        Raises:
            BadArgument: not a batch of uint8 images (``unit`` lets floats of any shape pass).
        """
        if not self._reads(images):
            return images
        if not self.augmented:
            return self._central(images)
        size = images.shape[2], images.shape[3]
        pad = round(self.pad * size[1])
        images = F.pad(images, (pad, pad, pad, pad)) if pad else images
        draws = self.draw(images, pad, generator)
        cropped = _windows(images, draws.corner, self._sides(images, pad))
        return self._scaled(_mirrored(cropped, draws.flip), size, draws)

    def test(self, images: Tensor) -> Tensor:
        """Return the batch as a trained network reads it: no random draws, central crop.

        Raises:
            BadArgument: as :meth:`train`.
        """
        return self._central(images) if self._reads(images) else images

    def draw(self, images: Tensor, pad: int, generator: torch.Generator) -> Draws:
        """Draw for a batch (N, C, H, W) that is padded already; always the same count of draws."""
        count = len(images)
        height, width = self._sides(images, pad)
        room = torch.tensor([[images.shape[2] - height + 1], [images.shape[3] - width + 1]])
        uniform = torch.rand(5, count, generator=generator)
        low, high = self.contrast
        return Draws(
            corner=(uniform[:2] * room).long().minimum(room - 1),
            flip=uniform[2] < 0.5,
            brightness=(2 * uniform[3] - 1) * self.brightness,
            contrast=low + (high - low) * uniform[4],
        )

    def _sides(self, images: Tensor, pad: int) -> tuple[int, int]:
        height, width = (round(self.crop * (side - 2 * pad)) for side in images.shape[2:])
        return max(height, 1), max(width, 1)

    def _central(self, images: Tensor) -> Tensor:
        height, width = self._sides(images, 0)
        top, left = (images.shape[2] - height) // 2, (images.shape[3] - width) // 2
        cropped = images[:, :, top : top + height, left : left + width]
        return self._scaled(cropped, (images.shape[2], images.shape[3]), None)

    def _scaled(self, images: Tensor, size: tuple[int, int], draws: Draws | None) -> Tensor:
        """Scale and resize to ``size``; colours and scaling are a gain and a shift of a channel.

        Resizing is linear and its weights sum to 1, so that one gain and shift may follow it.
        """
        values = images.float()
        changes = draws is not None and (self.contrast != (1.0, 1.0) or self.brightness > 0)
        if changes or self.scaling == "standardised":
            values -= MIDDLE
            gain, shift = self._from_moments(values, draws)
        else:
            ones = values.new_ones(values.shape[:2])
            gain, shift = self._fixed_scale(ones, torch.zeros_like(ones))
        if self.crop != 1.0:
            down, across = (legacy_bilinear(*x) for x in zip(values.shape[2:], size, strict=True))
            values = down.to(values.device) @ (values @ across.T.to(values.device))
        return values.mul_(gain[:, :, None, None]).add_(shift[:, :, None, None])

    def _from_moments(self, values: Tensor, draws: Draws | None) -> tuple[Tensor, Tensor]:
        """Return the gain and the shift (N, C) of ``values``, which are pixels less 128."""
        mean, variance = _moments(values)
        if draws is None:
            gain, shift = torch.ones_like(mean), torch.full_like(mean, MIDDLE)
        else:
            contrast, brightness = (x[:, None].to(mean) for x in (draws.contrast, draws.brightness))
            gain, shift = contrast.expand_as(mean), (1 - contrast) * mean + brightness + MIDDLE
        if self.scaling != "standardised":
            return self._fixed_scale(gain, shift)
        level = gain * mean + shift
        centre = level.mean(1, keepdim=True)
        spread = (gain**2 * variance + (level - centre) ** 2).mean(1, keepdim=True).sqrt()
        spread = spread.clamp(min=values[0].numel() ** -0.5)
        return gain / spread, (shift - centre) / spread

    def _fixed_scale(self, gain: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
        if self.scaling == "centred":
            return gain, shift - shift.new_tensor(IMAGENET_MEANS)
        if self.scaling == "symmetric":
            return gain / 127.5, shift / 127.5 - 1
        return gain / 255, shift / 255

    def _reads(self, images: Tensor) -> bool:
        """Whether there is anything to do; floats need nothing if only scaling is requested."""
        if images.dtype.is_floating_point and self.scaling == "unit":
            return False
        if images.dtype != torch.uint8 or images.ndim != 4:
            raise BadArgument(
                f"`images` must be uint8 of shape (N, C, H, W); got {images.dtype} of shape "
                f"{tuple(images.shape)}. Keep images as bytes from 0 to 255, or prepare by 'none'."
            )
        if self.scaling == "centred" and images.shape[1] != len(IMAGENET_MEANS):
            raise BadArgument(
                f"`images` must have 3 channels to subtract ImageNet's means; got "
                f"{images.shape[1]}. Repeat the channel, or prepare by 'inception' or 'none'."
            )
        return True


def _moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and population variance of each channel (N, C) of pixels less 128.

    Such sums of squares are exact in float32 up to 1,024 pixels, and products of rows with
    themselves are several times faster than ``torch.var_mean``.
    """
    rows = values.flatten(2)
    mean = rows.sum(2).double() / rows.shape[2]
    squares = torch.linalg.vecdot(rows, rows).double() / rows.shape[2]
    return mean.float(), (squares - mean**2).clamp(min=0).float()


def _windows(images: Tensor, corner: Tensor, sides: tuple[int, int]) -> Tensor:
    """Cut from each image (N, C, H, W) the window of ``sides`` that begins at its corner (2, N).

    A window's row is a run of the memory. Reading all runs as rows of one table, which overlap, is
    many times faster than indexing pixels.
    """
    count, channels, height, width = images.shape
    if (height, width) == sides:
        return images
    tall, wide = sides
    planes = torch.arange(count * channels).view(count, channels, 1) * height
    rows = planes + corner[0][:, None, None] + torch.arange(tall)
    starts = (rows * width + corner[1][:, None, None]).flatten().to(images.device)
    runs = images.reshape(-1).as_strided((images.numel() - wide + 1, wide), (1, 1))
    return runs.index_select(0, starts).view(count, channels, tall, wide)


def _mirrored(images: Tensor, flip: Tensor) -> Tensor:
    """Mirror left and right the images that ``flip`` (N,) names."""
    chosen = flip.nonzero().squeeze(1).to(images.device)
    return images.clone().index_copy_(0, chosen, images.index_select(0, chosen).flip(3))


PREPARATIONS: Mapping[str, Preparation] = {
    "none": Preparation("unit"),
    # Original code: 28x28 of 32x32, standardised, resized back to 32x32; the text has no crop.
    "alexnet": Preparation("standardised", crop=28 / 32),
    "alexnet-augmented": Preparation(
        "standardised", augmented=True, crop=28 / 32, brightness=63, contrast=(0.2, 1.8)
    ),
    "resnet56": Preparation("standardised"),
    "resnet56-augmented": Preparation("standardised", augmented=True, pad=4 / 32),
    # Crops of ImageNet are taken when its files are decoded.
    "imagenet": Preparation("centred"),
    "imagenet-augmented": Preparation("centred", augmented=True),
    "inception": Preparation("symmetric"),
    "inception-augmented": Preparation("symmetric", augmented=True),
}
"""Every way to prepare images, by the name that a recipe uses."""
