"""The papers' experiments as named grids of runs; ``STUDIES`` is the registry."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from types import ModuleType

from frivolous.errors import look_up
from frivolous.studies.spec import SCALES, Study
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
        "fig4d": FIG4D,
        "figE7": FIG_E7,
        "figE8": FIG_E8,
        "figE9": FIG_E9,
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
