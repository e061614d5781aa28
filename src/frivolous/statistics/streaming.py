"""The streaming pass: statistics of every site's activity, in memory bounded by units squared.

A sample is one example of a site without positions, or one position of one example: a feature
map's positions are samples of the same unit (Casper et al. 2021, section 4, "Redundancy"). Where
there are more than ``cap`` of them, several independent samplings of ``cap`` are kept; means are
exact over all.

Examples are dealt into groups, so that leaving out one group at a time shows how far a measure
depends on the examples (the jackknife). Every group of every sampling holds its own U x U sums:
``8 * samplings * groups * U**2`` bytes for a site of U units (of 512 units 2 MiB per group), and a
buffer of rows that is smaller from 512 units on. Wide sites have fewer groups to bound that: at
most 4 above 1,024 units, 1 above 4,096.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frivolous.errors import BadArgument, NotFinite, look_up
from frivolous.rng import choose, deal, generator
from frivolous.statistics.moments import Moments, Numbers, Rows, pool

__all__ = ["Activity", "Moments", "collect"]


class _Site(Protocol):
    """What the pass needs to know of a site."""

    @property
    def name(self) -> str: ...
    @property
    def width(self) -> int: ...
    @property
    def axis(self) -> int: ...
    @property
    def positions(self) -> tuple[int, ...]: ...


class _Network(Protocol):
    """What the pass needs of a network."""

    @property
    def sites(self) -> Sequence[Any]: ...
    def activities(self, inputs: Any, sites: Any = None) -> tuple[Any, Mapping[str, Tensor]]: ...


@dataclass(frozen=True, eq=False)
class Activity:
    """Statistics of one site's activity over ``examples`` examples.

    ``samplings[s][g]`` are the moments of group ``g`` of the examples in sampling ``s``; there is
    one sampling where every sample is used. ``mean_U`` is exact over all examples and positions, as
    is ``position_mean``, the mean of each unit at grain ``position`` (the shape of the site's value
    without its batch axis; None if it was not requested).
    """

    site: str
    width: int
    examples: int
    samplings: tuple[tuple[Moments, ...], ...]
    mean_U: Numbers
    position_mean: Numbers | None = None

    @property
    def groups(self) -> int:
        """The number of groups into which the examples are dealt."""
        return len(self.samplings[0])

    def moments(self, sampling: int = 0) -> Moments:
        """The moments of all examples in one sampling."""
        return pool(self._sampling(sampling))

    def without(self, group: int, sampling: int = 0) -> Moments:
        """The moments of all examples but one group's: a replicate of the jackknife."""
        parts = self._sampling(sampling)
        if len(parts) < 2:
            raise BadArgument(
                f"site '{self.site}' keeps its {self.examples} examples in one group; leaving it "
                "out leaves nothing. Read `groups` first, or collect narrower sites."
            )
        if not 0 <= group < len(parts):
            raise BadArgument(f"`group` is 0 to {len(parts) - 1} at '{self.site}'; got {group}.")
        return pool(parts[:group] + parts[group + 1 :])

    def _sampling(self, sampling: int) -> tuple[Moments, ...]:
        if not 0 <= sampling < len(self.samplings):
            raise BadArgument(
                f"`sampling` is 0 to {len(self.samplings) - 1} at '{self.site}'; got {sampling}. "
                "A site that is not sampled has one."
            )
        return self.samplings[sampling]


def collect(
    network: _Network,
    batches: Iterable[Any],
    *,
    examples: int,
    sites: Sequence[str] | None = None,
    cap: int = 50_000,
    samplings: int = 3,
    groups: int = 8,
    seed: int = 0,
    position_means: bool = True,
) -> dict[str, Activity]:
    """Collect statistics of each site's activity in one pass over ``batches`` of inputs.

    ``examples`` is how many examples the batches hold together; ``sites`` names the sites, all of
    them by default. A site with at most ``cap`` samples (examples times positions), or without
    positions, is used whole. Of any other, each of ``samplings`` samplings keeps exactly ``cap``,
    spread evenly over the examples and drawn without replacement within each batch by a generator
    made of ``seed``, the sampling and the site's name. ``groups`` of examples are dealt at random
    in equal shares, whatever the batches. ``position_means`` keeps the mean at each position.

    Raises :class:`BadArgument` for a wrong count or name, and :class:`NotFinite`, which names the
    site, for NaN or infinite activities.

    >>> from frivolous.network import trace
    >>> layers = torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2)
    >>> network = trace(torch.nn.Sequential(*layers), torch.zeros(4, 2))
    >>> found = collect(network, torch.eye(2).split(1), examples=2)
    >>> found["0"].moments().count, found["0"].mean_U.shape
    (2, (3,))
    """
    for name, number in (
        ("examples", examples), ("cap", cap), ("samplings", samplings), ("groups", groups)
    ):  # fmt: skip
        if number < 1:
            raise BadArgument(f"`{name}` is 1 or more; got {number}.")
    known = {site.name: site for site in network.sites}
    chosen = known if sites is None else {name: look_up(known, name, "site") for name in sites}
    streams = [
        _Stream(site, examples, cap, samplings, groups, seed, position_means)
        for site in chosen.values()
    ]
    seen = 0
    for inputs in batches:
        with torch.no_grad():
            _, values = network.activities(inputs, list(chosen))
        for stream in streams:
            stream.add(values[stream.site.name], seen)
        seen += len(next(iter(values.values()))) if values else 0
    if streams and seen != examples:
        raise BadArgument(_MISCOUNT.format(examples=examples, seen=seen))
    return {stream.site.name: stream.activity() for stream in streams}


