"""RMSProp against TensorFlow's formula, number by number."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from frivolous.training.single.optimisers import make_updates
from frivolous.training.single.recipe import LOOP_SETTINGS


@pytest.mark.parametrize(
    "changes", [{}, {"epsilon": 1.0, "momentum": 0.9}, {"initial_square": 0.0, "alpha": 0.5}]
)
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_rmsprop_is_tensorflows(changes: dict[str, float], decay: float) -> None:
    settings = {**LOOP_SETTINGS["rmsprop"], **changes}
    drawn = torch.Generator().manual_seed(0)
    parameter = torch.randn(7, generator=drawn, dtype=torch.float64).requires_grad_()
    gradients = torch.randn(5, 7, generator=drawn, dtype=torch.float64)
    rates = [0.1, 0.1, 0.01, 0.01, 0.02]
    value = parameter.detach().numpy().copy()
    square, velocity = np.full(7, settings["initial_square"]), np.zeros(7)
    updates = make_updates(
        "rmsprop", settings, {"p": parameter}, weight_decay=decay, decayed=("*",)
    )
    for rate, gradient in zip(rates, gradients, strict=True):
        g = gradient.numpy() + decay * value
        square = settings["alpha"] * square + (1 - settings["alpha"]) * g**2
        root = np.sqrt(square + settings["epsilon"])
        velocity = settings["momentum"] * velocity + rate * g / root
        value = value - velocity
        parameter.grad = gradient.clone()
        updates.param_groups[0]["lr"] = rate
        updates.step()
    np.testing.assert_allclose(parameter.detach().numpy(), value, rtol=1e-10)


def test_without_momentum_and_from_zero_it_is_pytorchs_where_epsilon_is_nothing() -> None:
    one, two = (torch.ones(3).requires_grad_() for _ in range(2))
    settings = {"alpha": 0.9, "momentum": 0.0, "epsilon": 1e-16, "initial_square": 0.0}
    ours = make_updates("rmsprop", settings, {"p": one}, weight_decay=0.0, decayed=())
    theirs = torch.optim.RMSprop([two], lr=0.1, alpha=0.9, eps=1e-16)
    ours.param_groups[0]["lr"] = 0.1
    for _ in range(4):
        one.grad = two.grad = torch.tensor([1.0, -2.0, 0.5])
        ours.step()
        theirs.step()
    torch.testing.assert_close(one, two)
