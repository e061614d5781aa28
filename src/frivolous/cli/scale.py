"""The scale of a study where the command line names none, and what is said of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from frivolous.cli.study_args import ALL, Which
from frivolous.cli.user_studies import named_study
from frivolous.errors import BadArgument
from frivolous.studies import Study
from frivolous.studies.cost import SHORT, as_time, usual_scale

ALL_NOTE = (
    "all, scale cpu: small versions, on handwritten digits that come with the package, about half "
    "an hour with --workers 2; --scale paper is the papers' own: years on two cores"
)


def settle_scale(which: Which) -> Which:
    """Return what is asked for with the scale that it takes where none is named.

    A study's own paper scale, where that is short; of all studies ``cpu``, as one page shows one.
    """
    if which.scale is not None:
        return which
    scale = "cpu" if which.study == ALL else usual_scale(named_study(which.study))
    return replace(which, scale="paper" if scale == "paper" else "cpu")


def check_folder_is_read(which: Which, study: Study, folder: Path | None) -> None:
    """Refuse data for a scale that nobody named and that reads none."""
    if folder is None or which.scale == "paper":
        return
    cost = "years" if which.study == ALL else study.cost_of("paper", which.replicates)
    raise BadArgument(
        f"`data_dir` is read at scale paper alone, and {which.study} takes scale cpu where none is "
        f"named. Write --scale paper ({cost}), or leave --data-dir out."
    )


def scale_note(study: Study, which: Which, minutes: float, *, plain: bool) -> str:
    """Return which scale is taken and how long it takes, where that was not asked or is long.

    ``minutes`` are what is left on two cores; ``plain``: no scale was named.
    """
    if not plain and minutes <= SHORT:
        return ""
    if study.kind == "parameters":
        return f"{study.name}, scale {which.scale}: {study.cost_of(str(which.scale))}"
    time = f"{as_time(minutes)} on two cores" if minutes else ""
    full = "the paper's own" if study.listed else "its full size"
    if which.scale == "paper":
        gpu = f"{study.gpu} on one GPU" if minutes > SHORT and study.gpu else ""
        return ", ".join(filter(None, (f"{study.name}, scale paper: {full}", time, gpu)))
    instead = study.instead("cpu")
    data = f"on {instead} that come with the package" if instead else ""
    small = ", ".join(filter(None, (f"{study.name}, scale cpu: a small version", data, time)))
    cost = study.cost_of("paper", which.replicates)
    return f"{small}; --scale paper is {full}: {cost}" if plain else small
