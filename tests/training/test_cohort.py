"""A cohort against plain PyTorch, one network at a time."""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import pytest
import torch

from frivolous.data import Examples, Splits, teacher_data
from frivolous.errors import BadArgument, UnknownName
from frivolous.families.initialisers import fixed, initialise
from frivolous.families.mlp import MLP
from frivolous.rng import generator
from frivolous.training.cohort.recipe import Recipe
from frivolous.training.cohort.train import train_cohort

# The loop that the benchmark times is the one that is shown to be equal here.
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from plain_loop import plain_loop

OPTIMISERS = ["momentum", "sgd", "adam", "rmsprop"]


def network(
    inputs: int, hidden: tuple[int, ...], outputs: int, seed: int, sigma: float = 0.3
) -> MLP:
    model = MLP(inputs, hidden, outputs).double()
    initialise(model, fixed(sigma), generator("test", seed))
    return model


def double(splits: Splits) -> Splits:
    parts = [
        Examples(part.inputs.double(), part.labels)
        for part in (splits.train, splits.validation, splits.test)
    ]
    return Splits(*parts, classes=splits.classes)


def check_equal(models: list[MLP], recipes: list[Recipe], splits: Splits, **options) -> None:
    trained = list(train_cohort([m.state_dict() for m in models], recipes, splits, **options))
    assert len(trained) == len(models)
    for model, recipe, result in zip(models, recipes, trained, strict=True):
        state, history = plain_loop(model, recipe, splits)
        assert list(result.history) == history
        assert result.best_epoch == history.index(max(history))
        for name, value in state.items():
            torch.testing.assert_close(result.state[name], value, rtol=1e-7, atol=1e-9)
    assert any(result.best_epoch > 1 for result in trained), "nothing was learnt in this test"


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("hidden", [(8,), (7, 5)])
def test_a_cohort_trains_every_network_as_a_plain_loop_does(optimiser, hidden):
    splits = double(teacher_data(5, train=200, validation=150, test=10, hidden=6, seed=1))
    rates = {"momentum": 0.1, "sgd": 0.5, "adam": 0.02, "rmsprop": 0.02}
    models = [network(5, hidden, 2, seed) for seed in range(3)]
    recipes = [
        Recipe(
            optimiser, rates[optimiser] * factor, 0.9, epochs=6, batch_size=48, updates_per_epoch=5
        )
        for factor in (1.0, 0.5, 2.0)
    ]
    check_equal(models, recipes, splits)


@pytest.mark.parametrize("optimiser", ["momentum", "sgd"])
@pytest.mark.parametrize("hidden", [(8,), (6, 4)])
def test_wide_inputs_trained_by_examples_equal_the_plain_loop(optimiser, hidden):
    splits = double(teacher_data(300, train=100, validation=80, test=10, hidden=6, seed=1))
    models = [network(300, hidden, 2, seed, sigma=0.2) for seed in range(2)]
    models.append(models[0])
    recipes = [
        Recipe(optimiser, rate, 0.95, epochs=5, batch_size=32, updates_per_epoch=4)
        for rate in (0.1, 0.2, 0.3)
    ]
    check_equal(models, recipes, splits, wide=True)


def test_settings_may_differ_within_a_cohort():
    splits = double(teacher_data(4, train=150, validation=100, test=10, hidden=6, seed=2))
    models = [network(4, (6,), 2, seed) for seed in range(3)]
    recipes = [
        Recipe("momentum", 0.1, decay, 4, 32, 4, settings=(("momentum", momentum),))
        for momentum, decay in ((0.0, 1.0), (0.5, 0.9), (0.95, 0.8))
    ]
    check_equal(models, recipes, splits)


@pytest.mark.parametrize("inputs", [10, 300])
@pytest.mark.parametrize("optimiser", ["momentum", "adam"])
def test_a_network_does_not_depend_on_its_cohort(inputs, optimiser):
    """Bit for bit: so a study cut short and taken up again gives the very same numbers."""
    splits = teacher_data(inputs, train=200, validation=100, test=10, hidden=16, seed=1)
    models = [network(inputs, (24,), 2, seed, 0.05).float() for seed in range(5)]
    recipes = [Recipe(optimiser, 0.02 * (k + 1), epochs=4, batch_size=64) for k in range(5)]
    states = [model.state_dict() for model in models]
    together = list(train_cohort(states, recipes, splits))
    for k in range(5):
        (alone,) = train_cohort(states[k : k + 1], recipes[k : k + 1], splits)
        assert alone.history == together[k].history
        for name, value in alone.state.items():
            assert torch.equal(value, together[k].state[name])


def test_a_network_that_diverges_keeps_its_best_state_and_spoils_no_other():
    splits = teacher_data(6, train=200, validation=100, test=10, seed=1)
    states = [network(6, (8,), 2, seed).float().state_dict() for seed in range(2)]
    recipes = [Recipe(learning_rate=rate, epochs=5) for rate in (1e30, 0.1)]
    wild, tame = train_cohort(states, recipes, splits)
    (alone,) = train_cohort(states[1:], recipes[1:], splits)
    assert wild.diverged
    assert all(value.isfinite().all() for value in wild.state.values())
    assert not tame.diverged
    assert tame.history == alone.history


def test_initial_states_are_left_alone_and_progress_adds_up():
    splits = teacher_data(300, train=100, validation=50, test=10, seed=1)
    states = [network(300, (8,), 2, seed, 0.05).float().state_dict() for seed in range(3)]
    before = copy.deepcopy(states)
    done: list[float] = []
    list(train_cohort(states, [Recipe(epochs=4, batch_size=50)] * 3, splits, progress=done.append))
    assert sum(done) == pytest.approx(3)
    for state, old in zip(states, before, strict=True):
        assert all(torch.equal(state[name], old[name]) for name in old)


def test_what_does_not_go_together_is_refused():
    splits = teacher_data(4, train=100, validation=50, test=10, seed=1)
    state = network(4, (6,), 2, 0).float().state_dict()
    other = network(4, (7,), 2, 0).float().state_dict()
    recipe = Recipe(batch_size=50)
    with pytest.raises(BadArgument, match="must have one shape"):
        list(train_cohort([state, other], [recipe] * 2, splits))
    with pytest.raises(BadArgument, match="agree in optimiser"):
        list(train_cohort([state] * 2, [recipe, Recipe("sgd", batch_size=50)], splits))
    with pytest.raises(BadArgument, match=r"`batch_size` 128 is larger .* \(100 examples\)"):
        list(train_cohort([state], [Recipe()], splits))
    with pytest.raises(BadArgument, match="adam is not. Pass wide=False"):
        list(train_cohort([state], [Recipe("adam", batch_size=50)], splits, wide=True))
    with pytest.raises(BadArgument, match="got 1 and 0"):
        list(train_cohort([state], [], splits))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimiser": "momentun"}, "unknown optimiser 'momentun'; did you mean 'momentum'"),
        ({"settings": (("beta", 1.0),)}, "unknown setting of momentum 'beta'"),
        ({"epochs": 0}, "`epochs` must be at least 1; got 0"),
        ({"learning_rate": 0.0}, "`learning_rate` must be above 0; got 0.0"),
        ({"decay": 5.0}, r"factor per epoch in \(0, 1\]; got 5.0. For no decay pass 1"),
    ],
)
def test_a_wrong_recipe_says_what_is_wrong(options, message):
    with pytest.raises((BadArgument, UnknownName), match=message):
        Recipe(**options)
