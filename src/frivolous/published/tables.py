"""The published figures as frames: every plotted point, printed gain and curve's gain.

Source: figures of Casper et al. 2021 (AAAI), read off the plot images in the notebooks of the
public repository biolins/frivolous_dnns; README.md next to the tables says how accurately.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from io import StringIO

import numpy as np
import pandas as pd

from frivolous.errors import BadArgument, look_up

SOURCE = (
    "Casper et al. 2021, Frivolous Units (AAAI), values read off the plots in the notebooks of "
    "github.com/biolins/frivolous_dnns"
)

FIGURES: dict[str, str] = {
    "fig1": "Test accuracy across size factors (ImageNet, CIFAR-10)",
    "fig2": "Ablation curves and correlations of AlexNets (CIFAR-10)",
    "fig3": "Prunable and redundant units of ResNet18 and Inception-v3 (ImageNet)",
    "fig4": "Prunable and redundant units: labels, regularisers, initialisers, MLPs",
    "figE1": "Numbers of parameters",
    "figE2": "Non-frivolous units (ImageNet)",
    "figE3": "Non-frivolous units: labels, regularisers, initialisers, MLPs",
    "figE4": "Inception-v3 by layer",
    "figE5": "Inception-v3 by layer, one layer's width varied",
    "figE6": "AlexNets with uniform initialisers (CIFAR-10)",
    "figE7": "Initialisation variance in MLPs on 10 inputs",
    "figE8": "Initialisation variance in MLPs on 10,000 inputs",
    "figE9": "Optimisers in MLPs on 10,000 inputs",
    "figE10": "Batch size and learning rate in ResNet18 (ImageNet)",
    "figE11": "Batch size and learning rate in AlexNets and ResNet56 (CIFAR-10)",
    "figE12": "ResNet18 before the end of training (ImageNet)",
    "extra": "Panels of the notebooks that the paper does not print",
}

_WORDS = ("figure", "panel", "measure", "curve", "split", "source_image")
_COLUMNS: dict[str, tuple[str, ...]] = {
    "published.csv": (
        *("figure", "panel", "measure", "curve", "split", "size_factor", "x"),
        *("value", "uncertainty", "sd", "source_image"),
    ),
    "published_gains.csv": (
        *("figure", "panel", "measure", "gain_min", "gain_max", "source_image"),
    ),
    "published_curve_gains.csv": (
        *("figure", "panel", "measure", "curve"),
        *("gain_as_published", "gain_all_doublings", "source_image"),
    ),
}


@dataclass(frozen=True)
class PublishedFigure:
    """The content of one figure (or one panel of it): three frames and its name.

    ``values``, ``gains`` and ``curve_gains`` have the columns of the functions of those names.
    """

    figure: str
    panel: str | None
    values: pd.DataFrame
    gains: pd.DataFrame
    curve_gains: pd.DataFrame


def values(
    figure: str, panel: str | None = None, measure: str | None = None, split: str | None = None
) -> pd.DataFrame:
    """Return every plotted point of a figure, of one panel or of one measure of it.

    Columns: ``figure, panel, measure, curve, split, size_factor, x, value, uncertainty, sd,
    source_image``. ``value`` of ``prunable`` and ``redundant`` is a share of the 4x network in
    [0, 1], mean over trials; ``accuracy`` is in [0, 1]; ``sd`` is the plotted bar (population SD),
    NaN where it cannot be read; ``x`` is NaN but in fig2 a, b (fraction ablated) and figE12
    (epochs before the end). ``split`` is "train" or "test" for accuracy and "" elsewhere.

    "fig4d" is short for ``figure="fig4", panel="d"``.

    Raises:
        UnknownName: no such figure, panel, measure or split; the message offers the nearest.
        BadArgument: a panel in the figure's name and another one in ``panel``.

    >>> points = values("fig4", "d", "prunable")
    >>> points[points["curve"].eq("10dim - 1") & points["size_factor"].eq(4)]["value"].item()
    0.874825

    """
    return _select("published.csv", figure, {"panel": panel, "measure": measure, "split": split})


def gains(figure: str, panel: str | None = None, measure: str | None = None) -> pd.DataFrame:
    """Return the smallest and largest gain of each panel and measure, exactly as printed.

    Columns: ``figure, panel, measure, gain_min, gain_max, source_image``; NaN where the figure
    prints none. A gain is the mean ratio of a count from one size factor to the next doubling.

    Raises:
        UnknownName: no such figure, panel or measure; the message offers the nearest.

    >>> gains("fig4d", measure="prunable")[["gain_min", "gain_max"]].values.tolist()
    [[2.03, 2.14]]

    """
    return _select("published_gains.csv", figure, {"panel": panel, "measure": measure})


def curve_gains(
    figure: str,
    panel: str | None = None,
    measure: str | None = None,
    curve: str | None = None,
) -> pd.DataFrame:
    """Return the gain of each published curve, by the published rule and over all doublings.

    Columns: ``figure, panel, measure, curve, gain_as_published, gain_all_doublings,
    source_image``. The published rule leaves the first doubling out for redundant units.

    Raises:
        UnknownName: no such figure, panel, measure or curve; the message offers the nearest.

    >>> curve_gains("figE8", measure="redundant", curve="1e2").gain_as_published.item()
    3.2248

    """
    keys = {"panel": panel, "measure": measure, "curve": curve}
    return _select("published_curve_gains.csv", figure, keys)


def read(figure: str, panel: str | None = None) -> PublishedFigure:
    """Return everything published of a figure or of one of its panels.

    A figure without gains (fig1, fig2, figE1, figE12) has empty frames of them.

    >>> found = read("fig4d")
    >>> found.figure, found.panel, len(found.values), len(found.gains), len(found.curve_gains)
    ('fig4', 'd', 40, 2, 8)
    """
    name, panel = _locate(figure, panel)
    points = _select("published.csv", name, {"panel": panel})
    rest = []
    for table in ("published_gains.csv", "published_curve_gains.csv"):
        frame = _table(table)
        here = frame["figure"].eq(name)
        if panel is not None:
            here &= frame["panel"].eq(panel)
        rest.append(frame[here].reset_index(drop=True))
    return PublishedFigure(name, panel, points, rest[0], rest[1])


def contents(figure: str | None = None) -> pd.DataFrame:
    """Return what is published: one row per figure, panel, measure and split.

    Columns: ``figure, panel, measure, split, curves`` (tuple of names), ``size_factors`` (tuple),
    ``points``.

    >>> contents("figE9")[["panel", "measure", "points"]].values.tolist()
    [['a', 'accuracy', 20], ['b', 'prunable', 20], ['c', 'redundant', 20]]

    """
    frame = _table("published.csv") if figure is None else values(figure)
    rows = []
    for key, part in frame.groupby(["figure", "panel", "measure", "split"], sort=False):
        sizes = tuple(sorted(float(size) for size in part["size_factor"].unique()))
        rows.append((*key, tuple(part["curve"].unique()), sizes, len(part)))
    names = ["figure", "panel", "measure", "split", "curves", "size_factors", "points"]
    return pd.DataFrame(rows, columns=names)


@cache
def _table(name: str) -> pd.DataFrame:
    """Read one packaged table and check it; callers get copies, this frame is never handed out."""
    text = files("frivolous.published").joinpath(name).read_text(encoding="utf-8")
    return _parse(text, name)


def _parse(text: str, name: str) -> pd.DataFrame:
    """Return a table's frame, with 'None' kept as a name and empty numbers as NaN."""
    expected = _COLUMNS[name]
    found = tuple(text.split("\n", 1)[0].strip().split(","))
    if found != expected:
        raise BadArgument(
            f"the packaged table `{name}` has the columns {', '.join(found)}; it must have "
            f"{', '.join(expected)}. Install frivolous again."
        )
    numbers = [column for column in expected if column not in _WORDS]
    frame = pd.read_csv(
        StringIO(text),
        dtype=dict.fromkeys(set(expected) - set(numbers), str) | dict.fromkeys(numbers, float),
        keep_default_na=False,
        na_values={column: ["", "nan"] for column in numbers},
    )
    unknown = ", ".join(sorted(set(frame["figure"]) - set(FIGURES)))
    fault = f"the unknown figures {unknown}" if unknown else ""
    if "value" in frame and not np.isfinite(frame["value"]).all():
        fault = "a value that is no number"
    if fault:
        raise BadArgument(
            f"the packaged table `{name}` holds {fault}; every row is a finite number of one of "
            "the published figures. Install frivolous again."
        )
    return frame


