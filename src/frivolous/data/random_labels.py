"""Random labels, which a network can only memorise (Casper et al. 2021, figures 1b and 4a)."""

from __future__ import annotations

from dataclasses import replace

import torch

from frivolous.data.splits import Splits
from frivolous.rng import generator


def with_random_labels(splits: Splits, seed: int) -> Splits:
    """Return the splits with training and validation labels drawn uniformly over the classes.

    Drawn once for each example from ``seed``, whatever the network trained on them; the test keeps
    its true labels. The original code draws unseeded, once, for all networks. ``facts`` says which
    share of the training labels is true by chance.

    >>> from frivolous.data import digits
    >>> true = digits()
    >>> random = with_random_labels(true, seed=0)
    >>> torch.equal(random.test.labels, true.test.labels), random.facts["random_labels"]
    (True, True)
    """
    drawn = generator("random labels", seed)

    def like(labels: torch.Tensor) -> torch.Tensor:
        return torch.randint(splits.classes, labels.shape, generator=drawn).to(labels.device)

    train = replace(splits.train, labels=like(splits.train.labels))
    validation = replace(splits.validation, labels=like(splits.validation.labels))
    kept = (train.labels == splits.train.labels).double().mean()
    facts = {**splits.facts, "random_labels": True, "true_by_chance": float(kept)}
    return replace(splits, train=train, validation=validation, facts=facts)
