"""Compare a study's numbers with the published ones: one row per claim, with its rule.

Frames in, one frame out; nothing here judges a study as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from frivolous.errors import BadArgument
from frivolous.published.tables import PublishedFigure

COMPARISON_COLUMNS = (
    *("kind", "panel", "measure", "curve", "size_factor", "n", "measured", "sd", "low", "high"),
    *("published", "published_sd", "published_low", "published_high", "ratio", "within", "rule"),
)

REPLICATE_NOISE: dict[str, float] = {"prunable": 0.14, "redundant": 0.02}
"""Largest relative difference per point between two trainings of one published condition (fig4 b
`None`, fig4 c `Glorot Norm`): what a published mean may be off where its SD cannot be read."""

_CURVE_GAIN_READING = 0.0053  # all 147 printed gains come back from the read values within this
_PRINTED_ROUNDING = 0.005
_KEYS = ["panel", "measure", "curve", "size_factor"]


def replicate_means(table: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """Return mean, SD and t-interval over replicates of every point of a study.

    ``table`` has the columns of ``StudyResult.table``: ``panel, curve, size_factor, replicate,
    site, measure, value`` are read. A replicate's value is its row of site "all" where it has one,
    otherwise the mean over its sites with equal weight (Casper et al. 2021, section 4).

    Returned columns: ``panel, measure, curve, size_factor, n`` (replicates with a finite value),
    ``dropped`` (replicates without one), ``mean``, ``sd`` (sample SD, n - 1; NaN for n = 1),
    ``low``, ``high`` (``mean ± t sd / sqrt(n)``; NaN for n = 1). Order: panels, measures and curves
    as they first appear, size factors ascending.

    Raises:
        BadArgument: a column is missing, or ``level`` is no share in (0, 1).

    >>> table = pd.DataFrame({"replicate": [0, 1, 2], "value": [0.1, 0.2, 0.3]}).assign(
    ...     panel="d", curve="c", size_factor=1.0, site="all", measure="prunable")
    >>> replicate_means(table)[["n", "mean", "sd"]].round(3).values.tolist()
    [[3.0, 0.2, 0.1]]

    """
    _check_columns("table", table, (*_KEYS, "replicate", "site", "value"))
    if not 0 < level < 1:
        raise BadArgument(
            f"`level` is a share in (0, 1); got {level}. For 95 percent intervals pass 0.95."
        )
    has_all = table["site"].eq("all").groupby([table[k] for k in (*_KEYS, "replicate")])
    chosen = table[table["site"].eq("all") | ~has_all.transform("any")]
    single = chosen.groupby([*_KEYS, "replicate"], sort=False)["value"]
    per_run = single.agg(lambda numbers: float(np.mean(numbers.to_numpy(float))))
    rows = []
    for key, numbers in per_run.groupby(level=_KEYS, sort=False):
        rows.append((*key, *_spread(numbers.to_numpy(float), level)))
    names = [*_KEYS, "n", "dropped", "mean", "sd", "low", "high"]
    return _in_order(pd.DataFrame(rows, columns=names))


def compare(
    table_means: pd.DataFrame,
    gains: pd.DataFrame,
    published: PublishedFigure,
    noise: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Compare every point and every gain of a study with the published one.

    ``table_means`` comes from :func:`replicate_means`, ``gains`` has the columns of
    ``StudyResult.gains`` (``panel, measure, curve, gain, low, high`` are read), ``published`` from
    :func:`frivolous.published.read`. Rows match by panel, measure, curve and size factor.

    Columns (:data:`COMPARISON_COLUMNS`):

    - ``kind``: "point"; "curve gain"; "least gain" and "greatest gain" of a panel and measure;
    - ``n``: replicates behind the measured number (gains: the fewest of the curve's points);
    - ``measured``, ``sd`` (sample SD over replicates), ``low``, ``high`` (points: 95% t-interval of
      the mean; gains: the bootstrap interval given in ``gains``);
    - ``published``, ``published_sd`` (population SD over trials, NaN where it cannot be read),
      ``published_low``, ``published_high`` (points: value ± (reading uncertainty + SD);
      curve gains: ± 0.0053, the reading; printed least and greatest gains: ± 0.005, rounding);
    - ``ratio``: measured / published;
    - ``within``: the two intervals overlap (True, False; NA: one of them is missing);
    - ``rule``: in words, what the intervals were or why there is none.

    A published mean is itself a mean of few trials. Where its SD cannot be read, its interval is
    the reading alone, narrower than its noise, so that False is to be expected now and then;
    pass ``noise`` (share of the value per measure, such as :data:`REPLICATE_NOISE`) to widen it.
    Points of one side only stay in the frame with ``rule`` "not published" or "not measured".
    Published training accuracies and points along ``x`` (fig2 a, b; figE12) take no part.

    Raises:
        BadArgument: a column is missing, or a point comes twice.
    """
    points = compare_points(table_means, published.values, noise)
    slopes = compare_gains(gains, published, table_means)
    frames = [frame for frame in (points, slopes) if len(frame)]
    if not frames:
        return points
    return pd.concat(frames, ignore_index=True)


