"""The streaming pass beside its peer: activations in a list, then NumPy and scikit-learn.

Both run here, each in a fresh process, on the same batches of ReLU activations of a network that
costs next to nothing. Both end with the covariance, the correlations and the explained variances
of one dense site. The limit is one float64 (and float32) product ``x.T @ x`` of the same size.

    python benchmarks/activity.py                      # 50,000 x 256, 1,024 and 4,096
    python benchmarks/activity.py --widths 256 1024 --repeats 5

Seconds are medians over ``--repeats`` runs after one warm-up on a tenth of the data; memory is the
peak of the process (ru_maxrss) less what it held after its imports.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

SIDES = ("pass", "peer", "product64", "product32")


class Batches:
    """``examples`` rows in batches, cut from a pool that is small beside them."""

    def __init__(self, examples: int, width: int, batch: int) -> None:
        import torch

        rows = max(batch, width + 904)
        generator = torch.Generator().manual_seed(0)
        self._pool = torch.randn(rows // batch * batch, width, generator=generator)
        self._examples, self._batch = examples, batch

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, self._examples, self._batch):
            at = start % len(self._pool)
            yield self._pool[at : at + min(self._batch, self._examples - start)]


class Cheap:
    """A network of one dense site whose activity is ReLU of the input."""

    def __init__(self, width: int) -> None:
        self.sites = [SimpleNamespace(name="fc", width=width, axis=-1, positions=())]

    def activities(self, inputs: Any, sites: Any = None) -> tuple[Any, dict[str, Any]]:
        value = inputs.relu()
        return value, {"fc": value}


def run_pass(examples: int, width: int, batches: Batches, clock: Callable[[str], None]) -> None:
    from frivolous.measures import redundancy, similarity
    from frivolous.statistics.streaming import collect

    found = collect(Cheap(width), batches, examples=examples)["fc"]
    clock("collect")
    covariance = found.moments().covariance_UU
    clock("cov")
    similarity.correlations(covariance)
    clock("corrcoef")
    redundancy.spectrum(covariance)
    clock("pca")


def run_peer(
    examples: int, width: int, batches: Batches, clock: Callable[[str], None], solver: str
) -> None:
    import numpy as np
    from sklearn.decomposition import PCA

    network, kept = Cheap(width), []
    for inputs in batches:
        kept.append(network.activities(inputs)[1]["fc"].numpy())
    activity_NU = np.concatenate(kept)
    clock("collect")
    np.cov(activity_NU, rowvar=False)
    clock("cov")
    np.corrcoef(activity_NU, rowvar=False)
    clock("corrcoef")
    PCA(svd_solver=solver).fit(activity_NU)
    clock("pca")


def run_product(examples: int, width: int, batches: Batches, clock: Callable[[str], None]) -> None:
    import numpy as np

    x = getattr(run_product, "x", None)
    if x is None or x.shape[0] != examples:
        x = np.concatenate([batch.numpy() for batch in batches]).astype(run_product.dtype)
        run_product.x = x
    clock("set up")
    np.dot(x.T, x)
    clock("product")


def child(side: str, width: int, args: argparse.Namespace) -> None:
    """Run one side at one width and print its seconds per stage and peak memory as JSON."""
    # Imports are neither timed nor counted as memory.
    if side == "peer":
        import sklearn.decomposition  # noqa: F401
    if side == "pass":
        import frivolous.measures  # noqa: F401
    if side.startswith("product"):
        run_product.dtype = {"product64": "float64", "product32": "float32"}[side]

    def once(examples: int) -> dict[str, float]:
        batches = Batches(examples, width, args.batch)
        stages: dict[str, float] = {}
        last = time.perf_counter()

        def clock(stage: str) -> None:
            nonlocal last
            now = time.perf_counter()
            stages[stage], last = now - last, now

        if side == "pass":
            run_pass(examples, width, batches, clock)
        elif side == "peer":
            run_peer(examples, width, batches, clock, args.solver)
        else:
            run_product(examples, width, batches, clock)
        return stages

    # Before the warm-up, which holds matrices of units by units already.
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if side == "pass" or width <= 1024:
        once(max(args.examples // 10, width + 1))
    runs = [once(args.examples) for _ in range(args.repeats)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    json.dump({"runs": runs, "megabytes": (peak - before) / 1024}, sys.stdout)


def measured(side: str, width: int, args: argparse.Namespace) -> dict[str, Any]:
    """Median seconds of each stage and of them all, and peak memory, from a fresh process."""
    command = [sys.executable, __file__, "--child", side, "--widths", str(width)]
    for name in ("examples", "batch", "solver"):
        command += [f"--{name}", str(getattr(args, name))]
    repeats = args.peer_repeats if side == "peer" and args.peer_repeats else args.repeats
    command += ["--repeats", str(repeats)]
    found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    stages = {
        stage: statistics.median(run[stage] for run in found["runs"]) for stage in found["runs"][0]
    }
    total = statistics.median(sum(run.values()) for run in found["runs"])
    return {"stages": stages, "total": total, "megabytes": found["megabytes"], "n": repeats}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--widths", type=int, nargs="+", default=[256, 1024, 4096])
    parser.add_argument("--examples", type=int, default=50_000)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peer-repeats", type=int, help="fewer runs of the peer (default: same)")
    parser.add_argument("--solver", default="auto", help="scikit-learn's PCA solver")
    parser.add_argument("--child", choices=SIDES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.child, args.widths[0], args)
        return
    print(f"load average before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    head = ("width", "side", "collect", "cov", "corrcoef", "pca", "all (s)", "peak (MB)", "runs")
    print("".join(f"{word:>11}" for word in head), flush=True)
    for width in args.widths:
        sides = {side: measured(side, width, args) for side in SIDES}
        for side in ("pass", "peer"):
            row = sides[side]
            seconds = [row["stages"][stage] for stage in ("collect", "cov", "corrcoef", "pca")]
            print(
                f"{width:>11,}{side:>11}"
                + "".join(f"{number:>11.3f}" for number in (*seconds, row["total"]))
                + f"{row['megabytes']:>11,.0f}{row['n']:>11}"
            )
        ours, peer = sides["pass"], sides["peer"]
        limits = [sides[side]["stages"]["product"] for side in ("product64", "product32")]
        print(
            f"{width:>11,}  pass / peer: {ours['total'] / peer['total']:.2f} of the time, "
            f"{ours['megabytes'] / peer['megabytes']:.2f} of the memory; collecting takes "
            f"{ours['stages']['collect'] / limits[0]:.2f} x one float64 product "
            f"({limits[0]:.3f} s), {ours['stages']['collect'] / limits[1]:.2f} x float32 "
            f"({limits[1]:.3f} s)",
            flush=True,
        )


if __name__ == "__main__":
    main()
