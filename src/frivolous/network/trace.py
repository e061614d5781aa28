"""Trace a model into a ``Network``, leaving the model as it was."""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import operator
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, default_decompositions, export

from frivolous.errors import FrivolousError, NotTraceable
from frivolous.inputs.batch import Inputs, flatten_batch
from frivolous.network.module.diagnostics import (
    check_examples_apart,
    check_settled,
    explain,
    explain_fixed_batch,
)
from frivolous.network.module.output_selection import select_output
from frivolous.network.module.wrappers import inside, uncompiled, unwrap
from frivolous.network.network import Network
from frivolous.network.operations import OPERATIONS, UNKNOWN
from frivolous.network.program import SIZES, Program, read_program
from frivolous.network.rewrites import apply_rewrites
from frivolous.network.state_dict import read_state
from frivolous.network.units.sites import find_sites

#: Operations that are read as those they are made of.
IN_PARTS = (torch.ops.aten.einsum.default,)


def trace(
    model: nn.Module,
    example_inputs: Inputs,
    *,
    output: str | int | None = None,
    residual: bool = False,
) -> Network:
    """Trace a model into a graph that knows its sites.

    ``example_inputs`` is a batch as the model takes it: a tensor, a tuple of tensors for several
    arguments, or a dict of keyword tensors; the first axis of each is the batch, whose size may
    differ later. The graph is that of the model in evaluation mode, whatever mode it is in; the
    model itself is left exactly as it was. The network refers to the model's parameters and
    buffers and copies none.

    Wrappers that compute nothing (``torch.compile``, ``DataParallel``, ``DistributedDataParallel``,
    ``AveragedModel``) are removed: names are those of the module inside.

    ``output`` selects an output of a model that returns several: the key or field of a dict or
    dataclass, the index in a tuple. By default it is the one tensor that the model returns, the
    entry ``logits``, or the only entry that is a floating-point tensor.

    With ``residual`` the residual streams are sites too (``Site.kind`` "residual"): values that
    blocks add to and pass on, which many layers write and read. By default a site is a layer's own
    units, and a layer that reads a stream, directly or through a normalisation, is in ``skipped``.

    Raises ``NotTraceable`` with the model's line, the reason and the remedy, and ``BadArgument``
    for inputs that are no batch or an output that does not exist.

    >>> model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
    >>> net = trace(model, torch.zeros(1, 3))
    >>> [(site.name, site.width, site.readers) for site in net.sites]
    [('0', 5, ('2.weight',))]
    """
    model = unwrap(model)
    parts, keywords = flatten_batch(example_inputs, "example_inputs")
    if parts[0].shape[0] == 1:  # a batch of one looks like a fixed size
        parts = tuple(part.repeat(2, *(1 for _ in part.shape[1:])) for part in parts)
    with _left_as_it_was(model), torch.no_grad(), quietly():
        try:
            _call_plainly(model, keywords, output)
            exported = _exported(model, parts)
        except FrivolousError:
            raise
        except Exception as error:
            raise NotTraceable(explain(error, model)) from error
    program = read_program(exported, keywords)
    state, ties = read_state(model)
    device = parts[0].device
    network = _network(program, state, ties, device, residual)
    fixed = [i for i in program.inputs if isinstance(program.shapes[i][0], int)]
    if fixed:
        raise NotTraceable(explain_fixed_batch(network, parts, model))
    check_settled(program)
    check_examples_apart(program)
    return network


def _network(
    program: Program,
    state: dict[str, Tensor],
    ties: tuple[tuple[str, ...], ...],
    device: torch.device,
    residual: bool,
) -> Network:
    found = find_sites(program, frozenset(state), ties, residual)
    program = apply_rewrites(found.program, found.values.values())
    return Network(
        found.sites, found.skipped, program, found.values, found.readers, state, ties, device
    )


def _exported(model: nn.Module, parts: tuple[Tensor, ...]) -> ExportedProgram:
    """Export with a free batch axis and without in-place operations."""
    parts = tuple(part.detach() for part in parts)
    shapes = (tuple({0: Dim.AUTO} for _ in parts),)  # of the one parameter, ``*given``
    with uncompiled():
        exported = export(model, parts, dynamic_shapes=shapes, strict=False)
    # Taking operations apart traces all of it once more, longer than the export itself took.
    return exported if _readable(exported) else exported.run_decompositions(_parts())


def _readable(exported: ExportedProgram) -> bool:
    """Whether the tables know every operation as it is, and none writes to its operands."""
    return all(
        isinstance(node.meta.get("val"), SIZES) or _known(node.target)
        for node in exported.graph.nodes
        if node.op == "call_function"
    )


def _known(target: Any) -> bool:
    packet = getattr(target, "_overloadpacket", None)
    if packet is None:
        return target is operator.getitem
    known = OPERATIONS.get(packet.__name__, UNKNOWN).known
    return known and not target._schema.is_mutable


@functools.cache
def _parts() -> dict[Any, Any]:
    known = default_decompositions()
    return {operation: known[operation] for operation in IN_PARTS}


def _call_plainly(model: nn.Module, keywords: tuple[str, ...], output: str | int | None) -> None:
    """While exporting, let the model's forward take tensors in order and return one tensor.

    Whatever its own parameters are (keywords, ``*args``, ``**kwargs``). What the model returns next
    to the chosen output, a cache for instance, may then be something that an export does not know.
    Wrappers inside the model call what they wrap.
    """
    forward = model.forward

    def plain(*given: Tensor) -> Tensor:
        named = dict(zip(keywords, given, strict=True)) if keywords else {}
        return select_output(forward(*given[: len(given) - len(named)], **named), output, kind)

    kind = type(model).__name__
    for module in model.modules():
        wrapped = inside(module)
        if wrapped is not None:
            vars(module)["forward"] = wrapped.__call__
        vars(module)["_compiled_call_impl"] = None
    vars(model)["forward"] = plain


@contextlib.contextmanager
def _left_as_it_was(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; afterwards every module has the attributes that it had before.

    The flag is set directly, since a model may override ``train`` with other work; attributes and
    what containers hold are restored one by one, since a ``forward`` may assign some. A module that
    cannot be restored does not keep the others from it.
    """
    with contextlib.ExitStack() as after:
        for module in model.modules():
            after.callback(_put_back, module, dict(vars(module)))
            for held in vars(module).values():
                if isinstance(held, dict | set):
                    after.callback(held.update, held.copy())
                    after.callback(held.clear)
                elif isinstance(held, list):
                    after.callback(held.__setitem__, slice(None), held.copy())
        for module in model.modules():
            vars(module)["training"] = False
        yield


def _put_back(module: nn.Module, attributes: dict[str, Any]) -> None:
    vars(module).clear()
    vars(module).update(attributes)


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Drop what an export warns of, logs and writes to stderr: its error says what went wrong."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
