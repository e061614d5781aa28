"""``fv.load_compressed``: load a saved compression into a module of the original sizes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from frivolous.compression.export.surgery_spec import SIZES, Spec, constants_of
from frivolous.compression.surgery.module import windowed_norm
from frivolous.devices import home_of
from frivolous.errors import BadArgument, one_line
from frivolous.families.response_norm import ResponseNorm
from frivolous.network.module.copying import copy_module
from frivolous.network.module.wrappers import unwrap

WEIGHTS, FACTS = "model.safetensors", "compression.json"
VERSION = 1
"""Version of the files' format; raised when older readers would misread them."""

AGAIN = "Save the compression again."
BEFORE = "Pass the model as it was before it was compressed, or a function that returns it."


def load_compressed(folder: str | Path, build: Callable[[], nn.Module] | nn.Module) -> nn.Module:
    """Read what :meth:`Compression.save` wrote: the thinner module, in evaluation mode.

    Args:
        folder: where it was saved.
        build: a function that returns a module of the original sizes, with any weights, or such a
            module, which is not changed.

    Nothing is unpickled. Raises :class:`BadArgument` for a folder that holds no compression, a
    damaged one or one of another version, and for a module of another architecture.
    """
    folder = Path(folder)
    facts = _facts(folder)
    tensors = _weights(folder, facts["surgery"])
    module = _built(build)
    faults = _faults(module, facts)
    if faults:
        more = f" ({len(faults) - 1} more like it)" if len(faults) > 1 else ""
        raise BadArgument(
            f"`build` gives another architecture than {facts['model']} that was compressed: "
            f"{faults[0]}{more}. {BEFORE}"
        )
    _cut(module, facts["surgery"], tensors)
    return module.eval()


# Reading.


