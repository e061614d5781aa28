"""Training: recipes, update rules, one network of any shape, and dense ones of one shape at once.

:func:`train_network` trains any network by a :class:`LoopRecipe`; :func:`train_cohort` trains many
dense networks of one shape side by side by a :class:`Recipe`.
"""

from __future__ import annotations

from frivolous.training.checkpoint import forget
from frivolous.training.cohort import Trained, train_cohort
from frivolous.training.loop import EpochRecord, Failure, Result, train_network
from frivolous.training.loop_recipe import LoopRecipe
from frivolous.training.recipe import LEARNING_RATES, Recipe

__all__ = [
    "LEARNING_RATES",
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
