"""The verb of a user's own network: measure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import nn

from frivolous.commands.places import called, named_object
from frivolous.devices import as_device
from frivolous.errors import BadArgument, Interrupted
from frivolous.figures import save
from frivolous.measured_record import Measurement
from frivolous.measurement import measure
from frivolous.measures import arguments

ROWS = ("table", "units", "joint")


def measure_network(
    model_place: str,
    data_place: str,
    weights: Path | None,
    out: Path,
    *,
    device: str | None,
    tolerance: float,
    as_json: bool = False,
    **options: Any,
) -> None:
    """Measure a user's own network and print its table, or all as JSON; write tables and figure."""
    if device is not None:
        as_device(device)
    arguments.share("tolerance", tolerance)
    model = named_object(model_place, "model")
    if not isinstance(model, nn.Module):
        model = called(model, model_place, "model")
    if not isinstance(model, nn.Module):
        raise BadArgument(
            f"`model` {model_place} is of type {type(model).__name__}; name a torch.nn.Module or a "
            "function that returns one."
        )
    data = named_object(data_place, "data")
    if not isinstance(data, torch.Tensor | nn.Module):
        data = called(data, data_place, "data")
    if weights is not None:
        load_weights(model, weights)
    # Before the work, not after it.
    make_folder(out)
    with Console(stderr=True).status("reading the model") as status:
        try:
            found = measure(
                model, data, device=device, tolerance=tolerance, progress=status.update, **options
            )
        except Interrupted as error:
            found = error.found
    folder = found.save(out)
    drawn = {"measurement": found.plot()} | (
        {"joint": found.plot_joint()} if len(found.joint) else {}
    )
    pictures = [
        save(figure, folder / f"{name}.{ending}")
        for name, figure in drawn.items()
        for ending in ("png", "svg")
    ]
    if as_json:
        print(as_text(found, folder))
    else:
        print(found.summary())
        for path in (*pictures, folder / "table.parquet", folder / "units.parquet"):
            print(path)
    if stage := found.facts["stopped"]:
        raise KeyboardInterrupt(
            f"stopped during {stage}; what was measured until then is in {folder}"
        )


def as_text(found: Measurement, folder: Path) -> str:
    """Return one JSON object: the folder, the facts, and table and units as lists of rows."""
    rows = {name: json.loads(getattr(found, name).to_json(orient="records")) for name in ROWS}
    return json.dumps({"folder": str(folder), "facts": dict(found.facts), **rows})


def make_folder(out: Path) -> None:
    """Make the folder for the results, and see that files can be written there."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".frivolous-probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise BadArgument(
            f"`out` {out} cannot be written ({error.strerror}); name a folder that can."
        ) from error


def load_weights(model: nn.Module, path: Path) -> None:
    """Load a safetensors file into a model; say in one line what does not fit."""
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_model

    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is not there"
        raise BadArgument(f"`weights` names {path}, which {what}; name a safetensors file.")
    try:
        with safe_open(path, framework="pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise BadArgument(
            f"`weights` {path} is no safetensors file ({error}); save the model with "
            "safetensors.torch.save_model."
        ) from error
    own = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    faults = [f"it has '{name}', which the model does not know" for name in shapes.keys() - own]
    faults += [
        f"'{name}' has shape {shape}, the model's has {own[name]}"
        for name, shape in shapes.items()
        if name in own and own[name] != shape
    ]
    if not faults:
        # Of tensors that share memory a file has one; load_model knows which.
        missing, _ = load_model(model, path, strict=False)
        faults = [f"it has no '{name}', which the model needs" for name in missing]
    if faults:
        first, *others = sorted(faults)
        more = f" ({len(others)} more like it)" if others else ""
        raise BadArgument(
            f"`weights` {path} does not fit the model: {first}{more}. Build the model that the "
            "weights came from."
        )
