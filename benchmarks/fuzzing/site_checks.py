"""What is asked of a network that was read: its graph, its sites, its ablation curves."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

import frivolous as fv
from frivolous.ablation.curves import permutation
from fuzzing.case import Case, Wrong, changed_labels
from fuzzing.given import some_of
from fuzzing.masked import Place, masked, places_of, values_of

BATCHES = (1, 3, 5)


def read(case: Case) -> Any:
    """Trace; the graph gives what the module gives, for batches of 1, 3 and 5."""
    network = fv.trace(
        case.model, some_of(case.inputs, 0, 2), output=case.net.output, residual=True
    )
    for size in BATCHES:
        inputs = some_of(case.inputs, 0, size)
        ours, theirs = network(inputs), case.scores(case.plain, inputs)
        case.same(ours, theirs, f"graph, batch of {size}")
    case.found.sites = len(network.sites)
    return network


def located(case: Case, network: Any) -> dict[str, list[Place]]:
    """Where each site is in the plain forward: silencing it there does what the graph does.

    Of several operations that give the same numbers (an activation and a dropout behind it) those
    are kept at which a mask does that; a site that none of them is, is wrong. A site whose value no
    operation gives is left unchecked.
    """
    values = values_of(case.plain_scores)
    _, activities = network.activities(case.inputs)
    found: dict[str, list[Place]] = {}
    for site in network.sites:
        activity = activities[site.name]
        places = places_of(activity, site.axis, values, max(case.rounding, 1e-9))
        if not places:
            case.found.unchecked.append(site.name)
            continue
        keep_U = torch.tensor([case.rng.random() < 0.6 for _ in range(site.width)])
        ours = network.run(case.inputs, {site.name: _masking(keep_U, site.axis)})
        faults = []
        for place in places:
            try:
                theirs = masked(case.plain_scores, {place: keep_U})
                case.same(ours, theirs, f"site '{site.name}' silenced")
                found.setdefault(site.name, []).append(place)
            except Wrong as wrong:
                faults.append(wrong)
        if site.name not in found:
            raise faults[0]
    return found


def _masking(keep_U: Tensor, axis: int) -> Any:
    def edit(value: Tensor) -> Tensor:
        shape = [1] * value.dim()
        shape[axis] = -1
        return value * keep_U.to(value.dtype).view(shape)

    return edit


def measured(case: Case) -> Any:
    """Measure cheaply, with some options."""
    rng = case.rng
    found = fv.measure(
        case.model,
        case.data.data,
        output=case.net.output,
        joint_tolerance=rng.choice([0.02, None]),
        unit_examples=rng.choice([None, 10]),
        residual=case.residual,
        grain=rng.choice(["channel", "channel", "channel", "position"]),
        replacement=rng.choice(["zero", "zero", "zero", "mean"]),
        precision=rng.choice([None] * 9 + [0.2]),
        batch_size=rng.choice([16, 256]),
    )
    if not found.summary():
        raise Wrong("the summary is empty")
    return found


def curve_by_hand(case: Case, network: Any, found: Any) -> None:
    """One count of an ablation curve is that of a plain loop over the examples."""
    facts = found.facts
    plain = facts["grain"] == "channel" and facts["replacement"] == "zero"
    if not plain or facts["precision"] or facts["examples"] != case.data.examples:
        return  # means are not the oracle's; a loader may leave out the last batch
    names = [site.name for site in network.sites]
    curves = found.curves[found.curves.site.isin(names) & (found.curves.fraction > 0)]
    if not len(curves):
        return
    row = curves.iloc[case.rng.randrange(len(curves))]
    own = fv.trace(
        *(case.model, some_of(case.inputs, 0, 2)),
        output=case.net.output,
        residual=case.residual,
    )
    site = own.site(row.site)
    order = permutation(site.width, facts["seed"], int(row.draw), site.depth)
    keep_U = torch.ones(site.width).index_fill(0, order[: int(row.ablated)], 0.0)

    def whole() -> Tensor:
        return case.scores(case.plain, case.data.inputs)

    # All examples at once: other operations may run for another number of them.
    activity = own.activities(case.data.inputs, [row.site])[1][row.site]
    there = places_of(activity, site.axis, values_of(whole), max(case.rounding, 1e-9))
    if not there:
        return
    before = whole()
    counts = []
    for place in there:
        after = masked(whole, {place: keep_U})
        counts.append(len(after) - changed_labels(before, after))
        if abs(counts[-1] - row.unchanged * len(after)) <= case.unsure(after) + 0.01:
            return
    raise Wrong(
        f"'{row.site}' at {row.fraction:.2f}: {row.unchanged:.4f} unchanged of "
        f"{case.data.examples}, by hand {counts}"
    )
