"""A network's outputs under several changes at a site, stacked in one batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor

from frivolous.ablation.masks import Changes, Masks
from frivolous.errors import NotFinite
from frivolous.network import Frontier, Network

#: Bytes that one value of a stacked batch may take. On a CPU, larger stacks exceed the cache and
#: save nothing; on an accelerator they keep it busy.
STACK_BYTES = {"cpu": 2**20, "cuda": 2**28}

#: Share of pairs above which picking them by hand costs more than leaving some out saves.
NEARLY_ALL = 0.9


def run_masked(
    network: Network,
    alive: Frontier,
    changes: Mapping[str, Changes],
    stack_bytes: int | None = None,
) -> Iterator[tuple[int, Tensor]]:
    """The network's output under each change of one group of sites, several at a time.

    ``alive`` is where the computation stopped, ``changes`` has each site's, as many for each. Gives
    pairs (number of the first change, outputs (changes, N, ...)), stacked into one batch up to
    ``stack_bytes`` per value. Raises ``NotFinite`` after the last pair if some output was not
    finite.
    """
    count = next(iter(changes.values())).count
    size = min(count, _copies(network, alive, stack_bytes))
    finite = torch.ones((), dtype=torch.bool, device=network.device)
    for first in range(0, count, size):
        copies = min(size, count - first)
        heads = {name: changes[name].spread(alive.at(name), first, copies) for name in alive.heads}
        edits = {
            name: change.edit(first, copies)
            for name, change in changes.items()
            if name not in alive.heads
        }
        output = network.onward(alive.sites, alive.stacked(copies, heads), edits)
        finite &= torch.isfinite(output).all()
        yield first, output.unflatten(0, (copies, -1))
    _check_finite(finite, changes)


def run_single_units(
    network: Network, alive: Frontier, site: str, masks: Masks, stack_bytes: int | None = None
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """The network's output for one example with one unit silenced, many such pairs at a time.

    ``masks`` silences the site's units one by one, in order; ``alive`` is where the computation
    stopped. Gives triples (units (P,), examples (P,), outputs (P, ...)). Pairs are left out where
    the unit gives what a silenced one gives, such as a ReLU's 0: their output is the intact one.
    Stacked and refused as by :func:`run_masked`.
    """
    axis = network.site(site).axis
    value_NU = alive.at(site).movedim(axis, 1)
    apart = [1] * (value_NU.dim() - 2)  # the axes of positions
    # Each mask silences one unit, so the sum of their fills has every unit's replacement.
    fill = value_NU.new_zeros(masks.count) if masks.fill is None else masks.fill.sum(dim=0)
    replaced_U = fill.reshape(-1, *apart)
    acting_UN = (value_NU != replaced_U).reshape(*value_NU.shape[:2], -1).any(dim=2).T
    if not alive.stackable or float(acting_UN.double().mean()) > NEARLY_ALL:
        rows_N = torch.arange(alive.batch, device=network.device)
        for first, outputs in run_masked(network, alive, {site: masks}, stack_bytes):
            units = torch.arange(first, first + len(outputs), device=network.device)
            units_P = units.repeat_interleave(alive.batch)
            yield units_P, rows_N.repeat(len(outputs)), outputs.flatten(0, 1)
        return
    size = alive.batch * _copies(network, alive, stack_bytes)
    finite = torch.ones((), dtype=torch.bool, device=network.device)
    acting_P2 = acting_UN.nonzero()
    for pairs in acting_P2.split(size) if len(acting_P2) else ():
        units_P, rows_P = pairs.unbind(dim=1)
        value = alive.at(site).index_select(0, rows_P)
        each_P = torch.arange(len(pairs), device=network.device)
        value.movedim(axis, 1)[each_P, units_P] = replaced_U[units_P]
        output = network.onward(alive.sites, alive.taken(rows_P, {site: value}))
        finite &= torch.isfinite(output).all()
        yield units_P, rows_P, output
    _check_finite(finite, [site])


def _copies(network: Network, alive: Frontier, stack_bytes: int | None) -> int:
    """How many copies of a batch are stacked."""
    if stack_bytes is None:
        stack_bytes = STACK_BYTES.get(network.device.type, STACK_BYTES["cuda"])
    widest = max(network.largest_value(alive.sites), *(alive.at(n)[0].numel() for n in alive.sites))
    room = stack_bytes // (alive.batch * widest * alive.value.element_size())
    return max(1, room) if alive.stackable else 1


def _check_finite(finite: Tensor, sites: Iterable[str]) -> None:
    if not bool(finite):
        raise NotFinite(
            f"the scores are NaN or infinite when units of site '{'+'.join(sites)}' are "
            f"silenced, though the intact network's are not. Measure the other sites, or use "
            f"`replacement='mean'` where the network divides by its activity."
        )
