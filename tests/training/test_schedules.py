"""Learning rates against tables worked out by hand."""

from __future__ import annotations

import pytest

from frivolous.training.single.recipe import LoopRecipe
from frivolous.training.single.schedules import rate_at


def rates(per_epoch: int, count: int, **options: object) -> list[float]:
    recipe = LoopRecipe(**options)  # type: ignore[arg-type]
    return [rate_at(recipe, update, per_epoch) for update in range(count)]


def test_the_rate_decays_after_every_epoch() -> None:
    found = rates(2, 6, learning_rate=8.0, decay=0.5)
    assert found == [8.0, 8.0, 4.0, 4.0, 2.0, 2.0]


def test_the_rate_drops_at_boundaries_in_epochs() -> None:
    options = {"learning_rate": 1.0, "schedule": "steps", "boundaries": (1.5, 2.0), "drop": 0.5}
    assert rates(2, 6, **options) == [1.0, 1.0, 1.0, 0.5, 0.25, 0.25]


def test_a_warm_up_grows_from_nothing_and_then_leaves_the_schedule_alone() -> None:
    found = rates(2, 6, learning_rate=4.0, schedule="constant", warmup=2.0)
    assert found == [0.0, 1.0, 2.0, 3.0, 4.0, 4.0]
    both = rates(2, 4, learning_rate=4.0, decay=0.5, warmup=1.0)
    assert both == [0.0, 2.0, 2.0, 2.0]


def test_the_papers_resnet56_drops_after_its_91_and_136_epochs_of_50_000() -> None:
    options = {"learning_rate": 0.1, "schedule": "steps", "boundaries": (91, 136)}
    found = rates(391, 391 * 182, **options)
    assert found[91 * 391 - 1] == 0.1
    assert found[91 * 391] == pytest.approx(0.01)
    assert found[136 * 391 - 1] == pytest.approx(0.01)
    assert found[-1] == pytest.approx(0.001)
