"""The verb of a user's own network: measure."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from frivolous.commands.devices import check_device
from frivolous.errors import BadArgument
from frivolous.figures import save
from frivolous.measurement import measure


def measure_network(
    model_place: str,
    data_place: str,
    weights: Path | None,
    out: Path,
    *,
    device: str | None,
    **options: Any,
) -> None:
    """Measure a user's own network and print its table; write tables and figure."""
    if device is not None:
        check_device(device)
    model = named_object(model_place, "model")
    if callable(model) and not isinstance(model, nn.Module):
        model = call(model, model_place)
    if not isinstance(model, nn.Module):
        raise BadArgument(
            f"`model` {model_place} is a {type(model).__name__}; name a torch.nn.Module or a "
            "function that returns one."
        )
    data = named_object(data_place, "data")
    if callable(data) and not isinstance(data, torch.Tensor):
        data = call(data, data_place)
    if weights is not None:
        load_weights(model, weights)
    found = measure(model, data, device=device, **options)
    print(found.summary())
    folder = found.save(out)
    figure = found.plot()
    for name in ("measurement.png", "measurement.svg"):
        print(save(figure, folder / name))
    print(folder / "table.parquet")


def named_object(place: str, argument: str) -> Any:
    """Return what ``FILE.py:NAME`` names."""
    file, colon, name = place.rpartition(":")
    path = Path(file)
    if not colon or not name:
        raise BadArgument(f"`{argument}` is FILE.py:NAME; got {place}.")
    if not path.is_file():
        raise BadArgument(f"`{argument}` names the file {file}, which is not there.")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise BadArgument(f"`{argument}` names {file}, which is no Python file; give FILE.py:NAME.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise BadArgument(
            f"`{argument}`: {file} cannot be imported ({type(error).__name__}: {error})."
        ) from error
    if not hasattr(module, name):
        known = ", ".join(sorted(n for n in vars(module) if not n.startswith("_")))
        raise BadArgument(f"`{argument}`: {file} has no '{name}'; it has {known}.")
    return getattr(module, name)


def call(function: Any, place: str) -> Any:
    """Call a user's function without arguments."""
    try:
        return function()
    except Exception as error:
        raise BadArgument(
            f"{place} cannot be called without arguments ({type(error).__name__}: {error}); name a "
            "function that needs none."
        ) from error


def load_weights(model: nn.Module, path: Path) -> None:
    """Load a safetensors file into a model; say in one line what does not fit."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise BadArgument(f"`weights` names {path}, which is not there.")
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise BadArgument(
            f"`weights` {path} is no safetensors file ({error}); save the model with "
            "safetensors.torch.save_model."
        ) from error
    own = model.state_dict()
    for name, value in state.items():
        if name in own and own[name].shape != value.shape:
            raise BadArgument(
                f"`weights` {path} do not fit the model: {name} has shape {tuple(value.shape)}, "
                f"the model's {tuple(own[name].shape)}. Build the model that the weights came from."
            )
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        first = " ".join(str(error).split())
        raise BadArgument(
            f"`weights` {path} do not fit the model: {first[:300]}. Build the model that the "
            "weights came from."
        ) from error
