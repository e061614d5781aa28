"""Replace steps of a graph by faster ones with the same result.

Two operations of image networks are slow on a CPU as PyTorch has them: max-pooling of images
stored channel by channel, and local response normalisation, which is exported as a chain around
``avg_pool3d``. Both are replaced once, when a model is read; every part of a split runs the same
steps as the whole.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from frivolous.network.operations import RESPONSE_CHAIN
from frivolous.network.program import Program, Ref, Step, needed


def apply_rewrites(program: Program, kept: Collection[int] = ()) -> Program:
    """The same computation with faster steps; values in ``kept`` can still be reached."""
    steps = {step.index: step for step in program.steps}
    exchanged = []
    for step in program.steps:
        if step.op == "max_pool2d":
            exchanged.append(replace(step, target=max_pool(step.target)))
        elif step.op == "div":
            exchanged.append(_as_response_norm(step, steps, program, kept) or step)
        else:
            exchanged.append(step)
    return replace(program, steps=needed(exchanged, {program.output, *kept}))


def max_pool(operation: Any) -> Any:
    """Max-pooling of (N, C, H, W), equal bit for bit to ``operation`` and faster on a CPU.

    PyTorch's kernel is vectorised only over the channels of a position, where they are adjacent in
    memory; two copies cost far less than that saves.
    """

    def run(value: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if value.device.type != "cpu" or value.dim() != 4:
            pooled: Tensor = operation(value, *args, **kwargs)
            return pooled
        beside = value.contiguous(memory_format=torch.channels_last)
        pooled = operation(beside, *args, **kwargs)
        return pooled.contiguous()

    return run


def response_norm(value: Tensor, size: int, alpha: float, bias: float, beta: float) -> Tensor:
    """``F.local_response_norm``: x_c / (bias + alpha * mean of x_k ** 2) ** beta.

    The mean is over a window of ``size`` channels (axis 1) about c; those beyond the first and the
    last count as 0. On a processor, in float32 and float64, equal bit for bit to the chain that it
    stands for, whose sums run in the same order; else to rounding, half precisions in float32.

    >>> x = torch.linspace(-3, 3, 24).view(2, 6, 2)
    >>> expected = torch.nn.functional.local_response_norm(x, 5, 0.1, 0.75, 2.0)
    >>> torch.equal(response_norm(x, 5, 0.1, 2.0, 0.75), expected)
    True
    """
    x = value.float() if value.element_size() < 4 else value
    channels = x.shape[1]
    squares = x.new_zeros((len(x), channels + size - 1, *x.shape[2:]))
    torch.mul(x, x, out=squares[:, size // 2 : size // 2 + channels])
    divisor = squares[:, :channels].clone()
    for shift in range(1, size):
        divisor += squares[:, shift : shift + channels]
    divisor.div_(size).mul_(alpha).add_(bias).pow_(beta)
    return torch.div(x, divisor, out=divisor).to(value.dtype)


def smoothed(step: Step) -> Step:
    """The same step with an operation that can be differentiated."""
    if step.target is not response_norm:
        return step

    def run(value: Tensor, size: int, alpha: float, bias: float, beta: float) -> Tensor:
        return torch.nn.functional.local_response_norm(value, size, alpha, beta, bias)

    return replace(step, target=run)


def _as_response_norm(
    step: Step, steps: dict[int, Step], program: Program, kept: Collection[int]
) -> Step | None:
    """A response normalisation that ends at this division as one step; else None."""
    chain = _chain(step, steps)
    if not chain or any(link.index in kept for link in chain):
        return None
    shape = program.shapes[step.index]
    source = step.args[0]
    (pool,) = [link for link in chain if link.op in ("avg_pool2d", "avg_pool3d")] or (None,)
    pads = [link for link in chain if link.op in ("pad", "constant_pad_nd")]
    power, add, scale = chain[0], chain[1], chain[2]
    if pool is None or len(pads) != 1 or (add.op, scale.op) != ("add", "mul"):
        return None
    size, *ones = pool.args[1]
    before = program.shapes[pads[0].needs[0]]
    numbers = (scale.args[1], add.args[1], power.args[1])
    fits = (
        {*ones, *pool.args[2]} == {1}
        and len(pool.args) == 3
        and not (pool.kwargs or add.kwargs)
        and list(pads[0].args[1]) == [0] * (2 * len(ones)) + [size // 2, (size - 1) // 2]
        and len(pads[0].args) == 2
        and not pads[0].kwargs
        and len(before) == len(ones) + 3
        and before[:3] == (shape[0], 1, shape[1])
        and program.shapes[scale.index] == shape == program.shapes[source.index]
        and all(isinstance(number, int | float) for number in numbers)
    )
    if not fits:
        return None
    return replace(
        step,
        op="response_norm",
        target=response_norm,
        args=(source, size, *numbers),
        kwargs={},
        needs=(source.index,),
    )


def _chain(step: Step, steps: dict[int, Step]) -> list[Step]:
    """The steps from a division's divisor up to the square of its dividend; empty if none."""
    if len(step.args) != 2 or step.kwargs or not all(isinstance(arg, Ref) for arg in step.args):
        return []
    above, below = step.args
    chain = [steps.get(below.index)]
    while (link := chain[-1]) is not None and link.op in RESPONSE_CHAIN | {"pow"}:
        if link.op == "mul" and link.args == (above, above):
            ops = [known.op for known in chain if known is not None]
            return list(filter(None, chain)) if ops[0] == "pow" and "pow" not in ops[1:] else []
        # A view's sizes may be values as well; its input comes first.
        if not link.args or not isinstance(link.args[0], Ref):
            return []
        chain.append(steps.get(link.args[0].index))
    return []


def after_pooling(
    program: Program, places: Mapping[str, int], images: Collection[str]
) -> dict[str, int]:
    """The sites' places, those of ``images`` moved behind the max-pooling that alone reads them.

    Only where whole channels of a value (N, C, H, W) are set to one number each: the largest of
    equal numbers is that number, so pooling first gives the same, and is done once for all.
    """
    readers: dict[int, list[Step]] = {}
    for step in program.steps:
        for need in step.needs:
            readers.setdefault(need, []).append(step)
    moved = dict(places)
    for name in images:
        after = readers.get(places[name], [])
        while len(after) == 1 and after[0].op == "max_pool2d":
            moved[name] = after[0].index
            after = readers.get(moved[name], [])
    return moved
