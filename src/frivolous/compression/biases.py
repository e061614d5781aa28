"""Constant terms for layers that have none, so that constants can be folded into them."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from frivolous.network import Network
from frivolous.network.operations import CONVOLUTIONS
from frivolous.network.program import Ref, Step

PLACE = 2
"""The place of the bias among the arguments of ``linear`` and of convolutions."""


def with_biases(network: Network, model: nn.Module) -> Network:
    """The same network with a bias of zeros for every layer whose module could have one.

    Such a bias is named as the layer's own would be. The computation is the same.
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    program = network.program
    fresh = 1 + max((*program.shapes, *(step.index for step in program.steps)), default=0)
    states, shapes, dtypes = dict(program.states), dict(program.shapes), dict(program.dtypes)
    state = dict(network.state)
    made: dict[str, int] = {}
    steps = []
    for step in program.steps:
        name = _missing(step, network, modules)
        if name is None:
            steps.append(step)
            continue
        if name not in made:
            made[name] = fresh
            weight = state[f"{name.removesuffix('bias')}weight"]
            written = program.shapes[step.index][1 if step.op in CONVOLUTIONS else -1]
            state[name] = torch.zeros(written, dtype=weight.dtype, device=weight.device)
            states[fresh], shapes[fresh], dtypes[fresh] = name, (written,), weight.dtype
            fresh += 1
        steps.append(_given(step, made[name]))
    program = replace(
        program, steps=tuple(steps), states=states, shapes=shapes, dtypes=dtypes, _sizes_of={}
    )
    return replace(network, program=program, state=state, _plans={}, _largest={})


def _missing(step: Step, network: Network, modules: dict[str, nn.Module]) -> str | None:
    """The name of the bias that a layer might have and has not."""
    if step.op != "linear" and step.op not in CONVOLUTIONS:
        return None
    given = step.args[PLACE] if len(step.args) > PLACE else step.kwargs.get("bias")
    module = modules.get(step.module)
    layer = isinstance(module, nn.Linear | nn.modules.conv._ConvNd)
    weight = network.program.states.get(step.args[1].index) if len(step.args) > 1 else None
    if given is not None or not layer or weight != f"{step.module}.weight":
        return None
    return f"{step.module}.bias" if module is not None and module.bias is None else None


def _given(step: Step, index: int) -> Step:
    args = (*step.args[:PLACE], Ref(index), *step.args[PLACE + 1 :])
    kwargs = {key: value for key, value in step.kwargs.items() if key != "bias"}
    return replace(step, args=args, kwargs=kwargs, needs=(*step.needs, index))


def folded_into_norms(network: Network, state: dict[str, Tensor], added: set[str]) -> None:
    """Move biases that were added into the running mean of the normalisation that reads them.

    Changes ``state``; only where one batch normalisation with running statistics reads the layer
    and nothing else does, which then has no need of a bias.
    """
    program = network.program
    for step in program.steps:
        given = step.args[PLACE] if len(step.args) > PLACE else None
        name = program.states.get(given.index) if isinstance(given, Ref) else None
        if name not in added:
            continue
        after = [other for other in program.steps if step.index in other.needs]
        if len(after) != 1 or "batch_norm" not in after[0].op:
            continue
        mean = after[0].args[3]
        running = program.states.get(mean.index) if isinstance(mean, Ref) else None
        users = [
            other for other in program.steps if isinstance(mean, Ref) and mean.index in other.needs
        ]
        if running is None or len(users) != 1:
            continue
        state[running] = state[running] - state[name]
        state[name] = torch.zeros_like(state[name])
