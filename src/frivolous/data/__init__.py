"""Data sources; each returns :class:`Splits`."""

from __future__ import annotations

from collections.abc import Callable

from frivolous.data.cifar10 import cifar10
from frivolous.data.digits import digits
from frivolous.data.imagenet import imagenet
from frivolous.data.images.encoded import EncodedExamples
from frivolous.data.images.transforms import PREPARATIONS, Preparation
from frivolous.data.random_labels import with_random_labels
from frivolous.data.splits import Examples, Splits
from frivolous.data.teacher import teacher_data

DATASETS: dict[str, Callable[..., Splits]] = {
    "teacher": teacher_data,
    "digits": digits,
    "cifar10": cifar10,
    "imagenet": imagenet,
}

__all__ = [
    "DATASETS",
    "PREPARATIONS",
    "EncodedExamples",
    "Examples",
    "Preparation",
    "Splits",
    "cifar10",
    "digits",
    "imagenet",
    "teacher_data",
    "with_random_labels",
]
