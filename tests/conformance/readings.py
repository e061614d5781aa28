"""Every architecture read once, for all tests that change none of them."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from architecture_cases import Case
from hugging_face_cases import EVERY
from torch import nn

from frivolous.network import Network, trace


def picture(model: nn.Module) -> dict[str, Any]:
    """Everything of a model that reading it might change."""
    hooks = [name for name in vars(nn.Module()) if "hooks" in name]
    return {
        "parameters": [(id(p), p.data_ptr(), p._version) for p in model.parameters()],
        "buffers": [(id(b), b._version) for b in model.buffers()],
        "modules": [
            (id(m), m.training, sorted(vars(m)), [len(getattr(m, name)) for name in hooks])
            for m in model.modules()
        ],
    }


@cache
def model_of(name: str) -> nn.Module:
    """The model, no parameter of it 0 or 1."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = EVERY[name].build().eval()
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            scale = parameter[0].numel() ** -0.5 if parameter.dim() > 1 else 1
            parameter.copy_(torch.randn(parameter.shape, generator=rng) * scale)
    return model


@cache
def traced(name: str) -> tuple[Network, bool]:
    """The network with its residual sites, and whether reading it left the model as it was."""
    model = model_of(name)
    before = picture(model)
    network = trace(model, batch(EVERY[name], 2), residual=True)
    return network, before == picture(model)


def batch(case: Case, examples: int) -> Any:
    """Inputs as a model takes them."""
    inputs = case.inputs(examples)
    return inputs[0] if isinstance(inputs, tuple) and len(inputs) == 1 else inputs
