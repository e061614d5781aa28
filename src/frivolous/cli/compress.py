"""The verb of a thinner network: compress."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from frivolous.cli.user_inputs import make_folder, user_data, user_model, writing
from frivolous.cli.user_objects import users_code
from frivolous.compression import Compression, compress
from frivolous.compression.budget import budget_of
from frivolous.compression.criteria.methods import method_named
from frivolous.compression.export.load import FACTS, WEIGHTS
from frivolous.compression.export.onnx import check_installed
from frivolous.compression.export.surgery_spec import plain
from frivolous.devices import as_device
from frivolous.errors import BadArgument, FrivolousError
from frivolous.inputs.batches import as_batches

ONNX = "model.onnx"
BUDGETS = ("tolerance", "units", "parameters", "flops", "latency")


def compress_network(
    model_place: str,
    data_place: str,
    weights: Path | None,
    held_out_place: str | None,
    out: Path,
    *,
    keep: Sequence[str],
    method: str,
    device: str | None,
    batch_size: int,
    onnx: bool = False,
    as_json: bool = False,
    **options: Any,
) -> None:
    """Compress a user's own network, save it, and print its report, or all as JSON."""
    if device is not None:
        as_device(device)
    kept = kept_of(keep)
    budget_of(**{name: options[name] for name in BUDGETS}, keep=kept)
    method_named(method)
    if onnx:
        check_installed()
    model = user_model(model_place, weights)
    data = user_data(data_place, "data")
    held_out = None if held_out_place is None else user_data(held_out_place, "held_out")
    # Before the work, not after it.
    make_folder(out)
    with Console(stderr=True).status("reading the model") as status, users_code():
        batches = as_batches(data, batch_size=batch_size)  # once, as it may be a generator
        found = compress(
            *(model, batches),
            keep=kept,
            method=method,
            held_out=held_out,
            device=device,
            batch_size=batch_size,
            progress=status.update,
            **options,
        )
        if not as_json:  # first, so that it is not lost where nothing can be written
            print(found.report)
        with writing(out):
            paths = [found.save(out) / WEIGHTS, out / FACTS]
            (out / ONNX).unlink(missing_ok=True)  # an earlier one's, that would not fit the rest
        if onnx:
            status.update("exporting to ONNX")
            try:
                paths.append(found.export_onnx(out / ONNX, batches.first(1)))
            except FrivolousError as error:
                raise FrivolousError(f"{error} All but the ONNX file is in {out}.") from error
    if as_json:
        print(as_text(found, out))
    else:
        print(*paths, sep="\n")


def kept_of(pairs: Sequence[str]) -> dict[str, int] | None:
    """Read ``SITE=N`` pairs; None where there are none.

    >>> kept_of(["conv1=40", "fc=8"])
    {'conv1': 40, 'fc': 8}
    """
    kept: dict[str, int] = {}
    for pair in pairs:
        site, equals, count = pair.rpartition("=")
        if not equals or not site or not count.isdecimal():
            raise BadArgument(
                f"`keep` is SITE=N, a site and how many of its units stay; got {pair}. Write e.g. "
                "--keep conv1=40."
            )
        if site in kept:
            raise BadArgument(f"`keep` names '{site}' twice; name each site once.")
        kept[site] = int(count)
    return kept or None


def as_text(found: Compression, folder: Path) -> str:
    """Return one JSON object: the folder, the facts, what was kept, and the tables as rows."""
    tables = {
        "sites": found.report.sites,
        "whole": found.report.whole,
        "outputs": found.report.outputs,
        "sequence": found.sequence,
    }
    rows = {name: json.loads(table.to_json(orient="records")) for name, table in tables.items()}
    facts = {"folder": str(folder), "facts": plain(dict(found.report.facts))}
    return json.dumps({**facts, "kept": plain(dict(found.kept)), **rows})
