"""The papers' experiments as named grids of runs; ``STUDIES`` is the registry."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from types import ModuleType

from frivolous.errors import look_up
from frivolous.studies import cifar, earlier, imagenet
from frivolous.studies.dense import SCALES
from frivolous.studies.effective_width import EFFECTIVE_WIDTH
from frivolous.studies.spec import Study
from frivolous.studies.synthetic import FIG4D, FIG_E7, FIG_E8, FIG_E9


class _Studies(Mapping[str, Study]):
    """A dictionary that answers a wrong name with the nearest right one."""

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
        "fig1a": imagenet.FIG1A,
        "fig1b": cifar.FIG1B,
        "fig1c": cifar.FIG1C,
        "fig2a": cifar.FIG2A,
        "fig2b": cifar.FIG2B,
        "fig2c": cifar.FIG2C,
        "fig2d": cifar.FIG2D,
        "fig3a": imagenet.FIG3A,
        "fig3b": imagenet.FIG3B,
        "fig3c": imagenet.FIG3C,
        "fig3d": imagenet.FIG3D,
        "fig4a": cifar.FIG4A,
        "fig4b": cifar.FIG4B,
        "fig4c": cifar.FIG4C,
        "fig4d": FIG4D,
        "figE1": imagenet.FIG_E1,
        "figE2": imagenet.FIG_E2,
        "figE3": cifar.FIG_E3,
        "figE4": imagenet.FIG_E4,
        "figE5": imagenet.FIG_E5,
        "figE6": cifar.FIG_E6,
        "figE7": FIG_E7,
        "figE8": FIG_E8,
        "figE9": FIG_E9,
        "figE10": imagenet.FIG_E10,
        "figE11": cifar.FIG_E11,
        "figE12": imagenet.FIG_E12,
        **{study.name: study for study in earlier.ALL},
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
