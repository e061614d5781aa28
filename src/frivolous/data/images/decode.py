"""Decode image files into bytes; the error names the image that cannot be decoded."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import torch

from frivolous.errors import BadArgument

if TYPE_CHECKING:
    from PIL import Image

ROWS_OF_A_TASK = 256


def processors() -> int:
    """Return the number of processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def opened(encoded: bytes, name: str) -> Image.Image:
    """Return one decoded image.

    Args:
        encoded: the bytes of a JPEG, PNG or other image file.
        name: what the error calls it, such as "row 3 of train-0.parquet".

    Raises:
        BadArgument: the bytes are no image, or only part of one.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(io.BytesIO(encoded))
        image.load()
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise BadArgument(
            f"{name} cannot be decoded as an image ({len(encoded)} bytes: "
            f"{type(error).__name__}); the file is damaged or was copied in part. Get it again."
        ) from error
    return image


def colour(image: Image.Image, name: str) -> np.ndarray:
    """Return an image in colour as bytes (H, W, 3).

    Raises:
        BadArgument: it is grey, has a palette or an alpha channel.
    """
    if image.mode != "RGB":
        kind = {"L": "grey", "1": "black and white", "P": "palette"}.get(image.mode, "other")
        raise BadArgument(
            f"{name} is a {kind} image (mode {image.mode}); all images must be in colour (mode "
            "RGB). This is not the data set it should be: get it again, or convert the image."
        )
    return np.asarray(image)


def all_decoded(
    encoded: Sequence[bytes], name_of: Callable[[int], str], size: tuple[int, int]
) -> torch.Tensor:
    """Return colour images of one size as bytes (N, 3, H, W), decoded in parallel threads.

    Args:
        encoded: the bytes of every image file.
        name_of: what an error calls image i.
        size: height and width that all must have.

    Raises:
        BadArgument: an image is damaged, not in colour, or of another size.
    """
    images = np.empty((len(encoded), *size, 3), dtype=np.uint8)

    def decode(start: int) -> None:
        for i in range(start, min(start + ROWS_OF_A_TASK, len(encoded))):
            pixels = colour(opened(encoded[i], name_of(i)), name_of(i))
            if pixels.shape[:2] != size:
                raise BadArgument(
                    f"{name_of(i)} has {pixels.shape[0]}x{pixels.shape[1]} pixels; all images must "
                    f"have {size[0]}x{size[1]}. This is not the data set it should be: get it "
                    "again."
                )
            images[i] = pixels

    with ThreadPoolExecutor(processors()) as pool:
        for _ in pool.map(decode, range(0, len(encoded), ROWS_OF_A_TASK)):
            pass
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
