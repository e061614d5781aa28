"""Reading a model into a ``Network`` without leaving anything behind on it."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, export
from torch.export.graph_signature import OutputKind, TensorArgument

from frivolous.errors import BadArgument, NotTraceable
from frivolous.network.faster import faster
from frivolous.network.faults import (
    NO_SCORES,
    check_examples_apart,
    check_settled,
    explain,
    explain_fixed_batch,
)
from frivolous.network.inputs import Inputs, parts_of
from frivolous.network.program import Program, read_program
from frivolous.network.sites import find_sites
from frivolous.network.split import Network
from frivolous.network.state import state_of


def trace(model: nn.Module, example_inputs: Inputs) -> Network:
    """Read a model once into a graph that knows its sites.

    ``example_inputs`` is a batch as the model takes it: a tensor, a tuple of tensors for several
    arguments, or a dict of keyword tensors; the first axis of each is the batch, whose size the
    network does not remember. The graph is that of the model in evaluation mode, whatever mode it
    is in; the model itself is left exactly as it was. The network refers to the model's parameters
    and buffers and copies none.

    Raises ``NotTraceable`` with the model's line, the reason and the remedy, and ``BadArgument``
    for inputs that are no batch.

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
            exported = _exported(model, parts, keywords)
        except Exception as error:
            raise NotTraceable(explain(error, model)) from error
    if not _gives_one_tensor(exported):
        raise NotTraceable(NO_SCORES.format(model=type(model).__name__, what="no single tensor"))
    program = read_program(exported)
    state, ties = state_of(model)
    device = parts[0].device
    network = _network(program, state, ties, device)
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
) -> Network:
    found = find_sites(program, frozenset(state))
    program = faster(program, found.values.values())
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
    return exported.run_decompositions({})


def _gives_one_tensor(exported: ExportedProgram) -> bool:
    specs = exported.graph_signature.output_specs
    outputs = [spec.arg for spec in specs if spec.kind == OutputKind.USER_OUTPUT]
    form: Any = exported.call_spec.out_spec
    return form.is_leaf() and len(outputs) == 1 and isinstance(outputs[0], TensorArgument)


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
