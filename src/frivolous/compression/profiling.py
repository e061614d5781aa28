"""Latency and memory of modules, measured on copies."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from scipy.stats import binom
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from frivolous.inputs.batch import Inputs, call_module
from frivolous.network.module.copying import copy_module
from frivolous.network.module.wrappers import uncompiled

PAIRS, FEWEST_PAIRS = 41, 6
"""The most pairs of runs, and the fewest, however long they take."""
SECONDS = 2.0
"""Time after which no further pair of runs is started."""
LEVEL = 0.95


@dataclass(frozen=True)
class Latency:
    """Median seconds for a batch before and after, and the median ratio of paired runs.

    ``low`` and ``high`` bound the median ratio at 95% by order statistics.
    """

    before: float
    after: float
    ratio: float
    low: float
    high: float


def runner(module: nn.Module) -> Callable[[Inputs], object]:
    """A copy of a module as a function of a batch, in evaluation mode and without gradients.

    Whatever its forward pass writes into buffers and attributes stays in the copy.
    """
    own = copy_module(module).eval()

    @torch.no_grad()
    def run(inputs: Inputs) -> object:
        with uncompiled():
            return call_module(own, inputs)

    return run


def latency_of(before: nn.Module, after: nn.Module, inputs: Inputs) -> Latency:
    """Time copies of two modules in turn, so that a busy machine affects both alike.

    One run of each comes first and is not counted; the order within pairs alternates.
    """
    runs = [runner(before), runner(after)]
    pairs: list[tuple[float, float]] = []
    began = time.perf_counter()
    while len(pairs) <= PAIRS and (
        len(pairs) <= FEWEST_PAIRS or time.perf_counter() - began < SECONDS
    ):
        taken = [0.0, 0.0]
        for which in (0, 1) if len(pairs) % 2 else (1, 0):
            start = time.perf_counter()
            runs[which](inputs)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            taken[which] = time.perf_counter() - start
        pairs.append((taken[0], taken[1]))
    return paired(pairs[1:])


def paired(pairs: list[tuple[float, float]]) -> Latency:
    """The medians of both sides and of their ratio, with an interval for the ratio.

    With n ratios in order, the k-th from either end bound their median at 95%, k being the largest
    with P(fewer than k of n fair coins) <= 2.5%; no distribution is assumed. Six pairs are needed.

    >>> paired([(2.0, 1.0)] * 6)
    Latency(before=2.0, after=1.0, ratio=0.5, low=0.5, high=0.5)
    """
    ratios = sorted(after / before for before, after in pairs)
    n = len(ratios)
    k = 1
    while k < n / 2 and binom.cdf(k, n, 0.5) <= (1 - LEVEL) / 2:
        k += 1
    before, after = (statistics.median(side) for side in zip(*pairs, strict=True))
    return Latency(before, after, statistics.median(ratios), ratios[k - 1], ratios[n - k])


def memory_of(module: nn.Module, inputs: Inputs) -> int:
    """Bytes of parameters, buffers and the most tensors alive at once for a batch.

    A tensor that an operation returns counts until nothing refers to it.
    """
    own = {id(t): t.numel() * t.element_size() for t in (*module.parameters(), *module.buffers())}
    run = runner(module)
    with _Alive() as alive:
        run(inputs)
    return sum(own.values()) + alive.most


class _Alive(TorchDispatchMode):
    """Counts the bytes of storages that operations made and that are still alive."""

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
