"""A network as text, and the module that the text makes."""

from __future__ import annotations

import linecache
import re
import warnings
from dataclasses import dataclass, field

import torch
from torch import nn

TOKEN_NUMBERS = 12
WRAPPERS = ("DataParallel", "AveragedModel", "torch.compile")

HEADER = """\
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import prune
from torch.nn.utils import weight_norm as old_weight_norm
from torch.utils.checkpoint import checkpoint


class Symmetric(nn.Module):
    def forward(self, w):
        return (w + w.t()) / 2


class Positive(nn.Module):
    def forward(self, w):
        return F.softplus(w) / 4


@dataclass
class Scores:
    logits: torch.Tensor
    hidden: torch.Tensor
"""


@dataclass
class Drawn:
    """A network as text: ``inputs`` are the sizes of an example of each argument, ``calls`` how
    arguments are given ("tensor", "tuple", "dict"), ``output`` which of several holds the scores,
    ``heads`` the layers that write the scores, which are no hidden layers.
    """

    seed: int
    source: str
    inputs: list[tuple[str, tuple[int, ...]]]
    calls: str
    output: str | int | None
    heads: list[str]
    blocks: list[str]
    float64: bool
    classes: int
    training: bool = False
    wrapper: str = ""
    names: list[str] = field(default_factory=list)


def class_of(name: str, init: list[str], arguments: list[str], forward: list[str]) -> str:
    init = _used(init, forward)
    lines = [
        f"class {name}(nn.Module):",
        "    def __init__(self):",
        "        super().__init__()",
        *(f"        {line}" for line in init),
        "",
        f"    def forward(self, {', '.join(arguments)}):",
        *(f"        {line}" for line in forward),
    ]
    return "\n".join(lines) + "\n"


def _used(init: list[str], forward: list[str]) -> list[str]:
    """The lines without layers that no other line calls."""
    while True:
        text = "\n".join([*init, *forward])
        kept = [line for line in init if _times(line, text) > 1]
        if len(kept) == len(init):
            return init
        init = kept


def _times(line: str, text: str) -> int:
    made = re.match(r"(self\.\w+) = |self\.register_buffer\(\"(\w+)\"", line)
    if made is None:
        return 2
    name = made[1] or f"self.{made[2]}"
    return len(re.findall(rf"{re.escape(name)}\b", text)) + (made[1] is None)


def built(net: Drawn) -> nn.Module:
    """The module that the text makes, with weights and statistics away from 0 and 1."""
    name = f"<network {net.seed}>"
    linecache.cache[name] = (len(net.source), None, net.source.splitlines(True), name)
    space: dict[str, object] = {"__name__": f"network_{net.seed}"}
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(net.seed)
        exec(compile(net.source, name, "exec"), space)
        model: nn.Module = space["Net"]()  # type: ignore[operator]
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() < 2 and parameter.is_floating_point():
                    parameter.add_(0.3 * torch.randn(parameter.shape))
            for key, buffer in model.named_buffers():
                if key.endswith("running_mean"):
                    buffer.normal_(0, 0.5)
                elif key.endswith("running_var"):
                    buffer.uniform_(0.5, 1.5)
    if net.float64:
        kept = [m for n, m in model.named_modules() if n.rpartition(".")[2].startswith("single")]
        model.double()
        for module in kept:
            module.float()
    if net.seed % 4 == 0:
        for parameter in list(model.parameters())[::2]:
            parameter.requires_grad_(False)
    return model.train(net.training)


def wrapped(net: Drawn, model: nn.Module) -> nn.Module:
    """The module as its user has it: within a wrapper, or as it is."""
    if net.wrapper == "AveragedModel":
        try:
            return torch.optim.swa_utils.AveragedModel(model).train(net.training)
        except RuntimeError:
            return model  # PyTorch copies no module whose weights old-style hooks have made
    if net.wrapper == "DataParallel":
        return nn.DataParallel(model)
    return torch.compile(model) if net.wrapper == "torch.compile" else model


def inside(model: nn.Module) -> nn.Module:
    """The module within a wrapper."""
    return getattr(model, "module", getattr(model, "_orig_mod", model))
