"""Ablation curves: how many labels stay as more and more units are silenced."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from frivolous.ablation.label_agreement import ablate, unchanged_counts
from frivolous.ablation.masks import GRAINS, Plan, count_units
from frivolous.ablation.predictions import labels
from frivolous.errors import BadArgument, Interrupted
from frivolous.inputs.batch import Inputs
from frivolous.measures.curve import Interval
from frivolous.network import Network, Site
from frivolous.rng import generator

#: Proportions of units silenced: 0, 1/6, ..., 1.
FRACTIONS = tuple(step / 6 for step in range(7))


@dataclass(frozen=True)
class AblationCurve:
    """Unchanged labels against the proportion of units silenced, for one site or several together.

    ``site`` is a site's name, ``"all"`` for every site of the network together, or ``"a+b"``.
    ``units`` is how many units proportion 1 silences, ``fractions`` the nominal proportions;
    ``unchanged_DF`` in ``unchanged`` counts, for D draws and F proportions, the examples whose
    label is what the intact network predicts, of ``examples``; of several labels per example, the
    share of all labels times ``examples``.

    A curve that was followed only as far as a precision needed
    (:mod:`frivolous.ablation.sequential`) has ``seen``, how many of the ``examples`` each count is
    out of, shape (D, F), and ``crossing``, the share of units that can go, with bounds.
    """

    site: str
    grain: str
    replacement: str
    units: int
    fractions: tuple[float, ...]
    unchanged: np.ndarray
    examples: int
    seen: np.ndarray | None = None
    crossing: Interval | None = None

    @property
    def shares(self) -> np.ndarray:
        """Unchanged labels as a share of the examples, in [0, 1]: shape (draws, fractions)."""
        return self.unchanged / (self.examples if self.seen is None else self.seen)


def permutation(units: int, seed: int, draw: int, depth: int) -> Tensor:
    """The order in which one draw silences the units of the site at ``depth``.

    It depends on nothing but its arguments: not on other sites, the device or the batch size.

    >>> bool((permutation(5, seed=0, draw=1, depth=2).sort().values == torch.arange(5)).all())
    True
    """
    return torch.randperm(units, generator=generator("ablation", seed, draw, depth))


def ablation_curves(
    network: Network,
    batches: Iterable[Inputs],
    *,
    sites: Sequence[str] | None = None,
    together: bool = True,
    fractions: Sequence[float] = FRACTIONS,
    draws: int = 3,
    grain: str = "channel",
    replacement: str = "zero",
    means: Mapping[str, Tensor] | None = None,
    silenced_as: Mapping[str, Tensor] | None = None,
    seed: int = 0,
    stack_bytes: int | None = None,
) -> dict[str, AblationCurve]:
    """Count unchanged labels while more and more randomly chosen units are silenced.

    Each site (or each of ``sites``) alone and, with ``together``, all of them at once: the curve
    ``"all"`` when that is every site of the network, else ``"a+b"``. One permutation per draw and
    site (:func:`permutation`); proportion p silences its first int(p * units), so the sets are
    nested, and the joint curve uses the same permutations. Proportion 0 changes no label by
    definition. ``batches`` gives inputs without labels. ``replacement``, ``means`` and
    ``silenced_as`` are those of :func:`frivolous.ablation.label_agreement.ablate`.

    Stopped by Ctrl-C after a batch it raises :class:`frivolous.errors.Interrupted` with the curves
    of the batches before. Counts depend on how examples are batched only where two scores tie
    within rounding.

    Source: Casper et al. 2021, section 4.

    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    >>> from frivolous.network import trace
    >>> x = torch.randn(8, 2, generator=torch.Generator().manual_seed(0))
    >>> curve = ablation_curves(trace(model, x), [x], draws=2)["0"]
    >>> curve.unchanged.shape, curve.unchanged[:, 0].tolist()
    ((2, 7), [8, 8])
    """
    fractions = checked_fractions(fractions)
    if isinstance(draws, bool) or not isinstance(draws, int) or draws < 1:
        raise BadArgument(f"`draws` is a whole number of at least 1; got {draws!r}. Pass e.g. 3.")
    groups = groups_of(network, sites, together)
    plans, places = plans_of(groups, fractions, draws, grain, seed)

    def curves(counts: np.ndarray, examples: int) -> dict[str, AblationCurve]:
        return {
            name: AblationCurve(
                site=name,
                grain=grain,
                replacement=replacement,
                units=sum(count_units(site, grain) for site in group),
                fractions=fractions,
                unchanged=counts[places[name]],
                examples=examples,
            )
            for name, group in groups.items()
        }

    try:
        found = unchanged_counts(
            network,
            batches,
            plans,
            grain=grain,
            replacement=replacement,
            means=means,
            silenced_as=silenced_as,
            stack_bytes=stack_bytes,
        )
    except Interrupted as stopped:
        raise Interrupted(str(stopped), curves(*stopped.found)) from None
    return curves(*found)


def groups_of(
    network: Network, sites: Sequence[str] | None, together: bool
) -> dict[str, tuple[Site, ...]]:
    """The sites that each curve silences, by the curve's name."""
    chosen = _chosen(network, sites)
    groups: dict[str, tuple[Site, ...]] = {site.name: (site,) for site in chosen}
    if together and len(chosen) == len(network.sites):
        groups["all"] = tuple(chosen)
    elif together and len(chosen) > 1:
        groups["+".join(site.name for site in chosen)] = tuple(chosen)
    return groups


