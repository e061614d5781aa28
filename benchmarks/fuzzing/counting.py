"""The summary of many outcomes: one line, a table per kind of block, and what to look into."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

OUTCOMES = ("right", "left", "refused", "wrong", "raw")
Row = Mapping[str, Any]


def summary(rows: Iterable[Row]) -> str:
    """The line that says how many networks were right, left in part, refused, wrong, raw errors."""
    count = Counter(row["outcome"] for row in rows)
    total = sum(count.values())
    return (
        f"{total} networks: {count['right']} right, {count['left']} right with layers left, "
        f"{count['refused']} refused, {count['wrong']} wrong, {count['raw']} raw errors"
    )


def details(rows: Iterable[Row]) -> str:
    """A line on what was checked, and a row per kind of block."""
    rows = list(rows)
    sites = sum(row["sites"] for row in rows)
    unchecked = sum(len(row["unchecked"]) for row in rows)
    removed = Counter(row["removed"] for row in rows)
    table: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        for block in set(row["blocks"]):
            table[block][row["outcome"]] += 1
    lines = [
        f"{sites} sites, {unchecked} not found in the plain forward (not checked)",
        f"removed against masked: {', '.join(f'{n} {what}' for what, n in removed.most_common())}",
        f"{len(table)} kinds of blocks",
        f"{'block':28}{''.join(f'{name:>9}' for name in OUTCOMES)}",
    ]
    for block in sorted(table):
        lines.append(f"{block:28}{''.join(f'{table[block][name]:>9}' for name in OUTCOMES)}")
    return "\n".join(lines)


def alike(rows: Iterable[Row], refusals: bool = False) -> str:
    """Faults (or refusals) grouped by their words, with the seeds that show them."""
    seeds: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        faults = [(f["kind"], f["check"], f["message"]) for f in row["faults"]]
        if refusals:
            faults = [("refused", what, text) for what, text in row["refusals"].items()]
        for kind, check, message in faults:
            text = re.sub(r"'[^']*'|\d[\d.e+-]*|\[[^\]]*\]|\b\w*\d+(\.\w+)*", "_", message)[:140]
            seeds[f"{kind}, {check}: {text}"].append(row["seed"])
    found = sorted(seeds.items(), key=lambda item: -len(item[1]))
    return "\n".join(f"{len(s):5}  {text}\n       --seed {s[0]} {s[1:6]}" for text, s in found)
