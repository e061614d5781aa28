"""The frames of a study as sentences and tables."""

from __future__ import annotations

import math

import pandas as pd

from frivolous.report.blocks import Block, Details, Paragraph, Table
from frivolous.report.numbers import NONE, plain, size, with_interval, with_spread

NAMES: dict[str, str] = {
    "accuracy": "test accuracy (%)",
    "train_accuracy": "training accuracy (%)",
    "prunable": "prunable",
    "redundant": "redundant",
    "non_prunable": "non-prunable",
    "non_redundant": "non-redundant",
    "effective": "effective",
    "num_parameters": "parameters",
    "mean_abs_r_conv2": "mean |r| in conv2",
    "unchanged_labels": "unchanged labels",
}
COUNTS = ("prunable", "redundant", "non_prunable", "non_redundant", "effective")
PERCENT = ("accuracy", "train_accuracy")


def answers(comparison: pd.DataFrame) -> list[str]:
    """Return a line per panel of counts: measured gains with the printed ones, overlaps counted.

    Reads the rows of :func:`frivolous.published.compare`; each number has its interval and n.
    """
    lines = []
    for (panel, measure), part in comparison.groupby(["panel", "measure"], sort=False):
        least, most = (part[part["kind"].eq(kind)] for kind in ("least gain", "greatest gain"))
        if len(least) and len(most):
            lines.append(_answer(str(panel), str(measure), part, least.iloc[0], most.iloc[0]))
    return lines


def _answer(panel: str, measure: str, part: pd.DataFrame, least: pd.Series, most: pd.Series) -> str:
    curves = part[part["kind"].eq("curve gain")]
    low, high = (with_interval(row["measured"], row["low"], row["high"]) for row in (least, most))
    ns = sorted({int(n) for n in curves["n"]})
    n = f"n = {ns[0]}" if len(ns) == 1 else f"n = {ns[0]} to {ns[-1]}"
    said = f"{NAMES.get(measure, measure).capitalize()} units (panel {panel}): "
    if len(curves) == 1:
        said += f"measured gain per doubling {low} ({n})"
    else:
        said += f"measured gains per doubling {low} to {high} over {len(curves)} curves ({n})"
    told = [plain(row["published"]) for row in (least, most) if math.isfinite(row["published"])]
    if not told:
        return said + "; the paper prints none."
    said += f"; published {' to '.join(told)}."
    ends = pd.concat([least.to_frame().T, most.to_frame().T]) if len(curves) > 1 else curves
    counted = [
        _overlap(ends, "extremes" if len(curves) > 1 else "gains"),
        *([_overlap(curves, "curves' gains")] if len(curves) > 1 else []),
        _overlap(part[part["kind"].eq("point")], "points"),
    ]
    if part["within"].isna().all():
        return f"{said} Whether they agree cannot be judged: there are no intervals."
    return f"{said} Intervals overlap for {', '.join(counted)}."


def _overlap(rows: pd.DataFrame, noun: str) -> str:
    """Return "a of b points", and how many more had no interval to judge by."""
    judged = rows[rows["within"].notna()]
    missing = len(rows) - len(judged)
    rest = f" ({missing} more without both intervals)" if missing else ""
    return f"{int(judged['within'].astype(bool).sum())} of {len(judged)} {noun}{rest}"


def means_tables(means: pd.DataFrame) -> list[Table]:
    """Return a table per group of panels that show the same curves; see :func:`means_table`."""
    groups: dict[frozenset[str], list[int]] = {}
    for _, part in means.groupby(["panel", "measure"], sort=False):
        groups.setdefault(frozenset(part["curve"]), []).extend(part.index)
    return [means_table(means.loc[rows]) for rows in groups.values()]


def means_table(means: pd.DataFrame) -> Table:
    """Return a row per curve and size factor, a column per panel and measure: mean ± SD."""
    pairs = list(dict.fromkeys(zip(means["panel"], means["measure"], strict=True)))
    pairs.sort(key=lambda pair: pair[1] != "accuracy")
    single = len({measure for _, measure in pairs}) == len(pairs)
    heads = [
        NAMES.get(measure, measure) + ("" if single else f", panel {panel}")
        for panel, measure in pairs
    ]
    cells = {
        (row.panel, row.measure, row.curve, row.size_factor): row for row in means.itertuples()
    }
    keys = list(dict.fromkeys(zip(means["curve"], means["size_factor"], strict=True)))
    order = {curve: rank for rank, curve in enumerate(means["curve"].unique())}
    rows = []
    for curve, factor in sorted(keys, key=lambda key: (order[key[0]], key[1])):
        found = [cells.get((*pair, curve, factor)) for pair in pairs]
        ns = sorted({int(row.n) for row in found if row is not None})
        texts = [_mean(row) for row in found]
        rows.append((str(curve), size(factor), "/".join(map(str, ns)), *texts))
    measures = {measure for _, measure in pairs}
    caption = _caption(means, measures)
    return Table(("curve", "size factor", "n", *heads), rows, caption, heads=2)


