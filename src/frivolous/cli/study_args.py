"""What the command line asks for: which study, how large, in which store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

Name = tyro.conf.Positional[str]
StudyScale = Literal["paper", "cpu"]
ALL = "all"
Folder = Annotated[Path, tyro.conf.arg(metavar="DIR")]


@dataclass(frozen=True)
class Which:
    """A study, at which scale and in which store.

    Args:
        study: name of a study, as `frivolous list` shows them; `all` for every one; or your own as
            FILE.py:NAME.
        scale: `paper`: the paper's own size; `cpu`: a small version, in seconds or minutes.
            Default: the paper's where that takes at most half an hour on two cores, else cpu; of
            `all`: cpu.
        store: folder that holds the runs.
        replicates: networks per point; default the scale's.
        seed: of data, initial weights and ablation orders.
        curves: only these curves of the study.
        sizes: only these size factors, such as 1/4 1/2.
        epochs: at most so many epochs of training.
    """

    study: Name
    scale: StudyScale | None = None
    store: Folder = Path("runs")
    replicates: int | None = None
    seed: int = 0
    curves: tuple[str, ...] = ()
    sizes: tuple[str, ...] = ()
    epochs: int | None = None


@dataclass(frozen=True)
class WhichOrAny(Which):
    """A study, or all that a store holds something of.

    Args:
        study: name of a study, or FILE.py:NAME; `all` for every one; none for those that the store
            has begun.
    """

    study: Name = ""
