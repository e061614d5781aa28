"""Preparations against plain loops in numpy, image by image and pixel by pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from frivolous.data.images.resizing import legacy_bilinear
from frivolous.data.images.transforms import IMAGENET_MEANS, PREPARATIONS, Draws, Preparation
from frivolous.errors import BadArgument
from frivolous.rng import generator

every = pytest.mark.parametrize("name", PREPARATIONS)
sides = pytest.mark.parametrize("side", [4, 12, 16, 32])


def pictures(count: int = 9, side: int = 32, channels: int = 3) -> Tensor:
    shape = (count, channels, side, side)
    return torch.randint(256, shape, dtype=torch.uint8, generator=generator("pictures", side))


def loop_resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The kernel of TensorFlow 1 for align_corners=False, written as its loop, (H, W, C)."""
    old_height, old_width = image.shape[:2]
    out = np.empty((height, width, image.shape[2]))
    for y in range(height):
        for x in range(width):
            source_y, source_x = y * old_height / height, x * old_width / width
            top, left = math.floor(source_y), math.floor(source_x)
            bottom, right = min(top + 1, old_height - 1), min(left + 1, old_width - 1)
            down, across = source_y - top, source_x - left
            upper = image[top, left] + (image[top, right] - image[top, left]) * across
            lower = image[bottom, left] + (image[bottom, right] - image[bottom, left]) * across
            out[y, x] = upper + (lower - upper) * down
    return out


def loop_standardised(image: np.ndarray) -> np.ndarray:
    return (image - image.mean()) / max(image.std(), 1 / math.sqrt(image.size))


def loop_prepared(
    image: Tensor, preparation: Preparation, draws: Draws | None, i: int
) -> np.ndarray:
    """One image (C, H, W) of a preparation that standardises, in the original order of steps."""
    pixels = image.numpy().astype(np.float64).transpose(1, 2, 0)
    height, width = pixels.shape[:2]
    pad = round(preparation.pad * width) if draws else 0
    pixels = np.pad(pixels, ((pad, pad), (pad, pad), (0, 0)))
    tall, wide = round(preparation.crop * height), round(preparation.crop * width)
    top, left = (height - tall) // 2, (width - wide) // 2
    if draws:
        top, left = (int(x) for x in draws.corner[:, i])
    pixels = pixels[top : top + tall, left : left + wide]
    if draws:
        pixels = pixels[:, ::-1] if draws.flip[i] else pixels
        pixels = pixels + float(draws.brightness[i])
        mean = pixels.mean((0, 1))
        pixels = (pixels - mean) * float(draws.contrast[i]) + mean
    return loop_resized(loop_standardised(pixels), height, width).transpose(2, 0, 1)


@sides
@pytest.mark.parametrize("name", ["alexnet", "resnet56"])
def test_training_follows_the_original_order_of_steps(name: str, side: int) -> None:
    preparation, images = PREPARATIONS[f"{name}-augmented"], pictures(side=side)
    out = preparation.train(images, generator("draw", side))
    pad = round(preparation.pad * side)
    padded = torch.nn.functional.pad(images, (pad, pad, pad, pad))
    draws = preparation.draw(padded, pad, generator("draw", side))
    for i, image in enumerate(images):
        expected = loop_prepared(image, preparation, draws, i)
        np.testing.assert_allclose(out[i].numpy(), expected, atol=2e-4)


@sides
@pytest.mark.parametrize("name", ["alexnet", "alexnet-augmented", "resnet56"])
def test_testing_crops_in_the_middle_and_draws_nothing(name: str, side: int) -> None:
    images = pictures(side=side)
    out = PREPARATIONS[name].test(images)
    for i, image in enumerate(images):
        expected = loop_prepared(image, PREPARATIONS[name], None, i)
        np.testing.assert_allclose(out[i].numpy(), expected, atol=2e-4)


def test_resizing_is_the_legacy_rule_and_not_the_one_of_pixel_centres() -> None:
    image = np.random.default_rng(0).normal(size=(28, 28, 1))
    matrix = legacy_bilinear(28, 32).double().numpy()
    assert np.allclose(matrix.sum(1), 1)
    ours = matrix @ image[..., 0] @ matrix.T
    np.testing.assert_allclose(ours, loop_resized(image, 32, 32)[..., 0], atol=1e-6)
    centres = torch.nn.functional.interpolate(
        torch.from_numpy(image.transpose(2, 0, 1))[None], (32, 32), mode="bilinear"
    )
    assert abs(centres[0, 0].numpy() - ours).max() > 0.1


