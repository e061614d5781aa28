"""Training fig4d's networks: one cohort against one plain PyTorch loop per network.

For each input dimension and width: the cohort trains the cell's 15 networks (5 learning rates, 3
seeds); the plain loop trains one network of the cell, and its time counts 15 times (its networks
take equally long). The two take turns; medians are of --repeats turns. Both validate every epoch
and keep the best state. The last column is the time of the matrix products that the cohort cannot
do without, at the speed of one large product measured just before.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from plain_loop import plain_loop

from frivolous.studies import STUDIES
from frivolous.studies.runs.train_dense import initial_states, model_of, splits_of
from frivolous.studies.study import Cell
from frivolous.training.cohort.train import train_cohort


def seconds(action: Callable[[], object]) -> float:
    """Return how long an action takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def product_speed() -> float:
    """Return multiply-adds per second of one large float32 product."""
    a = torch.randn(2048, 2048)
    a @ a
    return 2048**3 / statistics.median(seconds(lambda: a @ a) for _ in range(5))


def products(cell: Cell, networks: int) -> float:
    """Return the multiply-adds of the first layer's products of a cohort."""
    spec = cell.prototype
    wide = spec.family.inputs > spec.data.train
    inputs = min(spec.family.inputs, spec.data.train)
    looks = (spec.training.epochs + 1) * spec.data.validation
    updates = spec.training.epochs * spec.training.updates_per_epoch * spec.training.batch_size
    # Narrow inputs need a product for the gradient too; wide ones do not.
    return float(networks * cell.width * inputs * (looks + updates * (1 if wide else 2)))


def cell_times(cell: Cell, repeats: int) -> tuple[float, float]:
    """Return the median seconds of the cell by a cohort and by plain loops."""
    specs = list(cell.search_ids.values())
    data, states = splits_of(specs[0].data), initial_states(specs)
    recipes = [spec.training for spec in specs]
    model = model_of(specs[0])
    model.load_state_dict(states[0])

    def cohort() -> None:
        list(train_cohort(states, recipes, data))

    def plain() -> None:
        plain_loop(model, recipes[1], data)

    pairs = [(seconds(cohort), seconds(plain)) for _ in range(repeats)]
    ours = statistics.median(pair[0] for pair in pairs)
    theirs = statistics.median(pair[1] for pair in pairs)
    return ours, theirs * len(specs)


def main() -> None:
    """Print one line per cell and the whole."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--study", default="fig4d")
    options = parser.parse_args()
    speed = product_speed()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {speed / 1e9:.0f} G/s")
    print("inputs  width  networks  cohort s  plain s (x networks)  ratio  products s")
    whole = {"cohort": 0.0, "plain": 0.0}
    curves = {curve.inputs: curve.name for curve in STUDIES[options.study].curves}
    for cell in STUDIES[options.study].cells():
        if cell.curve not in curves.values():
            continue
        ours, theirs = cell_times(cell, options.repeats)
        whole["cohort"] += ours
        whole["plain"] += theirs
        least = products(cell, cell.networks) / speed
        print(
            f"{cell.prototype.family.inputs:6}  {cell.width:5}  {cell.networks:8}  {ours:8.2f}  "
            f"{theirs:20.1f}  {theirs / ours:5.1f}  {least:10.2f}",
            flush=True,
        )
    ratio = whole["plain"] / whole["cohort"]
    print(f"all: cohort {whole['cohort']:.1f} s, plain {whole['plain']:.1f} s, ratio {ratio:.1f}")


if __name__ == "__main__":
    main()
