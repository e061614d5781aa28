"""Wide networks whose extra units compute something else that reaches no output."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from scipy.linalg import hadamard
from torch import Tensor

from frivolous.constructions.construction import (
    Construction,
    Copies,
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
    "extended": "inputs get one more coordinate for each extra unit, in every combination needed",
    "interpolated": "the extra units' weights are solved for on the inputs as they are",
}


def only_more_prunable(
    narrow: MLP,
    inputs: Tensor,
    how: Literal["extended", "interpolated"] = "extended",
    extra: Sequence[int] | None = None,
) -> Construction:
    """Return a wider network with more prunable units and no more redundant ones.

    Every layer has activity [u, v]: the units v have no correlation with any u nor with each
    other on ``Construction.inputs``, and no influence on the scores. The rank grows by their
    number, so as many units as before are redundant, and all of v can be silenced; silencing any
    set is silencing its part among u (Casper et al. 2021, section 3).

    ``extended``: the wide network reads M more coordinates, of which each is 0 or 1, and passes
    them from layer to layer. The data are all pairs of an example and a state of the coordinates:
    columns of a Hadamard matrix, so that nothing is correlated, exactly. ``interpolated``: v is a
    linear function of the given inputs, without correlation with any hidden layer; needs more
    dimensions than there are units of all hidden layers, and examples to show them.

    ``extra``: how many units each layer gets. A layer passes on no more of them than it has, so
    the numbers must not grow with depth; by default each layer gets as many as the widest
    hidden layer from there on: twice as wide where layers do not get wider with depth.

    >>> made = only_more_prunable(MLP(3, [4, 2], 2), torch.eye(3))
    >>> made.wide.hidden, tuple(made.inputs.shape), made.rank[0] - made.narrow_rank[0]
    ((8, 4), (24, 7), 4)
    """
    check(narrow, inputs)
    look_up(WAYS, how, "way to build")
    extras = _extras(narrow, extra)
    if how == "extended":
        states = _states(extras[0], inputs.dtype)
        narrow_inputs = inputs.repeat(len(states), 1)
        tail = states.repeat_interleave(len(inputs), 0)
        wide_inputs = torch.cat([narrow_inputs, tail], 1)
        reader = torch.cat([torch.zeros(extras[0], narrow.inputs), torch.eye(extras[0])], 1)
        entry = (reader.to(inputs.dtype), inputs.new_zeros(extras[0]))
    else:
        narrow_inputs = wide_inputs = inputs
        entry = _solved(narrow, inputs, extras[0])
    return _blocked(narrow, narrow_inputs, wide_inputs, entry, extras)


def _extras(narrow: MLP, extra: Sequence[int] | None) -> tuple[int, ...]:
    widths = narrow.hidden
    if extra is None:
        return tuple(max(widths[i:]) for i in range(len(widths)))
    numbers = tuple(extra)
    falling = all(a >= b for a, b in pairwise(numbers))
    if len(numbers) != len(widths) or not falling or numbers[-1] < 1:
        raise BadArgument(
            f"`extra` has one number of at least 1 for each of {len(widths)} hidden layers, none "
            f"larger than the one before; got {numbers}. Leave it out to double the widths."
        )
    return numbers


def _states(number: int, dtype: torch.dtype) -> Tensor:
    """Return rows of 0 and 1 whose columns have mean 1/2 and no correlation, (S, number)."""
    size = 1 << number.bit_length()
    return torch.as_tensor((1 - hadamard(size)[:, 1 : number + 1]) // 2).to(dtype)


def _solved(narrow: MLP, inputs: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """Return weights and biases of units of unit variance, uncorrelated with every hidden unit."""
    before, _ = pre_activations(narrow, inputs)
    hidden = torch.cat([torch.relu(z) for z in before], 1)
    centred = inputs - inputs.mean(0)
    left, values, right = torch.linalg.svd(centred, full_matrices=False)
    rank = rank_of(inputs)
    left, values, right = left[:, :rank], values[:rank], right[:rank]
    seen = (hidden - hidden.mean(0)).T @ left
    _, sizes, directions = torch.linalg.svd(seen, full_matrices=True)
    eps = torch.finfo(inputs.dtype).eps * max(seen.shape)
    used = int((sizes > eps * max(1.0, float(hidden.abs().max()))).sum())
    free = directions[used:]
    if len(free) < number:
        raise BadArgument(
            f"`inputs` spans {rank} dimensions, of which {len(free)} have no correlation with the "
            f"hidden units; {number} extra units need {number}. Pass how='extended', fewer units "
            "as `extra`, or inputs with more dimensions and as many examples."
        )
    weight = (free[:number] / values) @ right * len(inputs) ** 0.5
    value = inputs @ weight.T
    return weight, -value.min(0).values


def _blocked(
    narrow: MLP,
    narrow_inputs: Tensor,
    wide_inputs: Tensor,
    entry: tuple[Tensor, Tensor],
    extras: tuple[int, ...],
) -> Construction:
    (weight, bias), *others = parts(narrow)
    room = weight.new_zeros(len(weight), wide_inputs.shape[1] - narrow.inputs)
    wide = [
        (torch.cat([torch.cat([weight, room], 1), entry[0]]), torch.cat([bias, entry[1]])),
    ]
    for had, has, (weight, bias) in zip(extras, (*extras[1:], 0), others, strict=True):
        carried = torch.eye(has, had, dtype=weight.dtype)
        wide.append((torch.block_diag(weight, carried), torch.cat([bias, bias.new_zeros(has)])))
    model = network(wide)
    before, _ = pre_activations(narrow, narrow_inputs)
    carried = torch.relu(wide_inputs @ entry[0].T + entry[1])
    ranks = tuple(rank_of(torch.relu(z)) for z in before)
    spectra = []
    for z, number in zip(before, extras, strict=True):
        own = eigenvalues(covariance(torch.relu(z)))
        others_own = covariance(carried[:, :number]).diagonal()
        spectra.append(torch.cat([own, others_own]).sort(descending=True).values)
    return Construction(
        name="only more prunable",
        claim=(
            "Only more prunable: the extra units are uncorrelated with all others and have no "
            "influence on the scores (Casper et al. 2021, section 3)."
        ),
        narrow=narrow,
        wide=model,
        inputs=wide_inputs,
        narrow_inputs=narrow_inputs,
        output_tolerance=rounding(narrow, narrow_inputs) + rounding(model, wide_inputs),
        silenceable=tuple(
            torch.arange(n, n + number) for n, number in zip(narrow.hidden, extras, strict=True)
        ),
        rank=tuple(rank + number for rank, number in zip(ranks, extras, strict=True)),
        narrow_rank=ranks,
        spectrum=tuple(spectra),
        curve="diluted",
        passes=tuple(Copies((weight,)) for weight, _ in others),
    )
