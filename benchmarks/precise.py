"""Ablation curves to a precision against all examples, and against a hook and a full pass per mask.

A network is trained here for a minute on shifted and noisy digits, so that its curves fall as a
trained network's do, and measured on ``--examples`` others. All sides find the curves of the same
sites, each alone and all together, at 7 proportions with 3 draws. ``precise`` stops each curve as
soon as the bounds of its prunable units are within ``--precision`` of the units; ``all`` and
``hooks`` use every example: they are timed on ``--timed`` of them and scaled, since their time is
the same for each. Medians of ``--repeats`` in processor seconds of one thread, sides in turn.

``taken`` is the least, median and largest number of examples that a curve took, ``reached`` how
many curves got to the precision, ``inside`` how many of their bounds hold what all examples give.

    python benchmarks/precise.py
    python benchmarks/precise.py --nets dense --precision 0.02
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from types import SimpleNamespace

import networks
import numpy as np
import torch
from torch import Tensor, nn

import ablation
from frivolous.ablation.curves import FRACTIONS, ablation_curves
from frivolous.ablation.sequential import precise_curves
from frivolous.data import digits
from frivolous.inputs.batches import as_batches
from frivolous.measures import curve
from frivolous.network import Network, trace
from frivolous.rng import generator

#: Network -> how it is made, updates of training, examples per update, sites and batches measured.
NETS: dict[str, tuple[Callable[[], networks.Subject], int, int, int | None, int]] = {
    "dense": (networks.dense, 400, 64, None, 256),
    "convolutional": (networks.convolutional, 150, 32, None, 64),
    "resnet56": (networks.resnet56, 120, 32, 4, 32),
}
SIDE = {"dense": 28, "convolutional": 32, "resnet56": 32}


def images(count: int, shape: tuple[int, ...], side: int, seed: int) -> tuple[Tensor, Tensor]:
    """Digits drawn anew: enlarged, shifted by up to an eighth and with noise; and their labels."""
    splits = digits(seed=0, size=side)
    data = splits.train if seed == 0 else splits.test
    random = generator("shifted digits", seed)
    index = torch.randint(len(data), (count,), generator=random)
    most = side // 8
    shifts = torch.randint(-most, most + 1, (count, 2), generator=random).tolist()
    drawn = torch.stack(
        [
            torch.roll(data.inputs[at], tuple(shift), dims=(1, 2))
            for at, shift in zip(index.tolist(), shifts, strict=True)
        ]
    ).float()
    drawn = drawn / 128 - 1 + 0.5 * torch.randn(drawn.shape, generator=random)
    drawn = drawn.expand(-1, 3, -1, -1) if len(shape) == 3 else drawn.flatten(1)
    return drawn.contiguous(), data.labels[index]


def train(net: nn.Module, x: Tensor, y: Tensor, updates: int, size: int) -> None:
    """Train in place by Adam."""
    optimiser = torch.optim.Adam(net.parameters(), 1e-3)
    net.train()
    for start in range(0, updates * size, size):
        chosen = torch.arange(start, start + size) % len(x)
        loss = nn.functional.cross_entropy(net(x[chosen]), y[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    net.eval()


def seconds(work: Callable[[], object]) -> float:
    """Processor seconds of one run."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    """Print one line per network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    parser.add_argument("--examples", type=int, default=10_000)
    parser.add_argument("--precision", type=float, default=0.01)
    parser.add_argument("--timed", type=int, default=256, help="examples of the other two sides")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"torch {torch.__version__}, one thread, {options.examples:,} examples, precision "
        f"{options.precision:g}, medians of {options.repeats}"
    )
    head = ("precise s", "all s", "hooks s", "all/precise", "hooks/precise")
    print(f"{'network':14}{'accuracy':>9}" + "".join(f"{word:>14}" for word in head), end="")
    print(f"{'taken':>20}{'reached':>9}{'inside':>8}")
    for name in options.nets:
        make, updates, size, few, batch = NETS[name]
        torch.manual_seed(0)
        subject = make()
        train(subject.net, *images(updates * size, subject.shape, SIDE[name], 0), updates, size)
        x, y = images(options.examples, subject.shape, SIDE[name], 1)
        _line(name, subject, (x, y), few, batch, options)


def _line(
    name: str,
    subject: networks.Subject,
    data: tuple[Tensor, Tensor],
    few: int | None,
    batch: int,
    options: argparse.Namespace,
) -> None:
    x, y = data
    network = trace(subject.net, x[:2])
    sites = [site.name for site in network.sites]
    if few is not None:
        sites = [sites[int(at)] for at in np.linspace(0, len(sites) - 1, few).round()]
    batches = as_batches(x, batch_size=batch)
    accuracy = float(torch.cat([network(part) for part in batches]).argmax(1).eq(y).float().mean())
    timed = x[: options.timed].split(batch)

    def precise() -> dict:
        options_of = {"fractions": FRACTIONS, "sites": sites, "draws": ablation.DRAWS}
        return precise_curves(network, batches, precision=options.precision, **options_of)

    def hooks() -> None:
        ablation.peer(subject, _only(network, sites), list(timed))

    found = precise()
    times = [
        (
            seconds(precise),
            seconds(lambda: ablation_curves(network, timed, sites=sites, draws=ablation.DRAWS)),
            seconds(hooks),
        )
        for _ in range(options.repeats)
    ]
    ours, whole, peer = (statistics.median(side) for side in zip(*times, strict=True))
    scale = len(x) / options.timed
    whole, peer = whole * scale, peer * scale
    taken = [got.examples for got in found.values()]
    reached = sum(
        got.crossing.high - got.crossing.low <= 2 * options.precision for got in found.values()
    )
    inside = _inside(network, batches, found)
    middle = statistics.median(taken)
    print(
        f"{name:14}{accuracy:>9.3f}{ours:>14.1f}{whole:>14.1f}{peer:>14.1f}{whole / ours:>14.1f}"
        f"{peer / ours:>14.1f}{f'{min(taken)} {middle:.0f} {max(taken)}':>20}"
        f"{f'{reached} of {len(found)}':>9}{inside:>8}",
        flush=True,
    )


def _only(network: Network, sites: list[str]) -> Network:
    """A stand-in for the network that has only these sites."""
    return SimpleNamespace(sites=[network.site(name) for name in sites])


def _inside(network: Network, batches, found: dict) -> str:
    """How many bounds hold the crossing on all examples; for networks where that is cheap."""
    if network.largest_value([network.sites[0].name]) > 2000:
        return "–"
    whole = ablation_curves(network, batches, draws=ablation.DRAWS)
    held = [
        got.crossing.low
        <= curve.prunable_units(FRACTIONS, whole[name].shares, 1)
        <= got.crossing.high
        for name, got in found.items()
    ]
    return f"{sum(held)} of {len(held)}"


if __name__ == "__main__":
    main()
