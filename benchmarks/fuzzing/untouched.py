"""Everything of a module, and of torch, that the library has to leave as it was."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import rich.style  # noqa: F401 - it draws a random number when it is first imported
import torch
from torch import nn

HOOKS = [name for name in vars(nn.Module()) if "hooks" in name]


class Picture:
    """How a module is now; ``changes`` says what has changed since."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.tensors = {name: tensor.detach().clone() for name, tensor in _tensors(model).items()}
        self.facts = _facts(model)

    def changes(self) -> list[str]:
        """What is no longer as it was, by name."""
        found = []
        now, facts = _tensors(self.model), _facts(self.model)
        for name in {**self.tensors, **now}:
            old, new = self.tensors.get(name), now.get(name)
            if old is None or new is None:
                found.append(f"tensor {name} {'added' if old is None else 'removed'}")
            elif not torch.equal(old.nan_to_num(), new.detach().nan_to_num()):
                found.append(f"values of {name}")
        found += [
            f"{key}" for key in {**self.facts, **facts} if self.facts.get(key) != facts.get(key)
        ]
        return found


def _tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    return {
        **dict(model.named_parameters(remove_duplicate=False)),
        **dict(model.named_buffers(remove_duplicate=False)),
    }


def _facts(model: nn.Module) -> dict[str, Any]:
    found: dict[str, Any] = {
        "random numbers of torch": torch.get_rng_state().sum().item(),
        "random numbers of Python": hash(random.getstate()),
        "random numbers of numpy": hash(np.random.get_state()[1].tobytes()),  # noqa: NPY002
        "gradients on": torch.is_grad_enabled(),
        "default type": torch.get_default_dtype(),
        "fast path of attention": torch.backends.mha.get_fastpath_enabled(),
        "threads": torch.get_num_threads(),
    }
    for name, tensor in _tensors(model).items():
        found[f"tensor {name}"] = (id(tensor), tensor._version, tensor.requires_grad, tensor.grad)
    for name, module in model.named_modules(remove_duplicate=False):
        where = name or "the model"
        found[f"mode of {where}"] = module.training
        found[f"hooks of {where}"] = [list(getattr(module, hooks)) for hooks in HOOKS]
        for key, value in vars(module).items():
            plain = isinstance(value, int | float | str | bool | type(None) | tuple)
            found[f"attribute {key} of {where}"] = value if plain else id(value)
    return found
