"""Layer-wise reconstruction: fit each layer to what it reads in the thinner network, in order.

Intuition. :mod:`~frivolous.compression.reconstruction.least_squares` corrects every reader as if
what it reads, but for the removed units, were that of the whole network. But once an earlier layer
is only approximately right, every later one reads its errors. So go through the network in order
of execution: run the thinner network up to a layer, fit this layer so that *from what it reads now*
it gives what it gave in the whole network, go on to the next. Errors are then corrected where they
arise and do not pile up with depth (Casper et al. 2021, appendix C; here with a convolution's taps
and padded borders as they are).

For output r of a layer with weights w_r, features x_n now and outputs z_nr before, the change v of
the weights minimises

    sum_n d_nr (z_nr - x_n' (w_r + v))^2  +  penalty N sum_f s_f^2 v_f^2

- d_nr, of mean 1, is what sample n counts for output r: the squared gradient of the example's
  margin there. Behind a ReLU that is off, or a pooling that picks another position, it is next to
  nothing: what is dropped later need not be right.
- s_f^2 is the mean square of feature f, so the penalty (:data:`PROXIMAL_PENALTY`) does not depend
  on the unit that a feature is measured in. It pulls v to 0, that is to the weights given.

Worked example. One feature that is always 1, and a residual z - x w of 1.1 at all four samples. The
fit is v = sum x residual / (sum x^2 + 0.1 N) = 4.4 / 4.4 = 1. If the residual is 1.1 at two samples
and 0 at the others, v is 0.5; but if only those two count, it is close to 1 again:

>>> ones = torch.ones(4, 1)
>>> change_of(ones, 1.1 * ones, ones, constant=False)[0].item()
1.0
>>> half = torch.tensor([[1.0], [1.0], [0.0], [0.0]])
>>> round(change_of(ones, 1.1 * half, ones, constant=False)[0].item(), 3)
0.5
>>> round(change_of(ones, 1.1 * half, half, constant=False)[0].item(), 3)
0.99

The systems X' D_r X differ by output. Solving each costs R factorisations; instead conjugate
gradients solve all at once, preconditioned by the one system in which all samples count alike.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from frivolous.compression.coupling.channel_ids import ChannelMask
from frivolous.compression.coupling.groups import GroupReader, PruningGroup
from frivolous.compression.criteria.calibration import part_of
from frivolous.compression.criteria.im2col import fits, outputs_at, places_of, rows_at
from frivolous.inputs.batches import Batches
from frivolous.network import Network
from frivolous.network.binding import as_values
from frivolous.network.program import Program, Step, execute
from frivolous.rng import generator

EXAMPLES = 1024
"""The most examples whose values are held at once, the first ones of the data."""
LEAST_EXAMPLES, WORK = 256, 6e10
"""A costly network gets the examples that these multiply-adds allow, at least the first number."""
ROWS = 12_288
"""The most samples of a layer's output that a fit uses."""
SOLVED = 2048
"""The largest system solved: where features and samples are both more, samples are left out."""
PROXIMAL_PENALTY = 0.1
"""Ridge penalty toward the weights given, relative to each feature's mean square."""
CG_ITERATIONS = 4
"""Iterations of conjugate gradients, from the fit in which all samples count alike."""
LEAST_WEIGHT, MOST_WEIGHT = 0.02, 20.0
"""Bounds of a sample's weight for an output, relative to the mean."""


@dataclass(frozen=True, eq=False)
class Target:
    """What one layer gave in the whole network at N samples: ``output_NR``.

    Sample n is example ``example_N[n]`` at position ``place_N[n]`` of the layer's output;
    ``weight_NR`` is what it counts for each output.
    """

    read: GroupReader
    example_N: Tensor
    place_N: Tensor
    output_NR: Tensor
    weight_NR: Tensor


