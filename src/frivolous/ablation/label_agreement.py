"""Label agreement: count the labels that stay for any choice of silenced units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from frivolous.ablation.batched import run_masked
from frivolous.ablation.masks import Changes, Plan, masks_for
from frivolous.ablation.predictions import UNCOUNTED, intact_labels, per_example
from frivolous.errors import BadArgument, Interrupted
from frivolous.inputs.batch import Inputs
from frivolous.network import Frontier, Network


@torch.no_grad()
def ablate(
    network: Network,
    inputs: Inputs,
    units: Plan,
    *,
    grain: str = "channel",
    replacement: str = "zero",
    means: Mapping[str, Tensor] | None = None,
    silenced_as: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """The network's output for a batch with exactly these units silenced.

    ``units`` maps a site to the indices of its units: channels, or at grain ``position`` places in
    the flattened value of one example (``Site.shape``). ``replacement`` is ``zero``, or ``mean``
    with ``means``: site -> (U,) for channels, of ``Site.shape`` for positions. ``silenced_as``:
    site -> (U,), what a silenced unit gives there, at every position, instead of zero; for a layer
    that is silenced before its normalisation see
    :func:`frivolous.ablation.pre_norm.value_of_zeroed_layer`.
    """
    if not units:
        return network(inputs)
    masks = {
        name: masks_for(network, name, [chosen], grain, replacement, means, silenced_as)
        for name, chosen in units.items()
    }
    return network.run(inputs, {name: mask.edit(0, 1) for name, mask in masks.items()})


@torch.no_grad()
def unchanged_counts(
    network: Network,
    batches: Iterable[Inputs],
    plans: Sequence[Plan],
    **options: Any,
) -> tuple[np.ndarray, int]:
    """How many examples keep their label under each plan, and how many examples there are.

    ``options`` are those of :class:`AblationTrials`. Returns counts of shape (plans,) and the
    examples; whole numbers for one label per example, else as
    :func:`frivolous.ablation.predictions.per_example` makes them. Raises ``NotFinite`` naming the
    site where scores stop being numbers, and, when stopped by Ctrl-C after a batch, ``Interrupted``
    with what it would have returned for those before.
    """
    _check_batches(batches)
    trials = AblationTrials(network, plans, **options)
    parts: list[tuple[Tensor, int, int]] = []
    try:
        for inputs in batches:
            kept, labels = trials.kept(inputs)
            parts.append((kept.sum(dim=1), len(labels), int(labels.sum())))
    except KeyboardInterrupt:
        if not parts:
            raise
        raise Interrupted("stopped while units were silenced", _summed(parts)) from None
    if not parts:
        raise BadArgument("`batches` holds no example; pass at least one batch.")
    return _summed(parts)


def _summed(parts: Sequence[tuple[Tensor, int, int]]) -> tuple[np.ndarray, int]:
    counts, examples, labels = zip(*parts, strict=True)
    return per_example(torch.stack(counts).sum(dim=0), sum(labels), sum(examples)), sum(examples)


class AblationTrials:
    """Plans of what to silence, prepared so that they can be run on any batch.

    A plan maps sites to the units to silence there, all at once. Plans for the same sites share
    the computation before the first of them and are stacked into one batch up to ``stack_bytes``
    per value (0: one by one). ``grain``, ``replacement``, ``means`` and ``silenced_as`` are those
    of :func:`ablate`.
    """

    def __init__(
        self,
        network: Network,
        plans: Sequence[Plan],
        *,
        grain: str = "channel",
        replacement: str = "zero",
        means: Mapping[str, Tensor] | None = None,
        silenced_as: Mapping[str, Tensor] | None = None,
        stack_bytes: int | None = None,
    ) -> None:
        self.network = network
        # Silencing channels before max-pooling or behind it is the same, and behind it there is
        # less to compute.
        self.late = network.past_pooling() if grain == "channel" else network
        self.stack_bytes = stack_bytes
        self.plans = len(plans)
        groups: dict[tuple[str, ...], list[int]] = {}
        for number, plan in enumerate(plans):
            ordered = sorted(plan, key=lambda name: network.site(name).depth)
            touched = tuple(name for name in ordered if len(plan[name]))
            groups.setdefault(touched, []).append(number)
        self.untouched = groups.pop((), [])
        self.groups = groups
        how = (grain, replacement, means, silenced_as)
        self.masks = {
            names: {
                name: masks_for(network, name, [plans[n][name] for n in numbers], *how)
                for name in names
            }
            for names, numbers in groups.items()
        }
        self.heads = {names: self.late.heads(names) for names in groups}

    @torch.no_grad()
    def kept(self, inputs: Inputs, which: Sequence[int] | None = None) -> tuple[Tensor, Tensor]:
        """Unchanged labels of each example under each plan: (plans, N), and its labels: (N,).

        ``which`` names the plans to try, by default all; both are of type int64.
        """
        wanted = range(self.plans) if which is None else which
        row = {number: at for at, number in enumerate(wanted)}
        starts: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
        for names, numbers in self.groups.items():
            if not row.keys().isdisjoint(numbers):
                starts.setdefault(self.heads[names], []).append(names)
        intact = None
        if not starts:
            intact = intact_labels(self.network, inputs, self.network(inputs))
        found: dict[int, Tensor] = {}
        for heads, shared in starts.items():
            alive = self.late.until(heads, inputs)
            if intact is None:
                intact = intact_labels(self.network, inputs, self.late.onward(heads, alive))
            for names in shared:
                numbers, masks = self.groups[names], self.masks[names]
                if which is not None:
                    places = [at for at, number in enumerate(numbers) if number in row]
                    numbers = [numbers[at] for at in places]
                    masks = {name: mask.some(places) for name, mask in masks.items()}
                kept = labels_kept(self.late, alive, intact, masks, self.stack_bytes)
                found |= dict(zip(numbers, kept, strict=True))
        assert intact is not None
        labels = (intact != UNCOUNTED).reshape(len(intact), -1).sum(dim=1)
        found |= {number: labels for number in self.untouched if number in row}
        rows = [found[number] for number in wanted]
        return torch.stack(rows) if rows else labels.new_zeros(0, len(labels)), labels


def labels_kept(
    network: Network,
    alive: Frontier,
    intact: Tensor,
    changes: Mapping[str, Changes],
    stack_bytes: int | None = None,
) -> Tensor:
    """How many of each example's labels stay under each change: shape (changes, N), int64."""
    return torch.cat(
        [
            (scores.argmax(dim=-1) == intact).view(len(scores), len(intact), -1).sum(dim=2)
            for _, scores in run_masked(network, alive, changes, stack_bytes)
        ]
    )


def _check_batches(batches: Iterable[Inputs]) -> None:
    if isinstance(batches, Tensor):
        raise BadArgument(
            f"`batches` is one tensor of shape {tuple(batches.shape)}; it must be an iterable of "
            f"batches. Pass `[x]`, or `x.split(256)`."
        )
