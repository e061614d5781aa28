"""Distillation: train a thinner network to give the original's class probabilities."""

from __future__ import annotations

import torch
from torch import nn

from frivolous.compression.pruner import Pruner
from frivolous.inputs.batch import batch_size_of, call_module, take_examples
from frivolous.inputs.batches import Batches
from frivolous.network.module.copying import copy_module
from frivolous.network.module.output_selection import select_output
from frivolous.network.module.wrappers import uncompiled
from frivolous.rng import generator

RATE = 3e-4
BATCH = 64


def distill(module: nn.Module, pruner: Pruner, batches: Batches, *, epochs: int, seed: int) -> None:
    """Train a thinner module in place to give the class probabilities of the original.

    Minimises the Kullback-Leibler divergence from the original's probabilities with Adam and a
    cosine schedule to zero (Hinton et al. 2015, at temperature 1); normalisations keep their
    statistics and dropout is off. Labels are not used. A copy is what runs; the module takes over
    its weights and nothing else that a forward pass wrote.
    """
    trained = copy_module(module)
    with uncompiled():
        _train(trained, pruner, batches, epochs=epochs, seed=seed)
    with torch.no_grad():
        for mine, new in zip(module.parameters(), trained.parameters(), strict=True):
            mine.copy_(new)


def _train(module: nn.Module, pruner: Pruner, batches: Batches, *, epochs: int, seed: int) -> None:
    parameters = [p for p in module.parameters() if p.requires_grad] or list(module.parameters())
    for parameter in parameters:
        parameter.requires_grad_(True)
    module.eval()
    optimiser = torch.optim.Adam(parameters, lr=RATE)
    steps = epochs * -(-batches.examples // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(steps, 1))
    for epoch in range(epochs):
        order = torch.randperm(batches.examples, generator=generator(seed, "fine-tune", epoch))
        for inputs in batches.at(order):
            for index in torch.arange(batch_size_of(inputs)).split(BATCH):
                part = take_examples(inputs, index)
                wanted = torch.log_softmax(pruner.whole(part), dim=-1)
                with torch.enable_grad():
                    given = call_module(module, part)
                    scores = select_output(given, pruner.output, type(module).__name__)
                    found = torch.log_softmax(scores, dim=-1)
                    loss = nn.functional.kl_div(
                        found.flatten(0, -2), wanted.flatten(0, -2),
                        log_target=True, reduction="batchmean",
                    )  # fmt: skip
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