def _caption(means: pd.DataFrame, measures: set[str]) -> str:
    caption = "Mean ± SD (n − 1) over n trained networks."
    units = ["accuracy in percent"] if measures & set(PERCENT) else []
    counts = [name for name in NAMES if name in measures and name in COUNTS]
    if counts:
        said = " and ".join(NAMES[name] for name in counts)
        units.append(f"{said} units as shares of the 4× network")
    if units:
        text = "; ".join(units)
        caption += f" {text[0].upper()}{text[1:]}."
    dropped = int(means["dropped"].sum())
    if dropped:
        caption += f" {dropped} values were not finite and are left out."
    return caption


def _mean(row: object) -> str:
    if row is None:
        return NONE
    factor = 100.0 if row.measure in PERCENT else 1.0  # type: ignore[attr-defined]
    return with_spread(row.mean * factor, row.sd * factor)  # type: ignore[attr-defined]


def gains_table(comparison: pd.DataFrame, gains: pd.DataFrame, source: str) -> list[Block]:
    """Return gains per curve and the extremes of each panel, with the published ones."""
    if not len(gains):
        return []
    rows = []
    slopes = comparison[comparison["kind"].ne("point")]
    letters, legend = _rules(slopes)
    for row in slopes.itertuples():
        what = {"least gain": "least, ", "greatest gain": "greatest, "}.get(row.kind, "")
        rows.append(
            (
                *(str(row.panel), NAMES.get(row.measure, row.measure), f"{what}{row.curve}"),
                *(str(row.n), with_interval(row.measured, row.low, row.high)),
                *(plain(row.published), plain(row.ratio), _verdict(row.within), letters[row.rule]),
            )
        )
    caption = (
        "Gain: mean ratio of a count from one size factor to the next doubling, with its 95% "
        "bootstrap interval over replicates; above 2 it outpaces the width. Least and greatest of "
        f"a panel stand beside the numbers that the figure prints. Published: {source}. {legend}"
    )
    head = ("panel", "units", "curve", "n", "measured", "published", "ratio", "overlap", "rule")
    return [Table(head, rows, caption, heads=3)]


def compare_table(comparison: pd.DataFrame, source: str) -> list[Block]:
    """Return every measured point with the published one, folded away under a summary."""
    points = comparison[comparison["kind"].eq("point")]
    points = points[points["rule"].ne("not published")]
    if not len(points):
        return []
    rows = []
    letters, legend = _rules(points)
    for row in points.itertuples():
        factor = 100.0 if row.measure in PERCENT else 1.0
        rows.append(
            (
                *(NAMES.get(row.measure, row.measure), str(row.curve), size(row.size_factor)),
                *(str(row.n), with_spread(row.measured * factor, row.sd * factor)),
                _interval(row.low * factor, row.high * factor, row.measured * factor),
                with_spread(row.published * factor, row.published_sd * factor),
                _interval(
                    *(row.published_low * factor, row.published_high * factor),
                    row.published * factor,
                ),
                *(plain(row.ratio), _verdict(row.within), letters[row.rule]),
            )
        )
    head = (
        *("measure", "curve", "size", "n", "measured ± SD", "95% interval"),
        *("published ± SD", "interval", "ratio", "overlap", "rule"),
    )
    caption = (
        "Measured: mean ± SD (n − 1) and t-interval of the mean over n replicates. Published: "
        f"value ± SD over trials where it can be read ({source}). Ratio: measured / published. "
        f"{legend}"
    )
    said = f"Intervals overlap for {_overlap(points, 'points')}."
    return [Paragraph(said), Details("All points", [Table(head, rows, caption, heads=3)])]


def _rules(rows: pd.DataFrame) -> tuple[dict[str, str], str]:
    """Return a letter per rule and the sentence that explains them."""
    rules = list(dict.fromkeys(rows["rule"]))
    letters = {rule: chr(ord("A") + place) for place, rule in enumerate(rules)}
    said = "; ".join(f"{letter}: {rule}" for rule, letter in letters.items())
    return letters, f"Overlap: whether the two intervals meet, by the rule {said}."


def failures_table(failures: pd.DataFrame | None) -> list[Block]:
    """Return a row per run that gave no number; a sentence where none failed, nothing for None."""
    if failures is None:
        return []
    if not len(failures):
        return [Paragraph("No run failed.")]
    count = len(failures)
    said = f"{count} run{'s' * (count > 1)} gave no number and {'are' if count > 1 else 'is'} "
    first = ["curve", "size_factor", "replicate", "step"]
    rest = [name for name in failures.columns if name not in first]
    caption = "Step: the update at which the loss was no longer finite."
    return [
        Paragraph(f"{said}left out of every mean above."),
        plain_table(failures[first + rest], caption),
    ]


def plain_table(frame: pd.DataFrame, caption: str) -> Table:
    """Return a frame as it is; numbers in short form."""
    rows = [
        tuple(
            size(value)
            if name == "size_factor"
            else f"{value:g}"
            if isinstance(value, float)
            else str(value)
            for name, value in zip(frame.columns, row, strict=True)
        )
        for row in frame.itertuples(index=False, name=None)
    ]
    return Table([str(name).replace("_", " ") for name in frame.columns], rows, caption, heads=1)


def _verdict(within: object) -> str:
    return NONE if pd.isna(within) else ("yes" if within else "no")


def _interval(low: float, high: float, value: float) -> str:
    if not (math.isfinite(low) and math.isfinite(value)):
        return NONE
    places = len(with_spread(value, max(high - low, 1e-9) / 2).split(" ")[0].partition(".")[2])
    return f"[{low:.{places}f}, {high:.{places}f}]"