def _facts(folder: Path) -> dict[str, Any]:
    for name in (FACTS, WEIGHTS):
        if not (folder / name).is_file():
            raise BadArgument(
                f"`folder` {folder} holds no compression: it has no {name}. Pass a folder that "
                "`Compression.save` or `frivolous compress --out` wrote."
            )
    try:
        facts = json.loads((folder / FACTS).read_text())
        version = facts["version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(folder / FACTS, error) from error
    if version != VERSION:
        raise BadArgument(
            f"`folder` {folder} is of format {version}; this version of frivolous reads format "
            f"{VERSION}. Save the compression again, or install the version that wrote it."
        )
    parts = {"model": str, "parameters_before": int, "surgery": dict}
    wrong = [name for name, kind in parts.items() if not isinstance(facts.get(name), kind)]
    wrong += [
        name
        for name, kind in {"state": dict, "ties": list, "layers": dict, "windows": dict}.items()
        if not wrong and not isinstance(facts["surgery"].get(name), kind)
    ]
    if wrong:
        raise _damaged(folder / FACTS, f"it has no '{wrong[0]}'")
    return dict(facts)


def _weights(folder: Path, spec: Spec) -> dict[str, Tensor]:
    """All tensors by name, shared ones under each of their names."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / WEIGHTS
    try:
        tensors = dict(load_file(path))
        for first, *others in spec["ties"]:
            tensors |= dict.fromkeys(others, tensors[first])
        found = {name: list(tensor.shape) for name, tensor in tensors.items()}
        wanted = {name: known["shape"] for name, known in spec["state"].items()}
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise _damaged(path, error) from error
    wrong = [name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]
    if wrong:
        name = wrong[0]
        raise BadArgument(
            f"`folder` {folder} has files that do not belong together: '{name}' has shape "
            f"{found.get(name)} in {WEIGHTS} and {wanted.get(name)} in {FACTS}. {AGAIN}"
        )
    return tensors


def _damaged(path: Path, error: Exception | str) -> BadArgument:
    text = one_line(str(error))
    return BadArgument(
        f"`folder` {path.parent} holds a compression that cannot be read ({path.name}: {text}). "
        f"{AGAIN}"
    )


# The module of the original sizes.


def _built(build: Callable[[], nn.Module] | nn.Module) -> nn.Module:
    if isinstance(build, nn.Module):
        return copy_module(unwrap(build, "build"))
    kind = type(build).__name__
    if not callable(build):
        raise BadArgument(f"`build` is a module or a function; got {kind}. {BEFORE}")
    try:
        module = build()
    except Exception as error:
        raise BadArgument(
            f"`build` is called without arguments; that raised {one_line(error)}. {BEFORE}"
        ) from error
    if not isinstance(module, nn.Module):
        raise BadArgument(f"`build` gives a {type(module).__name__}, not a module. {BEFORE}")
    return unwrap(module, "build")


def _faults(module: nn.Module, facts: Mapping[str, Any]) -> list[str]:
    """How a module differs from the one that was compressed."""
    spec = facts["surgery"]
    modules = dict(module.named_modules(remove_duplicate=False))
    known = {**spec["layers"], **spec["windows"]}
    faults = [f"it has no module '{path}'" for path in known if path not in modules]
    faults += [f"it has a module '{path}' more" for path in modules if path not in known]
    if faults:
        return faults
    for path, layer in spec["layers"].items():
        faults += _layer_faults(path, modules[path], layer)
    faults += [
        f"'{path}' is no response normalisation with bias {one['bias']:g} and beta {one['beta']:g}"
        for path, one in spec["windows"].items()
        if not _normalises(modules[path], one)
    ]
    if not faults:
        faults = _state_faults(module, modules, spec)
    count = sum(parameter.numel() for parameter in module.parameters())
    before = facts["parameters_before"]
    return faults or [f"it has {count:,} parameters, not {before:,}"] * (count != before)


def _layer_faults(path: str, layer: nn.Module, known: Spec) -> list[str]:
    kind, named = type(layer).__name__, f"'{path}'" if path else "the model"
    if kind != known["class"]:
        return [f"{named} is a {kind}, not a {known['class']}"]
    own = constants_of(layer)
    return [
        f"{named} has {name} {own[name]}, not {value}"
        for name, value in known["constants"].items()
        if name not in SIZES and name in own and own[name] != value
    ]


def _normalises(module: nn.Module, window: Spec) -> bool:
    """Whether it is the normalisation that was replaced, as it was before."""
    if not isinstance(module, nn.LocalResponseNorm | ResponseNorm):
        return False
    bias = module.k if isinstance(module, nn.LocalResponseNorm) else module.bias
    return bool(bias == window["bias"] and module.beta == window["beta"])


def _state_faults(module: nn.Module, modules: Mapping[str, nn.Module], spec: Spec) -> list[str]:
    from frivolous.network.state_dict import read_state

    own, _ = read_state(module)
    faults = [f"it has '{name}', which was not saved" for name in own if name not in spec["state"]]
    for name, known in spec["state"].items():
        path, _, last = name.rpartition(".")
        if path in spec["windows"]:
            continue
        shape = tuple(known["shape"])
        if name not in own:
            part = modules.get(path)
            if last != "bias" or not isinstance(part, nn.Linear | nn.modules.conv._ConvNd):
                faults.append(f"it has no '{name}'")
        elif len(shape) != own[name].dim() or any(
            new > old for new, old in zip(shape, own[name].shape, strict=True)
        ):
            faults.append(f"'{name}' has shape {tuple(own[name].shape)}, {shape} was saved")
    return faults


# Surgery.


def _cut(module: nn.Module, spec: Spec, tensors: Mapping[str, Tensor]) -> None:
    """Replace modules, set layers' sizes and load the weights; changes ``module``."""
    home = home_of(module)
    for path, window in spec["windows"].items():
        units = torch.arange(window["units"])
        # Its buffer ``band`` comes with the weights.
        exchanged = windowed_norm(units, 1, 0.0, window["bias"], window["beta"])
        parent, _, own = path.rpartition(".")
        module.get_submodule(parent)._modules[own] = exchanged
    for path, layer in spec["layers"].items():
        part = module.get_submodule(path)
        for name, value in layer["constants"].items():
            if name in SIZES and hasattr(part, name):
                setattr(part, name, value)
    place = {name: names[0] for names in spec["ties"] for name in names}
    made: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        path, _, own = name.rpartition(".")
        part = module.get_submodule(path)
        old = getattr(part, own)
        key = place.get(name, name)
        if key not in made:
            there = tensor.to(home if old is None or old.is_meta else old.device)
            made[key] = _like(there, old, own in part._parameters)
        setattr(part, own, made[key])


def _like(tensor: Tensor, old: Tensor | None, trained: bool) -> Tensor:
    """A tensor as a parameter with gradients where the old one has them, or as a buffer."""
    if not trained:
        return tensor
    grows = tensor.is_floating_point() if old is None else old.requires_grad
    return nn.Parameter(tensor, requires_grad=grows)
