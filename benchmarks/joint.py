"""The order of joint frivolity beside one Cholesky factorisation and a matrix-at-a-time loop.

All run here, in turn, on the covariance of units of which half follow the other half, in float64.
The loop is what the formula says, in NumPy: after each removal the inverse covariance and the
readers' rows lose a term of rank one. It is left out above 1,024 units.

    python benchmarks/joint.py                         # 256, 1,024, 2,048 and 4,096 units
    python benchmarks/joint.py --widths 256 --repeats 5 --clock cpu

Seconds are medians over ``--repeats``; ``--clock cpu`` counts the processor time of all threads.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from scipy.linalg import lapack

from frivolous.measures.elimination import eliminate
from frivolous.measures.reconstruction import explained

LOOP_UP_TO = 1024


def case(units: int) -> tuple[np.ndarray, np.ndarray]:
    """A covariance of 2 x units samples, and readers of half as many outputs."""
    random = np.random.default_rng(units)
    activity = random.normal(size=(2 * units, units))
    activity[:, units // 2 :] += activity[:, : units - units // 2]
    return np.cov(activity.T), random.normal(size=(units, units // 2))


def loop(covariance: np.ndarray, readers: np.ndarray) -> list[int]:
    """Remove the cheapest unit again and again, whole matrices at a time."""
    inverse, rows = np.linalg.inv(covariance), readers.copy()
    alive, order = np.ones(len(covariance), dtype=bool), []
    for _ in range(len(covariance)):
        cost = np.where(alive, (rows**2).sum(axis=1) / np.diagonal(inverse), np.inf)
        unit = int(cost.argmin())
        share = inverse[:, unit] / inverse[unit, unit]
        rows -= np.outer(share, rows[unit])
        inverse -= np.outer(share, inverse[unit])
        inverse[unit, unit] = 1.0  # no longer asked for
        alive[unit] = False
        order.append(unit)
    return order


def seconds(work: Callable[[], object], repeats: int, clock: Callable[[], float]) -> float:
    """The median time of some work."""
    found = []
    for _ in range(repeats):
        start = clock()
        work()
        found.append(clock() - start)
    return statistics.median(found)


def main() -> None:
    """Print a line per width."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--widths", type=int, nargs="+", default=[256, 1024, 2048, 4096])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    given = parser.parse_args()
    clock = time.perf_counter if given.clock == "wall" else time.process_time
    print(f"{'units':>6} {'order':>9} {'R squared':>9} {'Cholesky':>9} {'loop':>9}   order is")
    for units in given.widths:
        covariance, readers = case(units)
        products = readers @ readers.T

        def cholesky(matrix: np.ndarray = covariance) -> None:
            lapack.dpotrf(np.asfortranarray(matrix), lower=1)

        cholesky()  # the first call wakes the threads
        ours = seconds(lambda c=covariance, p=products: eliminate(c, p), given.repeats, clock)
        fit = seconds(lambda c=covariance: explained(c), given.repeats, clock)
        one = seconds(cholesky, given.repeats, clock)
        words = [f"{ours / one:.1f} Cholesky"]
        peer = float("nan")
        if units <= LOOP_UP_TO:
            peer = seconds(lambda c=covariance, r=readers: loop(c, r), 1, clock)
            same = eliminate(covariance, products).order_U.tolist() == loop(covariance, readers)
            words += [f"{peer / ours:.1f} times as fast as the loop", "same order" * same]
        print(f"{units:>6} {ours:>9.3f} {fit:>9.3f} {one:>9.3f} {peer:>9.3f}   {'; '.join(words)}")


if __name__ == "__main__":
    main()
