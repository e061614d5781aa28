"""Studies that the command line names: the package's own, or a user's as ``FILE.py:NAME``."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import get_args

from frivolous import published
from frivolous.cli.study_args import ALL
from frivolous.cli.user_objects import called, load_object
from frivolous.errors import BadArgument, FrivolousError, look_up, one_line
from frivolous.studies import STUDIES, Study
from frivolous.studies.panel_values import shown_in_panels
from frivolous.studies.study import SCALE_NAMES, Kind


def named_study(name: str) -> Study:
    """Return the study of a name, or the one that ``FILE.py:NAME`` names."""
    return user_study(name) if ":" in name or name.endswith(".py") else STUDIES[name]


def user_study(place: str) -> Study:
    """Return the study that ``FILE.py:NAME`` names or gives, once it is known that it can be run.

    What would else come to light after the training is told here.

    Raises:
        BadArgument: no study, one of a name that is taken or no folder's, or one whose networks
            cannot be laid out. UnknownName: of a kind, a measure or a curve.
    """
    study = called(load_object(place, "study"), place, "study")
    if not isinstance(study, Study):
        raise BadArgument(
            f"`study` {place} is of type {type(study).__name__}; name a frivolous.studies.Study or "
            "a function that returns one."
        )
    try:
        _check(study, place)
        for scale in SCALE_NAMES:
            for cell in study.grid(scale):
                cell.prototype.resolved()
    except FrivolousError:
        raise
    except Exception as error:  # whatever a file of the user's may hold
        raise BadArgument(
            f"`study` {place} cannot be laid out: {one_line(error)}. Correct its fields; "
            "docs/extending.md describes them."
        ) from error
    return replace(study, place=place)


def _check(study: Study, place: str) -> None:
    if not re.fullmatch(r"\w[\w.-]*", study.name, re.ASCII):
        raise BadArgument(
            f"`study` {place} has the name {study.name!r}, and its results a folder of that name; "
            "use letters, digits and - . _ alone."
        )
    if study.name in (ALL, *STUDIES, *published.FIGURES):
        raise BadArgument(
            f"`study` {place} has the name {study.name}, which is that of a study or figure of the "
            "papers. Give it another name."
        )
    names = [curve.name for curve in study.curves]
    if not (names and study.panels and study.size_factors):
        raise BadArgument(
            f"`study` {place} needs a curve, a panel and a size factor at least. Give it some."
        )
    if wrong := [size for size in study.size_factors if not 0 < size < math.inf]:
        raise BadArgument(
            f"`study` {place} has the size factor {wrong[0]:g}; one is a positive number. For "
            "networks a quarter as wide write 0.25."
        )
    if twice := [name for name in names if names.count(name) > 1]:
        raise BadArgument(f"`study` {place} has two curves named '{twice[0]}'. Rename one.")
    look_up(dict.fromkeys(get_args(Kind)), study.kind, "kind of study")
    for panel in study.panels:
        if study.kind != "parameters":
            look_up(shown_in_panels(), panel.measure, f"measure of panel {panel.name}")
        for line in panel.series:
            look_up(dict.fromkeys(names), line.curve, f"curve of panel {panel.name}")
