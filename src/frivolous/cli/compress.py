"""The verb of a thinner network: compress."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from frivolous.cli.user_inputs import make_folder, user_data, user_model, writing
from frivolous.cli.user_objects import users_code
from frivolous.compression.compress import compress_model
from frivolous.compression.config import CompressionConfig
from frivolous.compression.export.load import FACTS, WEIGHTS
from frivolous.compression.export.onnx import check_installed
from frivolous.compression.export.surgery_spec import plain
from frivolous.compression.result import Compression
from frivolous.devices import as_device
from frivolous.errors import BadArgument, FrivolousError
from frivolous.inputs.batches import as_batches

ONNX = "model.onnx"


def compress_network(
    model_place: str,
    data_place: str,
    weights: Path | None,
    held_out_place: str | None,
    out: Path,
    options: CompressionConfig,
    *,
    keep: Sequence[str] = (),
    onnx: bool = False,
    as_json: bool = False,
) -> None:
    """Compress a user's own network, save it, and print its report, or all as JSON."""
    if options.device is not None:
        as_device(options.device)
    options = replace(options, keep=kept_of(keep))
    if onnx:
        check_installed()
    model = user_model(model_place, weights)
    data = user_data(data_place, "data")
    held_out = None if held_out_place is None else user_data(held_out_place, "held_out")
    # Before the work, not after it.
    make_folder(out)
    with Console(stderr=True).status("reading the model") as status, users_code():
        batches = as_batches(data, batch_size=options.batch_size)  # once: maybe a generator
        found = compress_model(model, batches, options, held_out, status.update)
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
