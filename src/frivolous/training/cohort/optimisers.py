"""Update rules on stacked parameters (K, ...): K networks, each with its own rate and settings.

Every rule is the one of ``torch.optim`` applied to each network alone. Where TensorFlow 1.14, with
which the papers' networks were trained, starts from other constants they are settings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Settings = Mapping[str, Tensor]


@dataclass(frozen=True)
class Step:
    """One update of K networks: their rates and settings, and its number from 1.

    Rates and settings have the shape (K, 1, ...) that a stacked parameter broadcasts with.
    """

    rates: Tensor
    settings: Settings
    number: int


Update = Callable[[Tensor, Tensor, Sequence[Tensor], Step], None]
"""Parameter, gradient, slots, step; works in place."""


@dataclass(frozen=True)
class Optimiser:
    """An update rule, its default settings, and its slots with their initial values.

    ``linear`` says that an update is a linear function of the gradients so far: then a first layer
    may be trained in the coordinates of the training examples (see
    :mod:`~frivolous.training.cohort.stacked_mlp`).
    """

    update: Update
    settings: Mapping[str, float]
    slots: tuple[str, ...]
    linear: bool


def _sgd(parameter: Tensor, gradient: Tensor, slots: Sequence[Tensor], step: Step) -> None:
    parameter.addcmul_(gradient, -step.rates)


def _momentum(parameter: Tensor, gradient: Tensor, slots: Sequence[Tensor], step: Step) -> None:
    (velocity,) = slots
    velocity.mul_(step.settings["momentum"]).add_(gradient)
    parameter.addcmul_(velocity, -step.rates)


def _adam(parameter: Tensor, gradient: Tensor, slots: Sequence[Tensor], step: Step) -> None:
    first, second = slots
    beta1, beta2 = step.settings["beta1"], step.settings["beta2"]
    first.mul_(beta1).addcmul_(gradient, 1 - beta1)
    second.mul_(beta2).addcmul_(gradient.square(), 1 - beta2)
    size = (second / (1 - beta2**step.number)).sqrt_().add_(step.settings["epsilon"])
    parameter.addcmul_(first / size, -step.rates / (1 - beta1**step.number))


def _rmsprop(parameter: Tensor, gradient: Tensor, slots: Sequence[Tensor], step: Step) -> None:
    (square,) = slots
    alpha = step.settings["alpha"]
    square.mul_(alpha).addcmul_(gradient.square(), 1 - alpha)
    size = square.sqrt().add_(step.settings["epsilon"])
    parameter.addcmul_(gradient / size, -step.rates)


OPTIMISERS: dict[str, Optimiser] = {
    "momentum": Optimiser(_momentum, {"momentum": 0.9}, ("velocity",), linear=True),
    "sgd": Optimiser(_sgd, {}, (), linear=True),
    "adam": Optimiser(
        _adam,
        {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
        ("first", "second"),
        linear=False,
    ),
    # TensorFlow 1.14's constants; its mean square starts at 1, torch's at 0.
    "rmsprop": Optimiser(
        _rmsprop,
        {"alpha": 0.9, "epsilon": 1e-10, "initial_square": 1.0},
        ("square",),
        linear=False,
    ),
}


def first_slots(optimiser: Optimiser, parameter: Tensor, settings: Settings) -> list[Tensor]:
    """Return the slots of a stacked parameter before the first update."""
    initial = settings.get("initial_square", torch.zeros(len(parameter), device=parameter.device))
    shape = (-1, *[1] * (parameter.dim() - 1))
    return [
        torch.zeros_like(parameter) + initial.to(parameter.dtype).view(shape)
        for _ in optimiser.slots
    ]
