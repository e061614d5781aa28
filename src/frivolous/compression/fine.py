"""Layers fitted once more, in order, to what they read in the thinner network.

A layer that reads units kept sees the errors of those before it too. So each in turn is fitted by
least squares to give, from what it reads now, what it gave in the whole network (Casper et al.
2021, appendix C, with a convolution's taps and borders as they are). The fit is drawn towards the
weights that it starts from; how strongly is chosen on examples left out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from frivolous.batches import Batches
from frivolous.compression.cuts import Cut, Read
from frivolous.compression.rows import fits, outputs_at, places_of, rows_at
from frivolous.compression.thinning import Keeping
from frivolous.forms import size_of
from frivolous.network import Network
from frivolous.network.inputs import as_values
from frivolous.network.program import Step, execute
from frivolous.seeds import generator

EXAMPLES = 1024
"""Examples whose values are held at once; the first so many of the data."""
ROWS = 12_288
"""Samples of a layer's output that a fit takes at most."""
SOLVED = 2048
"""Equations solved at once: the lesser of features and samples is kept at this."""
LEFT_OUT = 0.25
CLOSE = 0.1
"""Share of the mean squared margin that is added to each before its inverse is a weight."""
DRAWS = (1e-3, 1e-2, 1e-1, 1.0)
"""How strongly a fit is drawn to its start, as shares of the features' mean square; or wholly."""


@dataclass(frozen=True, eq=False)
class Target:
    """What one layer gave in the whole network, at samples: rows of ``output_NR``.

    Sample n is of example ``example_N[n]`` at position ``place_N[n]`` of its output.
    """

    read: Read
    example_N: Tensor
    place_N: Tensor
    output_NR: Tensor
    weight_N: Tensor


