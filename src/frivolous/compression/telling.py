"""The report of a compression as text."""

from __future__ import annotations

import pandas as pd

from frivolous.compression.record import Report

KINDS = ("silent", "constant", "redundant", "prunable")


def as_text(report: Report) -> str:
    """Lines for a person: the network, its sites, and what held-out labels say."""
    facts = report.facts
    asked = (
        f"{facts['method']}, keep {facts['amount']}"
        if facts["budget"] == "keep"
        else f"{facts['method']}, {facts['budget']} {facts['amount']:g}"
    )
    lines = [f"Compressed ({asked})", ""]
    lines += [_quantity(row) for row in report.whole.to_dict("records")]
    lines += ["", *_table(report.sites), ""]
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
    lines.append(
        f"Units silenced and units removed give scores within {facts['masked_apart']:.1g} of each "
        "other, as a share of the largest, before any fit."
    )
    return "\n".join(lines)


def _quantity(row: dict[str, object]) -> str:
    before, after = float(row["before"]), float(row["after"])  # type: ignore[arg-type]
    name = f"{row['quantity']}" + (f", batch of {row['batch']}" if row["batch"] else "")
    shown = {
        "seconds": lambda x: f"{1e3 * x:.3g} ms",
        "bytes": lambda x: f"{x / 2**20:.3g} MiB",
    }.get(str(row["unit"]), lambda x: f"{x:,.0f}")
    share = f" ({after / before:.1%})" if before else ""
    return f"{name:<28} {shown(before):>14} -> {shown(after)}{share}"


def _table(sites: pd.DataFrame) -> list[str]:
    width = max([4, *map(len, sites.site)])
    head = f"{'site':<{width}} {'units':>13}" + "".join(f"{kind:>11}" for kind in KINDS)
    lines = [head]
    for row in sites.to_dict("records"):
        if row["reason"]:
            lines.append(f"{row['site']:<{width}} {row['before']:>13} left: {row['reason']}")
            continue
        units = f"{row['before']} -> {row['after']}"
        counts = "".join(f"{row[kind]:>11}" for kind in KINDS)
        lines.append(f"{row['site']:<{width}} {units:>13}{counts}")
    return lines
