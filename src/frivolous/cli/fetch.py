"""The verb of data: fetch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from frivolous.data import DATASETS
from frivolous.errors import BadArgument, look_up

FETCHED = {"cifar10": DATASETS["cifar10"]}
"""Sources that can be downloaded; ImageNet needs an account of its own."""


def fetch(name: str, folder: Path) -> None:
    """Download a data set that is not in ``folder`` yet, check it, and print what there is."""
    if name == "imagenet":
        raise BadArgument(
            "`name` imagenet cannot be fetched: it needs an account at image-net.org. Name the "
            "folder of your copy with --data-dir."
        )
    make = look_up(FETCHED, name, "data set to fetch")
    splits = make(folder=folder, download=True)
    facts: dict[str, Any] = dict(splits.facts)
    print(f"{name} in {folder}: {facts['source']} files, {facts['encoding']}")
    for part, count in facts["examples"].items():
        print(f"  {part}: {count:,} images")
