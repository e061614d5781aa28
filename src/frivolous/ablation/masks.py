"""Masks on a site's activity: which units are silenced, and what replaces them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from frivolous.errors import BadArgument
from frivolous.network import Network, Site
from frivolous.network.program import Edit

Indices = Tensor | Sequence[int]
Plan = Mapping[str, Indices]

#: What a unit is -> how many a site has.
GRAINS = {
    "channel": lambda site: site.width,
    "position": lambda site: torch.Size(site.shape).numel(),
}
REPLACEMENTS = ("zero", "mean")


class Changes(Protocol):
    """Several changes of one site's activity, applied to copies stacked in one batch."""

    @property
    def count(self) -> int:
        """The number of changes."""
        ...

    def spread(self, value: Tensor, first: int, copies: int) -> Tensor:
        """One activity under each of the changes, stacked along the batch axis."""
        ...

    def edit(self, first: int, copies: int) -> Edit:
        """An edit that applies the changes to an activity that is already stacked."""
        ...


@dataclass(frozen=True)
class Masks:
    """One mask per plan for one site: an activity becomes ``activity * keep + fill``.

    ``keep`` is 1 or 0, ``fill`` is 0 or what replaces a silenced unit (None: zero everywhere). Both
    have a leading axis of plans, then an axis of size 1 for the examples, then the site's axes (of
    size 1 where all positions share the mask).
    """

    keep: Tensor
    fill: Tensor | None

    @property
    def count(self) -> int:
        """The number of plans."""
        return self.keep.shape[0]

    def spread(self, value: Tensor, first: int, copies: int) -> Tensor:
        """One activity under each of the plans, stacked along the batch axis."""
        return self._masked(value.unsqueeze(0), first, copies).flatten(0, 1)

    def edit(self, first: int, copies: int) -> Edit:
        """An edit that applies the plans to an activity that is already stacked."""
        return lambda value: self._masked(value.unflatten(0, (copies, -1)), first, copies).flatten(
            0, 1
        )

    def some(self, places: Sequence[int]) -> Masks:
        """Only the masks at these indices."""
        return Masks(self.keep[places], None if self.fill is None else self.fill[places])

    def _masked(self, values: Tensor, first: int, copies: int) -> Tensor:
        keep = self.keep[first : first + copies]
        if self.fill is None:
            return values * keep
        return torch.addcmul(self.fill[first : first + copies], values, keep)


def check_choices(grain: str, replacement: str) -> None:
    """Raise for a wrong grain or replacement, before a caller does much work."""
    check_grain(grain)
    check_replacement(replacement)


def check_grain(grain: str) -> None:
    """Raise for an unknown grain."""
    if grain not in GRAINS:
        raise BadArgument(
            f"`grain` is one of {', '.join(GRAINS)}; got {grain!r}. Pass 'channel' for whole units."
        )


def check_replacement(replacement: str) -> None:
    """Raise for what cannot replace a unit's activity."""
    if replacement not in REPLACEMENTS:
        raise BadArgument(
            f"`replacement` is one of {', '.join(REPLACEMENTS)}; got {replacement!r}. Pass 'zero' "
            "to silence units."
        )


def check_silenced(
    network: Network, replacement: str, silenced_as: Mapping[str, Tensor] | None
) -> None:
    """Raise for values of silenced units for unknown sites, of a wrong shape, or with means."""
    check_replacement(replacement)
    if not silenced_as:
        return
    if replacement != "zero":
        raise BadArgument(
            f"`silenced_as` says what silenced units give, and so does replacement "
            f"'{replacement}'. Pass one of them."
        )
    for name, value in silenced_as.items():
        site, given = network.site(name), torch.as_tensor(value)
        if tuple(given.shape) != (site.width,):
            raise BadArgument(
                f"`silenced_as['{name}']` has shape {tuple(given.shape)}; it must have "
                f"{(site.width,)}, one number per unit. Leave the site out for zero."
            )
        if not bool(torch.isfinite(given).all()):
            raise BadArgument(
                f"`silenced_as['{name}']` holds NaN or infinite numbers; a silenced unit must give "
                "a finite one. Look at the weights that they were computed from."
            )


def count_units(site: Site, grain: str) -> int:
    """The number of units of a site at a grain: channels, or positions of all channels."""
    check_grain(grain)
    return GRAINS[grain](site)


def masks_for(
    network: Network,
    name: str,
    chosen: Sequence[Indices],
    grain: str,
    replacement: str,
    means: Mapping[str, Tensor] | None,
    silenced_as: Mapping[str, Tensor] | None = None,
) -> Masks:
    """Masks on the network's device for several choices of one site's units."""
    site = network.site(name)
    units = count_units(site, grain)
    check_silenced(network, replacement, silenced_as)
    silenced = torch.zeros(len(chosen), units, dtype=torch.bool)
    for row, indices in zip(silenced, chosen, strict=True):
        row[_checked(indices, name, units, grain)] = True
    per_unit = _along_units(site)
    dtype = network.program.dtypes[network.places[name]]
    silenced = silenced.reshape(len(chosen), 1, *(per_unit if grain == "channel" else site.shape))
    keep = (~silenced).to(dtype).to(network.device)
    if replacement == "mean":
        mean = _mean(means, site, grain)
        fill = mean.reshape(per_unit if grain == "channel" else site.shape)
    elif silenced_as and name in silenced_as:
        fill = torch.as_tensor(silenced_as[name]).reshape(per_unit)
    else:
        return Masks(keep, None)
    return Masks(keep, (fill.to("cpu", dtype) * silenced).to(network.device))


def _along_units(site: Site) -> tuple[int, ...]:
    """The shape that broadcasts one number per unit over the site's value without its batch."""
    axis = len(site.shape) - 1 if site.axis == -1 else site.axis - 1
    return tuple(site.width if a == axis else 1 for a in range(len(site.shape)))


def _checked(indices: Indices, name: str, units: int, grain: str) -> Tensor:
    index = torch.as_tensor(indices)
    if index.numel() == 0:
        return torch.zeros(0, dtype=torch.int64)
    if index.dtype == torch.bool or index.is_floating_point() or index.dim() != 1:
        raise BadArgument(
            f"`units` for site '{name}' is {index.dtype} of shape {tuple(index.shape)}; it is a "
            f"list of whole numbers. Pass `mask.nonzero().flatten()` for a mask."
        )
    low, high = int(index.min()), int(index.max())
    if low < 0 or high >= units:
        raise BadArgument(
            f"`units` for site '{name}' has {low if low < 0 else high}; at grain '{grain}' its "
            f"units are 0 to {units - 1}."
        )
    return index.to("cpu", torch.int64)


def _mean(means: Mapping[str, Tensor] | None, site: Site, grain: str) -> Tensor:
    if means is None or site.name not in means:
        raise BadArgument(
            f"`means` has nothing for site '{site.name}'; replacement 'mean' needs the mean of "
            f"every unit. Pass a dict of site to tensor, or replacement='zero'."
        )
    mean = torch.as_tensor(means[site.name])
    shape = (site.width,) if grain == "channel" else site.shape
    if tuple(mean.shape) != shape:
        raise BadArgument(
            f"`means['{site.name}']` has shape {tuple(mean.shape)}; at grain '{grain}' it must "
            f"have {shape}, one mean per unit."
        )
    return mean
