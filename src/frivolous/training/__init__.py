"""Training: recipes, update rules, and networks of one shape trained at once."""

from __future__ import annotations

from frivolous.training.cohort import Trained, train_cohort
from frivolous.training.recipe import LEARNING_RATES, Recipe

__all__ = ["LEARNING_RATES", "Recipe", "Trained", "train_cohort"]
