"""The loop gives what a plain loop gives, and says what is wrong."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from frivolous.data.images.transforms import PREPARATIONS
from frivolous.data.splits import Examples, Splits
from frivolous.errors import BadArgument, UnknownName
from frivolous.rng import generator
from frivolous.training import LoopRecipe, train_network

Make = Callable[..., nn.Sequential]


def plain(
    model: nn.Module, data: Examples, recipe: LoopRecipe, optimiser: torch.optim.Optimizer
) -> dict[str, Tensor]:
    """Train by a loop of one's own for 3 epochs of 3 updates, halving the rate after each."""
    for update in range(9):
        index = (torch.arange(recipe.batch_size) + update * recipe.batch_size) % len(data)
        optimiser.param_groups[0]["lr"] = recipe.learning_rate * 0.5 ** (update // 3)
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(data.inputs[index]), data.labels[index]).backward()
        optimiser.step()
    return model.state_dict()


def recipe_of(name: str, **options: object) -> LoopRecipe:
    return LoopRecipe(
        epochs=3, optimiser=name, learning_rate=0.02, decay=0.5, batch_size=16, select="last",
        **options,  # type: ignore[arg-type]
    )  # fmt: skip


RULES = {
    "momentum": lambda p, w: torch.optim.SGD(p, momentum=0.9, foreach=False, weight_decay=w),
    "sgd": lambda p, w: torch.optim.SGD(p, foreach=False, weight_decay=w),
    "adam": lambda p, w: torch.optim.Adam(p, foreach=False, weight_decay=w),
}


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("name", RULES)
def test_a_plain_loop_gives_the_same_weights(
    name: str, decay: float, network: Make, splits: Splits
) -> None:
    # Before a normalisation a bias has no gradient but rounding, which Adam would blow up.
    recipe, norm = recipe_of(name, weight_decay=decay), name != "adam"
    model = network(norm=norm)
    expected = plain(model, splits.train, recipe, RULES[name](model.parameters(), decay))
    found = train_network(network(norm=norm), recipe, splits, seed=0).state
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-4, atol=1e-5)


