"""Checks of the frames that figures read: columns, and published points split by their axis."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from frivolous.errors import BadArgument

_WORDS = ("panel", "measure", "curve", "split")
_POINTS = ("size_factor", "x", "value", "sd")


def checked(
    name: str, frame: pd.DataFrame | None, words: Sequence[str], numbers: Sequence[str]
) -> pd.DataFrame:
    """Return the frame with float columns, an empty one for None.

    Raises:
        BadArgument: a column is missing.

    """
    if frame is None:
        return pd.DataFrame(columns=[*words, *numbers]).astype(dict.fromkeys(numbers, float))
    has_columns(name, frame, (*words, *numbers), "a frame with all of them")
    return frame.astype(dict.fromkeys(numbers, float))


def has_columns(
    name: str,
    frame: pd.DataFrame,
    needed: Sequence[str],
    remedy: str = "the frame of a Measurement",
) -> None:
    """Refuse a frame that lacks a column."""
    missing = [column for column in needed if column not in frame.columns]
    if missing:
        raise BadArgument(
            f"`{name}` lacks the columns {', '.join(missing)}; it has "
            f"{', '.join(map(str, frame.columns))}. Pass {remedy}."
        )


def published_points(published: pd.DataFrame | None) -> pd.DataFrame:
    """Return the published points against size factor; training accuracy is its own measure.

    ``published``: columns of :func:`frivolous.published.values`, or None.
    """
    points = checked("published", published, _WORDS, _POINTS)
    points = points[points["x"].isna()]
    trained = points["split"].eq("train") & points["measure"].eq("accuracy")
    return points.assign(measure=points["measure"].mask(trained, "train_accuracy"))


def published_curves(published: pd.DataFrame | None) -> pd.DataFrame:
    """Return the published points along an axis ``x``, with their value as ``mean``."""
    points = checked("published", published, _WORDS, _POINTS)
    return points[points["x"].notna()].rename(columns={"value": "mean"})
