"""Wide networks with neither more prunable nor more redundant units."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from frivolous.constructions.blocked import only_more_prunable
from frivolous.constructions.construction import (
    Construction,
    Mirrored,
    check,
    covariance,
    eigenvalues,
    network,
    parts,
    pre_activations,
    rank_of,
    rounding,
)
from frivolous.errors import BadArgument, look_up
from frivolous.families.mlp import MLP

WAYS = {
    "mirrored": "every unit as two that both matter and that no other unit repeats",
    "blocked": "uncorrelated units of no effect, read as shares of the width",
}


def neither(
    narrow: MLP,
    inputs: Tensor,
    how: Literal["mirrored", "blocked"] = "mirrored",
    shift: float = 1024.0,
) -> Construction:
    """Return a network twice as wide, neither more prunable nor more redundant.

    ``mirrored``, by numbers of units: with z what a unit sums up, ``relu(z) = relu(z + s) +
    relu(-z) - s`` where z is at least -s. So two units of activity ``z + s`` and ``relu(-z)``
    with the same outgoing weights, and a bias less s times their sum, are the unit. Activity has
    the rank of z and relu(z) together: twice the narrow one in general. Silencing the first of
    them moves score o by ``-W_ok (z + s)``, without bound in the shift s.

    ``blocked``, by shares of the width: the network of :func:`only_more_prunable`. Averaged over
    every number of silenced units from none to all, as many labels are unchanged as in the narrow
    network, exactly; its redundant units are as many as before, so a smaller share
    (Casper et al. 2020, section 2: "equally or less robust and redundant").

    Raises :class:`BadArgument` where a unit sums up less than minus the shift.

    >>> made = neither(MLP(3, [4], 2).double(), torch.eye(3).double())
    >>> error = made.wide(made.inputs) - made.narrow(made.narrow_inputs)
    >>> made.wide.hidden, bool(error.abs().max() <= made.output_tolerance)
    ((8,), True)
    """
    check(narrow, inputs)
    look_up(WAYS, how, "way to build")
    if how == "blocked":
        return replace(
            only_more_prunable(narrow, inputs),
            name="neither: blocked",
            claim=(
                "Neither, as shares of the width: extra units that are uncorrelated and have no "
                "influence (Casper et al. 2020, section 2, iii)."
            ),
        )
    before, _ = pre_activations(narrow, inputs)
    lowest = min(float(z.min()) for z in before)
    if not shift >= -lowest:
        raise BadArgument(
            f"`shift` is at least as large as any negative sum of a unit; got {shift} with a sum "
            f"of {lowest:g}. Pass a power of two above {-lowest:g}."
        )
    return _mirrored(narrow, inputs, before, float(shift))


def _mirrored(narrow: MLP, inputs: Tensor, before: list[Tensor], shift: float) -> Construction:
    layers = parts(narrow)
    wide = []
    for i, (weight, bias) in enumerate(layers):
        reader = weight if i == 0 else torch.cat([weight, weight], 1)
        offset = bias if i == 0 else bias - shift * weight.sum(1)
        last = i == len(layers) - 1
        rows = reader if last else torch.cat([reader, -reader])
        wide.append((rows, offset if last else torch.cat([offset + shift, -offset])))
    model = network(wide)
    activities = [torch.cat([z + shift, torch.relu(-z)], 1) for z in before]
    return Construction(
        name="neither: mirrored",
        claim=(
            "Neither: every unit is written as a shifted and a mirrored one, which are not "
            f"correlated in full and balance each other by {shift:g}."
        ),
        narrow=narrow,
        wide=model,
        inputs=inputs,
        narrow_inputs=inputs,
        output_tolerance=rounding(narrow, inputs) + rounding(model, inputs),
        silenceable=tuple(z.shape[1] + (z >= 0).all(0).nonzero().squeeze(1) for z in before),
        rank=tuple(rank_of(torch.cat([z, torch.relu(z)], 1)) for z in before),
        narrow_rank=tuple(rank_of(torch.relu(z)) for z in before),
        spectrum=tuple(eigenvalues(covariance(a)) for a in activities),
        curve="mirrored",
        passes=tuple(Mirrored(weight, shift) for weight, _ in layers[1:]),
    )
