"""The papers' example of one function computed by one unit, or by all units of a wide network."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from frivolous.constructions.construction import Construction, network
from frivolous.constructions.copied import more_of_both
from frivolous.errors import BadArgument
from frivolous.families.mlp import MLP


@dataclass(frozen=True)
class Parity:
    """The examples, their labels, and three networks that label them all correctly.

    ``identity``: one unit. ``minterms``: 2 ** bits units that are all needed. ``frivolous``: as
    many units of which one is needed and the others copy it.
    """

    inputs: Tensor
    labels: Tensor
    identity: MLP
    minterms: MLP
    frivolous: Construction


def parity(bits: int) -> Parity:
    """Return all strings of bits led by their parity, which is the label, and ways to compute it.

    ``inputs`` (2 ** bits, bits + 1) in float64, label 0 or 1, half of each. The networks have a
    third output, "undecided", which ``minterms`` gives where no unit speaks. It is needed for the
    paper's "all units being equally non-frivolous" to hold: with two outputs one class is the
    answer when no unit speaks, and the minterms of that class can all be silenced.

    Unchanged labels when any k units are silenced: ``minterms`` 1 - k / 2 ** bits, whichever
    units; ``identity`` 1/2 without its unit; ``frivolous`` 1/2 without unit 0 and 1 with it, so
    1 - k / 2 ** (bits + 1) expected. Rank of the centred activity: 2 ** bits - 1 for ``minterms``,
    all eigenvalues of the covariance being 2 ** -bits, and 1 for the others
    (Casper et al. 2021, appendix A).

    >>> made = parity(3)
    >>> tuple(made.inputs.shape), made.minterms.hidden, made.frivolous.wide.hidden
    ((8, 4), (8,), (8,))
    >>> all(bool((net(made.inputs).argmax(1) == made.labels).all())
    ...     for net in (made.identity, made.minterms, made.frivolous.wide))
    True
    """
    if not isinstance(bits, int) or not 1 <= bits <= 16:
        raise BadArgument(
            f"`bits` is a whole number from 1 to 16; got {bits!r}. There are 2 ** bits examples."
        )
    count = 2**bits
    strings = ((torch.arange(count)[:, None] >> torch.arange(bits)) & 1).double()
    labels = strings.sum(1).long() % 2
    inputs = torch.cat([labels[:, None].double(), strings], 1)
    one = torch.zeros(1, bits + 1).double()
    one[0, 0] = 1
    outgoing = torch.tensor([[-1.0], [1.0], [0.0]]).double()
    identity = network(
        [(one, torch.zeros(1).double()), (outgoing, torch.tensor([1.0, 0.0, -1.0]).double())]
    )
    frivolous = more_of_both(identity, inputs, factor=count)
    return Parity(inputs, labels, identity, _minterms(strings, labels), frivolous)


def _minterms(strings: Tensor, labels: Tensor) -> MLP:
    """Return a unit for each string, 1 on it and 0 on all others, and the label by their sum."""
    weight = torch.cat([strings.new_zeros(len(strings), 1), 2 * strings - 1], 1)
    outgoing = strings.new_zeros(3, len(strings))
    outgoing[labels, torch.arange(len(strings))] = 1
    undecided = torch.tensor([0.0, 0.0, 0.5]).double()
    return network([(weight, 1 - strings.sum(1)), (outgoing, undecided)])