def plans_of(
    groups: Mapping[str, tuple[Site, ...]],
    fractions: Sequence[float],
    draws: int,
    grain: str,
    seed: int,
) -> tuple[list[Plan], dict[str, np.ndarray]]:
    """Every plan once, and for each group the plan of each draw and proportion."""
    plans: list[Plan] = []
    known: dict[Any, int] = {}
    places = {name: np.zeros((draws, len(fractions)), dtype=np.int64) for name in groups}
    for draw in range(draws):
        orders = {
            site.name: permutation(count_units(site, grain), seed, draw, site.depth)
            for site in itertools.chain.from_iterable(groups.values())
        }
        for (name, group), (column, fraction) in itertools.product(
            groups.items(), enumerate(fractions)
        ):
            plan = {
                site.name: orders[site.name][: int(fraction * len(orders[site.name]))]
                for site in group
            }
            counts = tuple((site, len(order)) for site, order in plan.items())
            # Without any unit, or with all of them, the order does not matter.
            settled = all(count in {0, len(orders[site])} for site, count in counts)
            key = (None if settled else draw, counts)
            if key not in known:
                known[key] = len(plans)
                plans.append(plan)
            places[name][draw, column] = known[key]
    return plans, places


def checked_fractions(fractions: Sequence[float]) -> tuple[float, ...]:
    """Increasing proportions in [0, 1]; raises for anything else."""
    values = tuple(float(value) for value in fractions)
    increasing = all(low < high for low, high in itertools.pairwise(values))
    inside = all(math.isfinite(value) and 0 <= value <= 1 for value in values)
    if not values or not inside or not increasing:
        raise BadArgument(
            f"`fractions` are increasing proportions of units in [0, 1]; got {list(values)}. Pass "
            f"e.g. [0, 0.5, 1]."
        )
    return values


def _chosen(network: Network, sites: Sequence[str] | None) -> list[Site]:
    if not network.sites:
        raise BadArgument(
            "`network` has no site: no layer's units are read by another layer. Ablation needs a "
            "hidden layer."
        )
    names = [sites] if isinstance(sites, str) else sites
    if names is None:
        return list(network.sites)
    if not names:
        raise BadArgument("`sites` is empty; name at least one site, or pass None for all.")
    return sorted({network.site(name) for name in names}, key=lambda site: site.depth)


__all__ = [
    "FRACTIONS",
    "GRAINS",
    "AblationCurve",
    "ablate",
    "ablation_curves",
    "labels",
    "permutation",
    "unchanged_counts",
]
