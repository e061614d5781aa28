"""Ablation curves against the obvious way: one hook, one mask, one full forward pass each.

Both run here and then, in this process, on the same network, examples, batches and masks: 7
proportions, 3 draws, every site alone and all together. Prints the median seconds of five runs of
each, their ratio, the seconds that ``trace`` takes once per network, and in how many of all
(example, mask) pairs the two disagree whether the label changed (two scores that tie within
rounding may fall either way).

    python benchmarks/ablation.py
    python benchmarks/ablation.py --nets dense --repeats 3
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from frivolous.ablation import FRACTIONS, ablation_curves, permutation
from frivolous.network import trace

DRAWS = 3


def dense() -> tuple[nn.Sequential, tuple[int, ...], int, int]:
    """A dense network: layers, shape of an example, examples, batch size."""
    net = nn.Sequential(
        nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    )
    return net, (784,), 2000, 250


def convolutional() -> tuple[nn.Sequential, tuple[int, ...], int, int]:
    """The papers' small AlexNet at a quarter of its width, on 32 x 32 images."""
    net = nn.Sequential(
        *(nn.Conv2d(3, 24, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)),
        nn.LocalResponseNorm(5),
        *(nn.Conv2d(24, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)),
        nn.LocalResponseNorm(5),
        nn.Flatten(),
        *(nn.Linear(64 * 8 * 8, 96), nn.ReLU(), nn.Linear(96, 48), nn.ReLU(), nn.Linear(48, 10)),
    )
    return net, (3, 32, 32), 128, 64


NETS = {"dense": dense, "convolutional": convolutional}


@torch.no_grad()
def peer(net: nn.Sequential, batches: list[Tensor]) -> dict[str, np.ndarray]:
    """Counts of unchanged labels with a forward hook at every ReLU."""
    layers = [i for i, layer in enumerate(net) if isinstance(layer, nn.ReLU)]
    widths = [_width(net[i - 1]) for i in layers]
    masks: dict[int, Tensor] = {}
    hooks = [
        net[i].register_forward_hook(
            lambda _, __, value, i=i: value * masks[i] if i in masks else value
        )
        for i in layers
    ]
    intact = [net(batch).argmax(1) for batch in batches]
    groups = {str(i - 1): [depth] for depth, i in enumerate(layers)}
    groups["all"] = list(range(len(layers)))
    counts = {}
    for name, depths in groups.items():
        counts[name] = np.zeros((DRAWS, len(FRACTIONS)), dtype=np.int64)
        for draw in range(DRAWS):
            for column, fraction in enumerate(FRACTIONS):
                masks.clear()
                for depth in depths:
                    units = widths[depth]
                    mask = torch.ones(units)
                    mask[permutation(units, 0, draw, depth)[: int(fraction * units)]] = 0
                    conv = isinstance(net[layers[depth] - 1], nn.Conv2d)
                    masks[layers[depth]] = mask.view(-1, 1, 1) if conv else mask
                counts[name][draw, column] = sum(
                    int((net(batch).argmax(1) == label).sum())
                    for batch, label in zip(batches, intact, strict=True)
                )
    for hook in hooks:
        hook.remove()
    return counts


def _width(layer: nn.Module) -> int:
    return int(layer.weight.shape[0])


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Median wall-clock seconds, after one run to warm up."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Print one line per network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--stack-bytes", type=int, default=None, help="0: masks one by one")
    parser.add_argument("--threads", type=int, default=None, help="of torch; default: its own")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {options.repeats} runs")
    print(
        f"{'network':14} {'ours s':>8} {'peer s':>8} {'ratio':>6} {'trace s':>8} "
        f"{'differing labels':>20}"
    )
    for name in options.nets:
        torch.manual_seed(0)
        net, shape, examples, size = NETS[name]()
        net.eval()
        inputs = torch.randn(examples, *shape, generator=torch.Generator().manual_seed(1))
        batches = list(inputs.split(size))

        network = trace(net, batches[0])
        reading = seconds(lambda net=net, example=batches[0]: trace(net, example), 1)

        def ours(network=network, batches=batches):
            return ablation_curves(network, batches, draws=DRAWS, stack_bytes=options.stack_bytes)

        counts = {site: curve.unchanged for site, curve in ours().items()}
        expected = peer(net, batches)
        differing = sum(int(np.abs(counts[site] - expected[site]).sum()) for site in expected)
        pairs = examples * DRAWS * len(FRACTIONS) * len(expected)
        mine = seconds(ours, options.repeats)
        theirs = seconds(lambda net=net, batches=batches: peer(net, batches), options.repeats)
        print(
            f"{name:14} {mine:8.3f} {theirs:8.3f} {theirs / mine:6.2f} {reading:8.3f} "
            f"{f'{differing} of {pairs}':>20}"
        )


if __name__ == "__main__":
    main()
