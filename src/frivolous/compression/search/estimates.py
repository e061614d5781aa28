"""Estimate how long a stage will take and how much memory, to within a factor of two.

From the time of one example in the whole network, from sizes, and from one timed matrix product.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import torch

from frivolous.compression.criteria.calibration import (
    GRADIENT_EXAMPLES,
    features_per_unit,
    samples_of,
)
from frivolous.compression.pruner import Pruner
from frivolous.compression.reconstruction.layerwise import CG_ITERATIONS, ROWS, examples_for
from frivolous.inputs.batches import Batches
from frivolous.inputs.progress import duration

BACKWARD = 3.0
"""Time of values and gradients as a multiple of that of values alone."""
MATRICES = 4
"""Matrices (features, features) held for each reader: sums, products and work."""
PRODUCT = 512


def estimate_statistics(pruner: Pruner, batches: Batches, seconds: float, fine: bool) -> str:
    """Time and memory of a pass that collects every reader's moments.

    ``seconds`` is the time of one example; ``fine`` says that layers are fitted once more later.
    """
    examples = batches.examples
    multiply_adds = float(pruner.sizes().both([cut.units for cut in pruner.cuts])[1])
    fitted = examples_for(multiply_adds, examples) if fine else GRADIENT_EXAMPLES
    differentiated = min(examples, fitted)
    work = memory = 0.0
    for features, places in _features(pruner):
        work += min(samples_of(features), examples * places) * features**2
        memory += MATRICES * 8.0 * features**2
    passes = seconds * (examples + (BACKWARD - 1) * differentiated)
    return _told(passes + work * _seconds_per_product(pruner.network.device), memory)


def estimate_search(
    pruner: Pruner, shares: Sequence[float], examples: int, seconds: float, *, fine: bool = True
) -> str:
    """Time to test at most ``len(shares)`` networks, whose sizes are ``shares`` of the whole.

    Each is tested on ``examples``, with ``fine`` after its layers were fitted once more.
    """
    fits = 0.0
    targets = pruner.targets if fine else []
    for target in targets:
        rows, outputs = min(ROWS, len(target.output_NR)), target.output_NR.shape[1]
        features = pruner.network.state[target.read.weight].numel() // outputs
        fits += rows * features**2 / 2 + 4 * (CG_ITERATIONS + 1) * rows * features * outputs
    fits *= _seconds_per_product(pruner.network.device)
    passes = seconds * (examples + pruner.fitted * bool(targets))
    count = len(shares)
    time_left = sum(share * (passes + fits) for share in shares)
    return f"at most {count} network{'s' * (count != 1)}, {_told(time_left, 0.0)}"


def _features(pruner: Pruner) -> list[tuple[int, int]]:
    """The number of features of each reader's moments, and of positions per example.

    Readers of the same features are counted once.
    """
    steps = {step.index: step for step in pruner.network.program.steps}
    found: dict[tuple[str, int, int], tuple[int, int]] = {}
    for cut in pruner.cuts:
        for read in cut.reads:
            per_unit = features_per_unit(pruner.network, cut, read, steps[read.step])
            shape = pruner.network.program.shape_of(read.value, 1)
            places = max(1, math.prod(shape) // shape[read.axis])
            found[cut.name, read.value, per_unit] = cut.units * per_unit, places
    return list(found.values())


def _seconds_per_product(device: torch.device) -> float:
    """Seconds per multiply-add of a float64 matrix product, the faster of two runs."""
    matrix = torch.ones(PRODUCT, PRODUCT, dtype=torch.float64, device=device)
    taken = []
    for _ in range(2):
        began = time.perf_counter()
        float((matrix @ matrix)[0, 0])
        taken.append(time.perf_counter() - began)
    return min(taken) / PRODUCT**3


def _told(seconds: float, memory: float) -> str:
    size = f"{memory / 1e9:.1f} GB" if memory >= 1e8 else f"{memory / 1e6:.0f} MB"
    return f"about {duration(max(seconds, 1.0))}" + (f" and {size}" if memory else "")
