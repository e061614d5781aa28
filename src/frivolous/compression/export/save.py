"""Save a compression: weights, tables, and how to cut a module of the original sizes to them.

Nothing is pickled. ``model.safetensors`` has the thinner module's state under its own names and can
be read without this library; of names that share a tensor it has the first, as
``safetensors.torch.save_model`` does. ``compression.json`` is written last: a folder without it
holds no compression.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from frivolous.compression.export.load import FACTS, VERSION, WEIGHTS, load_compressed
from frivolous.compression.export.surgery_spec import plain, spec_of
from frivolous.errors import BadArgument
from frivolous.network.state_dict import read_state
from frivolous.store import atomic
from frivolous.store.formats import frame_to_bytes
from frivolous.store.provenance import provenance

if TYPE_CHECKING:
    from frivolous.compression.result import Compression


__all__ = ["load_compressed", "save"]


def save(compression: Compression, folder: str | Path) -> Path:
    """Write a compression into a folder, which is created; :func:`load_compressed` reads it back.

    Each file is written to a temporary name, flushed and renamed. Raises :class:`BadArgument` for a
    folder that cannot be written.
    """
    folder = Path(folder)
    report = compression.report
    contents = {
        WEIGHTS: weights_of(compression.model),
        "sites.parquet": frame_to_bytes(report.sites, "sites"),
        "whole.parquet": frame_to_bytes(report.whole, "whole"),
        "outputs.parquet": frame_to_bytes(report.outputs, "outputs"),
        "sequence.parquet": frame_to_bytes(compression.sequence, "sequence"),
        "report.txt": f"{report}\n".encode(),
        FACTS: f"{facts_of(compression)}\n".encode(),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        replaced(folder, contents, last=FACTS)
    except OSError as error:
        raise BadArgument(
            f"`folder` {folder} cannot be written ({error.strerror}); name a folder that can."
        ) from error
    return folder


def replaced(folder: Path, contents: Mapping[str, bytes], last: str) -> None:
    """Replace files of a folder; while they are of different ages it has no file ``last``."""
    mark = f"{os.getpid()}.{secrets.token_hex(4)}"
    beside = {name: folder / f".{name}.{mark}" for name in contents}
    try:
        for name, content in contents.items():
            atomic.write(beside[name], content)
        (folder / last).unlink(missing_ok=True)
        for name in sorted(contents, key=lambda name: name == last):
            if name == last:
                atomic.sync(folder)
            beside[name].replace(folder / name)
        atomic.sync(folder)
    finally:
        for path in beside.values():
            with suppress(OSError):
                path.unlink(missing_ok=True)


def weights_of(module: nn.Module) -> bytes:
    """A module's parameters and persistent buffers for safetensors, shared ones once."""
    from safetensors.torch import save as to_bytes

    state, ties = read_state(module)
    same = {name: names[0] for names in ties for name in names[1:]}
    tensors = {
        name: tensor.cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in state.items()
        if name not in same
    }
    return bytes(to_bytes(tensors, metadata={"format": "pt", **same}))


def facts_of(compression: Compression) -> str:
    """Everything of a compression that is neither a tensor nor a table, as JSON."""
    model, report = compression.model, compression.report
    made = provenance()
    counts = report.whole[report.whole.quantity == "parameters"]
    facts = {
        "version": VERSION,
        "model": f"{type(model).__module__}.{type(model).__qualname__}",
        "parameters_before": int(counts.before.iloc[0]),
        "versions": {**made["versions"], "python": made["python"]},
        "kept": {name: plain(kept) for name, kept in compression.kept.items()},
        "facts": plain(dict(report.facts)),
        "surgery": spec_of(model),
    }
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(part)}" for name, part in facts.items())
    return f"{{\n{lines}\n}}"
