"""Training networks for images: our loop against the plain PyTorch loop with a ``DataLoader``.

Images per second, batches of 128 in float32, augmentation as in the papers, evaluation left out on
both sides. The plain loop's data handling is the faster of no worker and two; ``ready`` is the
plain loop given batches that are prepared already. Sides take turns, ``--updates`` each; medians
are of --repeats turns. ``products`` is how long our update takes, over how long its matrix
products would at the speed of one large product.

``--clock cpu`` counts this process's processor time, not the wall's: for a busy machine, with
OMP_NUM_THREADS=1. Workers then count for nothing, so that only none is tried.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Iterator

import torch
from plain_images import PlainAlexNet, plain_loader, plain_resnet56
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from frivolous.data import Examples
from frivolous.families import FAMILIES
from frivolous.training.single.determinism import controlled
from frivolous.training.single.heartbeat import Heartbeat
from frivolous.training.single.loader import BatchLoader, layout_for, placed
from frivolous.training.single.process_group import SingleProcess
from frivolous.training.single.recipe import LoopRecipe
from frivolous.training.single.train import _lay_out
from frivolous.training.single.trainer import Trainer

BATCH = 128
CPU = torch.device("cpu")
PLAIN = {"alexnet": PlainAlexNet, "resnet56": plain_resnet56}
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def data() -> tuple[Tensor, Tensor]:
    """Return random images of bytes and labels."""
    drawn = torch.Generator().manual_seed(0)
    images = torch.randint(256, (20 * BATCH, 3, 32, 32), generator=drawn, dtype=torch.uint8)
    return images, torch.randint(10, (len(images),), generator=drawn)


def ours(
    family: str, factor: float, images: Tensor, labels: Tensor, device: torch.device = CPU
) -> Callable[[int], None]:
    """Return an action that does so many of our updates."""
    recipe = LoopRecipe(
        learning_rate=0.01,
        batch_size=BATCH,
        epochs=1_000,
        shuffle=True,
        preparation=f"{family}-augmented",
    )
    model, processes = FAMILIES[family].build(factor).to(device), SingleProcess()
    examples = Examples(images, labels)
    _lay_out(model, layout_for(device, recipe.precision))
    feed = BatchLoader(examples, recipe, 0, device, processes)
    run = Trainer(model, feed, placed(examples, device), processes=processes, compiled=False)

    def update(count: int) -> None:
        with controlled(device):
            run._train_to(run.update + count, Heartbeat(processes, None, None, 60.0))

    return update


def plain(
    family: str,
    factor: float,
    batches: Iterator[tuple[Tensor, Tensor]],
    device: torch.device = CPU,
) -> Callable[[int], None]:
    """Return an action that does so many updates of the plain loop."""
    model = PLAIN[family](factor).to(device)
    optimiser = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)

    def update(count: int) -> None:
        for images, labels in itertools.islice(batches, count):
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(model(images.to(device)), labels.to(device))
            loss.backward()
            optimiser.step()
            loss.item()

    return update


def endless(loader: object) -> Iterator[tuple[Tensor, Tensor]]:
    """Give a loader's batches pass after pass."""
    while True:
        yield from loader  # type: ignore[misc]


def product_speed(clock: Callable[[], float]) -> float:
    """Return multiply-adds per second of one large float32 product."""
    a = torch.randn(1024, 1024)
    times = []
    for _ in range(15):
        start = clock()
        a @ a
        times.append(clock() - start)
    return 1024**3 / statistics.median(times)


def products(family: str, factor: float) -> float:
    """Return the multiply-adds of one update's matrix products."""
    model = FAMILIES[family].build(factor)
    with FlopCounterMode(display=False) as counter:
        model(torch.randn(BATCH, 3, 32, 32)).sum().backward()
    return counter.get_total_flops() / 2


def main() -> None:
    """Print one line per network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=["alexnet:0.25", "resnet56:0.25"])
    parser.add_argument("--updates", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    options = parser.parse_args()
    clock = CLOCKS[options.clock]
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {options.clock} clock")
    print("medians in images per second; ratios are ours to the plain loop's")
    images, labels = data()
    for network in options.networks:
        family, factor = network.split(":")
        sides = {"ours": ours(family, float(factor), images, labels)}
        workers = (0, 2) if options.clock == "wall" else (0,)
        for count in workers:
            batches = endless(plain_loader(images, labels, family, BATCH, count))
            sides[f"plain, {count} workers"] = plain(family, float(factor), batches)
        loader = plain_loader(images, labels, family, BATCH, 0)
        ready = itertools.cycle(list(itertools.islice(iter(loader), 4)))
        sides["plain, ready"] = plain(family, float(factor), ready)
        speeds = _speeds(sides, options.updates, options.repeats, clock)
        least = products(family, float(factor)) / product_speed(clock)
        best = max(speed for side, speed in speeds.items() if "workers" in side)
        print(
            f"{network}: "
            + ", ".join(f"{side} {speed:.0f}" for side, speed in speeds.items())
            + f"; ratio {speeds['ours'] / best:.2f}, to ready "
            f"{speeds['ours'] / speeds['plain, ready']:.2f}, "
            f"to its products {BATCH / speeds['ours'] / least:.1f}",
            flush=True,
        )


def _speeds(
    sides: dict[str, Callable[[int], None]],
    updates: int,
    repeats: int,
    clock: Callable[[], float],
) -> dict[str, float]:
    times: dict[str, list[float]] = {side: [] for side in sides}
    for update in sides.values():
        update(1)
    for _ in range(repeats):
        for side, update in sides.items():
            start = clock()
            update(updates)
            times[side].append(clock() - start)
    return {side: updates * BATCH / statistics.median(taken) for side, taken in times.items()}


if __name__ == "__main__":
    main()
