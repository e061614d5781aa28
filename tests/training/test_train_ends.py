"""When a training ends, and which states it keeps."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from frivolous.data.splits import Examples, Splits
from frivolous.training import EpochRecord, LoopRecipe, Result, train_network

Make = Callable[..., nn.Sequential]


class Scripted(nn.Module):
    """Right on the first ``script[k]`` of ten examples after k updates, whatever it learns."""

    def __init__(self, script: list[int]) -> None:
        super().__init__()
        self.script = script
        self.unused = nn.Parameter(torch.zeros(1))
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.updates += 1
        right = self.script[min(int(self.updates), len(self.script) - 1)]
        chosen = torch.where(inputs[:, 0] < right, inputs[:, 1], 1 - inputs[:, 1]).long()
        return nn.functional.one_hot(chosen, 2).float() + 0 * self.unused


def scripted(script: list[int], **options: object) -> Result:
    labels = torch.arange(10) % 2
    ten = Examples(torch.stack([torch.arange(10), labels], 1).float(), labels)
    recipe = LoopRecipe(batch_size=10, **{"epochs": len(script) - 1, **options})  # type: ignore[arg-type]
    return train_network(Scripted(script), recipe, Splits(ten, ten, ten, 2), seed=0)


def test_the_earliest_of_the_best_by_validation_is_kept() -> None:
    result = scripted([1, 5, 3, 5, 2])
    assert (result.best_epoch, result.epochs) == (1, 4)
    assert int(result.state["updates"]) == 1
    assert [record.validation_accuracy for record in result.history] == [0.1, 0.5, 0.3, 0.5, 0.2]
    assert result.train_accuracy == 0.5
    assert result.history[0] == EpochRecord(0, 0.1, None, None)


def test_patience_counts_epochs_since_the_best() -> None:
    script = [1, 2, 5, 4, 4, 5, 6, 7]
    assert scripted(script, patience=3).epochs == 5
    assert scripted(script, patience=3).best_epoch == 2
    assert scripted(script, patience=4).epochs == 7


def test_the_last_state_and_the_best_on_training_data() -> None:
    assert scripted([1, 5, 3], select="last").best_epoch == 2
    result = scripted([1, 5, 3], select="train")
    assert result.best_epoch == 1
    assert [record.train_accuracy for record in result.history] == [0.1, 0.5, 0.3]


def test_training_stops_when_it_knows_the_training_data() -> None:
    result = scripted([1, 5, 10, 10, 10], select="train", stop_at_train_accuracy=1.0)
    assert (result.epochs, result.best_epoch) == (2, 2)


def test_snapshots_are_states_before_the_end() -> None:
    result = scripted([1, 5, 3, 5, 2], snapshots=(3, 1, 0))
    assert {k: int(state["updates"]) for k, state in result.snapshots.items()} == {3: 1, 1: 3, 0: 4}


def test_an_average_of_the_weights_is_evaluated_and_returned(network: Make, splits: Splits) -> None:
    def trained(average: float | None) -> Result:
        recipe = LoopRecipe(
            epochs=5, updates_per_epoch=1, batch_size=16, select="last", average=average,
            snapshots=(5, 4, 3, 2, 1, 0),
        )  # fmt: skip
        return train_network(network(norm=True), recipe, splits, seed=0)

    live, found = trained(None).snapshots, trained(0.25)
    expected = dict(live[5])
    for update in range(1, 6):
        decay = min(0.25, (1 + update) / (10 + update))
        for name, value in live[5 - update].items():
            moved = decay * expected[name] + (1 - decay) * value
            expected[name] = moved if value.is_floating_point() else value
        torch.testing.assert_close(found.snapshots[5 - update], expected, rtol=1e-5, atol=1e-7)
    model = network(norm=True)
    model.load_state_dict(found.state)
    with torch.no_grad():
        right = model.eval()(splits.validation.inputs).argmax(1) == splits.validation.labels
    assert found.validation_accuracy == pytest.approx(float(right.double().mean()))
