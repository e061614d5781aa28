"""Select the network that a budget requests: within a tolerance, of a share, or of given units."""

from __future__ import annotations

from collections.abc import Mapping

from frivolous.compression.budget import Budget
from frivolous.compression.coupling.costs import Units
from frivolous.compression.profiling import latency_of
from frivolous.compression.pruner import Pruner
from frivolous.compression.reporting.skipped import skipped_layers
from frivolous.compression.reporting.unit_counts import group_of, total_units
from frivolous.compression.search.search import Found, Search
from frivolous.errors import BadArgument, look_up
from frivolous.inputs.batches import Batches


def select_network(budget: Budget, work: Search, search: Batches) -> Found:
    """Search for the network of a budget; the whole one if everything may be left.

    Raises :class:`BadArgument` for a share that the least network does not meet.
    """
    pruner = work.pruner
    whole = tuple(cut.units for cut in pruner.cuts)
    if budget.kind == "tolerance":
        return work.within(budget.amount) if budget.amount > 0 else work.exact()
    if budget.kind == "keep":
        return work.of_units(_kept(pruner, budget.amount))
    if budget.kind == "latency":
        example = search.first(1)

        def share(units: Units) -> float:
            if units == whole:  # 1 by definition, whatever the clock says
                return 1.0
            thinner = pruner.thin(work.method, units, fine=False)
            return latency_of(pruner.model, pruner.module(thinner), example).ratio
    elif budget.kind == "units":
        total = total_units(pruner.whole, pruner.cuts, pruner.orders, whole)

        def share(units: Units) -> float:
            return total_units(pruner.whole, pruner.cuts, pruner.orders, units) / total
    else:
        place = ("parameters", "flops").index(budget.kind)
        parameters = sum(parameter.numel() for parameter in pruner.model.parameters())
        intact = (parameters, work.sizes.both(whole)[1])[place]

        def share(units: Units) -> float:
            return float(pruner.sizes_left(pruner.keeping_of(units))[place] / max(intact, 1))

    if budget.amount == 1:
        return work.of_units(whole)
    found = work.of_size(lambda units: share(units) <= budget.amount)
    if found is None:
        raise BadArgument(
            f"`{budget.kind}` is {budget.amount:g}; the least that can be had is "
            f"{share(work.path.units[-1]):.3g}, with the fewest units left of every layer that can "
            "be cut. Allow more."
        )
    return found


def _kept(pruner: Pruner, keep: Mapping[str, int]) -> Units:
    """The numbers of units requested, by group; each site's own units are counted."""
    cut_of = {name: place for place, cut in enumerate(pruner.cuts) for name in cut.places}
    units = [cut.units for cut in pruner.cuts]
    asked: dict[int, tuple[str, int]] = {}
    left = {layer: one["reason"] for one in skipped_layers(pruner) for layer in one["layers"]}
    for name, count in keep.items():
        if name in left:
            raise BadArgument(f"`keep` names '{name}', which cannot be cut: {left[name]}.")
        place = look_up(cut_of, name, "site")
        whole = isinstance(count, int) and not isinstance(count, bool)
        least, cut = pruner.orders[place].least, pruner.cuts[place]
        group = group_of(cut, name)
        each = group or 1
        if not whole or count % each or not least <= count // each <= cut.units:
            others = [f"'{other}'" for other in cut.places if other != name]
            more = f" with {', '.join(others)}" if not group else ""
            rule = f", in groups of {group}" if group > 1 else ""
            raise BadArgument(
                f"`keep` has {count!r} units for '{name}'; it has {each * cut.units}{more}, of "
                f"which {each * least} or more stay{rule}."
            )
        if asked.setdefault(place, (name, count // each))[1] != count // each:
            raise BadArgument(
                f"`keep` has {asked[place][1]} units for '{asked[place][0]}' and {count // each} "
                f"for '{name}', whose units are the same. Name one of them."
            )
        units[place] = count // each
    return tuple(units)