class TargetsOf:
    """Collects what each layer that can be fitted gives, on the first examples of the data."""

    def __init__(self, network: Network, cuts: Sequence[Cut], examples: int, seed: int = 0) -> None:
        steps = {step.index: step for step in network.program.steps}
        fitting = [read for cut in cuts for read in cut.reads if read.refits]
        self.reads = {read.step: read for read in fitting if fits(steps[read.step])}
        self.order = [step for step in steps if step in self.reads]
        self.total = min(examples, EXAMPLES)
        self.device, self.seed = network.device, seed
        self.start = 0
        self.drawn: dict[int, list[tuple[Tensor, ...]]] = {index: [] for index in self.reads}

    @property
    def values(self) -> Collection[int]:
        """The layers' outputs."""
        return self.reads.keys()

    def add(self, seen: Mapping[int, Tensor], scores: Tensor) -> None:
        """Take in one batch."""
        count = min(len(scores), self.total - self.start)
        if count <= 0:
            return
        weight = closeness(scores)
        for index, read in self.reads.items():
            places = places_of(read, seen[index])
            each = max(1, min(places, ROWS // self.total))
            draw = generator(self.seed, "targets", index, self.start)
            keys = torch.rand(count, places, generator=draw)
            place = keys.topk(each, dim=1).indices.flatten().to(self.device)
            example = torch.arange(count, device=self.device).repeat_interleave(each)
            output = outputs_at(read, seen[index], example, place)
            self.drawn[index].append((example + self.start, place, output, weight[example]))
        self.start += count

    def targets(self) -> list[Target]:
        """One for each layer, in order of execution."""
        return [
            Target(self.reads[i], *(torch.cat(part) for part in zip(*self.drawn[i], strict=True)))
            for i in self.order
        ]


def closeness(scores: Tensor) -> Tensor:
    """How much an example counts: the more, the closer its two best scores are."""
    best = scores.topk(2, dim=-1).values
    square = (best[..., 0] - best[..., 1]).square()
    square = square.reshape(len(square), -1).mean(dim=1)
    weight = 1 / (square + CLOSE * square.mean())
    return weight / weight.mean()


@torch.no_grad()
def fine_tuned(
    thin: Network, keeping: Keeping, targets: Sequence[Target], batches: Batches
) -> Network:
    """The thin network with every layer of ``targets`` fitted in turn.

    ``batches`` are those that the targets were found on. Takes one pass over them, holding the
    values that are alive between two layers.
    """
    program, state = thin.program, dict(thin.state)
    held: list[dict[int, Any]] = []
    sizes: list[int] = []
    start = 0
    for inputs in batches:
        if start >= EXAMPLES:
            break
        values, batch = as_values(inputs, program, thin.device)
        held.append({i: v for i, v in values.items() if i in program.inputs})
        sizes.append(batch)
        start += batch
    order = [step.index for step in program.steps]
    done = 0
    for target in targets:
        until = order.index(target.read.step)
        segment = program.steps[done:until]
        later = {need for step in program.steps[until:] for need in step.needs}
        made = {step.index for step in segment} | set(held[0])
        plan = program.plan(segment, made & (later | {program.output}))
        for place, batch in enumerate(sizes):
            values = dict(held[place])
            values.update({i: state[name] for i, name in program.states.items()})
            values.update(program.constants)
            values.update(program.sizes_of(batch))
            execute(plan, values, {})
            held[place] = {i: values[i] for i in plan.alive}
        done = until
        step = program.steps[until]
        kept = keeping.along(step.index)[1 if target.read.convolves else -1]
        if kept is not None:
            target = replace(target, output_NR=target.output_NR[:, torch.as_tensor(kept)])  # noqa: PLW2901
        _fit(step, target, [v[target.read.value] for v in held], sizes, state)
    return replace(thin, state=state)


def _fit(
    step: Step,
    target: Target,
    values: Sequence[Tensor],
    sizes: Sequence[int],
    state: dict[str, Tensor],
) -> None:
    """Exchange a layer's weights in ``state`` for the fitted ones."""
    read = target.read
    weight = state[read.weight]
    rows_FR = weight.movedim(read.inner, 0)
    shape = rows_FR.shape
    # Features are units times taps; outputs are the weight's other first axis.
    flat_FR = rows_FR.movedim(1, -1).reshape(-1, shape[1])
    parts, start = [], 0
    for value, size in zip(values, sizes, strict=True):
        here = (target.example_N >= start) & (target.example_N < start + size)
        example, place = target.example_N[here] - start, target.place_N[here]
        parts.append(rows_at(step, read, weight.shape[2:], value, example, place))
        start += size
    features_NF = torch.cat(parts)
    if len(flat_FR) > SOLVED and len(features_NF) > SOLVED:
        stride = -(-len(features_NF) // SOLVED)
        chosen = torch.arange(0, len(features_NF), stride, device=features_NF.device)
    else:
        chosen = torch.arange(len(features_NF), device=features_NF.device)
    bias = state[read.bias] if read.bias is not None else None
    x, z = features_NF[chosen].float(), target.output_NR[chosen].float()
    residual = z - x @ flat_FR.float() - (0 if bias is None else bias.float())
    example = target.example_N[chosen]
    aside = example % round(1 / LEFT_OUT) == 0
    change, constant = _drawn(x, residual, target.weight_N[chosen], aside, bias is not None)
    if change is None:
        return
    new = (flat_FR.double() + change.double()).to(weight.dtype)
    inner_last = new.reshape(shape[0], *shape[2:], shape[1]).movedim(-1, 1)
    state[read.weight] = inner_last.movedim(0, read.inner).contiguous()
    if bias is not None and read.bias is not None:
        state[read.bias] = (bias.double() + constant.double()).to(bias.dtype)


def _drawn(
    x_NF: Tensor, residual_NR: Tensor, weight_N: Tensor, aside_N: Tensor, constant: bool
) -> tuple[Tensor | None, Tensor]:
    """The change (F, R) of weights that explains a residual, and the constant that goes with it.

    None where examples left out are predicted best without a change.
    """
    nothing = residual_NR.new_zeros(residual_NR.shape[1])
    train_N = ~aside_N
    if int(train_N.sum()) < 8 or int(aside_N.sum()) < 4:
        return None, nothing
    scale_F = x_NF.square().mean(dim=0).sqrt()
    scale_F = torch.where(scale_F > 0, scale_F, torch.ones_like(scale_F))
    x_NF = x_NF / scale_F
    counts = weight_N[aside_N, None]
    best, least = None, float((residual_NR[aside_N].square() * counts).sum())
    fit = _Ridge(x_NF[train_N], residual_NR[train_N], weight_N[train_N], constant)
    for draw in DRAWS:
        change, offset = fit.solved(draw)
        left = residual_NR[aside_N] - x_NF[aside_N] @ change - offset
        error = float((left.square() * counts).sum())
        if error < least:
            best, least = draw, error
    if best is None:
        return None, nothing
    change, offset = _Ridge(x_NF, residual_NR, weight_N, constant).solved(best)
    return change / scale_F[:, None], offset


class _Ridge:
    """Weighted least squares drawn to zero, solved in features or samples, whichever are fewer."""

    def __init__(self, x_NF: Tensor, y_NR: Tensor, weight_N: Tensor, constant: bool) -> None:
        share = (weight_N / weight_N.sum())[:, None]
        root = (share * len(x_NF)).sqrt()
        self.mean_F = (x_NF * share).sum(0) if constant else torch.zeros_like(x_NF[0])
        self.mean_R = (y_NR * share).sum(0) if constant else torch.zeros_like(y_NR[0])
        self.x, self.y = (x_NF - self.mean_F) * root, (y_NR - self.mean_R) * root
        self.by_feature = self.x.shape[1] <= len(self.x)
        gram = self.x.T @ self.x if self.by_feature else self.x @ self.x.T
        self.gram = gram.double()
        self.right = ((self.x.T @ self.y) if self.by_feature else self.y).double()

    def solved(self, draw: float) -> tuple[Tensor, Tensor]:
        """The change (F, R) and the constant (R,)."""
        matrix = self.gram.clone()
        matrix.diagonal().add_(draw * len(self.x))
        found = torch.cholesky_solve(self.right, torch.linalg.cholesky(matrix)).float()
        change = found if self.by_feature else self.x.T @ found
        return change, self.mean_R - self.mean_F @ change
