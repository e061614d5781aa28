"""What must hold of untrained networks, over many of them and against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import torch

from frivolous.constructions import (
    random_network,
    untrained_covariance,
    untrained_curve,
    untrained_unchanged,
)
from frivolous.families import draw
from frivolous.measures.redundancy import redundant_units


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_random_networks_have_independent_weights_and_no_bias() -> None:
    before = torch.get_rng_state()
    model = random_network(50, [40, 60], 3, "he-normal", generator=seeded(0))
    assert torch.equal(before, torch.get_rng_state())
    assert (model.hidden, model.outputs) == ((40, 60), 3)
    assert all((layer.bias == 0).all() for layer in model.layers)
    for layer, fan_in in zip(model.layers, (50, 40, 60), strict=True):
        assert layer.weight.var().item() == pytest.approx(2 / fan_in, rel=0.25)


@pytest.mark.parametrize(("hidden", "silent"), [((4,), 1), ((12,), 6), ((6, 8), 3)])
def test_unchanged_labels_over_many_networks(hidden: tuple[int, ...], silent: int) -> None:
    """The mean over 40 * 250 networks of (unchanged - its chance) is 0 within 4 standard errors."""
    inputs = torch.randn(20, 5, generator=seeded(1), dtype=torch.float64)
    keep = torch.ones(hidden[-1], dtype=torch.float64)
    keep[:silent] = 0
    differences = []
    for seed in range(40):
        model = random_network(5, hidden, generator=seeded(seed))
        activity = inputs
        for layer in model.layers[:-1]:
            activity = torch.relu(activity @ layer.weight.detach().T)
        outgoing = draw((250, 2, hidden[-1]), "lecun-normal", seeded(1000 + seed), hidden[-1], 2)
        intact, left = (value @ outgoing.double().mT for value in (activity, activity * keep))
        unchanged = (intact.argmax(2) == left.argmax(2)).double()
        differences += (unchanged - untrained_unchanged(activity, keep)).mean(1).tolist()
    error = np.std(differences) / math.sqrt(len(differences))
    assert 0 < error < 0.5 / math.sqrt(len(differences))
    assert abs(np.mean(differences)) < 4 * error


@pytest.mark.parametrize("width", [200, 400, 800])
def test_the_curve_does_not_depend_on_the_width(width: int) -> None:
    """The chance for a random half, given the activity, tends to 3/4 as 1 / width."""
    inputs = torch.randn(100, 10, generator=seeded(2), dtype=torch.float64)
    weight = random_network(10, [width], generator=seeded(width)).layers[0].weight.detach()
    activity = torch.relu(inputs @ weight.T)
    order = torch.randperm(width, generator=seeded(3))
    for p in (0.25, 0.5, 0.75, 1.0):
        keep = torch.ones(width)
        keep[order[: int(p * width)]] = 0
        chance = float(untrained_unchanged(activity, keep).mean())
        assert chance == pytest.approx(float(untrained_curve([p])[0]), abs=1.5 / math.sqrt(width))


def test_the_curve_has_area_three_quarters() -> None:
    area, _ = scipy.integrate.quad(lambda p: untrained_curve([p])[0], 0, 1)
    assert area == pytest.approx(0.75, abs=1e-9)
    crossing = scipy.optimize.brentq(lambda p: untrained_curve([p])[0] - 0.8, 0, 1)
    assert crossing == pytest.approx(math.sin(math.pi / 5) ** 2, abs=1e-9)
    assert (np.diff(untrained_curve(np.linspace(0, 1, 50))) < 0).all()


def test_silent_examples_keep_their_label() -> None:
    assert untrained_unchanged(torch.zeros(1, 3), torch.tensor([0, 1, 1])).tolist() == [1.0]
    assert untrained_unchanged(torch.ones(1, 3), torch.zeros(3)).tolist() == [0.5]
    assert untrained_unchanged(torch.ones(1, 3), torch.ones(3)).tolist() == [1.0]


def test_covariance_is_that_of_many_examples() -> None:
    weight = draw((6, 4), "he-normal", seeded(0), 4, 6).double()
    weight[5] = -2 * weight[0]
    inputs = torch.randn(400_000, 4, generator=seeded(1), dtype=torch.float64)
    sample = np.cov(torch.relu(inputs @ weight.T).numpy().T)
    exact = untrained_covariance(weight).numpy()
    np.testing.assert_allclose(sample, exact, atol=0.02 * exact.max())


def gains(inputs: int, widths: tuple[int, ...]) -> list[float]:
    counts = np.array(
        [
            [
                redundant_units(
                    untrained_covariance(
                        draw((n, inputs), "lecun-normal", seeded(seed), inputs, 2)
                    ).numpy()
                )
                for n in widths
            ]
            for seed in range(3)
        ]
    ).mean(0)
    return (counts[1:] / counts[:-1]).tolist()


def test_redundant_units_gain_two_with_far_more_inputs_than_units() -> None:
    """Appendix B's "uncorrelated" units: a share of 0.05, give or take one unit in five."""
    assert all(1.8 < gain < 2.3 for gain in gains(20_000, (40, 80, 160)))


def test_redundant_units_gain_more_than_two_with_few_inputs() -> None:
    """Where appendix B does not hold: ten inputs cannot make many units uncorrelated."""
    found = gains(10, (32, 64, 128, 256))
    assert found == sorted(found, reverse=True)
    assert found[0] > 2.5
    assert 2 < found[-1] < 2.4
