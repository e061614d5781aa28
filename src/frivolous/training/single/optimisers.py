"""Optimisers of one network's parameters, fused where PyTorch has exactly the same rule.

Names and settings are those of the cohorts' ``OPTIMISERS``. Momentum, SGD and Adam are
``torch.optim``'s own; RMSProp is TensorFlow 1.14's, which PyTorch does not have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Protocol

import torch
from torch import Tensor

from frivolous.errors import BadArgument
from frivolous.training.cohort.optimisers import OPTIMISERS

LOOP_OPTIMISERS: Mapping[str, Mapping[str, float]] = {
    **{name: optimiser.settings for name, optimiser in OPTIMISERS.items()},
    "rmsprop": {**OPTIMISERS["rmsprop"].settings, "momentum": 0.0},
}
"""Every update rule of the training loop with the defaults of its settings."""

FUSED = ("cpu", "cuda")
"""Kinds of devices for which PyTorch does a whole update in one pass over memory."""


class Updates(Protocol):
    """What the training loop needs of an optimiser: ``torch.optim``'s, or one alike."""

    param_groups: list[dict[str, Any]]

    @property
    def state(self) -> Any:
        """Slots of every parameter, by the parameter and by name."""

    def step(self) -> Any:
        """Update the parameters by their gradients."""


class RootMeanSquare:
    """RMSProp as TensorFlow 1.14 does it, with momentum.

    square = alpha * square + (1 - alpha) * g^2, from ``initial_square``;
    velocity = momentum * velocity + rate * g / sqrt(square + epsilon); p = p - velocity.

    PyTorch's rule starts from 0, adds epsilon outside the root, and multiplies by the rate
    outside the velocity. For Inception-v3 (epsilon 1) these are other updates altogether.
    """

    def __init__(self, groups: Sequence[dict[str, Any]], settings: Mapping[str, float]) -> None:
        self.settings = settings
        self.param_groups: list[dict[str, Any]] = [{"lr": 0.0, **group} for group in groups]
        self.state: dict[Tensor, dict[str, Tensor]] = {}
        first = settings["initial_square"]
        for group in groups:
            for parameter in group["params"]:
                self.state[parameter] = {
                    "square": torch.full_like(parameter, first),
                    "velocity": torch.zeros_like(parameter),
                }

    @torch.no_grad()
    def step(self) -> None:
        """Change the parameters that have a gradient."""
        for group in self.param_groups:
            here = [p for p in group["params"] if p.grad is not None]
            if here:
                self._step(here, group["lr"], group["weight_decay"])

    def _step(self, parameters: list[Tensor], rate: float, weight_decay: float) -> None:
        gradients: Any = [p.grad for p in parameters]
        if weight_decay:
            gradients = torch._foreach_add(gradients, parameters, alpha=weight_decay)
        squares = [self.state[p]["square"] for p in parameters]
        velocities = [self.state[p]["velocity"] for p in parameters]
        alpha = self.settings["alpha"]
        torch._foreach_mul_(squares, alpha)
        torch._foreach_addcmul_(squares, gradients, gradients, value=1 - alpha)
        sizes = torch._foreach_add(squares, self.settings["epsilon"])
        torch._foreach_sqrt_(sizes)
        torch._foreach_mul_(velocities, self.settings["momentum"])
        torch._foreach_addcdiv_(velocities, gradients, sizes, value=rate)
        torch._foreach_sub_(parameters, velocities)


def make_updates(
    name: str,
    settings: Mapping[str, float],
    parameters: Mapping[str, Tensor],
    *,
    weight_decay: float,
    decayed: Sequence[str],
) -> Updates:
    """Return the optimiser ``name`` (a key of ``LOOP_OPTIMISERS``) of named parameters.

    ``weight_decay`` times the parameter is added to the gradient of those that a pattern of
    ``decayed`` fits.

    Raises:
        BadArgument: no parameter to train, or a pattern that fits none.
    """
    groups = _groups(parameters, weight_decay, decayed)
    kinds = {parameter.device.type for parameter in parameters.values()}
    options: dict[str, Any] = {"lr": 0.0}
    if kinds <= set(FUSED):
        options["fused"] = True
    if name == "rmsprop":
        return RootMeanSquare(groups, settings)
    if name == "adam":
        betas = (settings["beta1"], settings["beta2"])
        return torch.optim.Adam(groups, betas=betas, eps=settings["epsilon"], **options)
    return torch.optim.SGD(groups, momentum=settings.get("momentum", 0.0), **options)


def _groups(
    parameters: Mapping[str, Tensor], weight_decay: float, decayed: Sequence[str]
) -> list[dict[str, Any]]:
    if not parameters:
        raise BadArgument(
            "`model` has no parameter that training may change; set requires_grad on some."
        )
    if not weight_decay:
        return [{"params": list(parameters.values()), "weight_decay": 0.0}]
    for pattern in decayed:
        if not any(fnmatchcase(name, pattern) for name in parameters):
            raise BadArgument(
                f"`decayed` pattern '{pattern}' fits no parameter; the parameters are "
                f"{', '.join(parameters)}. Use '*' for any part of a name."
            )
    with_it = {n for n in parameters if any(fnmatchcase(n, pattern) for pattern in decayed)}
    groups = [
        {
            "params": [p for n, p in parameters.items() if n in with_it],
            "weight_decay": weight_decay,
        },
        {"params": [p for n, p in parameters.items() if n not in with_it], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
