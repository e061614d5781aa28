"""Ablation curves against the obvious way: one hook, one mask, one full forward pass each.

All run here, in turn, in this process, on the same network, examples, batches and masks: 7
proportions, 3 draws, every site alone and all together. Medians of ``--repeats``; ``--clock cpu``
(the default) counts the processor time of all threads, of which there is one unless ``--threads``
says otherwise.

Multiply-adds are those of matrix products and convolutions, counted as they run. ``floor`` is the
fewest that give the same numbers without shortcuts of algebra: one intact pass; then, for each draw
and proportion, what lies after the site, without the products that read or make silenced units.
Nothing is done anew for proportion 0, and for proportion 1 it is done once, whatever the draw.
``done`` is ours over the floor, ``peer done`` the peer's over ours; ``of one product`` is our time
over the time that our multiply-adds take in one large float32 product, measured in every turn.

``trace s`` is what reading the network takes, once. ``differing labels`` counts the (example, mask)
pairs on which the two disagree whether the label changed: scores that tie within rounding.

    python benchmarks/ablation.py
    python benchmarks/ablation.py --nets dense --repeats 5
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from networks import Subject, alexnet, convolutional, dense, product_speed, resnet56
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from frivolous.ablation.curves import FRACTIONS, ablation_curves, permutation
from frivolous.network import Network, trace

DRAWS = 3
CLOCKS = {"cpu": time.process_time, "wall": time.perf_counter}

#: Network -> how it is made, how many examples it is given, and in batches of how many.
NETS: dict[str, tuple[Callable[[], Subject], int, int]] = {
    "dense": (dense, 2000, 250),
    "convolutional": (convolutional, 128, 64),
    "alexnet": (alexnet, 16, 16),
    "resnet56": (resnet56, 8, 8),
}


@torch.no_grad()
def peer(subject: Subject, network: Network, batches: list[Tensor]) -> dict[str, np.ndarray]:
    """Counts of unchanged labels with a hook that silences at every site."""
    net, masks = subject.net, dict[str, Tensor]()
    hooks = [silenced(subject, site.name, masks) for site in network.sites]
    intact = [net(batch).argmax(1) for batch in batches]
    groups = {site.name: [site] for site in network.sites} | {"all": list(network.sites)}
    counts = {}
    for name, sites in groups.items():
        counts[name] = np.zeros((DRAWS, len(FRACTIONS)), dtype=np.int64)
        for draw in range(DRAWS):
            for column, fraction in enumerate(FRACTIONS):
                masks.clear()
                for site in sites:
                    mask = torch.ones(site.width)
                    order = permutation(site.width, 0, draw, site.depth)
                    mask[order[: int(fraction * site.width)]] = 0
                    mask = mask.to(batches[0].device)
                    masks[site.name] = mask.view(-1, *[1] * len(site.positions))
                counts[name][draw, column] = sum(
                    int((net(batch).argmax(1) == label).sum())
                    for batch, label in zip(batches, intact, strict=True)
                )
    for hook in hooks:
        hook.remove()
    return counts


def silenced(subject: Subject, site: str, masks: dict[str, Tensor]):
    """A hook that applies the mask of a site, if there is one."""
    place = subject.places[site]
    module = subject.net.get_submodule(place.module)

    def masked(value: Tensor) -> Tensor:
        return value * masks[site] if site in masks else value

    if place.input:
        return module.register_forward_pre_hook(lambda _, given: (masked(given[0]), *given[1:]))
    return module.register_forward_hook(lambda _, __, value: masked(value))


def multiply_adds(network: Network) -> dict[int, int]:
    """The multiply-adds of every step that has some, per example."""
    program, found = network.program, {}
    for step in program.steps:
        if step.op in {"conv2d", "linear"}:
            weight = network.state[program.states[step.needs[1]]]
            found[step.index] = np.prod(program.shape_of(step.index, 1)) * weight[0].numel()
    return found


def fewest(network: Network, kept: dict[str, float], costs: dict[int, int]) -> float:
    """The fewest multiply-adds after these sites, of whose units such shares are kept."""
    program = network.program
    shares = {network.places[site]: share for site, share in kept.items()}
    fixed = program.states.keys() | program.constants.keys() | program.sizes.keys()
    read: dict[int, float] = dict(shares)  # the share of a value's units that may not be zero
    reading: dict[int, float] = {}  # the same of what a product reads
    for step in program.steps:
        values = [need for need in step.needs if need not in fixed]
        if not read.keys().isdisjoint(values):
            share = max(read.get(value, 1.0) for value in values)
            if step.index in costs:
                reading[step.index], share = share, 1.0
            read[step.index] = min(share, shares.get(step.index, 1.0))
    asked = {program.output: 1.0}  # the share of a value's units that anybody reads
    for step in reversed(program.steps):
        asked[step.index] = min(asked.get(step.index, 0.0), shares.get(step.index, 1.0))
        share = 1.0 if step.index in costs else asked[step.index]
        for need in step.needs:
            asked[need] = max(asked.get(need, 0.0), share)
    return sum(costs[step] * share * asked[step] for step, share in reading.items())


def floor(network: Network) -> float:
    """The fewest multiply-adds of all curves, per example; see the top of this file."""
    costs = multiply_adds(network)
    total = float(sum(costs.values()))
    for sites in [[site] for site in network.sites] + [list(network.sites)]:
        for fraction in FRACTIONS[1:]:
            kept = {site.name: 1 - int(fraction * site.width) / site.width for site in sites}
            total += fewest(network, kept, costs) * (1 if fraction == 1 else DRAWS)
    return total


def counted(work: Callable[[], object]) -> tuple[object, float]:
    """What some work returns, and its multiply-adds."""
    with FlopCounterMode(display=False) as counter:
        found = work()
    return found, counter.get_total_flops() / 2


def compare(name: str, options: argparse.Namespace) -> None:
    """Print a network's line."""
    clock = CLOCKS[options.clock]
    torch.manual_seed(0)
    make, examples, size = NETS[name]
    subject = make()
    batches = list(subject.inputs(examples).split(size))
    start = clock()
    network = trace(subject.net, batches[0])
    reading = clock() - start

    def ours() -> dict[str, np.ndarray]:
        curves = ablation_curves(network, batches, draws=DRAWS, stack_bytes=options.stack_bytes)
        return {site: curve.unchanged for site, curve in curves.items()}

    def theirs() -> dict[str, np.ndarray]:
        return peer(subject, network, batches)

    (counts, done), (expected, peer_done) = counted(ours), counted(theirs)
    one_pass = counted(lambda: network(batches[0]))[1]
    assert one_pass == sum(multiply_adds(network).values()) * len(batches[0])
    differing = sum(int(np.abs(counts[site] - expected[site]).sum()) for site in expected)
    pairs = examples * DRAWS * len(FRACTIONS) * len(expected)
    times: dict[str, list[float]] = {"ours": [], "peer": [], "product": []}
    for _ in range(options.repeats):
        for side, work in (("ours", ours), ("peer", theirs)):
            start = clock()
            work()
            times[side].append(clock() - start)
        times["product"].append(1 / product_speed(clock))
    took = {side: statistics.median(taken) for side, taken in times.items()}
    least = floor(network) * examples
    print(
        f"{name:14} {took['ours']:8.3f} {took['peer']:8.3f} {took['peer'] / took['ours']:6.2f} "
        f"{done / 1e9:9.1f} {least / 1e9:9.1f} {done / least:6.2f} {peer_done / done:9.2f} "
        f"{took['ours'] / (done * took['product']):14.2f} {reading:8.2f}   "
        f"{differing} of {pairs}",
        flush=True,
    )


def main() -> None:
    """Print one line per network."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--stack-bytes", type=int, default=None, help="0: masks one by one")
    parser.add_argument("--clock", choices=CLOCKS, default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    trace(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)), torch.zeros(2, 2))  # imports
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, medians of "
        f"{options.repeats}, {options.clock} seconds; G: 1e9 multiply-adds"
    )
    print(
        f"{'network':14} {'ours s':>8} {'peer s':>8} {'ratio':>6} {'done G':>9} {'floor G':>9} "
        f"{'done':>6} {'peer done':>9} {'of one product':>14} {'trace s':>8}   differing labels"
    )
    for name in options.nets:
        compare(name, options)


if __name__ == "__main__":
    main()
