"""Sizes of networks: whole numbers of at least 1, and widths multiplied by a size factor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real

from frivolous.errors import BadArgument


def whole_number(name: str, value: int) -> int:
    """Return a size as a plain whole number.

    Raises :class:`BadArgument` for what is no whole number of at least 1.

    >>> whole_number("classes", 10)
    10
    """
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < 1:
        raise BadArgument(
            f"`{name}` is a whole number of at least 1; got {value!r}. "
            "Pass how many there are, such as 2."
        )
    return int(value)


def widths_of(name: str, widths: Sequence[int], layers: int | None = None) -> tuple[int, ...]:
    """Return the units of several layers, of exactly ``layers`` where that is fixed.

    Raises :class:`BadArgument` for anything but a sequence of whole numbers of at least 1.

    >>> widths_of("base", [96, 256])
    (96, 256)
    """
    if not hasattr(widths, "__len__") or len(widths) == 0:
        raise BadArgument(
            f"`{name}` lists the units of every hidden layer, at least one layer; "
            f"got {widths!r}. For one layer of 128 units pass (128,)."
        )
    if layers is not None and len(widths) != layers:
        raise BadArgument(
            f"`{name}` lists the units of {layers} layers; got {len(widths)}: {tuple(widths)}. "
            f"Pass {layers} whole numbers."
        )
    return tuple(whole_number(f"{name}[{i}]", width) for i, width in enumerate(widths))


def positive(name: str, value: float) -> float:
    """Return a finite number above 0, by which widths are multiplied.

    >>> positive("size_factor", 1 / 4)
    0.25
    """
    if not (_real(value) and math.isfinite(value) and value > 0):
        raise BadArgument(
            f"`{name}` is a positive number; got {value}. "
            "For a network a quarter as wide pass 0.25."
        )
    return float(value)


def scaled(widths: Sequence[int], size_factor: float, name: str = "size_factor") -> tuple[int, ...]:
    """Return ``int(n * size_factor)`` units for each of the widths at size factor 1.

    Raises :class:`BadArgument` for a factor that is no positive number and where a layer would be
    left without a unit; ``name`` is the argument that the message names.

    >>> scaled((96, 256), 1 / 4)
    (24, 64)
    """
    factor = positive(name, size_factor)
    units = tuple(int(width * factor) for width in widths)
    for width, left in zip(widths, units, strict=True):
        if left < 1:
            raise BadArgument(
                f"`{name}` {size_factor} leaves a layer of {width} units without any; "
                f"every layer keeps at least one. Pass {1 / width:g} or more"
                f"{', or a wider `base`' if name == 'size_factor' else ''}."
            )
    return units


def share(name: str, value: float) -> float:
    """Return a share of at least 0 and below 1.

    >>> share("dropout", 0.5)
    0.5
    """
    if not (_real(value) and 0 <= value < 1):
        raise BadArgument(f"`{name}` is a share in [0, 1); got {value}. For 50 percent pass 0.5.")
    return float(value)


def image_of(image: Sequence[int], smallest: int = 1) -> tuple[int, int, int]:
    """Return the shape (channels, height, width) of the images that a network takes.

    Raises :class:`BadArgument` for another shape, and for images below ``smallest`` pixels a side.

    >>> image_of([3, 32, 32])
    (3, 32, 32)
    """
    if not hasattr(image, "__len__") or len(image) != 3:
        raise BadArgument(
            f"`image` is (channels, height, width), three whole numbers; got {image!r}. "
            "For colour images of 32 by 32 pixels pass (3, 32, 32)."
        )
    channels, height, width = (whole_number(f"image[{i}]", size) for i, size in enumerate(image))
    if min(height, width) < smallest:
        raise BadArgument(
            f"`image` is at least {smallest} pixels high and wide for this network; "
            f"got {height} by {width}. Resize the images, or take a network for smaller ones."
        )
    return channels, height, width


def _real(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
