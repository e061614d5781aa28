"""Fine-tuning of a thinner network towards the scores of the original."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from frivolous.batches import Batches
from frivolous.compression.workbench import Workbench
from frivolous.forms import size_of, taken
from frivolous.network.outputs import chosen
from frivolous.seeds import generator

RATE = 3e-4
BATCH = 64


def distilled(
    module: nn.Module, bench: Workbench, batches: Batches, *, epochs: int, seed: int
) -> None:
    """Train a thinner module in place to give the class probabilities of the original.

    Adam on the Kullback-Leibler divergence from the original's probabilities, its rate falling to
    zero along a cosine; normalisations keep their statistics and dropout is off. Labels are not
    used.
    """
    parameters = [p for p in module.parameters() if p.requires_grad] or list(module.parameters())
    frozen = [p for p in parameters if not p.requires_grad]
    for parameter in frozen:
        parameter.requires_grad_(True)
    modes = {part: part.training for part in module.modules()}
    module.eval()
    optimiser = torch.optim.Adam(parameters, lr=RATE)
    steps = epochs * -(-batches.examples // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(steps, 1))
    for epoch in range(epochs):
        order = torch.randperm(batches.examples, generator=generator(seed, "fine-tune", epoch))
        for inputs in batches.at(order):
            for index in torch.arange(size_of(inputs)).split(BATCH):
                part = taken(inputs, index)
                wanted = torch.log_softmax(bench.whole(part), dim=-1)
                with torch.enable_grad():
                    if isinstance(part, Mapping):
                        given = module(**part)
                    else:
                        given = module(*(part if isinstance(part, tuple) else (part,)))
                    scores = chosen(given, bench.output, type(module).__name__)
                    found = torch.log_softmax(scores, dim=-1)
                    loss = nn.functional.kl_div(
                        found.flatten(0, -2), wanted.flatten(0, -2),
                        log_target=True, reduction="batchmean",
                    )  # fmt: skip
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
    for part_module, mode in modes.items():
        part_module.training = mode
    for parameter in frozen:
        parameter.requires_grad_(False)
        parameter.grad = None
    for parameter in parameters:
        parameter.grad = None
