"""One dense network trained the way everybody writes it: a module, autograd, torch.optim.

The peer of the cohort benchmark, and the oracle of the cohort's tests.
"""

from __future__ import annotations

import copy

import torch
from torch import nn

from frivolous.data import Splits
from frivolous.training.cohort.recipe import Recipe


def plain_loop(
    model: nn.Module, recipe: Recipe, splits: Splits
) -> tuple[dict[str, torch.Tensor], list[float]]:
    """Return the best state by validation accuracy, and the accuracy at every look."""
    model = copy.deepcopy(model)
    optimiser = torch_optimiser(model, recipe)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimiser, recipe.decay)
    best, state, history, at = -1.0, {}, [], 0
    for epoch in range(recipe.epochs + 1):
        with torch.no_grad():
            guess = model(splits.validation.inputs).argmax(1)
        history.append((guess == splits.validation.labels).double().mean().item())
        if history[-1] > best:
            best, state = history[-1], copy.deepcopy(model.state_dict())
        if epoch == recipe.epochs:
            break
        for _ in range(recipe.updates_per_epoch):
            index = torch.arange(at, at + recipe.batch_size) % len(splits.train)
            at += recipe.batch_size
            optimiser.zero_grad()
            scores = model(splits.train.inputs[index])
            nn.functional.cross_entropy(scores, splits.train.labels[index]).backward()
            optimiser.step()
        schedule.step()
    return state, history


def torch_optimiser(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return ``torch.optim``'s own optimiser with the recipe's settings."""
    rate, parameters = recipe.learning_rate, model.parameters()
    if recipe.optimiser == "momentum":
        return torch.optim.SGD(parameters, rate, momentum=recipe.setting("momentum"))
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(parameters, rate)
    if recipe.optimiser == "adam":
        betas = (recipe.setting("beta1"), recipe.setting("beta2"))
        return torch.optim.Adam(parameters, rate, betas=betas, eps=recipe.setting("epsilon"))
    optimiser = torch.optim.RMSprop(
        parameters, rate, alpha=recipe.setting("alpha"), eps=recipe.setting("epsilon")
    )
    for parameter in model.parameters():
        square = torch.full_like(parameter, recipe.setting("initial_square"))
        optimiser.state[parameter] = {"step": torch.tensor(0.0), "square_avg": square}
    return optimiser
