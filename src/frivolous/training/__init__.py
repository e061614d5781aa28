"""Training: recipes, update rules, one network of any shape, and dense ones of one shape at once.

:func:`train_network` trains any network by a :class:`LoopRecipe`; :func:`train_cohort` trains many
dense networks of one shape side by side by a :class:`Recipe`. The names are loaded on first use:
specs hold recipes, and are read and hashed without PyTorch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from frivolous.training.cohort.recipe import Recipe
    from frivolous.training.cohort.train import Trained, train_cohort
    from frivolous.training.single.checkpoint import forget
    from frivolous.training.single.recipe import LoopRecipe
    from frivolous.training.single.train import EpochRecord, Failure, Result, train_network

__all__ = [
    "EpochRecord",
    "Failure",
    "LoopRecipe",
    "Recipe",
    "Result",
    "Trained",
    "forget",
    "train_cohort",
    "train_network",
]

_HOMES = {
    "cohort.recipe": ("Recipe",),
    "cohort.train": ("Trained", "train_cohort"),
    "single.checkpoint": ("forget",),
    "single.recipe": ("LoopRecipe",),
    "single.train": ("EpochRecord", "Failure", "Result", "train_network"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
