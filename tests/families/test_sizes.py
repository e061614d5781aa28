"""Widths by hand, and what is said of wrong ones."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

from frivolous.errors import BadArgument
from frivolous.families.sizes import image_of, positive, scaled, share, whole_number, widths_of


def test_units_are_whole_and_rounded_down() -> None:
    assert scaled((7, 10, 3), 1 / 3) == (2, 3, 1)
    assert scaled([96], np.float32(0.25)) == (24,)
    assert scaled((64,), 4) == (256,)
    assert image_of(np.array([3, 8, 9])) == (3, 8, 9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: whole_number("classes", 2.5),
            "`classes` is a whole number of at least 1; got 2.5.",
        ),
        (
            lambda: widths_of("base", (4, 5), layers=3),
            "`base` lists the units of 3 layers; got 2: (4, 5). Pass 3 whole numbers.",
        ),
        (lambda: widths_of("base", (4, 0)), "`base[1]` is a whole number of at least 1; got 0."),
        (lambda: scaled((8,), True), "`size_factor` is a positive number; got True."),
        (lambda: positive("base", float("inf")), "`base` is a positive number; got inf."),
        (
            lambda: scaled((8, 4), 0.2),
            "every layer keeps at least one. Pass 0.25 or more, or a wider `base`.",
        ),
        (
            lambda: scaled((4,), 0.2, "base"),
            "`base` 0.2 leaves a layer of 4 units without any; every layer keeps at least one.",
        ),
        (lambda: share("dropout", 1), "`dropout` is a share in [0, 1); got 1. For 50 percent"),
        (lambda: share("dropout", "half"), "`dropout` is a share in [0, 1); got half."),
        (
            lambda: image_of((3, 32, 74), smallest=75),
            "`image` is at least 75 pixels high and wide for this network; got 32 by 74.",
        ),
        (lambda: image_of(32), "`image` is (channels, height, width), three whole numbers; got"),
    ],
)
def test_errors_say_what_to_do(call: Callable[[], object], message: str) -> None:
    with pytest.raises(BadArgument, match=re.escape(message)):
        call()
