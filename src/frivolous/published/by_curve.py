"""Published numbers of some curves, gathered from several figures, a panel for each curve."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from frivolous.published.tables import PublishedFigure, read


def by_curve(name: str, figures: Sequence[str], curves: Sequence[str]) -> PublishedFigure:
    """Return what the figures show of the curves against size factor; panels are named as curves.

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
