"""Add biases to layers that have none, so that constants can be folded into them.

A layer made with ``bias=False`` has none in its class either: weights with one do not load there,
and code that merges two layers into one (merged adapters) does not expect it. So by default only
those layers get a bias that a batch normalisation follows, which takes it into its running mean.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from frivolous.network import Network
from frivolous.network.operations import CONVOLUTIONS
from frivolous.network.program import Ref, Step

PLACE = 2
"""The place of the bias among the arguments of ``linear`` and of convolutions."""


def add_missing_biases(network: Network, model: nn.Module, *, everywhere: bool = True) -> Network:
    """The same network with a bias of zeros for every layer whose module could have one.

    Such a bias is named as the layer's own would be. The computation is the same. Without
    ``everywhere`` only for layers whose bias :func:`folded_into_norms` takes out again.
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    program = network.program
    fresh = 1 + max((*program.shapes, *(step.index for step in program.steps)), default=0)
    states, shapes, dtypes = dict(program.states), dict(program.shapes), dict(program.dtypes)
    state = dict(network.state)
    made: dict[str, int] = {}
    steps = []
    missing = {step.index: _missing(step, network, modules) for step in program.steps}
    unfolded = {
        missing[step.index] for step in program.steps if not everywhere and not _norm(step, network)
    }
    for step in program.steps:
        name = missing[step.index]
        if name is None or name in unfolded:
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
    """The name of the bias that a layer could have and has not."""
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
    """Move added biases into the running mean of the normalisation that reads them.

    Changes ``state``; only where one batch normalisation with running statistics reads the layer
    and nothing else does, wherever the layer is used.
    """
    program = network.program
    norms: dict[str, list[str | None]] = {}
    for step in program.steps:
        given = step.args[PLACE] if len(step.args) > PLACE else None
        name = program.states.get(given.index) if isinstance(given, Ref) else None
        if name in added:
            norms.setdefault(str(name), []).append(_norm(step, network))
    for name, means in norms.items():
        if None in means:
            continue
        for mean in means:
            state[str(mean)] = state[str(mean)] - state[name]
        state[name] = torch.zeros_like(state[name])


def _norm(step: Step, network: Network) -> str | None:
    """The running mean of the one batch normalisation that reads a layer's output, if it can."""
    program = network.program
    after = [other for other in program.steps if step.index in other.needs]
    if len(after) != 1 or "batch_norm" not in after[0].op:
        return None
    mean = after[0].args[3]
    if not isinstance(mean, Ref) or sum(mean.index in other.needs for other in program.steps) != 1:
        return None
    return program.states.get(mean.index)