def test_draws_cover_their_ranges_evenly() -> None:
    preparation = PREPARATIONS["alexnet-augmented"]
    draws = preparation.draw(pictures(1).expand(20_000, 3, 32, 32), 0, generator(0))
    for corner in draws.corner:
        counts = corner.bincount()
        assert len(counts) == 5  # 28 of 32 pixels start at 0 to 4
        assert (counts / 4000 - 1).abs().max() < 0.06
    assert abs(draws.flip.double().mean() - 0.5) < 0.015
    assert draws.brightness.abs().max() <= 63
    assert abs(draws.brightness.std() - 63 / math.sqrt(3)) < 0.5
    assert 0.2 <= draws.contrast.min() < 0.21
    assert 1.79 < draws.contrast.max() <= 1.8


@every
def test_the_shape_stays_and_numbers_are_finite(name: str) -> None:
    for side in (7, 8, 32):
        images = pictures(5, side)
        for out in (
            PREPARATIONS[name].train(images, generator(0)),
            PREPARATIONS[name].test(images),
        ):
            assert out.shape == images.shape
            assert out.dtype == torch.float32
            assert bool(out.isfinite().all())


@every
def test_the_generator_decides_and_the_images_are_left_as_they_were(name: str) -> None:
    images = pictures(64, 16)
    before, state = images.clone(), torch.random.get_rng_state()
    preparation = PREPARATIONS[name]
    one, same = (preparation.train(images, generator("a")) for _ in range(2))
    other = preparation.train(images, generator("b"))
    assert torch.equal(one, same)
    assert torch.equal(one, other) is not preparation.augmented
    assert torch.equal(images, before)
    assert torch.equal(torch.random.get_rng_state(), state)


@every
def test_an_image_is_prepared_alike_alone_and_in_a_batch(name: str) -> None:
    images = pictures(6, 16)
    together = PREPARATIONS[name].test(images)
    alone = torch.cat([PREPARATIONS[name].test(image[None]) for image in images])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


@every
def test_an_even_image_is_no_trouble(name: str) -> None:
    even = torch.full((2, 3, 32, 32), 200, dtype=torch.uint8)
    out = PREPARATIONS[name].test(even)
    assert bool(out.isfinite().all())
    if PREPARATIONS[name].scaling == "standardised":
        assert out.abs().max() < 1e-3


def test_fixed_scales() -> None:
    images = pictures(4)
    pixels = images.double()
    means = torch.tensor(IMAGENET_MEANS, dtype=torch.float64)[:, None, None]
    expected = {"none": pixels / 255, "imagenet": pixels - means, "inception": pixels / 127.5 - 1}
    for name, values in expected.items():
        torch.testing.assert_close(
            PREPARATIONS[name].test(images).double(), values, atol=1e-4, rtol=0
        )


def test_colours_change_before_any_scaling() -> None:
    colours = {"augmented": True, "brightness": 63.0, "contrast": (0.2, 1.8)}
    images = pictures(20, 8)
    for scaling, divisor, less in (("unit", 255, 0), ("symmetric", 127.5, 1)):
        preparation = Preparation(scaling, **colours)  # type: ignore[arg-type]
        out = preparation.train(images, generator(2))
        draws = preparation.draw(images, 0, generator(2))
        pixels = images.double()
        mean = pixels.mean((2, 3), keepdim=True)
        contrast, brightness = (x.view(-1, 1, 1, 1) for x in (draws.contrast, draws.brightness))
        changed = (pixels - mean) * contrast + mean + brightness
        changed = torch.where(draws.flip.view(-1, 1, 1, 1), changed.flip(3), changed)
        torch.testing.assert_close(out.double(), changed / divisor - less, atol=1e-4, rtol=0)


def test_flips_mirror_half_of_the_images_left_and_right() -> None:
    images = pictures(200, 8)
    out = PREPARATIONS["inception-augmented"].train(images, generator(1))
    plain = PREPARATIONS["inception"].test(images)
    same = (out == plain).flatten(1).all(1)
    mirrored = (out == plain.flip(3)).flatten(1).all(1)
    assert bool((same ^ mirrored).all())
    assert 70 < same.sum() < 130


def test_floats_pass_where_nothing_but_scaling_is_asked() -> None:
    numbers = torch.randn(3, 10)
    assert PREPARATIONS["none"].train(numbers, generator(0)) is numbers
    assert PREPARATIONS["none"].test(numbers) is numbers


def test_what_is_no_picture_is_refused() -> None:
    message = "`images` must be uint8 of shape .N, C, H, W.; got torch.float32 of shape .3, 10."
    with pytest.raises(BadArgument, match=message):
        PREPARATIONS["alexnet"].test(torch.randn(3, 10))
    with pytest.raises(BadArgument, match="`images` must be uint8"):
        PREPARATIONS["none"].test(torch.zeros(3, 10, dtype=torch.uint8))
    with pytest.raises(BadArgument, match="must have 3 channels to subtract.*got 1. Repeat"):
        PREPARATIONS["imagenet"].test(pictures(channels=1))
