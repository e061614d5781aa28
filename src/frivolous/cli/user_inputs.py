"""What verbs take from a user: model, data, weights, and a folder for the results."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from frivolous.cli.user_objects import called, load_object
from frivolous.errors import BadArgument, FrivolousError
from frivolous.network.module.wrappers import unwrap


def user_model(place: str, weights: Path | None) -> nn.Module:
    """Return the module that ``FILE.py:NAME`` names or gives, with its weights loaded."""
    model = load_object(place, "model")
    if not isinstance(model, nn.Module):
        model = called(model, place, "model")
    if not isinstance(model, nn.Module):
        raise BadArgument(
            f"`model` {place} is of type {type(model).__name__}; name a torch.nn.Module or a "
            "function that returns one."
        )
    inner = unwrap(model)  # refuses what cannot be read before weights are
    if weights is not None:
        load_weights(model, weights)
    return inner


def user_data(place: str, argument: str) -> Any:
    """Return the examples that ``FILE.py:NAME`` names or gives."""
    data = load_object(place, argument)
    if not isinstance(data, torch.Tensor | nn.Module):
        data = called(data, place, argument)
    return data


def make_folder(out: Path) -> None:
    """Make the folder for the results, and see that files can be written there."""
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".frivolous-probe"
        probe.touch()
        probe.unlink()


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Turn what the disk refuses while results are written into one line that names the folder."""
    try:
        yield
    except FrivolousError:
        raise
    except OSError as error:
        raise BadArgument(
            f"`out` {out} cannot be written ({error.strerror or error}); name a folder that can."
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
