"""The report of a compression as text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from frivolous.compression.result import Report


KINDS = ("silent", "constant", "redundant", "prunable")
MOST_OUTPUTS = 12
"""The most other outputs that get a line of their own."""


def as_text(report: Report) -> str:
    """The lines of a summary: the network, its sites, and what held-out labels show."""
    facts = report.facts
    lines = [*_head(report), ""]
    same = bool((report.sites.before == report.sites.after).all())
    lines += [_quantity(row, same) for row in report.whole.to_dict("records")]
    lines += ["", *_table(report.sites), *_along(facts["cut_along"])]
    lines += [*(f"left: {skipped_line(one)}" for one in facts["left"]), ""]
    lines.append(
        f"Labels changed: {facts['changed']:g} of {facts['held_out']} held-out examples, "
        f"{facts['changed_share']:.2%} [{facts['changed_low']:.2%}, {facts['changed_high']:.2%}], "
        f"at most {facts['bound']:.2%} (one-sided 95%)."
    )
    if "accuracy_after" in facts:
        lines.append(
            f"Accuracy: {facts['accuracy_before']:.2%} "
            f"[{facts['accuracy_low_before']:.2%}, {facts['accuracy_high_before']:.2%}] before, "
            f"{facts['accuracy_after']:.2%} "
            f"[{facts['accuracy_low_after']:.2%}, {facts['accuracy_high_after']:.2%}] after."
        )
    lines.append(
        f"Scores: up to {facts['largest_change']:.2g} apart, of up to {facts['largest_score']:.2g}."
    )
    outputs = report.outputs.to_dict("records")
    lines += [_output(row) for row in outputs[:MOST_OUTPUTS]]
    if len(outputs) > MOST_OUTPUTS:
        lines.append(f"Outputs: {len(outputs) - MOST_OUTPUTS} more are in the table of outputs.")
    lines.append(
        f"Units silenced and units removed give scores within {facts['masked_apart']:.1g} of each "
        "other, as a share of the largest, before any fit."
    )
    return "\n".join(lines)


def skipped_line(left: Mapping[str, Any]) -> str:
    """One line for the layers that keep all units for the same reason.

    >>> skipped_line({"layers": ["rnn", "head"], "reason": "its units are not told apart"})
    'rnn, head (2 layers): its units are not told apart'
    """
    layers = left["layers"]
    count = f"{len(layers)} layer{'s' * (len(layers) > 1)}"
    return f"{', '.join(layers)} ({count}): {left['reason']}"


def _head(report: Report) -> list[str]:
    """What was done, and what to know before reading on."""
    facts = report.facts
    asked = (
        f"{facts['method']}, keep {facts['amount']}"
        if facts["budget"] == "keep"
        else f"{facts['method']}, {facts['budget']} {facts['amount']:g}"
    )
    lines = [f"Compressed ({asked})"]
    if (report.sites.before == report.sites.after).all():
        why = {
            "tolerance": "no smaller network keeps its labels within the tolerance",
            "keep": "all units are asked for",
        }.get(facts["budget"], "the whole network is within the budget")
        if facts["budget"] == "tolerance" and not facts["amount"]:
            why = "no smaller network keeps its scores"
        lines = [f"Nothing removed: {why} ({asked})"]
    if facts["budget"] == "tolerance":
        far = report.outputs[~(report.outputs.moved <= facts["amount"])]
        far = far[(far.change > 0) | (far.reason != "")]
        if len(far):
            names = ", ".join(
                f"'{row['output']}' ({row['reason'] or format(row['moved'], '.2g')})"
                for row in far.to_dict("records")
            )
            lines.append(
                f"Warning: outputs other than the scores moved by more than {facts['amount']:g} of "
                f"their spread over examples: {names}."
            )
    if facts["biases_added"]:
        names = ", ".join(f"'{name}'" for name in facts["biases_added"])
        lines.append(f"Biases added, which the original has not: {names}.")
    if facts["norms_exchanged"]:
        names = ", ".join(f"'{name}'" for name in facts["norms_exchanged"])
        lines.append(
            f"Response normalisations exchanged for ones that know which neighbours went: {names}; "
            "the model's own class does not load these weights, `fv.load_compressed` does."
        )
    if facts["hooks"]:
        names = ", ".join(f"'{name}'" for name in facts["hooks"])
        lines.append(
            f"Hooks are not part of the network, and what they do is left out: on {names}."
        )
    return lines


def _quantity(row: dict[Any, Any], same: bool) -> str:
    name = f"{row['quantity']}" + (f", batch of {row['batch']}" if row["batch"] else "")
    shown = {
        "seconds": lambda x: f"{1e3 * x:.3g} ms",
        "bytes": lambda x: f"{x / 2**20:.3g} MiB",
    }.get(str(row["unit"]), lambda x: f"{x:,.0f}")
    if row["quantity"] != "latency":
        share = f"({row['ratio']:.1%})" if row["before"] else ""
    elif same or row["low"] <= 1 <= row["high"]:
        share = "(no difference seen)"
    else:
        share = f"(ratio {row['ratio']:.2f} [{row['low']:.2f}, {row['high']:.2f}])"
    return f"{name:<28} {shown(row['before']):>14} -> {shown(row['after'])} {share}".rstrip()


def _along(sites: Mapping[str, str]) -> list[str]:
    """Layers without a row of their own, by the site that they are cut with."""
    layers: dict[str, list[str]] = {}
    for layer, site in sites.items():
        layers.setdefault(site, []).append(layer)
    return [f"cut along with {site}: {', '.join(names)}" for site, names in layers.items()]


def _output(row: dict[Any, Any]) -> str:
    if row["reason"]:
        return f"Output '{row['output']}': not compared; {row['reason']}."
    absolute = f"mean absolute {row['change']:.3g}, largest {row['largest']:.3g}"
    if not math.isfinite(row["moved"]):
        return f"Output '{row['output']}': moved ({absolute}); the same for every example before."
    moved = f"moved by {row['moved']:.2g} of its spread over examples"
    return f"Output '{row['output']}': {moved} ({absolute})."


def _table(sites: pd.DataFrame) -> list[str]:
    width = max([4, *map(len, sites.site)])
    head = f"{'site':<{width}} {'units':>13}" + "".join(f"{kind:>11}" for kind in KINDS)
    lines = [head]
    for row in sites.to_dict("records"):
        if row["reason"]:
            lines.append(f"{row['site']:<{width}} {row['before']:>13} left")
            continue
        units = f"{row['before']} -> {row['after']}"
        counts = "".join(f"{row[kind]:>11}" for kind in KINDS)
        lines.append(f"{row['site']:<{width}} {units:>13}{counts}")
    return lines