def examples_for(multiply_adds: float, examples: int) -> int:
    """How many examples layers are fitted to, given the multiply-adds of one example.

    >>> examples_for(1e6, 5000), examples_for(2e8, 5000), examples_for(1e6, 100)
    (1024, 300, 100)
    """
    affordable = int(WORK / max(multiply_adds, 1.0))
    return min(examples, EXAMPLES, max(affordable, LEAST_EXAMPLES))


class TargetCollector:
    """Collects the outputs of each layer that can be fitted, on the first ``examples``."""

    def __init__(
        self, network: Network, cuts: Sequence[PruningGroup], examples: int, seed: int = 0
    ) -> None:
        steps = {step.index: step for step in network.program.steps}
        fitting = [read for cut in cuts for read in cut.reads if read.refits]
        self.reads = {
            read.step: read
            for read in fitting
            if fits(steps[read.step])
            and all(_first(network.program, i) for i in (read.step, read.value))
        }
        self.order = [step for step in steps if step in self.reads]
        self.total = examples
        self.device, self.seed = network.device, seed
        self.start = 0
        self.drawn: dict[int, list[tuple[Tensor, ...]]] = {index: [] for index in self.reads}

    @property
    def values(self) -> Collection[int]:
        """The layers' outputs."""
        return self.reads.keys()

    def add(
        self, seen: Mapping[int, Tensor], gradients: Mapping[int, Tensor], examples: int
    ) -> None:
        """Take in some examples; those without gradients are not used."""
        count = min(examples, self.total - self.start) if gradients else 0
        if not self.reads or count <= 0:
            return
        for index, read in self.reads.items():
            places = places_of(read, seen[index])
            # As many positions of every example as ROWS allows, chosen again for each example.
            each = max(1, min(places, ROWS // self.total))
            draw = generator(self.seed, "targets", index, self.start)
            keys = torch.rand(count, places, generator=draw)
            place = keys.topk(each, dim=1).indices.flatten().to(self.device)
            example = torch.arange(count, device=self.device).repeat_interleave(each)
            output = outputs_at(read, seen[index], example, place)
            weight = outputs_at(read, gradients[index], example, place).square()
            self.drawn[index].append((example + self.start, place, output, weight))
        self.start += count

    def targets(self) -> list[Target]:
        """One target for each layer, in order of execution."""
        return [
            Target(self.reads[i], *(torch.cat(part) for part in zip(*self.drawn[i], strict=True)))
            for i in self.order
        ]


def _first(program: Program, index: int) -> bool:
    """Whether the first axis of a value is the batch."""
    try:
        return program.batch_axis(index) == 0
    except LookupError:
        return False


@torch.no_grad()
def fit_layers(
    thin: Network, keeping: ChannelMask, targets: Sequence[Target], batches: Batches, examples: int
) -> Network:
    """The thin network with every layer of ``targets`` fitted in turn.

    ``batches`` and ``examples`` are those that the targets were collected on. The network runs over
    them once in all, in segments from one layer to the next; between segments, only values that a
    later step reads are held.
    """
    program, state = thin.program, dict(thin.state)
    held: list[dict[int, Any]] = []
    sizes: list[int] = []
    start = 0
    for inputs in batches:
        if start >= examples:
            break
        part = part_of(inputs, slice(examples - start))
        values, batch = as_values(part, program, thin.device)
        held.append({i: v for i, v in values.items() if i in program.inputs})
        sizes.append(batch)
        start += batch
    order = [step.index for step in program.steps]
    done = 0
    for target in targets:
        until = order.index(target.read.step)
        segment = program.steps[done:until]  # from the layer fitted last to just before this one
        later = {need for step in program.steps[until:] for need in step.needs}
        made = {step.index for step in segment} | set(held[0])
        plan = program.plan(segment, made & (later | {program.output}))
        for place, batch in enumerate(sizes):
            # ``state`` has the fitted weights of the layers before: what they give now is read.
            values = {**held[place], **program.known(state, batch)}
            execute(plan, values, {})
            held[place] = {i: values[i] for i in plan.alive}
        done = until
        step = program.steps[until]
        own = _remaining(target, keeping, program.shapes[step.index])
        if len(own.place_N):
            _fit(step, own, [v[target.read.value] for v in held], sizes, state)
    return replace(thin, state=state)


def _remaining(target: Target, keeping: ChannelMask, sizes: Sequence[Any]) -> Target:
    """The target without outputs and positions that are gone; ``sizes`` are of the thinner output.

    Positions may go too: where a layer mixes positions, they are the units of another layer.
    """
    kept = keeping.along(target.read.step)
    axis = 1 if target.read.convolves else len(sizes) - 1
    flags = kept[axis] if kept else None
    if flags is not None:
        there = torch.as_tensor(flags)
        target = replace(
            target, output_NR=target.output_NR[:, there], weight_NR=target.weight_NR[:, there]
        )
    others = [place for place in range(1, len(sizes)) if place != axis]
    if all(kept[place] is None for place in others if kept):
        return target
    stays = np.ones(1, dtype=bool)
    for place in others:
        own = kept[place]
        stays = np.outer(stays, np.ones(int(sizes[place]), dtype=bool) if own is None else own)
    stays_P = torch.as_tensor(stays.ravel(), device=target.place_N.device)
    here = stays_P[target.place_N]
    # A position's new number is how many before it stay: of flags 1 0 1 1, number 3 becomes 2.
    return Target(
        target.read,
        target.example_N[here],
        (stays_P.cumsum(0) - 1)[target.place_N[here]],
        target.output_NR[here],
        target.weight_NR[here],
    )


def _fit(
    step: Step,
    target: Target,
    values: Sequence[Tensor],
    sizes: Sequence[int],
    state: dict[str, Tensor],
) -> None:
    """Replace a layer's weights and bias in ``state`` by fitted ones."""
    read = target.read
    weight = state[read.weight]
    exact = torch.promote_types(weight.dtype, torch.float32)
    rows_FR = weight.movedim(read.inner, 0)
    shape = rows_FR.shape
    # Features are units times taps; outputs are the weight's other first axis.
    flat_FR = rows_FR.movedim(1, -1).reshape(-1, shape[1]).to(exact)
    parts, start = [], 0
    for value, size in zip(values, sizes, strict=True):
        here = (target.example_N >= start) & (target.example_N < start + size)
        example, place = target.example_N[here] - start, target.place_N[here]
        parts.append(rows_at(step, read, weight.shape[2:], value, example, place))
        start += size
    x_NF = torch.cat(parts)
    stride = -(-len(x_NF) // SOLVED) if min(x_NF.shape) > SOLVED else 1
    x_NF, z_NR = x_NF[::stride].to(exact), target.output_NR[::stride].to(exact)
    bias = state[read.bias].to(exact) if read.bias is not None else None
    residual_NR = z_NR - x_NF @ flat_FR - (0 if bias is None else bias)
    change_FR, constant_R = change_of(
        x_NF, residual_NR, target.weight_NR[::stride].to(exact), constant=bias is not None
    )
    new = (flat_FR + change_FR).to(weight.dtype)
    inner_last = new.reshape(shape[0], *shape[2:], shape[1]).movedim(-1, 1)
    state[read.weight] = inner_last.movedim(0, read.inner).contiguous()
    if bias is not None and read.bias is not None:
        state[read.bias] = (bias + constant_R).to(weight.dtype)


def change_of(
    x_NF: Tensor, residual_NR: Tensor, weight_NR: Tensor, *, constant: bool
) -> tuple[Tensor, Tensor]:
    """Fit a change of weights (F, R) and of constants (R,) to the residuals of every output.

    Weighted ridge regression of ``residual_NR`` on ``x_NF`` with :data:`PROXIMAL_PENALTY` on
    features scaled to a mean square of 1, and next to none on the constant. ``weight_NR`` is what
    sample n counts for output r; an output with no weight anywhere has all samples count alike.
    """
    scale_F = x_NF.square().mean(dim=0).sqrt()
    scale_F = torch.where(scale_F > 0, scale_F, torch.ones_like(scale_F))
    x_NF = x_NF / scale_F
    penalty_F = x_NF.new_full((x_NF.shape[1],), PROXIMAL_PENALTY * len(x_NF))
    if constant:
        x_NF = torch.cat([x_NF, torch.ones_like(x_NF[:, :1])], dim=1)
        penalty_F = torch.cat([penalty_F, penalty_F[:1] * 1e-5])
    # Weights to a mean of 1, then within bounds: no sample is ignored and none decides alone, so
    # that the unweighted system stays a good preconditioner.
    mean_R = weight_NR.mean(dim=0)
    weight_NR = (weight_NR / mean_R.clamp(min=1e-30)).clamp(LEAST_WEIGHT, MOST_WEIGHT)
    weight_NR = torch.where(mean_R > 0, weight_NR, torch.ones_like(weight_NR))
    weight_NR = weight_NR / weight_NR.mean(dim=0)
    found = _weighted(x_NF, residual_NR, weight_NR, penalty_F[:, None])
    if not constant:
        return found / scale_F[:, None], residual_NR.new_zeros(residual_NR.shape[1])
    return found[:-1] / scale_F[:, None], found[-1]


def _weighted(x_NF: Tensor, y_NR: Tensor, weight_NR: Tensor, penalty_F1: Tensor) -> Tensor:
    """Solve (X' D_r X + penalty) v_r = X' D_r y_r for every output r at once: shape (F, R).

    By preconditioned conjugate gradients; the preconditioner is X' X + penalty, one factorisation
    for all outputs. Weights have a mean of 1, so the two are close and few iterations do.
    """
    nearly = _Unweighted(x_NF, penalty_F1)

    def product(v_FR: Tensor) -> Tensor:
        return x_NF.T @ (weight_NR * (x_NF @ v_FR)) + penalty_F1 * v_FR

    right = x_NF.T @ (weight_NR * y_NR)
    found = nearly.solved(right)
    left = right - product(found)  # the residual of the system
    step = near = nearly.solved(left)  # search direction, preconditioned residual
    square = (left * near).sum(dim=0)
    for _ in range(CG_ITERATIONS):
        moved = product(step)
        length = square / (step * moved).sum(dim=0).clamp(min=1e-30)
        found = found + length * step
        left = left - length * moved
        near = nearly.solved(left)
        before, square = square, (left * near).sum(dim=0)
        step = near + square / before.clamp(min=1e-30) * step
    return found


class _Unweighted:
    """(X' X + penalty)^-1, by a Cholesky factor of features or of samples, whichever are fewer.

    With D the penalty and Z = X D^-1/2 it is D^-1/2 (Z' Z + I)^-1 D^-1/2. With fewer samples than
    features, Woodbury's identity gives (Z' Z + I)^-1 = I - Z' (Z Z' + I)^-1 Z.
    """

    def __init__(self, x_NF: Tensor, penalty_F1: Tensor) -> None:
        self.root_F1 = penalty_F1.sqrt()
        self.x = x_NF / self.root_F1.T
        self.by_feature = self.x.shape[1] <= len(self.x)
        gram = self.x.T @ self.x if self.by_feature else self.x @ self.x.T
        gram = gram.double()
        gram.diagonal().add_(1.0)
        self.factor = torch.linalg.cholesky(gram)

    def solved(self, right_FR: Tensor) -> Tensor:
        """The inverse times the right-hand sides."""
        scaled = right_FR / self.root_F1
        if self.by_feature:
            found = torch.cholesky_solve(scaled.double(), self.factor).to(scaled.dtype)
        else:
            inner = torch.cholesky_solve((self.x @ scaled).double(), self.factor)
            found = scaled - self.x.T @ inner.to(scaled.dtype)
        return found / self.root_F1
