"""The effect of each unit silenced alone: labels that change, and how far the scores move."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frivolous.ablation.batched import run_single_units
from frivolous.ablation.masks import masks_for
from frivolous.ablation.predictions import UNCOUNTED, intact_labels, per_example
from frivolous.errors import BadArgument
from frivolous.inputs.batch import Inputs, batch_size_of, take_examples
from frivolous.network import Network
from frivolous.rng import deal


@dataclass(frozen=True, eq=False)
class Effects:
    """The effect of silencing each unit of a site alone, on ``examples`` examples.

    ``changed_U`` labels change (of several per example, their share times ``examples``);
    ``divergence_U`` is the mean over labels of the Kullback-Leibler divergence of the softmax of
    the scores from that of the intact network, in nats.
    """

    site: str
    changed_U: NDArray[np.float64]
    divergence_U: NDArray[np.float64]
    examples: int


@torch.no_grad()
def single_effects(
    network: Network,
    batches: Iterable[Inputs],
    site: str,
    *,
    total: int,
    most: int | None = None,
    replacement: str = "zero",
    means: Mapping[str, Tensor] | None = None,
    silenced_as: Mapping[str, Tensor] | None = None,
    seed: int = 0,
    stack_bytes: int | None = None,
) -> Effects:
    """Silence every unit of a site, one at a time, on up to ``most`` of the ``total`` examples.

    They are drawn at random, spread evenly over ``batches``: one out of every few examples. The
    network before the site runs once per batch; units are tried side by side in one batch up to
    ``stack_bytes`` per value, each on the examples on which it gives anything but what a silenced
    one gives: the others stay as they are. ``replacement``, ``means`` and ``silenced_as`` are
    those of :func:`frivolous.ablation.label_agreement.ablate`. Raises ``NotFinite`` and
    ``BadArgument`` as :func:`frivolous.ablation.label_agreement.unchanged_counts` does.

    >>> from frivolous.network import trace
    >>> reader = torch.nn.Linear(2, 2)
    >>> reader.weight.data = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    >>> net = trace(torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU(), reader),
    ...             torch.zeros(2, 2))
    >>> found = single_effects(net, [torch.eye(2)], "0", total=2)
    >>> found.changed_U.shape, float(found.divergence_U[1])
    ((2,), 0.0)
    """
    width = network.site(site).width
    every = 1 if most is None else -(-total // check_examples("most", most))
    one_by_one = [[unit] for unit in range(width)]
    masks = masks_for(network, site, one_by_one, "channel", replacement, means, silenced_as)
    late = network.past_pooling()
    changed = torch.zeros(width, dtype=torch.int64, device=network.device)
    divergence = torch.zeros(width, dtype=torch.float64, device=network.device)
    seen = examples = counted = 0
    for batch in batches:
        size = batch_size_of(batch)
        chosen = np.flatnonzero(deal(seen, seen + size, every, seed) == 0)
        seen += size
        if not len(chosen):
            continue
        inputs = batch if every == 1 else take_examples(batch, torch.as_tensor(chosen))
        alive = late.until(site, inputs)
        output = late.onward(site, alive)
        labels = intact_labels(network, inputs, output)
        counts = labels != UNCOUNTED
        intact = output.double().log_softmax(dim=-1)
        changed_UN = changed.new_zeros(width, alive.batch)
        divergence_UN = divergence.new_zeros(width, alive.batch)
        for units, rows, scores in run_single_units(late, alive, site, masks, stack_bytes):
            differ = (scores.argmax(dim=-1) != labels[rows]) & counts[rows]
            apart = _divergence(intact[rows], scores) * counts[rows]
            changed_UN[units, rows] = differ.reshape(len(rows), -1).sum(dim=1)
            divergence_UN[units, rows] = apart.reshape(len(rows), -1).sum(dim=1)
        changed += changed_UN.sum(dim=1)
        divergence += divergence_UN.sum(dim=1)
        examples += alive.batch
        counted += int(counts.sum())
    if not examples:
        raise BadArgument("`batches` holds no example; pass at least one batch.")
    shares = per_example(changed, counted, examples)
    mean = divergence.clamp(min=0) / counted
    return Effects(site, shares, mean.cpu().numpy(), examples)


def check_examples(name: str, number: int) -> int:
    """A number of examples, whole and 1 or more; raises for anything else."""
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise BadArgument(
            f"`{name}` is a whole number of examples, 1 or more; got {number!r}. Pass e.g. 1000."
        )
    return number


def _divergence(intact: Tensor, scores: Tensor) -> Tensor:
    """Kullback-Leibler divergence of each output from the intact one, per label."""
    log = scores.double().log_softmax(dim=-1)
    return torch.nn.functional.kl_div(log, intact, reduction="none", log_target=True).sum(dim=-1)
