"""Export a thinner module to ONNX, and check the file in onnxruntime before it is kept."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from frivolous.errors import BadArgument, FrivolousError, one_line
from frivolous.inputs.batch import Inputs, call_module, flatten_batch, map_batch, repeat_examples
from frivolous.network.module.copying import copy_module
from frivolous.network.module.wrappers import uncompiled, unwrap

NEEDED = ("onnx", "onnxruntime", "onnxscript")
MARGIN = 64.0
"""How many times a module's own rounding the file's outputs may differ from the module's.

onnxruntime adds in another order, and approximates functions such as erf in its own way.
"""
SIZES = (1, 2, 5)
"""Batch sizes at which they are compared; the file is exported with the second."""


def export_onnx(model: nn.Module, path: str | Path, example_inputs: Inputs) -> Path:
    """Write a module as an ONNX file that takes batches of any size, and return its path.

    ``example_inputs`` is a batch as the module takes it, of one example or more: a tensor, a tuple
    or a dict of keyword tensors. The file's outputs are compared with the module's in onnxruntime
    at three batch sizes. Weights above 2 GB are written to a second file next to it.

    Raises :class:`FrivolousError` without the extra ``onnx``, for a module that cannot be exported
    or whose file onnxruntime cannot run (it has few operations for float64 and bfloat16), and where
    outputs differ by more than 64 times the module's own rounding, which is measured against the
    same module in float64; nothing is written then.
    """
    check_installed()
    flatten_batch(example_inputs, "example_inputs")
    path = Path(path)
    if path.is_dir() or not path.name:
        raise BadArgument(f"`path` {path} is a folder; name a file in it, such as model.onnx.")
    module = copy_module(unwrap(model)).cpu().eval()
    inputs = map_batch(example_inputs, Tensor.cpu)
    try:
        _outputs(module, inputs)
    except Exception as error:
        raise BadArgument(
            f"`example_inputs` does not fit `model` ({type(model).__name__}): it raises "
            f"{one_line(error)}. "
            "Give a batch as the model takes it."
        ) from error
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".onnx-", dir=path.parent) as folder:
            made = Path(folder) / path.name
            with _quiet():
                _exported(module, repeat_examples(inputs, SIZES[1])).save(str(made))
                _check(made, module, inputs)
            for part in sorted(Path(folder).iterdir(), key=lambda file: file == made):
                part.replace(path.parent / part.name)
    except OSError as error:
        raise BadArgument(
            f"`path` {path} cannot be written ({error.strerror}); name a file that can."
        ) from error
    return path


def check_installed() -> None:
    """Raise :class:`FrivolousError` if a package that the export needs is missing."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise FrivolousError(
            f"exporting to ONNX needs {', '.join(NEEDED)}; {', '.join(missing)} cannot be "
            "imported. Install them: pip install 'frivolous[onnx]'."
        )


def _exported(module: nn.Module, inputs: Inputs) -> Any:
    """The module as an ONNX program whose first axes are the batch."""
    batch = torch.export.Dim("batch")
    args: tuple[Tensor, ...] = ()
    kwargs: dict[str, Tensor] = {}
    shapes: Any
    if isinstance(inputs, Mapping):
        kwargs = dict(inputs)
        shapes = {name: {0: batch} for name in kwargs}
    else:
        args = inputs if isinstance(inputs, tuple) else (inputs,)
        shapes = tuple({0: batch} for _ in args)
    try:
        with uncompiled():
            return torch.onnx.export(
                module, args, kwargs=kwargs, dynamo=True, dynamic_shapes=shapes, verbose=False
            )
    except Exception as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        raise FrivolousError(
            f"`model` cannot be exported to ONNX ({one_line(cause, 300)}). Use operations "
            "that torch.onnx knows and that do not depend on the number of examples, and give "
            "tensors only (in transformers: config.use_cache = False)."
        ) from error


def _check(path: Path, module: nn.Module, inputs: Inputs) -> None:
    """Compare the file's outputs with the module's at several batch sizes."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise FrivolousError(
            f"onnxruntime cannot run this model in {_dtypes(module)} ({one_line(error)}). Export "
            "it in float32: convert it and its inputs with `.float()`."
        ) from error
    allowed = MARGIN * _rounding(module, repeat_examples(inputs, max(SIZES)))
    for size in SIZES:
        batch = repeat_examples(inputs, size)
        parts, keywords = flatten_batch(batch, "example_inputs")
        names = keywords or [one.name for one in session.get_inputs()]
        taken = {one.name for one in session.get_inputs()}
        wanted = _outputs(module, batch)
        try:
            feed = {n: p.numpy() for n, p in zip(names, parts, strict=False) if n in taken}
            given = [torch.as_tensor(one) for one in session.run(None, feed)]
        except Exception as error:
            raise FrivolousError(
                f"the ONNX file does not take a batch of {size} ({one_line(error)}). Make the "
                "model's forward "
                "independent of the number of examples."
            ) from error
        apart = _apart(wanted, given)
        if not apart <= allowed:
            raise FrivolousError(
                f"the ONNX file gives other outputs than the model: up to {apart:.2g} of the "
                f"largest apart for a batch of {size}, where rounding explains {allowed:.1g}. "
                "Export a model of float32 whose forward does not depend on the number of examples."
            )


def _rounding(module: nn.Module, inputs: Inputs) -> float:
    """How far a module's outputs are from those of its copy in float64, relative to the largest.

    At least one unit in the last place, and four where there is no such copy: a forward pass may
    convert to a type of its own.
    """
    coarse = {part.dtype for part in module.parameters() if part.is_floating_point()}
    unit = max((torch.finfo(dtype).eps for dtype in coarse), default=torch.finfo(torch.float32).eps)
    own = _outputs(module, inputs)
    try:
        exact = _outputs(
            copy_module(module).double(),
            map_batch(inputs, lambda part: part.double() if part.is_floating_point() else part),
        )
    except Exception:  # noqa: BLE001 - a module's forward may raise anything
        return 4 * unit
    apart = _apart(exact, own)
    return max(apart, unit) if apart < float("inf") else 4 * unit


def _dtypes(module: nn.Module) -> str:
    found = {str(part.dtype) for part in module.parameters()}
    return " and ".join(sorted(found)).replace("torch.", "") or "its numbers"


@torch.no_grad()
def _outputs(module: nn.Module, inputs: Inputs) -> list[Tensor]:
    """All tensors that a module returns, in order."""
    with uncompiled():
        given = call_module(module, inputs)
    leaves = torch.utils._pytree.tree_leaves(given)
    return [leaf for leaf in leaves if isinstance(leaf, Tensor)]


def _apart(wanted: list[Tensor], given: list[Tensor]) -> float:
    """The largest difference, relative to the largest number; infinite for other shapes."""
    if [one.shape for one in wanted] != [one.shape for one in given]:
        return float("inf")
    pairs = zip(wanted, given, strict=True)
    apart = [(a.double() - b.double()).abs().max() for a, b in pairs if a.numel()]
    scale = [one.double().abs().max() for one in wanted if one.numel()]
    if not apart:
        return 0.0
    return float(torch.stack(apart).max()) / (float(torch.stack(scale).max()) or 1.0)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress what exporters print, log and warn of; errors are not suppressed."""
    known = logging.root.manager.disable
    logging.disable(logging.ERROR)
    nowhere = io.StringIO()
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(nowhere),
            contextlib.redirect_stderr(nowhere),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(known)
