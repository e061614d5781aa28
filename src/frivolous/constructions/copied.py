"""Wide networks whose extra units copy the narrow ones, or are always silent."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from frivolous.constructions.construction import (
    Construction,
    Copies,
    Curve,
    check,
    check_factor,
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

CLAIMS = {
    "copies": (
        "More of both: half of the units copy the others and have outgoing weights of zero "
        "(Casper et al. 2021, section 3)."
    ),
    "silent": (
        "More of both: the extra units are always 0, whatever their outgoing weights "
        "(Casper et al. 2020, section 2, iv)."
    ),
    "shared": (
        "More of both: all copies of a unit share its outgoing weights equally, so that one "
        "stands in for the other (Casper et al. 2020, section 2, i)."
    ),
}


def more_of_both(
    narrow: MLP,
    inputs: Tensor,
    how: Literal["copies", "silent", "shared"] = "copies",
    factor: int = 2,
) -> Construction:
    """Return a network ``factor`` times as wide with more prunable and more redundant units.

    ``copies``: activity [u, u], outgoing weights [W, 0]. ``silent``: activity [u, 0], outgoing
    weights [W, W]. For both, silencing any set is silencing the part of it among the first n
    units, so the expected curve is the narrow one diluted (:func:`diluted_curve`): twice as many
    units can go, and the same share. ``shared``: activity [u, u], outgoing weights [W/2, W/2];
    silencing a copy takes half of its unit, and the last hidden layer keeps a label wherever the
    narrow network keeps it both without the first copies that went and without the second.

    The rank is the narrow one in all three: every extra unit is redundant. Units i, n + i, 2n + i
    of the wide network belong to unit i of the narrow one.

    >>> narrow = MLP(3, [4], 2)
    >>> made = more_of_both(narrow, torch.eye(3))
    >>> made.wide.hidden, made.silenceable[0].tolist(), made.rank == made.narrow_rank
    ((8,), [4, 5, 6, 7], True)
    """
    check(narrow, inputs)
    check_factor(factor)
    claim = look_up(CLAIMS, how, "way to build")
    if how == "silent":
        return _silent(narrow, inputs, factor, claim)

    def blocks(weight: Tensor) -> list[Tensor]:
        if how == "shared":
            return [weight / factor] * factor
        return [weight, *[torch.zeros_like(weight)] * (factor - 1)]

    curve: Curve = "averaged" if how == "shared" else "diluted"
    return _copied(narrow, inputs, blocks, f"more of both: {how}", claim, curve)


def only_more_redundant(narrow: MLP, inputs: Tensor, balance: float = 1024.0) -> Construction:
    """Return a network twice as wide with more redundant units and no more prunable ones.

    Weight balancing: activity [u, u], outgoing weights ``[W + B, W - B] / 2``, where every entry
    of row o of B is ``balance`` for even o and ``-balance`` for odd o. Silencing unit k of the
    first half moves score o by ``-(W_ok + B_o) u_k / 2``, of the second half by
    ``(B_o - W_ok) u_k / 2``: without bound as the balance grows, unless both copies go.

    The paper adds the same constant to every outgoing weight. That moves the scores of all
    classes alike, which changes no label, hence the alternating sign. Nothing is silenceable.
    (Casper et al. 2021, section 3.) Rounding grows with the balance to the power of the number of
    layers: use float64; a power of two loses least.

    >>> made = only_more_redundant(MLP(3, [4], 2).double(), torch.eye(3).double())
    >>> made.wide.hidden, made.rank == made.narrow_rank, len(made.silenceable[0])
    ((8,), True, 0)
    """
    check(narrow, inputs)
    if not (math.isfinite(balance) and balance > 0):
        raise BadArgument(
            f"`balance` is a positive number; got {balance}. Pass a large power of two: 1024."
        )

    def blocks(weight: Tensor) -> list[Tensor]:
        sign = 1 - 2 * (torch.arange(len(weight)) % 2)
        first = (weight + balance * sign[:, None]) / 2
        return [first, weight - first]

    claim = (
        "Only more redundant: pairs of equal units whose outgoing weights balance "
        f"each other by {balance:g} (Casper et al. 2021, section 3)."
    )
    return _copied(narrow, inputs, blocks, "only more redundant", claim, "balanced")


def _copied(
    narrow: MLP,
    inputs: Tensor,
    blocks: Callable[[Tensor], list[Tensor]],
    name: str,
    claim: str,
    curve: Curve,
) -> Construction:
    first, *others = parts(narrow)
    shares = [blocks(weight) for weight, _ in others]
    factor = len(shares[0])
    wide = [(first[0].repeat(factor, 1), first[1].repeat(factor))]
    for share, (_, bias) in zip(shares, others, strict=True):
        wide.append((torch.cat(share, 1).repeat(factor, 1), bias.repeat(factor)))
    wide[-1] = (torch.cat(shares[-1], 1), others[-1][1])
    model = network(wide, bias=narrow.layers[0].bias is not None)
    before, _ = pre_activations(narrow, inputs)
    ranks = tuple(rank_of(torch.relu(z)) for z in before)
    widths = zip(narrow.hidden, model.hidden, strict=True)
    return Construction(
        name=name,
        claim=claim,
        narrow=narrow,
        wide=model,
        inputs=inputs,
        narrow_inputs=inputs,
        output_tolerance=rounding(narrow, inputs) + rounding(model, inputs),
        silenceable=tuple(
            torch.arange(units if curve == "diluted" else total, total) for units, total in widths
        ),
        rank=ranks,
        narrow_rank=ranks,
        spectrum=tuple(_repeated(torch.relu(z), factor) for z in before),
        curve=curve,
        passes=tuple(Copies(tuple(share)) for share in shares),
    )


def _repeated(activity_NU: Tensor, factor: int) -> Tensor:
    """Return the spectrum of copies: that of the units times their number, then zeros."""
    values = eigenvalues(covariance(activity_NU)) * factor
    return torch.cat([values, values.new_zeros((factor - 1) * len(values))])


def _silent(narrow: MLP, inputs: Tensor, factor: int, claim: str) -> Construction:
    wide = []
    layers = parts(narrow)
    for i, (weight, bias) in enumerate(layers):
        extra = 0 if i == len(layers) - 1 else (factor - 1) * len(weight)
        rows = weight if i == 0 else weight.repeat(1, factor)
        nothing = rows.new_zeros(extra, rows.shape[1])
        wide.append((torch.cat([rows, nothing]), torch.cat([bias, bias.new_zeros(extra)])))
    model = network(wide, bias=narrow.layers[0].bias is not None)
    before, _ = pre_activations(narrow, inputs)
    spectra = [eigenvalues(covariance(torch.relu(z))) for z in before]
    ranks = tuple(rank_of(torch.relu(z)) for z in before)
    return Construction(
        name="more of both: silent",
        claim=claim,
        narrow=narrow,
        wide=model,
        inputs=inputs,
        narrow_inputs=inputs,
        output_tolerance=rounding(narrow, inputs) + rounding(model, inputs),
        silenceable=tuple(torch.arange(n, factor * n) for n in narrow.hidden),
        rank=ranks,
        narrow_rank=ranks,
        spectrum=tuple(torch.cat([s, s.new_zeros((factor - 1) * len(s))]) for s in spectra),
        curve="diluted",
        passes=tuple(Copies((weight,)) for weight, _ in layers[1:]),
    )
