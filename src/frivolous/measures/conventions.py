"""The conventions under which a number was measured: as the paper says, or as it was plotted.

Every difference between the two records is one field, with a one-line reason in ``why``. Sources:
Casper et al. 2021 (AAAI), section 4, and the original code `biolins/frivolous_dnns`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, get_args

from frivolous.errors import BadArgument
from frivolous.measures import validation

Grain = Literal["channel", "position"]
Sites = Literal["together and alone", "together", "mean of single sites", "one site"]
Count = Literal["units", "share of the 4x network"]
Draw = Literal["best", "mean"]
ErrorBars = Literal["replicates", "replicates, samplings and sites"]

FRACTIONS = tuple(step / 6 for step in range(7))


@dataclass(frozen=True)
class Protocol:
    """How prunable, redundant and similar units are counted and how gains are computed.

    ``tolerance`` is the share of labels that may change, ``unexplained`` that of the variance,
    ``similar`` the least absolute correlation of similar units. ``draw`` says which random order
    of units counts. ``count_crossing`` counts the component that crosses ``unexplained`` as
    redundant; ``gain_skips_first`` leaves the first doubling out of redundancy's gain.
    ``pairs_below`` leaves larger absolute correlations out of distributions. ``cap`` samples of a
    site are kept in each of ``samplings``. ``error_bars`` of redundancy. ``why`` holds a reason
    per field that departs from the paper.

    >>> AS_WRITTEN.tolerance, AS_PUBLISHED.count_crossing
    (0.2, True)
    """

    name: str = "as written"
    grain: Grain = "position"
    sites: Sites = "together and alone"
    fractions: tuple[float, ...] = FRACTIONS
    draws: int = 3
    draw: Draw = "best"
    count: Count = "units"
    tolerance: float = 0.2
    unexplained: float = 0.05
    count_crossing: bool = False
    gain_skips_first: bool = False
    similar: float = 0.5
    pairs_below: float | None = None
    error_bars: ErrorBars = "replicates"
    drop_last_batch: bool = False
    batch_size: int = 128
    cap: int = 50_000
    samplings: int = 3
    why: Mapping[str, str] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        """Raise for a value that no measure understands."""
        validation.share("tolerance", self.tolerance)
        validation.share("unexplained", self.unexplained)
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise BadArgument(
                    f"`{name}` is one of {', '.join(allowed)}; got {getattr(self, name)!r}."
                )
        for name in ("draws", "batch_size", "cap", "samplings"):
            if getattr(self, name) < 1:
                raise BadArgument(f"`{name}` is 1 or more; got {getattr(self, name)}.")

    def examples_used(self, n: int) -> int:
        """How many of ``n`` examples are measured: all, or whole batches less the last.

        With ``drop_last_batch`` it is ``(n // batch_size - 1) * batch_size``, unless that leaves
        nothing: then all.

        >>> AS_PUBLISHED.examples_used(10_000), AS_WRITTEN.examples_used(10_000)
        (9856, 10000)
        """
        if n < 1:
            raise BadArgument(f"`n` is a number of examples, 1 or more; got {n}.")
        kept = (n // self.batch_size - 1) * self.batch_size
        return kept if self.drop_last_batch and kept > 0 else n


_CHOICES: dict[str, tuple[str, ...]] = {
    "grain": get_args(Grain),
    "sites": get_args(Sites),
    "count": get_args(Count),
    "draw": get_args(Draw),
    "error_bars": get_args(ErrorBars),
}


@dataclass(frozen=True)
class Difference:
    """One convention in which two protocols differ, with the reason that either gives."""

    field: str
    first: Any
    second: Any
    why: str


def differences(first: Protocol, second: Protocol) -> tuple[Difference, ...]:
    """Every field in which two protocols differ, in the record's order, names apart.

    >>> [d.field for d in differences(AS_WRITTEN, AS_WRITTEN)]
    []
    """
    return tuple(
        Difference(
            f.name,
            getattr(first, f.name),
            getattr(second, f.name),
            second.why.get(f.name) or first.why.get(f.name, "no reason is recorded"),
        )
        for f in fields(Protocol)
        if f.compare and f.name != "name" and getattr(first, f.name) != getattr(second, f.name)
    )


AS_WRITTEN = Protocol()

AS_PUBLISHED = Protocol(
    name="as published",
    grain="channel",
    sites="together",
    count="share of the 4x network",
    count_crossing=True,
    gain_skips_first=True,
    pairs_below=0.99999,
    error_bars="replicates, samplings and sites",
    drop_last_batch=True,
    why={
        "grain": "the code silences whole feature maps, one mask for all positions and images",
        "sites": "the plotted CIFAR and MLP curves silence units in every site at once",
        "count": "the figures plot the crossing times size factor / 4, a share of the 4x network",
        "count_crossing": "the code's loop stops after the component that crosses 5 percent",
        "gain_skips_first": "the redundancy notebook averages ratios from the second doubling on",
        "pairs_below": "the violins leave out pairs with a correlation of 0.99999 or more",
        "error_bars": "redundancy's bars are standard deviations over layers and samplings too",
        "drop_last_batch": "the evaluation loops run int(N / batch size) - 1 batches",
    },
)

AS_PUBLISHED_IMAGENET = replace(
    AS_PUBLISHED,
    name="as published, ImageNet",
    sites="mean of single sites",
    draws=1,
    why={
        **AS_PUBLISHED.why,
        "sites": "the ImageNet export averages single-layer curves; joint ablation is not exported",
        "draws": "the ImageNet panels read one random order, not three",
        "samplings": "the ImageNet panels read the first sampling of positions only",
        "drop_last_batch": "the ImageNet loop runs one batch more of a repeating data set",
    },
    samplings=1,
    drop_last_batch=False,
)
