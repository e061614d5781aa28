"""The loop gives what a plain loop gives, and the same bits after any kill."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor, nn

from frivolous.data.examples import Examples, Splits
from frivolous.errors import BadArgument, UnknownName
from frivolous.seeds import generator
from frivolous.training import LoopRecipe, Result, train_network


def images(count: int, seed: int = 0, classes: int = 4) -> Examples:
    drawn = generator("loop test", seed)
    labels = torch.randint(0, classes, (count,), generator=drawn)
    values = torch.rand(count, 2, 6, 6, generator=drawn)
    return Examples(values + labels.view(-1, 1, 1, 1) / classes, labels)


def splits(train: int = 50) -> Splits:
    return Splits(images(train), images(20, 1), images(8, 2), classes=4)


def network(seed: int = 0, *, dropout: float = 0.0, norm: bool = False) -> nn.Sequential:
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3),
        nn.BatchNorm2d(4) if norm else nn.Identity(),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(64, 4),
    )
    drawn = generator("loop test network", seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.copy_(torch.randn(parameter.shape, generator=drawn) * 0.1)
            else:
                parameter.fill_(1.0 if norm and parameter is model[1].weight else 0.0)
    return model


def train(recipe: LoopRecipe, data: Splits | None = None, **options: object) -> Result:
    return train_network(network(), recipe, data or splits(), seed=0, **options)  # type: ignore[arg-type]


def plain(recipe: LoopRecipe, make: object, rates: list[float]) -> dict[str, Tensor]:
    """Train by a loop of one's own: fixed order, one batch after the other, again and again."""
    model, data = network(), splits().train
    optimiser = make(model.parameters())  # type: ignore[operator]
    for update, rate in enumerate(rates):
        index = (torch.arange(recipe.batch_size) + update * recipe.batch_size) % len(data)
        optimiser.param_groups[0]["lr"] = rate
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(data.inputs[index]), data.labels[index]).backward()
        optimiser.step()
    return model.state_dict()


RULES = {
    "momentum": lambda p: torch.optim.SGD(p, momentum=0.9, foreach=False),
    "sgd": lambda p: torch.optim.SGD(p, foreach=False),
    "adam": lambda p: torch.optim.Adam(p, foreach=False),
}


@pytest.mark.parametrize("name", RULES)
def test_a_plain_loop_gives_the_same_weights(name: str) -> None:
    recipe = LoopRecipe(
        epochs=3, optimiser=name, learning_rate=0.02, decay=0.5, batch_size=16, select="last"
    )
    rates = [0.02 * 0.5 ** (update // 3) for update in range(9)]
    expected = plain(recipe, RULES[name], rates)
    found = train(recipe).state
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-4, atol=1e-6)


def test_the_same_twice_with_dropout_and_no_trace_in_the_callers_stream() -> None:
    recipe = LoopRecipe(epochs=2, batch_size=16, select="last")
    states = []
    for _ in range(2):
        result = train_network(network(dropout=0.5), recipe, splits(), seed=3)
        states.append(result.state)
        torch.rand(5)
    other = train_network(network(dropout=0.5), recipe, splits(), seed=4).state
    assert all(torch.equal(states[0][key], states[1][key]) for key in other)
    assert not torch.equal(states[0]["5.weight"], other["5.weight"])
    model, before = network(dropout=0.5), torch.get_rng_state()
    train_network(model, recipe, splits(), seed=3)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_loss_that_is_no_number_ends_the_training_and_says_where() -> None:
    result = train(LoopRecipe(epochs=3, batch_size=16, learning_rate=1e30))
    assert result.failed is not None
    assert result.failed.step == 2
    assert not math.isfinite(result.failed.loss)
    assert result.best_epoch == 0
    assert all(value.isfinite().all() for value in result.state.values())


def test_the_model_is_left_in_the_selected_state() -> None:
    model = network(norm=True)
    result = train_network(model, LoopRecipe(epochs=2, batch_size=16), splits(), seed=0)
    assert not model.training
    assert all(torch.equal(value, result.state[key]) for key, value in model.state_dict().items())
    with torch.no_grad():
        right = model(splits().validation.inputs).argmax(1) == splits().validation.labels
    assert result.validation_accuracy == pytest.approx(float(right.float().mean()))
    assert result.validation_accuracy == max(r.validation_accuracy for r in result.history)


def test_wrong_arguments_say_so() -> None:
    with pytest.raises(BadArgument, match=r"`batch_size` 128 is larger than the training data"):
        train(LoopRecipe(epochs=1))
    with pytest.raises(UnknownName, match="did you mean 'momentum'"):
        LoopRecipe(optimiser="momentun")
    with pytest.raises(BadArgument, match="each later than the one before"):
        LoopRecipe(schedule="steps", boundaries=(3, 2))
    recipe = LoopRecipe(epochs=1, batch_size=16, weight_decay=0.1, decayed=("fc*",))
    with pytest.raises(BadArgument, match=r"pattern 'fc\*' fits no parameter; the parameters are"):
        train(recipe)
    assert dataclasses.replace(recipe, decayed=("5.*",)).decayed == ("5.*",)
