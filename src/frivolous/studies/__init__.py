"""The papers' experiments as named grids of runs; ``STUDIES`` is the registry."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from types import ModuleType

from frivolous.errors import look_up
from frivolous.studies.papers import aaai_cifar, aaai_imagenet, preprints
from frivolous.studies.papers.aaai_synthetic import FIG4D, FIG_E7, FIG_E8, FIG_E9
from frivolous.studies.papers.dense_curves import SCALES
from frivolous.studies.papers.effective_width import EFFECTIVE_WIDTH
from frivolous.studies.study import Study


class _Studies(Mapping[str, Study]):
    """A dictionary whose error for an unknown name suggests the nearest."""

    def __init__(self, studies: dict[str, Study]) -> None:
        self._studies = studies

    def __getitem__(self, name: str) -> Study:
        return look_up(self._studies, name, "study")

    def __iter__(self) -> Iterator[str]:
        return iter(self._studies)

    def __len__(self) -> int:
        return len(self._studies)


STUDIES: Mapping[str, Study] = _Studies(
    {
        "fig1a": aaai_imagenet.FIG1A,
        "fig1b": aaai_cifar.FIG1B,
        "fig1c": aaai_cifar.FIG1C,
        "fig2a": aaai_cifar.FIG2A,
        "fig2b": aaai_cifar.FIG2B,
        "fig2c": aaai_cifar.FIG2C,
        "fig2d": aaai_cifar.FIG2D,
        "fig3a": aaai_imagenet.FIG3A,
        "fig3b": aaai_imagenet.FIG3B,
        "fig3c": aaai_imagenet.FIG3C,
        "fig3d": aaai_imagenet.FIG3D,
        "fig4a": aaai_cifar.FIG4A,
        "fig4b": aaai_cifar.FIG4B,
        "fig4c": aaai_cifar.FIG4C,
        "fig4d": FIG4D,
        "figE1": aaai_imagenet.FIG_E1,
        "figE2": aaai_imagenet.FIG_E2,
        "figE3": aaai_cifar.FIG_E3,
        "figE4": aaai_imagenet.FIG_E4,
        "figE5": aaai_imagenet.FIG_E5,
        "figE6": aaai_cifar.FIG_E6,
        "figE7": FIG_E7,
        "figE8": FIG_E8,
        "figE9": FIG_E9,
        "figE10": aaai_imagenet.FIG_E10,
        "figE11": aaai_cifar.FIG_E11,
        "figE12": aaai_imagenet.FIG_E12,
        **{study.name: study for study in preprints.ALL},
        EFFECTIVE_WIDTH.name: EFFECTIVE_WIDTH,
    }
)


class _Package(ModuleType, Mapping[str, Study]):
    """The package as its own registry.

    ``frivolous.studies`` is the public name of the registry, and the import system binds it to this
    package; so the package answers ``fv.studies["fig4d"]``.
    """

    # A module is itself and nothing else; mappings compare by content and cannot be hashed.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __getitem__(self, name: str) -> Study:
        return STUDIES[name]

    def __iter__(self) -> Iterator[str]:
        return iter(STUDIES)

    def __len__(self) -> int:
        return len(STUDIES)


sys.modules[__name__].__class__ = _Package

__all__ = ["SCALES", "STUDIES", "Study"]
