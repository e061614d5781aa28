"""How many labels stay as they are when units are silenced."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from frivolous.errors import BadArgument, NotFinite
from frivolous.masking import GRAINS, Masks, Plan, count_units, masks_for
from frivolous.network import Network, Site
from frivolous.network.inputs import Inputs
from frivolous.seeds import generator

#: Proportions of units silenced: 0, 1/6, ..., 1.
FRACTIONS = tuple(step / 6 for step in range(7))

#: Bytes that one value of a stacked batch may take. Larger stacks leave the processor's cache
#: without saving anything; on an accelerator they keep it busy.
STACK_BYTES = {"cpu": 2**21, "cuda": 2**28}


@dataclass(frozen=True)
class AblationCurve:
    """Unchanged labels against the proportion of units silenced, for one site or several together.

    ``site`` is a site's name, ``"all"`` for every site of the network together, or ``"a+b"``.
    ``units`` is how many units proportion 1 silences, ``fractions`` the nominal proportions;
    ``unchanged_DF`` in ``unchanged`` counts, for D draws and F proportions, the examples whose
    label is what the intact network predicts, of ``examples``.
    """

    site: str
    grain: str
    replacement: str
    units: int
    fractions: tuple[float, ...]
    unchanged: np.ndarray
    examples: int

    @property
    def shares(self) -> np.ndarray:
        """Unchanged labels as a share of the examples, in [0, 1], of shape (draws, fractions)."""
        return self.unchanged / self.examples


def labels(output: Tensor) -> Tensor:
    """The predicted label of every example: the arg-max over the last axis of (N, classes) scores.

    Raises ``BadArgument`` for an output that is no table of scores.

    >>> labels(torch.tensor([[0.1, 0.9], [2.0, 1.0]]))
    tensor([1, 0])
    """
    shape = tuple(output.shape)
    needed = "labels need floating-point scores of shape (N, classes), two classes at least"
    if not output.dtype.is_floating_point:
        raise BadArgument(
            f"the network's output is {output.dtype} of shape {shape}; {needed}. Return the scores "
            f"before the arg-max."
        )
    if output.dim() == 1 or (output.dim() == 2 and shape[1] < 2):
        raise BadArgument(
            f"the network's output has shape {shape}, one number per example; {needed}. For two "
            f"classes with one logit z return `torch.stack([-z / 2, z / 2], dim=-1)`."
        )
    if output.dim() != 2:
        raise BadArgument(
            f"the network's output has shape {shape}; {needed}. Reduce the other axes inside the "
            f"model, e.g. by a mean over positions."
        )
    return output.argmax(dim=-1)


def permutation(units: int, seed: int, draw: int, depth: int) -> Tensor:
    """The order in which one draw silences the units of the site at ``depth``.

    It depends on nothing but its arguments: not on other sites, the device or the batch size.

    >>> bool((permutation(5, seed=0, draw=1, depth=2).sort().values == torch.arange(5)).all())
    True
    """
    return torch.randperm(units, generator=generator("ablation", seed, draw, depth))


@torch.no_grad()
def ablate(
    network: Network,
    inputs: Inputs,
    units: Plan,
    *,
    grain: str = "channel",
    replacement: str = "zero",
    means: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """The network's output for a batch with exactly these units silenced.

    ``units`` maps a site to the indices of its units: channels, or at grain ``position`` places in
    the flattened value of one example (``Site.shape``). ``replacement`` is ``zero``, or ``mean``
    with ``means``: site -> (U,) for channels, of ``Site.shape`` for positions.
    """
    if not units:
        return network(inputs)
    masks = {
        name: masks_for(network, name, [chosen], grain, replacement, means)
        for name, chosen in units.items()
    }
    return network.run(inputs, {name: mask.edit(0, 1) for name, mask in masks.items()})


@torch.no_grad()
def unchanged_counts(
    network: Network,
    batches: Iterable[Inputs],
    plans: Sequence[Plan],
    *,
    grain: str = "channel",
    replacement: str = "zero",
    means: Mapping[str, Tensor] | None = None,
    stack_bytes: int | None = None,
) -> tuple[np.ndarray, int]:
    """How many examples keep their label under each plan, and how many there are.

    A plan maps sites to the units to silence there, all at once. Plans for the same sites share
    the computation before the first of them and are stacked into one batch up to ``stack_bytes``
    per value (0: one by one). Returns counts of shape (plans,), int64, and the examples.

    Raises ``NotFinite`` naming the site where scores stop being numbers.
    """
    _check_batches(batches)
    groups: dict[tuple[str, ...], list[int]] = {}
    for number, plan in enumerate(plans):
        ordered = sorted(plan, key=lambda name: network.site(name).depth)
        touched = tuple(name for name in ordered if len(plan[name]))
        groups.setdefault(touched, []).append(number)
    untouched = groups.pop((), [])
    masks = {
        names: {
            name: masks_for(
                network, name, [plans[n][name] for n in numbers], grain, replacement, means
            )
            for name in names
        }
        for names, numbers in groups.items()
    }
    if stack_bytes is None:
        stack_bytes = STACK_BYTES.get(network.device.type, STACK_BYTES["cuda"])
    counts = torch.zeros(len(plans), dtype=torch.int64, device=network.device)
    examples = 0
    for inputs in batches:
        output = network(inputs)
        intact = labels(output)
        if not bool(torch.isfinite(output).all()):
            raise _not_finite(network, inputs)
        examples += intact.shape[0]
        for names, numbers in groups.items():
            counts[numbers] += _unchanged(network, inputs, intact, masks[names], stack_bytes)
    if not examples:
        raise BadArgument("`batches` holds no example; pass at least one batch.")
    counts[untouched] = examples
    return counts.cpu().numpy(), examples


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
    seed: int = 0,
    stack_bytes: int | None = None,
) -> dict[str, AblationCurve]:
    """Unchanged labels while more and more randomly chosen units are silenced.

    Each site (or each of ``sites``) alone and, with ``together``, all of them at once: the curve
    ``"all"`` when that is every site of the network, else ``"a+b"``. One permutation per draw and
    site (:func:`permutation`); proportion p silences its first int(p * units), so the sets are
    nested, and the joint curve uses the same permutations. Proportion 0 changes no label by
    definition. ``batches`` gives inputs without labels.

    Counts depend on how examples are batched only where two scores tie within rounding.

    Source: PROTOCOL 1.1; Casper et al. 2021, section 4.

    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    >>> from frivolous.network import trace
    >>> x = torch.randn(8, 2, generator=torch.Generator().manual_seed(0))
    >>> curve = ablation_curves(trace(model, x), [x], draws=2)["0"]
    >>> curve.unchanged.shape, curve.unchanged[:, 0].tolist()
    ((2, 7), [8, 8])
    """
    fractions = _checked_fractions(fractions)
    if isinstance(draws, bool) or not isinstance(draws, int) or draws < 1:
        raise BadArgument(f"`draws` is a whole number of at least 1; got {draws!r}. Pass e.g. 3.")
    chosen = _chosen(network, sites)
    groups: dict[str, tuple[Site, ...]] = {site.name: (site,) for site in chosen}
    if together and len(chosen) == len(network.sites):
        groups["all"] = tuple(chosen)
    elif together and len(chosen) > 1:
        groups["+".join(site.name for site in chosen)] = tuple(chosen)
    plans, places = _plans(groups, fractions, draws, grain, seed)
    counts, examples = unchanged_counts(
        network,
        batches,
        plans,
        grain=grain,
        replacement=replacement,
        means=means,
        stack_bytes=stack_bytes,
    )
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


def _plans(
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


def _unchanged(
    network: Network,
    inputs: Inputs,
    intact: Tensor,
    masks: Mapping[str, Masks],
    stack_bytes: int,
) -> Tensor:
    """Examples of one batch with unchanged labels, for every plan of one group of sites."""
    names = tuple(masks)
    alive = network.until(names, inputs)
    plans = next(iter(masks.values())).count
    widest = max(network.largest_value(names), *(alive.at(n)[0].numel() for n in alive.heads), 1)
    room = stack_bytes // (alive.batch * widest * alive.value.element_size())
    size = max(1, min(plans, room)) if alive.stackable else 1
    counts = []
    finite = torch.ones((), dtype=torch.bool, device=intact.device)
    for first in range(0, plans, size):
        copies = min(size, plans - first)
        heads = {name: masks[name].spread(alive.at(name), first, copies) for name in alive.heads}
        edits = {name: masks[name].edit(first, copies) for name in names if name not in alive.heads}
        output = network.onward(names, alive.stacked(copies, heads), edits)
        finite &= torch.isfinite(output).all()
        same = labels(output).view(copies, -1) == intact
        counts.append(same.sum(dim=1))
    if not bool(finite):
        raise NotFinite(
            f"the scores are NaN or infinite when units of site '{'+'.join(names)}' are silenced, "
            f"though the intact network's are not. Measure the other sites, or use "
            f"`replacement='mean'` where the network divides by its activity."
        )
    return torch.cat(counts)


def _not_finite(network: Network, inputs: Inputs) -> NotFinite:
    """Name the first site whose activity is not finite."""
    _, activities = network.activities(inputs)
    guilty = next(
        (name for name, value in activities.items() if not bool(torch.isfinite(value).all())), None
    )
    where = f"the activity at site '{guilty}'" if guilty else "the network's output"
    return NotFinite(
        f"{where} is NaN or infinite before any unit is silenced; labels need finite scores. Check "
        f"the weights up to there and the scale of the inputs."
    )


def _checked_fractions(fractions: Sequence[float]) -> tuple[float, ...]:
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


def _check_batches(batches: Iterable[Inputs]) -> None:
    if isinstance(batches, Tensor):
        raise BadArgument(
            f"`batches` is one tensor of shape {tuple(batches.shape)}; it must be an iterable of "
            f"batches. Pass `[x]`, or `x.split(256)`."
        )


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
