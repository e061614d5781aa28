"""What can be asked of an ablation, with its checks.

An ablation silences units: it takes away what they compute and puts a constant in its place. Two
choices define it: what a unit is (a whole channel, or one spatial position of it), and which
constant stands in (zero, the unit's mean, or values given per site). They travel together as one
record, :class:`Ablation`.

Nothing here imports torch, so that the command line can read its options quickly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from frivolous.errors import BadArgument

if TYPE_CHECKING:
    from torch import Tensor

    from frivolous.network import Site

#: What a unit is -> how many a site has.
GRAINS = {
    "channel": lambda site: site.width,
    "position": lambda site: math.prod(site.shape),
}
REPLACEMENTS = ("zero", "mean")


@dataclass(frozen=True, kw_only=True, eq=False)
class Ablation:
    """What a unit is, and what it gives once it is silenced.

    ``grain``: whole units (``channel``), or each spatial position by itself (``position``).
    ``replacement``: ``zero``, or ``mean`` with ``means``: site -> (U,) for channels, of
    ``Site.shape`` for positions. ``silenced_as``: site -> (U,), what a silenced unit gives there,
    at every position, instead of zero; for a layer that is silenced before its normalisation see
    :func:`frivolous.ablation.pre_norm.value_of_zeroed_layer`.

    Raises :class:`BadArgument` for a grain or replacement that does not exist, and for
    ``silenced_as`` beside means. What must fit a network is checked with it, by
    :func:`frivolous.ablation.masks.check_silenced`.

    >>> Ablation(grain="pixel")
    Traceback (most recent call last):
    ...
    frivolous.errors.BadArgument: `grain` is one of channel, position; got 'pixel'. Pass 'channel'
    for whole units.
    """

    grain: str = "channel"
    replacement: str = "zero"
    means: Mapping[str, Tensor] | None = None
    silenced_as: Mapping[str, Tensor] | None = None

    def __post_init__(self) -> None:
        """Refuse what no network makes right."""
        if self.grain not in GRAINS:
            raise BadArgument(
                f"`grain` is one of {', '.join(GRAINS)}; got {self.grain!r}. Pass 'channel' for "
                "whole units."
            )
        if self.replacement not in REPLACEMENTS:
            raise BadArgument(
                f"`replacement` is one of {', '.join(REPLACEMENTS)}; got {self.replacement!r}. "
                "Pass 'zero' to silence units."
            )
        if self.silenced_as and self.replacement != "zero":
            raise BadArgument(
                f"`silenced_as` says what silenced units give, and so does replacement "
                f"'{self.replacement}'. Pass one of them."
            )

    def count_units(self, site: Site) -> int:
        """How many units a site has: its channels, or every position of every channel."""
        return GRAINS[self.grain](site)


#: Whole units give zero.
TO_ZERO = Ablation()


def check_precision(precision: float) -> float:
    """Return a precision, or say that it is a share of the units above 0 and below a half."""
    number = float(precision)
    if 0 < number < 0.5:
        return number
    raise BadArgument(
        f"`precision` is how far bounds may lie from the share of prunable units, above 0 and "
        f"below 0.5; got {number:g}. Pass 0.01 for one percent of a site's units."
    )


def check_examples(name: str, number: int) -> int:
    """Return a number of examples, or say that it must be whole and 1 or more."""
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise BadArgument(
            f"`{name}` is a whole number of examples, 1 or more; got {number!r}. Pass e.g. 1000."
        )
    return number
