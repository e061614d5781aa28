"""How long a module takes and how much memory, measured."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from frivolous.compression.workbench import Workbench
from frivolous.network.inputs import Inputs

REPEATS = 15
"""Runs of which the latency is the median."""
SECONDS = 2.0
"""Time after which no further run is begun."""


def repeated(inputs: Inputs, examples: int) -> Inputs:
    """A batch of so many examples, made of those given again and again."""

    def one(part: Tensor) -> Tensor:
        times = -(-examples // len(part))
        return part.repeat(times, *(1 for _ in part.shape[1:]))[:examples]

    if isinstance(inputs, Tensor):
        return one(inputs)
    if isinstance(inputs, Mapping):
        return {name: one(part) for name, part in inputs.items()}
    return tuple(one(part) for part in inputs)


def latency_of(bench: Workbench, module: nn.Module, inputs: Inputs) -> float:
    """Seconds that a batch takes, the median of up to 15 runs after a first one."""
    times: list[float] = []
    began = time.perf_counter()
    for turn in range(REPEATS + 1):
        start = time.perf_counter()
        bench.scores(module, inputs)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        if turn:
            times.append(time.perf_counter() - start)
        if times and time.perf_counter() - began > SECONDS:
            break
    return statistics.median(times)


def memory_of(bench: Workbench, module: nn.Module, inputs: Inputs) -> int:
    """Bytes of the parameters, the buffers and the most tensors alive at once for a batch.

    Tensors that operations give are counted from then until nothing refers to them.
    """
    own = {id(t): t.numel() * t.element_size() for t in (*module.parameters(), *module.buffers())}
    with _Alive() as alive:
        bench.scores(module, inputs)
    return sum(own.values()) + alive.most


class _Alive(TorchDispatchMode):
    """Counts the bytes of storages that are alive among those that operations made."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        import weakref

        given = func(*args, **(kwargs or {}))
        for tensor in given if isinstance(given, tuple | list) else [given]:
            if not isinstance(tensor, Tensor) or tensor.device.type == "meta":
                continue
            storage = tensor.untyped_storage()
            key = storage.data_ptr()
            if key in self.known or any(
                isinstance(a, Tensor) and a.untyped_storage().data_ptr() == key for a in args
            ):
                continue
            size = storage.nbytes()
            self.known.add(key)
            self.now += size
            self.most = max(self.most, self.now)
            weakref.finalize(storage, self._gone, key, size)
        return given

    def _gone(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.now -= size