def compare_points(
    table_means: pd.DataFrame,
    published_values: pd.DataFrame,
    noise: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Return the rows of kind "point" of :func:`compare`."""
    _check_columns("table_means", table_means, (*_KEYS, "n", "mean", "sd", "low", "high"))
    usable = published_values["split"].isin(["", "test"]) & published_values["x"].isna()
    target = published_values[usable]
    for name, frame in (("table_means", table_means), ("published_values", target)):
        twice = frame[frame.duplicated(_KEYS)]
        if len(twice):
            raise BadArgument(
                f"`{name}` has {len(twice)} points twice, first {tuple(twice[_KEYS].iloc[0])}; "
                "a point is one panel, measure, curve and size factor. Average them first."
            )
    both = table_means.merge(
        target[[*_KEYS, "value", "uncertainty", "sd"]],
        on=_KEYS,
        how="outer",
        suffixes=("", "_published"),
    )
    both = _in_order(both, like=pd.concat([table_means[_KEYS], target[_KEYS]]))
    relative = both["measure"].map(dict(noise or {})).astype(float)
    noisy = both["sd_published"].isna() & relative.notna()
    spread = both["sd_published"].where(~noisy, relative * both["value"].abs()).fillna(0.0)
    half = both["uncertainty"].fillna(0.0) + spread
    frame = pd.DataFrame(
        {
            "kind": "point",
            **{key: both[key] for key in _KEYS},
            "n": both["n"].fillna(0).astype(int),
            "measured": both["mean"],
            "sd": both["sd"],
            "low": both["low"],
            "high": both["high"],
            "published": both["value"],
            "published_sd": both["sd_published"],
            "published_low": both["value"] - half,
            "published_high": both["value"] + half,
        }
    )
    known = np.where(noisy, "reading + replicate noise", "reading alone")
    known = np.where(both["sd_published"].notna(), "reading + SD", known)
    return _judged(frame, [f"95% t-interval against {words}" for words in known])


def compare_gains(
    gains: pd.DataFrame, published: PublishedFigure, table_means: pd.DataFrame
) -> pd.DataFrame:
    """Return the rows of kinds "curve gain", "least gain" and "greatest gain" of :func:`compare`.

    Least and greatest gain carry the interval of the curve that has it, named in ``curve``.
    """
    _check_columns("gains", gains, ("panel", "measure", "curve", "gain", "low", "high"))
    fewest = table_means.groupby(["panel", "measure", "curve"])["n"].min()
    curves = published.curve_gains.set_index(["panel", "measure", "curve"])["gain_as_published"]
    printed = published.gains.set_index(["panel", "measure"])
    rows = []
    for (panel, measure), part in gains.groupby(["panel", "measure"], sort=False):
        for row in part.itertuples():
            told = _at(curves, (panel, measure, row.curve))
            rows.append(("curve gain", row, told, _CURVE_GAIN_READING))
        finite = part[np.isfinite(part["gain"])].sort_values("gain", kind="stable")
        if len(finite):
            ends = list(finite.itertuples())
            for kind, row, name in (
                ("least gain", ends[0], "gain_min"),
                ("greatest gain", ends[-1], "gain_max"),
            ):
                told = _at(printed[name], (panel, measure))
                rows.append((kind, row, told, _PRINTED_ROUNDING))
    frame = pd.DataFrame(
        [
            {
                "kind": kind,
                "panel": row.panel,
                "measure": row.measure,
                "curve": row.curve,
                "size_factor": np.nan,
                "n": int(np.nan_to_num(_at(fewest, (row.panel, row.measure, row.curve)))),
                "measured": row.gain,
                "sd": np.nan,
                "low": row.low,
                "high": row.high,
                "published": told,
                "published_sd": np.nan,
                "published_low": told - half,
                "published_high": told + half,
            }
            for kind, row, told, half in rows
        ],
        columns=list(COMPARISON_COLUMNS[:-3]),
    )
    words = {"curve gain": "reading"}
    rules = [f"bootstrap interval against {words.get(k, 'printed rounding')}" for k in frame.kind]
    return _judged(frame, rules)


def _judged(frame: pd.DataFrame, rules: Sequence[str]) -> pd.DataFrame:
    """Add ratio, within and rule; NA and the reason where an interval is missing."""
    frame["ratio"] = frame["measured"] / frame["published"].where(frame["published"].ne(0))
    meets = frame["low"].le(frame["published_high"]) & frame["published_low"].le(frame["high"])
    rule = pd.Series(list(rules), index=frame.index, dtype=object)
    single = frame["low"].isna() | frame["high"].isna()
    rule[single] = "no interval given"
    rule[single & frame["n"].le(1)] = "no interval: one replicate"
    rule[frame["measured"].isna()] = "not measured"
    rule[frame["published"].isna()] = "not published"
    unknown = single | frame["measured"].isna() | frame["published"].isna()
    frame["within"] = meets.astype("boolean").mask(unknown)
    frame["rule"] = rule
    return frame[list(COMPARISON_COLUMNS)]


def _spread(numbers: np.ndarray, level: float) -> tuple[int, int, float, float, float, float]:
    """Return n, dropped, mean, SD, low, high of the finite ones among ``numbers_R``."""
    finite = numbers[np.isfinite(numbers)]
    n, dropped = len(finite), len(numbers) - len(finite)
    if n == 0:
        return 0, dropped, np.nan, np.nan, np.nan, np.nan
    mean = float(finite.mean())
    if n == 1:
        return 1, dropped, mean, np.nan, np.nan, np.nan
    sd = float(finite.std(ddof=1))
    half = float(stdtrit(n - 1, 0.5 + level / 2)) * sd / np.sqrt(n)
    return n, dropped, mean, sd, mean - half, mean + half


def _in_order(frame: pd.DataFrame, like: pd.DataFrame | None = None) -> pd.DataFrame:
    """Sort by first appearance of panel, measure and curve (in ``like``), then by size factor."""
    source = frame if like is None else like
    ranks = {
        key: {name: rank for rank, name in enumerate(source[key].unique())} for key in _KEYS[:3]
    }
    place = pd.DataFrame({key: frame[key].map(ranks[key]) for key in _KEYS[:3]})
    place["size_factor"] = frame["size_factor"]
    return frame.loc[place.sort_values(_KEYS, kind="stable").index].reset_index(drop=True)


def _at(series: pd.Series, key: tuple[str, ...]) -> float:
    return float(series[key]) if key in series.index else float("nan")


def _check_columns(name: str, frame: pd.DataFrame, needed: Sequence[str]) -> None:
    missing = [column for column in needed if column not in frame.columns]
    if missing:
        raise BadArgument(
            f"`{name}` lacks the columns {', '.join(missing)}; it has "
            f"{', '.join(map(str, frame.columns))}. Pass a frame with {', '.join(needed)}."
        )