_MISCOUNT = (
    "`examples` is {examples}, but the batches hold {seen}. "
    "Pass the number of examples in all batches."
)


class _Stream:
    """One site's sums while the batches pass."""

    def __init__(
        self,
        site: _Site,
        examples: int,
        cap: int,
        samplings: int,
        groups: int,
        seed: int,
        position_means: bool,
    ) -> None:
        self.site = site
        self._examples, self._cap, self._seed = examples, cap, seed
        self._places = int(np.prod(site.positions, dtype=np.int64))
        self._sampled = bool(site.positions) and examples * self._places > cap
        self._groups = min(_most_groups(site.width, groups), examples)
        self._generators = [
            generator(seed, sampling, site.name)
            for sampling in range(samplings if self._sampled else 1)
        ]
        self._blocks: list[list[Rows]] = [
            [Rows(site.width) for _ in range(self._groups)] for _ in self._generators
        ]
        self._position_means = position_means
        self._sum = np.zeros(_value_shape(site) if position_means else site.width)

    def add(self, value: Tensor, start: int) -> None:
        """Take in the site's value for the examples from the ``start``-th on."""
        site, stop = self.site, start + len(value)
        if stop > self._examples:
            raise BadArgument(_MISCOUNT.format(examples=self._examples, seen=f"{stop} or more"))
        shape = _value_shape(site)
        if tuple(value.shape[1:]) != shape:
            raise BadArgument(
                f"site '{site.name}' has the shape {shape} per example; a batch gave "
                f"{tuple(value.shape[1:])}. Pass inputs of the shape the network was traced with."
            )
        # Where a device has no float64 (mps), the sums are kept in main memory.
        value = value.detach() if value.device.type == "cuda" else value.detach().cpu()
        if value.dtype not in (torch.float32, torch.float64):
            value = value.float()
        self._sum += self._total(value, start)
        units_NPU = (
            value.reshape(len(value), -1, site.width)
            if site.axis == -1
            else value.reshape(len(value), site.width, -1).transpose(1, 2)
        )
        group_N = deal(start, stop, self._groups, self._seed)
        for blocks, random in zip(self._blocks, self._generators, strict=True):
            example_K, place_K = np.divmod(self._samples(start, stop, random), self._places)
            order_K = np.argsort(group_N[example_K], kind="stable")
            rows_KU = _rows(units_NPU, example_K[order_K], place_K[order_K])
            sizes = np.bincount(group_N[example_K], minlength=self._groups).tolist()
            for block, part_KU in zip(blocks, rows_KU.split(sizes), strict=True):
                block.add(part_KU)

    def activity(self) -> Activity:
        """The statistics of what has been taken in."""
        mean = self._sum / self._examples
        unit_axis = mean.ndim - 1 if self.site.axis == -1 else 0
        others = tuple(axis for axis in range(mean.ndim) if axis != unit_axis)
        return Activity(
            site=self.site.name,
            width=self.site.width,
            examples=self._examples,
            samplings=tuple(tuple(block.moments() for block in row) for row in self._blocks),
            mean_U=mean.mean(axis=others) if self._position_means else mean / self._places,
            position_mean=mean if self._position_means else None,
        )

    def _samples(self, start: int, stop: int, random: torch.Generator) -> NDArray[np.int64]:
        """Which of the batch's samples are kept, as indices into examples times positions."""
        available = (stop - start) * self._places
        if not self._sampled:
            return np.arange(available)
        # The quota of all examples up to here, less that of those before: they add up to the cap.
        upto = self._cap * stop // self._examples
        return choose(available, upto - self._cap * start // self._examples, random)

    def _total(self, value: Tensor, start: int) -> Numbers:
        """Sum over the batch's examples at each position, or over positions too."""
        if value.device.type == "cpu":
            # NumPy casts as it adds; torch would copy the whole value to float64 first.
            total = np.add.reduce(value.numpy(), axis=0, dtype=np.float64)
        else:
            total = value.sum(dim=0, dtype=torch.float64).cpu().numpy()
        # A sum is finite where all its terms are; the terms are looked at only where it is not.
        if not np.isfinite(total).all():
            wrong = value.numel() - int(torch.isfinite(value).sum())
            raise NotFinite(
                f"site '{self.site.name}': {wrong} of {value.numel()} activities of examples "
                f"{start} to {start + len(value) - 1} are NaN or infinite; a measure needs "
                "numbers. Look for inputs or weights that are not finite."
            )
        if self._position_means:
            return np.asarray(total)
        over = tuple(range(total.ndim - 1)) if self.site.axis == -1 else tuple(range(1, total.ndim))
        return np.asarray(total.sum(axis=over))


def _most_groups(width: int, groups: int) -> int:
    if width > 4096:
        return 1
    return min(groups, 4) if width > 1024 else groups


def _value_shape(site: _Site) -> tuple[int, ...]:
    if site.axis == -1:
        return (*site.positions, site.width)
    return (site.width, *site.positions)


def _rows(units_NPU: Tensor, example_K: NDArray[np.int64], place_K: NDArray[np.int64]) -> Tensor:
    """The samples at these positions of these examples: shape (K, U)."""
    if units_NPU.device.type == "cpu":
        return torch.from_numpy(units_NPU.numpy()[example_K, place_K])
    device = units_NPU.device
    example_on = torch.as_tensor(example_K, device=device)
    return units_NPU[example_on, torch.as_tensor(place_K, device=device)]
