"""The statistics pass on whole networks beside its peers: torchlens, and hooks that keep all.

All sides are given the same batches and make, for every site, the covariance of its units and the
mean of each at each position; of a site of feature maps with more than 50,000 positions in all, the
covariance of 50,000 drawn at random. ``pass`` is ``frivolous.statistics.streaming.collect`` with
one sampling and one group of examples, which is the peers' answer; ``intervals`` is the same as it
is by default, with three samplings and eight groups, which the peers do not give. ``torchlens``
extracts the sites' activations batch by batch, ``hooks`` keeps them by forward hooks; both
concatenate them and call NumPy.

Each run has a fresh process. Seconds are medians of ``--repeats`` of them, of processor time
(``--clock wall`` for the other), with one thread unless ``--threads`` says otherwise; the sides
take turns. Memory is the peak of the process in the run less what it held before, with its imports,
the network and a pool of inputs (read from /proc, so on Linux only). Reading the network
(``trace``) is not timed. A peer whose activations would need more than ``--gigabytes`` is left out.

    python benchmarks/collecting.py
    python benchmarks/collecting.py --nets dense --examples 1000 --repeats 5
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

NETS = ("dense", "convolutional")
SIDES = ("pass", "intervals", "torchlens", "hooks")
CAP = 50_000
CLOCKS = {"cpu": time.process_time, "wall": time.perf_counter}
Answer = dict[str, tuple[Any, Any]]  # site -> covariance, means


class Batches:
    """``examples`` inputs in batches, cut from a pool of 16 of them."""

    def __init__(self, subject: Any, examples: int, batch: int) -> None:
        self._pool = subject.inputs(16 * batch)
        self._examples, self._batch = examples, batch

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, self._examples, self._batch):
            at = start % len(self._pool)
            yield self._pool[at : at + min(self._batch, self._examples - start)]


def run_pass(network: Any, batches: Batches, examples: int, cap: int, more: bool) -> Answer:
    """Ours."""
    from frivolous.statistics.streaming import collect

    several: dict[str, int] = {} if more else {"samplings": 1, "groups": 1}
    found = collect(network, batches, examples=examples, cap=cap, **several)
    return {
        name: (site.moments().covariance_UU, site.position_mean) for name, site in found.items()
    }


def run_torchlens(subject: Any, batches: Batches, cap: int) -> Answer:
    """Activations by torchlens, per batch, then concatenated."""
    import torch
    import torchlens

    layers = {site: place.module for site, place in subject.places.items()}
    kept: dict[str, list[Any]] = {site: [] for site in layers}
    with torch.no_grad():
        for batch in batches:
            for site, value in torchlens.extract(subject.net, batch, layers).items():
                kept[site].append(value)
    return _summed_up(kept, cap)


def run_hooks(subject: Any, batches: Batches, cap: int) -> Answer:
    """Activations by hooks, per batch, then concatenated."""
    import torch

    kept: dict[str, list[Any]] = {site: [] for site in subject.places}
    hooks = [
        subject.net.get_submodule(place.module).register_forward_hook(
            lambda _, __, value, site=site: kept[site].append(value)
        )
        for site, place in subject.places.items()
    ]
    with torch.no_grad():
        for batch in batches:
            subject.net(batch)
    for hook in hooks:
        hook.remove()
    return _summed_up(kept, cap)


def _summed_up(kept: dict[str, list[Any]], cap: int) -> Answer:
    import numpy as np
    import torch

    random, answer = np.random.default_rng(0), {}
    for site in list(kept):
        value = torch.cat(kept.pop(site)).numpy()
        rows = value
        if value.ndim > 2:
            places = math.prod(value.shape[2:])
            flat = value.reshape(len(value), value.shape[1], places)
            chosen = np.arange(len(value) * places)
            if len(chosen) > cap:
                chosen = random.choice(len(chosen), cap, replace=False)
            example, place = np.divmod(chosen, places)
            rows = flat[example, :, place]
        answer[site] = np.cov(rows, rowvar=False), value.mean(axis=0, dtype=np.float64)
    return answer


def side_of(name: str, subject: Any, batch: int) -> Callable[[Batches, int, int], Answer]:
    """A side as an action on batches, their examples and the cap; ours reads the network now."""
    if name in {"pass", "intervals"}:
        from frivolous.network import trace

        network = trace(subject.net, subject.inputs(batch))
        return lambda batches, n, cap: run_pass(network, batches, n, cap, name == "intervals")
    run = {"torchlens": run_torchlens, "hooks": run_hooks}[name]
    return lambda batches, _, cap: run(subject, batches, cap)


def subject_of(name: str, threads: int) -> Any:
    """A network, the same in every process."""
    import networks
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    return getattr(networks, name)()


def child(options: argparse.Namespace) -> None:
    """Run one side once and print its seconds and peak memory as JSON."""
    subject = subject_of(options.nets[0], options.threads)
    side = side_of(options.child, subject, options.batch)
    side(Batches(subject, options.batch, options.batch), options.batch, CAP)  # imports, wrappers
    examples, clock = options.examples[0], CLOCKS[options.clock]
    batches = Batches(subject, examples, options.batch)
    # Reading a network takes more memory than a small pass: the peak is counted from here.
    Path("/proc/self/clear_refs").write_text("5")
    before = kilobytes("VmRSS")
    start = clock()
    side(batches, examples, CAP)
    seconds = clock() - start
    json.dump({"seconds": seconds, "megabytes": (kilobytes("VmHWM") - before) / 1024}, sys.stdout)


def kilobytes(field: str) -> int:
    """Memory of this process: ``VmRSS`` now, ``VmHWM`` at its peak."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    raise LookupError(field)