def test_weight_decay_acts_on_the_parameters_named_and_on_no_other(
    network: Make, splits: Splits
) -> None:
    recipe, model = recipe_of("sgd", weight_decay=0.1, decayed=("5.w*",)), network()
    groups = [
        {"params": [model[0].weight, model[0].bias, model[5].bias], "weight_decay": 0.0},
        {"params": [model[5].weight], "weight_decay": 0.1},
    ]
    optimiser = torch.optim.SGD(groups, lr=0.02)
    for update in range(9):
        for group in optimiser.param_groups:
            group["lr"] = 0.02 * 0.5 ** (update // 3)
        index = (torch.arange(16) + update * 16) % 50
        optimiser.zero_grad()
        scores = model(splits.train.inputs[index])
        nn.functional.cross_entropy(scores, splits.train.labels[index]).backward()
        optimiser.step()
    found = train_network(network(), recipe, splits, seed=0).state
    for key, value in model.state_dict().items():
        torch.testing.assert_close(found[key], value, rtol=1e-4, atol=1e-6)


def test_shuffled_batches_read_every_example_once_a_pass(splits: Splits) -> None:
    from frivolous.training.single.loader import BatchLoader

    recipe = LoopRecipe(batch_size=16, shuffle=True)
    numbered = Examples(torch.arange(50.0).view(50, 1), splits.train.labels)
    feed = BatchLoader(numbered, recipe, 0, torch.device("cpu"))
    read = torch.cat([inputs for inputs, _ in feed.batches(0, 25)]).flatten()
    passes = read.view(8, 50)
    assert torch.equal(passes.sort(1).values, torch.arange(50.0).expand(8, 50))
    assert len({tuple(order.tolist()) for order in passes}) == 8
    again = torch.cat([inputs for inputs, _ in feed.batches(4, 25)]).flatten()
    assert torch.equal(again, read[64:])
    labels = torch.cat([labels for _, labels in feed.batches(0, 25)])
    assert torch.equal(labels, splits.train.labels[read.long()])


def test_images_are_augmented_by_draws_of_the_update(splits: Splits) -> None:
    from frivolous.training.single.loader import BatchLoader

    bytes_ = torch.randint(0, 256, (50, 3, 16, 16), generator=generator("bytes")).byte()
    recipe = LoopRecipe(batch_size=16, preparation="alexnet-augmented")
    feed = BatchLoader(Examples(bytes_, splits.train.labels), recipe, 7, torch.device("cpu"))
    ((inputs, _),) = feed.batches(2, 3)
    prepare = PREPARATIONS["alexnet-augmented"].train
    assert torch.equal(inputs, prepare(bytes_[32:48], generator(7, "augment", 2)))


def test_the_same_twice_with_dropout_and_no_trace_in_the_callers_stream(
    network: Make, splits: Splits
) -> None:
    recipe = LoopRecipe(epochs=2, batch_size=16, select="last")
    states = []
    for seed in (3, 3, 4):
        states.append(train_network(network(dropout=0.5), recipe, splits, seed=seed).state)
        torch.rand(5)
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert not torch.equal(states[0]["5.weight"], states[2]["5.weight"])
    model, before = network(dropout=0.5), torch.get_rng_state()
    train_network(model, recipe, splits, seed=3)
    assert torch.equal(torch.get_rng_state(), before)


def test_narrow_products_learn_the_same(network: Make, splits: Splits) -> None:
    recipe = recipe_of("momentum")
    wide = train_network(network(), recipe, splits, seed=0).state
    narrow_recipe = recipe_of("momentum", precision="bfloat16")
    narrow = train_network(network(), narrow_recipe, splits, seed=0).state
    assert narrow["5.weight"].dtype == torch.float32
    assert not torch.equal(narrow["5.weight"], wide["5.weight"])
    torch.testing.assert_close(narrow["5.weight"], wide["5.weight"], rtol=0.1, atol=0.01)


def test_a_loss_that_is_no_number_ends_the_training_and_says_where(
    network: Make, splits: Splits
) -> None:
    recipe = LoopRecipe(epochs=3, batch_size=16, learning_rate=1e38)
    told: list[float] = []
    result = train_network(network(), recipe, splits, seed=0, progress=told.append)
    assert result.failed is not None
    assert result.failed.step == 2
    assert not math.isfinite(result.failed.loss)
    assert (result.best_epoch, result.epochs, len(result.history)) == (0, 0, 1)
    assert all(value.isfinite().all() for value in result.state.values())
    assert sum(told) == pytest.approx(1)


class Overflowing(nn.Module):
    """Finite in training; as a trained network infinite, after the first update."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.tensor([0.0, 0.1, 0.2, 0.3]))
        self.start = self.bias.detach().clone()

    def forward(self, inputs: Tensor) -> Tensor:
        scores = self.bias.expand(len(inputs), 4)
        moved = not self.training and not torch.equal(self.bias, self.start)
        return scores / 0 if moved else scores


def test_scores_that_are_no_numbers_end_the_training_too(splits: Splits) -> None:
    recipe = LoopRecipe(epochs=3, batch_size=16, select="last")
    result = train_network(Overflowing(), recipe, splits, seed=0)
    assert result.failed is not None
    assert result.failed.step == 3
    assert math.isfinite(result.failed.loss)
    assert math.isnan(result.history[-1].validation_accuracy)
    assert result.best_epoch == 0


def test_the_model_is_left_in_the_selected_state(network: Make, splits: Splits) -> None:
    model = network(norm=True)
    result = train_network(model, LoopRecipe(epochs=2, batch_size=16), splits, seed=0)
    assert not model.training
    assert all(torch.equal(value, result.state[key]) for key, value in model.state_dict().items())
    assert all(p.is_contiguous() for p in model.parameters())
    for examples, found in (
        (splits.validation, result.validation_accuracy),
        (splits.train, result.train_accuracy),
    ):
        with torch.no_grad():
            right = model(examples.inputs).argmax(1) == examples.labels
        assert found == pytest.approx(float(right.double().mean()))
    assert result.validation_accuracy == max(r.validation_accuracy for r in result.history)


def test_wrong_arguments_say_so(network: Make, splits: Splits) -> None:
    with pytest.raises(BadArgument, match=r"`batch_size` 128 is larger than the training data"):
        train_network(network(), LoopRecipe(epochs=1), splits, seed=0)
    recipe = LoopRecipe(epochs=1, batch_size=16, weight_decay=0.1, decayed=("fc*",))
    with pytest.raises(BadArgument, match=r"pattern 'fc\*' fits no parameter; the parameters are"):
        train_network(network(), recipe, splits, seed=0)
    recipe = LoopRecipe(epochs=1, batch_size=16, preparation="alex")
    with pytest.raises(UnknownName, match="unknown preparation 'alex'; did you mean 'alexnet'"):
        train_network(network(), recipe, splits, seed=0)
    recipe = LoopRecipe(epochs=1, batch_size=16)
    with pytest.raises(BadArgument, match=r"`every` is seconds, at least 0; got -1"):
        train_network(network(), recipe, splits, seed=0, every=-1)
    with pytest.raises(BadArgument, match=r"`device` cuda:99 is not available"):
        train_network(network(), recipe, splits, seed=0, device="cuda:99")
    frozen = network().requires_grad_(False)
    with pytest.raises(BadArgument, match="no parameter that training may change"):
        train_network(frozen, recipe, splits, seed=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimiser": "momentun"}, "unknown optimiser 'momentun'; did you mean 'momentum'"),
        ({"settings": (("beta", 1.0),)}, "unknown setting of momentum 'beta'"),
        ({"schedule": "step"}, "unknown schedule 'step'; did you mean 'steps'"),
        ({"select": "best"}, "unknown selection 'best'"),
        ({"precision": "half"}, "unknown precision 'half'"),
        ({"epochs": 0}, "`epochs` must be at least 1; got 0"),
        ({"patience": 0}, "`patience` must be at least 1; got 0"),
        ({"learning_rate": math.inf}, "`learning_rate` must be above 0; got inf"),
        ({"decay": 1.5}, r"`decay` is a factor in \(0, 1\]; got 1.5"),
        ({"warmup": -1.0}, "`warmup` must be at least 0; got -1.0"),
        ({"schedule": "steps", "boundaries": (3, 2)}, "each later than the one before"),
        ({"schedule": "steps"}, "`boundaries` go with the schedule 'steps' and with no other"),
        ({"boundaries": (1,)}, "`boundaries` go with the schedule 'steps' and with no other"),
        ({"average": 1.0}, r"`average` is a decay in \(0, 1\); got 1.0"),
        ({"stop_at_train_accuracy": 99.0}, "`stop_at_train_accuracy` is a share in"),
        ({"snapshots": (501,)}, "`snapshots` are different numbers of epochs before the end"),
        ({"snapshots": (1,), "patience": 5}, "`snapshots` count back from a fixed end"),
        ({"select": "last", "patience": 5}, "`patience` waits for a better state"),
    ],
)
def test_recipes_that_cannot_be_say_so(options: dict[str, object], message: str) -> None:
    with pytest.raises(BadArgument, match=message):
        LoopRecipe(**options)  # type: ignore[arg-type]
    assert issubclass(UnknownName, BadArgument)
