"""Training: recipes and optimisers, for one network of any shape or many dense ones at once.

:func:`train_network` trains any network by a :class:`LoopRecipe`; :func:`train_cohort` trains many
dense networks of one shape side by side by a :class:`Recipe`.
"""

from __future__ import annotations

from frivolous.training.cohort.recipe import LEARNING_RATES, Recipe
from frivolous.training.cohort.train import Trained, train_cohort
from frivolous.training.single.checkpoint import forget
from frivolous.training.single.recipe import LoopRecipe
from frivolous.training.single.train import EpochRecord, Failure, Result, train_network

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
