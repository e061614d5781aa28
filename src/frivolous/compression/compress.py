"""``fv.compress``: find a smaller network with the same labels."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from frivolous.ablation.intact_model import accuracy_of, read_model
from frivolous.compression.budget import Budget
from frivolous.compression.config import CompressionConfig
from frivolous.compression.criteria.methods import method_named
from frivolous.compression.distillation import distill
from frivolous.compression.private_copy import private_copy, sharing
from frivolous.compression.pruner import Pruner
from frivolous.compression.reporting.skipped import skipped_layers
from frivolous.compression.reporting.tables import report_of, sequence_of
from frivolous.compression.result import Compression
from frivolous.compression.search.label_test import examples_needed, most_changed, reference_of
from frivolous.compression.search.search import Search
from frivolous.compression.selection import select_network
from frivolous.compression.summary import skipped_line
from frivolous.compression.trials import faults_of, try_out
from frivolous.devices import as_device, home_of
from frivolous.errors import BadArgument, FrivolousError
from frivolous.inputs.batch import Inputs
from frivolous.inputs.batches import BATCH_SIZE, Batches, as_batches
from frivolous.network.module.wrappers import unwrap
from frivolous.rng import generator

LEAST_EXAMPLES = 8
HELD_OUT = 0.5
"""Share of the data used to certify where no held-out examples are given."""


def compress(
    model: nn.Module,
    data: Any,
    *,
    tolerance: float | None = None,
    units: float | None = None,
    parameters: float | None = None,
    flops: float | None = None,
    latency: float | None = None,
    keep: Mapping[str, int] | None = None,
    method: str = "joint",
    held_out: Any = None,
    finetune: int = 0,
    add_biases: bool = False,
    output: str | int | None = None,
    batch_size: int = BATCH_SIZE,
    device: torch.device | str | None = None,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Compression:
    """Find the smallest network that gives the same labels, and return it as a smaller module.

    The model itself is not changed: a copy is traced, run and timed, without the hooks that others
    put on it, which the report names. Layers shrink along with what their units are coupled to:
    residual sums, concatenations, depthwise and grouped convolutions, normalisations and shared
    weights; the scores are never cut. What cannot be cut is listed in the report with the reason,
    as is how far other outputs of the model move. Of ``torch.compile``, ``DataParallel``,
    ``DistributedDataParallel`` and ``AveragedModel`` the module inside is pruned and returned,
    without the wrapper; the names of sites are its own.

    Args:
        model: any module with class scores as its output, or among its outputs.
        data: examples to search with, in any form that :func:`frivolous.inputs.batches.as_batches`
            reads; an example that a sampler gives several times counts once. Labels serve only to
            state the accuracy. A label is the arg-max of the scores: of a multilabel model, whose
            scores are compared with thresholds, only the best class is certified.
        tolerance: share of held-out labels that may change, in [0, 1), default 0.02; its 95% upper
            bound holds too. 0 removes only what leaves the scores as they are.
        units, parameters, flops, latency: share that may be left, in (0, 1], instead of a
            tolerance. ``units`` counts those of all sites, each site its own (a group that goes
            together is as many as it has), multiply-adds those of one example. Latency is the
            median ratio of paired runs on one example.
        keep: units to keep of each site named; others keep all of theirs. Units that go in groups
            are kept in groups.
        method: ``joint`` (ordered by what removal costs once readers are re-fitted, in the metric
            of the margins), ``refactor`` (a basis of units; Casper et al. 2021, appendix C),
            ``prune`` (excise what adds least), or a baseline: ``magnitude``, ``frame-potential``,
            ``frame-potential-least``, ``random``, ``interpolative`` (Chee et al. 2022).
        held_out: examples that certify; by default a random half of ``data``, which the search then
            does not see.
        finetune: epochs of training on the searched examples to give the scores of the original.
        add_biases: whether layers without a bias may be given one, into which what is constant in
            the removed units is folded. Without, the module has the names of the original's
            state; a normalisation that follows takes constants into its running mean. Digits
            networks of 128 and 64 units needed as many parameters either way.
        output: which of several outputs holds the scores.
        batch_size: examples per batch for data given as a tensor.
        device: where to compute; default where the model is.
        seed: of the split, of samples and of the method ``random``.
        progress: called with a line about the current stage; before long ones it says about
            how long they take, and how much memory.

    Raises:
        BadArgument: an argument out of its range, several budgets, too few examples to certify, or
            a budget that the smallest network does not meet; the message states that network's.
        NotTraceable: a model that cannot be read as a graph.

    >>> layers = nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)
    >>> x = torch.randn(400, 4, generator=torch.Generator().manual_seed(0))
    >>> thin = compress(nn.Sequential(*layers), x, keep={"0": 2})
    >>> thin.model[0].out_features, thin.model[2].in_features
    (2, 2)
    """
    config = CompressionConfig(
        tolerance=tolerance,
        units=units,
        parameters=parameters,
        flops=flops,
        latency=latency,
        keep=keep,
        method=method,
        finetune=finetune,
        add_biases=add_biases,
        output=output,
        batch_size=batch_size,
        device=None if device is None else str(as_device(device)),
        seed=seed,
    )
    return compress_model(model, data, config, held_out, progress)


def compress_model(
    model: nn.Module,
    data: Any,
    config: CompressionConfig,
    held_out: Any = None,
    progress: Callable[[str], None] | None = None,
) -> Compression:
    """Do what :func:`compress` does, its options in one record."""
    budget, output, seed = config.budget, config.output, config.seed
    chosen = method_named(config.method)
    model = unwrap(model)
    began, say = time.perf_counter(), progress or (lambda line: None)
    say("reading the model")
    own, silenced = private_copy(model)
    home = home_of(own)
    where = home if config.device is None else as_device(config.device)
    search, held = _halves(data, held_out, config.batch_size, where, seed)
    network = read_model(sharing(own), search, home, output=output, residual=True).to(where)
    scores: list[Tensor] = []

    def recording(inputs: Inputs) -> Tensor:
        scores.append(network(inputs))
        return scores[-1]

    started = time.perf_counter()
    before = accuracy_of(recording, held)
    seconds = (time.perf_counter() - started) / held.examples
    _check_examples(budget, search, held)
    pruner = Pruner(own.to(where), network, output, add_biases=config.add_biases)
    intact = reference_of(network, held, scores)
    try_out(pruner, search.first(2))
    worth = {"parameters": (1.0, 0.0), "flops": (0.0, 1.0)}.get(budget.kind, (0.5, 0.5))
    while True:
        if not pruner.cuts:
            raise FrivolousError(_nothing_to_cut(pruner))
        work = Search(
            pruner, chosen, search, intact, worth=worth, seed=seed, say=say, seconds=seconds
        )
        found = select_network(budget, work, search)
        if not (faults := faults_of(pruner, found.thinner.keeping, search.first(64))):
            break
        pruner.leave(faults)  # they passed the trials, but fail with this choice of units
    module = pruner.module(found.thinner)
    apart = pruner.masked_apart(found.thinner, search.first(64))
    if config.finetune:
        say("fine-tuning")
        distill(module, pruner, search, epochs=config.finetune, seed=seed)
    say("report")
    report = report_of(
        *(pruner, found, module, intact, search, held, before),
        facts={
            **config.facts,
            "hooks": list(silenced),
            "masked_apart": apart,
            "seconds": time.perf_counter() - began,
        },
    )
    kept = {
        name: np.flatnonzero(~found.thinner.keeping.gone[cut.number_U[units_S]] | (units_S < 0))
        for cut in pruner.cuts
        for name, units_S in cut.places.items()
    }
    return Compression(module.to(home), kept, report, sequence_of(work, found))


def _halves(
    data: Any, held_out: Any, batch_size: int, where: torch.device, seed: int
) -> tuple[Batches, Batches]:
    """Examples to search with, and others that certify."""
    # An example on both sides would certify what was fitted to it, so repeated ones count once.
    batches = as_batches(data, batch_size=batch_size, device=where).once()
    if held_out is not None:
        return batches, as_batches(held_out, batch_size=batch_size, device=where).once()
    if batches.examples < 2 * LEAST_EXAMPLES:
        raise BadArgument(
            f"`data` has {batches.examples} examples, and half of them are to certify; "
            f"give {2 * LEAST_EXAMPLES} at least, or `held_out`."
        )
    order = torch.randperm(batches.examples, generator=generator(seed, "held out"))
    half = round(HELD_OUT * batches.examples)
    held, search = order[:half].sort().values, order[half:].sort().values
    return batches.at(search), batches.at(held)


def _check_examples(budget: Budget, search: Batches, held: Batches) -> None:
    if search.examples < LEAST_EXAMPLES:
        raise BadArgument(
            f"`data` has {search.examples} examples to search with; {LEAST_EXAMPLES} are the least."
        )
    if budget.kind != "tolerance" or budget.amount == 0:
        return
    if most_changed(budget.amount, held.examples) < 0:
        needed = examples_needed(budget.amount)
        raise BadArgument(
            f"{held.examples} held-out examples cannot show that at most "
            f"{budget.amount:g} of the labels change: even without one changed label {needed} are "
            f"needed. Pass {needed} or more as `held_out` (or {2 * needed} as `data`), or a larger "
            "`tolerance`."
        )


def _nothing_to_cut(pruner: Pruner) -> str:
    left = skipped_layers(pruner)
    if not left:
        return (
            "`model` has no hidden layer that could be cut: no layer reads what another one writes."
        )
    return "no layer of `model` can be cut: " + "; ".join(map(skipped_line, left))
