"""The usual crops of photographs of any size, cut and resized in one step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from frivolous.rng import generator

if TYPE_CHECKING:
    from PIL import Image

KEPT_IN_TESTS = 224 / 256
AREA = (0.08, 1.0)
RATIO = (3 / 4, 4 / 3)
TRIES = 10

Box = tuple[float, float, float, float]


def central_box(width: int, height: int) -> Box:
    """Return (left, top, right, bottom) of the square in the middle, 224/256 of the shorter side.

    The same as resizing the shorter side to 256/224 of the size wanted and cutting its centre.

    >>> central_box(512, 256)
    (144.0, 16.0, 368.0, 240.0)
    """
    side = min(width, height) * KEPT_IN_TESTS
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


def random_box(width: int, height: int, seed: int, epoch: int, number: int) -> Box:
    """Return a box of 8 to 100% of the area with sides in a ratio from 3/4 to 4/3.

    Drawn from seed, epoch and the image's ``number`` alone. Up to ten tries; if none fits into the
    image, the largest central box whose ratio is allowed (as in Szegedy et al. 2015 and the common
    implementations).
    """
    uniform = torch.rand(TRIES, 4, generator=generator("crop", seed, epoch, number)).tolist()
    for area, ratio, down, across in uniform:
        surface = (AREA[0] + (AREA[1] - AREA[0]) * area) * width * height
        shape = math.exp(math.log(RATIO[0]) + math.log(RATIO[1] / RATIO[0]) * ratio)
        wide, tall = math.sqrt(surface * shape), math.sqrt(surface / shape)
        if wide <= width and tall <= height:
            left, top = across * (width - wide), down * (height - tall)
            return left, top, left + wide, top + tall
    wide = min(width, height * RATIO[1])
    tall = min(height, width / RATIO[0])
    left, top = (width - wide) / 2, (height - tall) / 2
    return left, top, left + wide, top + tall


def central_crop(image: Image.Image, size: int) -> np.ndarray:
    """Return the centre of a colour image as bytes (size, size, 3)."""
    return _cut(image, size, central_box(*image.size))


def random_resized_crop(
    image: Image.Image, size: int, seed: int, epoch: int, number: int
) -> np.ndarray:
    """Return a random part of a colour image, stretched to bytes (size, size, 3)."""
    return _cut(image, size, random_box(*image.size, seed, epoch, number))


def _cut(image: Image.Image, size: int, box: Box) -> np.ndarray:
    from PIL import Image as Images

    return np.asarray(image.resize((size, size), Images.Resampling.BILINEAR, box=box))