def measured(net: str, side: str, examples: int, options: argparse.Namespace) -> dict[str, float]:
    """A side's seconds and peak memory, from a fresh process."""
    command = [sys.executable, __file__, "--child", side, "--nets", net]
    command += ["--examples", str(examples)]
    for name in ("batch", "threads", "clock"):
        command += [f"--{name}", str(getattr(options, name))]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def check(net: str, options: argparse.Namespace) -> str:
    """How far the sides' answers lie apart on two batches of which every position is used."""
    import numpy as np

    subject = subject_of(net, options.threads)
    examples, answers = 2 * options.batch, []
    for name in ("pass", "intervals", "torchlens", "hooks"):
        side = side_of(name, subject, options.batch)
        answers.append(side(Batches(subject, examples, options.batch), examples, 10**9))
    apart = max(
        float(np.abs(other[site][i] - value[i]).max() / np.abs(value[i]).max())
        for other in answers[1:]
        for site, value in answers[0].items()
        for i in range(2)
    )
    return f"{net}: all sides agree to {apart:.0e} of a site's largest covariance and mean"


def gigabytes(net: str, examples: int, threads: int) -> float:
    """What a peer's activations take: twice their size, while they are concatenated."""
    from frivolous.network import trace

    subject = subject_of(net, threads)
    numbers = sum(math.prod(site.shape) for site in trace(subject.net, subject.inputs(2)).sites)
    return 2 * 4 * numbers * examples / 1e9


def main() -> None:
    """Print a line per network, number of examples and side."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    parser.add_argument("--examples", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--gigabytes", type=float, default=5.0, help="most for a peer's activity")
    parser.add_argument("--clock", choices=CLOCKS, default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    parser.add_argument("--child", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options)
        return
    if importlib.util.find_spec("torchlens") is None:
        parser.exit(2, "This needs torchlens: pip install '.[benchmarks]'\n")
    print(
        f"{options.threads} threads, medians of {options.repeats}, {options.clock} seconds, "
        f"batches of {options.batch}; ratios are the side's to those of pass"
    )
    print(
        f"{'network':14} {'examples':>9} {'side':10} {'seconds':>9} {'ratio':>6} {'peak MB':>9} "
        f"{'ratio':>6}",
        flush=True,
    )
    for net in options.nets:
        for examples in options.examples:
            report(net, examples, options)
        print(check(net, options), flush=True)


def report(net: str, examples: int, options: argparse.Namespace) -> None:
    """Print the lines of one network and number of examples."""
    needed = gigabytes(net, examples, options.threads)
    sides = SIDES if needed <= options.gigabytes else SIDES[:2]
    runs: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    for _ in range(options.repeats):
        for side in sides:
            runs[side].append(measured(net, side, examples, options))
    took = {
        side: [statistics.median(run[what] for run in found) for what in ("seconds", "megabytes")]
        for side, found in runs.items()
    }
    ours = took["pass"]
    for side, (seconds, megabytes) in took.items():
        print(
            f"{net:14} {examples:9,} {side:10} {seconds:9.2f} {seconds / ours[0]:6.2f} "
            f"{megabytes:9,.0f} {megabytes / max(ours[1], 1):6.1f}",
            flush=True,
        )
    for side in SIDES[len(sides) :]:
        print(f"{net:14} {examples:9,} {side:10} left out: {needed:.0f} GB of activity", flush=True)


if __name__ == "__main__":
    main()
