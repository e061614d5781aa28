"""How far rounding alone moves the scores of a network, measured on the network itself.

Two computations that are equal in exact arithmetic differ by rounding, and by how much depends
on the network, on its inputs and on the processor. So no difference is compared with a fixed
number: the same graph is run once more in another precision, on the same examples.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from frivolous.inputs.batch import Inputs, map_batch
from frivolous.network.network import Network
from frivolous.network.program import mapped

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
MARGIN = 16.0
"""How many times the measured rounding two equal computations may lie apart.

What is measured is one draw of it: some examples, one order of the sums, one set of kernels.
"""
LEAST = 4.0
"""The least rounding assumed, in units in the last place of the largest score."""


def in_precision(network: Network, dtype: torch.dtype) -> Network:
    """The same graph and weights with every floating-point number in ``dtype``."""

    def cast(leaf: Any) -> Any:
        if isinstance(leaf, Tensor):
            return leaf.to(dtype) if leaf.dtype in FLOATS else leaf
        return dtype if isinstance(leaf, torch.dtype) and leaf in FLOATS else leaf

    program = network.program
    steps = tuple(
        replace(step, args=mapped(step.args, cast), kwargs=mapped(step.kwargs, cast))
        for step in program.steps
    )
    program = replace(
        program,
        steps=steps,
        constants={index: cast(value) for index, value in program.constants.items()},
        dtypes={index: cast(known) for index, known in program.dtypes.items()},
    )
    state = {name: cast(tensor) for name, tensor in network.state.items()}
    return replace(network, program=program, state=state, _plans={}, _largest={})


def finest_of(network: Network) -> Network:
    """The network in float64; the network itself if it is float64 already."""
    return network if network.dtype == torch.float64 else in_precision(network, torch.float64)


def cast_to(network: Network, inputs: Inputs) -> Inputs:
    """Inputs in the precision of a network that :func:`in_precision` made."""
    dtype = network.dtype
    return map_batch(inputs, lambda part: part.to(dtype) if part.dtype in FLOATS else part)


def apart(first: Tensor, second: Tensor) -> float:
    """The largest difference of two scores; infinite for tensors of different shapes."""
    if first.shape != second.shape:
        return math.inf
    return float((first.double() - second.double()).abs().max())


def least_of(scores: Tensor) -> float:
    """The least rounding that is assumed, in units of the scores."""
    return LEAST * torch.finfo(scores.dtype).eps * float(scores.abs().max())


class Rounding:
    """A network next to itself in another precision: how far rounding moves its scores.

    The other precision is float64 for a network of less, and float32 for one in float64; the
    difference is then scaled by the ratio of their units in the last place.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        other = torch.float32 if network.dtype == torch.float64 else torch.float64
        self.beside = in_precision(network, other)
        self.scale = min(1.0, torch.finfo(network.dtype).eps / torch.finfo(other).eps)

    def of(self, inputs: Inputs, scores: Tensor | None = None) -> float:
        """The largest change of a score by rounding, in units of the scores.

        ``scores`` are the network's own where they are known. At least :data:`LEAST` units in the
        last place of the largest.
        """
        ours = self.network(inputs) if scores is None else scores
        measured = self.scale * apart(ours, self.beside(cast_to(self.beside, inputs)))
        least = least_of(ours)
        return max(measured, least) if math.isfinite(measured) else least