def _locate(figure: str, panel: str | None) -> tuple[str, str | None]:
    """Split "fig4d" into figure and panel; check both."""
    if figure not in FIGURES and figure[:-1] in FIGURES and figure[-1:].isalpha():
        letter, figure = figure[-1], figure[:-1]
        if panel not in (None, letter):
            raise BadArgument(
                f"`panel` is '{panel}' and the figure's name '{figure}{letter}' says '{letter}'; "
                f"name one panel. Pass figure='{figure}' to choose by `panel`."
            )
        panel = letter
    look_up(FIGURES, figure, "published figure")
    return figure, panel


def _select(name: str, figure: str, keys: dict[str, str | None]) -> pd.DataFrame:
    """Return the rows of a table that match every key given, in the table's order."""
    figure, keys["panel"] = _locate(figure, keys["panel"])
    frame = _table(name)
    frame = frame[frame["figure"].eq(figure)]
    where = figure
    for column, wanted in keys.items():
        if wanted is None:
            continue
        look_up(_names(frame[column]), wanted, f"{column} of {where}")
        frame = frame[frame[column].eq(wanted)]
        where += f" {wanted}"
    return frame.reset_index(drop=True)


def _names(column: Iterable[str]) -> dict[str, None]:
    return dict.fromkeys(column)


def by_curve(name: str, figures: Sequence[str], curves: Sequence[str]) -> PublishedFigure:
    """Return the published curves against size factor; panels are named as curves.

    A figure prints gains for the least and the greatest curve of a panel only, so ``gains`` is
    empty; ``curve_gains`` are those computed from each curve's published values.

    Raises:
        UnknownName: no such figure.

    >>> found = by_curve("mine", ["figE3"], ["10dim - 1"])
    >>> found.curve_gains[["panel", "measure", "gain_as_published"]].values.tolist()
    [['10dim - 1', 'non_prunable', 1.8741], ['10dim - 1', 'non_redundant', 1.1729]]
    """
    told = [read(figure) for figure in figures]
    values = _chosen(pd.concat([one.values for one in told], ignore_index=True), curves)
    gains = pd.concat([one.curve_gains for one in told], ignore_index=True)
    return PublishedFigure(
        name, None, values[values["x"].isna()], told[0].gains.iloc[:0], _chosen(gains, curves)
    )


def _chosen(frame: pd.DataFrame, curves: Sequence[str]) -> pd.DataFrame:
    """Return the rows of the curves, each point once though two panels may show it."""
    rows = frame[frame["curve"].isin(list(curves))]
    rows = rows.assign(panel=rows["curve"])
    keys = [name for name in ("panel", "measure", "split", "size_factor", "x") if name in rows]
    return rows.drop_duplicates(keys).reset_index(drop=True)
