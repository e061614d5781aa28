"""Reading a model into a ``Network`` without leaving anything behind on it."""

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

from frivolous.errors import BadArgument, FrivolousError, NotTraceable
from frivolous.network.faster import faster
from frivolous.network.faults import (
    check_examples_apart,
    check_settled,
    explain,
    explain_fixed_batch,
)
from frivolous.network.inputs import Inputs, parts_of
from frivolous.network.operations import KNOWN
from frivolous.network.outputs import chosen
from frivolous.network.program import SIZES, Program, read_program
from frivolous.network.sites import find_sites
from frivolous.network.split import Network
from frivolous.network.state import state_of

#: Operations that are read as those they are made of.
IN_PARTS = (torch.ops.aten.einsum.default,)


def trace(
    model: nn.Module,
    example_inputs: Inputs,
    *,
    output: str | int | None = None,
    residual: bool = False,
) -> Network:
    """Read a model once into a graph that knows its sites.

    ``example_inputs`` is a batch as the model takes it: a tensor, a tuple of tensors for several
    arguments, or a dict of keyword tensors; the first axis of each is the batch, whose size the
    network does not remember. The graph is that of the model in evaluation mode, whatever mode it
    is in; the model itself is left exactly as it was. The network refers to the model's parameters
    and buffers and copies none.

    ``output`` names what the network computes where the model gives several things: the key or
    field of a dict or dataclass, the place in a tuple. By default it is the one tensor that the
    model gives, the entry ``logits``, or the only entry that is a floating-point tensor.

    With ``residual`` the residual streams are sites too (``Site.kind`` "residual"): values that
    blocks add to and hand on, which many layers write and read. By default a site is a layer's own
    units, and a layer that reads a stream, be it through a normalisation, is in ``skipped``.

    Raises ``NotTraceable`` with the model's line, the reason and the remedy, and ``BadArgument``
    for inputs that are no batch or an output that there is not.

    >>> model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
    >>> net = trace(model, torch.zeros(1, 3))
    >>> [(site.name, site.width, site.readers) for site in net.sites]
    [('0', 5, ('2.weight',))]
    """
    if not isinstance(model, nn.Module):
        raise BadArgument(
            f"`model` is of type {type(model).__name__}; it must be a torch.nn.Module."
        )
    parts, keywords = parts_of(example_inputs, "example_inputs")
    if parts[0].shape[0] == 1:  # a batch of one looks like a fixed size
        parts = tuple(part.repeat(2, *(1 for _ in part.shape[1:])) for part in parts)
    with _left_as_it_was(model), torch.no_grad(), _quietly():
        try:
            _give_one_tensor(model, output)
            exported = _exported(model, parts, keywords)
        except FrivolousError:
            raise
        except Exception as error:
            raise NotTraceable(explain(error, model)) from error
    program = read_program(exported)
    state, ties = state_of(model)
    device = parts[0].device
    network = _network(program, state, ties, device, residual)
    fixed = [i for i in program.inputs if isinstance(program.shapes[i][0], int)]
    if fixed:
        raise NotTraceable(explain_fixed_batch(network, parts))
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
    program = faster(found.program, found.values.values())
    return Network(
        found.sites, found.skipped, program, found.values, found.readers, state, ties, device
    )


def _exported(
    model: nn.Module, parts: tuple[Tensor, ...], keywords: tuple[str, ...]
) -> ExportedProgram:
    """Export with a free batch axis, and without in-place operations."""
    parts = tuple(part.detach() for part in parts)
    shapes: Any = tuple({0: Dim.AUTO} for _ in parts)
    args, kwargs = parts, {}
    if keywords:
        args, kwargs = (), dict(zip(keywords, parts, strict=True))
        shapes = dict(zip(keywords, shapes, strict=True))
    exported = export(model, args, kwargs, dynamic_shapes=shapes, strict=False)
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
    return packet.__name__ in KNOWN and not target._schema.is_mutable


@functools.cache
def _parts() -> dict[Any, Any]:
    known = default_decompositions()
    return {operation: known[operation] for operation in IN_PARTS}


def _give_one_tensor(model: nn.Module, output: str | int | None) -> None:
    """Let the model's forward give what is chosen of its output, for as long as it is exported.

    What else it gives, a cache for instance, need not be anything that an export knows.
    """
    forward = model.forward

    @functools.wraps(forward)
    def chosen_of(*args: Any, **kwargs: Any) -> Tensor:
        return chosen(forward(*args, **kwargs), output, type(model).__name__)

    model.forward = chosen_of


@contextlib.contextmanager
def _left_as_it_was(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; afterwards every module has the attributes that it had before.

    The flag is set directly, since a model may override ``train`` with other work; attributes are
    put back one by one, since a ``forward`` may assign some.
    """
    tables = ("_parameters", "_buffers", "_modules")
    saved = [
        (module, dict(vars(module)), {name: dict(getattr(module, name)) for name in tables})
        for module in model.modules()
    ]
    try:
        for module, _, _ in saved:
            module.training = False
        yield
    finally:
        for module, attributes, contents in saved:
            vars(module).clear()
            vars(module).update(attributes)
            for name, content in contents.items():
                getattr(module, name).clear()
                getattr(module, name).update(content)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Nothing printed by an export: what went wrong is said once, in the error."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
