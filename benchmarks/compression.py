"""What is left of trained networks at a tolerance: ours against Torch-Pruning and Chee et al.

For every network of ``compressible.py``, every tolerance and every method: the parameters and the
multiply-adds that are left, without fine-tuning, as percentages of the original's. A thinner
network meets a tolerance of t percent where at most t percent of the held-out examples get another
label than the original gives them. ``changed`` is that share, ``at most`` its upper bound at 95%
(one-sided, Clopper and Pearson), and ``searched`` is the same share of the search examples.

Ours is one call of ``frivolous.compress`` per tolerance. It fits everything to the search examples
and asks the held-out ones about one network after another, each a tenth smaller, until one fails:
here on the share itself, as for the peers, though in its own use on the share's upper bound.

Peers have the advantage: their settings are chosen on the held-out examples themselves. Every
setting of a fine grid is tried, in every variant (global ranking and uniform ratios, with and
without the residual stream; accuracies and shares; see ``compression_peers.py``), refined around
the best, and of all networks that meet the tolerance that with the fewest parameters is reported;
``fewest`` is the fewest multiply-adds of any of them. A variant is given up after three settings in
a row that change four times what the greatest tolerance lets. The original is a candidate: 100%
says that no setting met the tolerance. Seconds are of the one call for ours, and for a peer of the
scan that serves all tolerances.

    python benchmarks/compression.py --data-dir data --out compression.md
    python benchmarks/compression.py --nets digits-dense --methods joint prune
    python benchmarks/compression.py --peers-only

Parameters are ``sum(p.numel())``; multiply-adds are those of convolutions and matrix products on
one example, half of what PyTorch's ``FlopCounterMode`` counts. Labels are those of the original in
evaluation mode, and are compared again after every method. Same seed, same machine and same number
of threads: same table, but for the seconds.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from compressible import Trained, add_options, labels, networks, scores
from scipy.stats import beta
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

if TYPE_CHECKING:
    from compression_peers import Variant

METHODS = (
    *("joint", "refactor", "prune", "interpolative", "magnitude", "frame-potential", "random"),
)
TOLERANCES = (1.0, 2.0, 5.0)
GIVE_UP = 4
"""A setting that changes so many times the greatest tolerance is hopeless."""
PATIENCE = 3
"""A variant ends after so many hopeless settings in a row."""
HEAD = (
    *("network", "tolerance", "method", "parameters", "multiply-adds", "fewest", "changed"),
    *("at most", "searched", "met", "seconds", "variant"),
)


@dataclass(frozen=True)
class Found:
    """One thinner network: how it was made, what is left of it and how many labels it changes."""

    variant: str
    setting: float
    parameters: int
    multiply_adds: float
    changed: int

    def __str__(self) -> str:
        return f"{self.variant} {self.setting:.4g}" if self.variant else "original"


@dataclass(frozen=True)
class Line:
    """One line of the table: shares are from 0 to 1."""

    network: str
    tolerance: float
    method: str
    parameters: float
    multiply_adds: float
    fewest: float
    changed: float
    at_most: float
    searched: float
    met: bool
    seconds: float
    variant: str

    def cells(self) -> list[str]:
        """The line as text."""
        shares = self.parameters, self.multiply_adds, self.fewest
        changes = self.changed, self.at_most, self.searched
        return [
            *(self.network, f"{self.tolerance:g}%", self.method),
            *(f"{100 * share:.1f}" for share in shares),
            *(f"{100 * share:.2f}" for share in changes),
            *("yes" if self.met else "no", f"{self.seconds:.1f}", self.variant),
        ]


class Judge:
    """Counts what is left of a network and the labels in which it differs from the original."""

    def __init__(self, trained: Trained) -> None:
        self.trained = trained
        self.original = {
            side: labels(trained.model, data[0])
            for side, data in (("search", trained.search), ("held out", trained.held_out))
        }
        self.parameters, self.multiply_adds = self.size(trained.model)

    def size(self, model: nn.Module) -> tuple[int, float]:
        """Parameters, and multiply-adds on one example."""
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            scores(model, self.trained.example)
        return sum(p.numel() for p in model.parameters()), counter.get_total_flops() / 2

    @torch.inference_mode()
    def changed(self, model: nn.Module, side: str = "held out", most: float = float("inf")) -> int:
        """How many labels differ; counting ends where they are more than ``most``."""
        assert not any(module.training for module in model.modules())
        inputs = (self.trained.search if side == "search" else self.trained.held_out)[0]
        count = 0
        for x, y in zip(inputs.split(250), self.original[side].split(250), strict=True):
            count += int((scores(model, x).argmax(1) != y).sum())
            if count > most:
                break
        return count

    def share(self, changed: int, side: str = "held out") -> float:
        """A count of changed labels as a share."""
        return changed / len(self.original[side])

    def unharmed(self) -> None:
        """Make sure that the original still is what it was."""
        for side, data in (("search", self.trained.search), ("held out", self.trained.held_out)):
            assert torch.equal(labels(self.trained.model, data[0]), self.original[side]), side


def at_most(changed: int, examples: int, sure: float = 0.95) -> float:
    """The one-sided upper bound of a share, after Clopper and Pearson."""
    if changed == examples:
        return 1.0
    return float(beta.ppf(sure, changed + 1, examples - changed))


def ours(judge: Judge, method: str, tolerance: float) -> Line:
    """What ``frivolous.compress`` makes of a network by one of its methods."""
    import frivolous as fv

    trained = judge.trained
    examples = len(trained.held_out[1])
    # The share itself is to be within the tolerance, as for the peers, and not its upper bound.
    bound = at_most(int(tolerance / 100 * examples), examples)
    start = time.perf_counter()
    thin = fv.compress(
        trained.model,
        trained.search,
        tolerance=bound,
        method=method,
        held_out=trained.held_out,
    )
    seconds = time.perf_counter() - start
    found = Found(method, tolerance, *judge.size(thin.model), judge.changed(thin.model))
    return line(judge, f"ours, {method}", tolerance, found, found, thin.model, seconds, "")


def line(
    judge: Judge,
    method: str,
    tolerance: float,
    found: Found,
    cheapest: Found,
    model: nn.Module,
    seconds: float,
    variant: str,
) -> Line:
    """The line of the network that a method is judged by."""
    held_out = len(judge.original["held out"])
    return Line(
        judge.trained.name,
        tolerance,
        method,
        found.parameters / judge.parameters,
        found.multiply_adds / judge.multiply_adds,
        cheapest.multiply_adds / judge.multiply_adds,
        judge.share(found.changed),
        at_most(found.changed, held_out),
        judge.share(judge.changed(model, "search"), "search"),
        found.changed <= tolerance / 100 * held_out,
        seconds,
        variant,
    )


def scan(judge: Judge, variant: Variant, tolerances: list[float]) -> list[Found]:
    """All networks of a variant's grid until they are hopeless, and finer ones behind the best."""
    examples = len(judge.original["held out"])
    hopeless = GIVE_UP * max(tolerances) / 100 * examples
    found: list[Found] = []

    def attempt(setting: float) -> bool:
        model = variant.make(setting)
        size = judge.size(model)
        before = found[-1] if found else None
        # What a setting takes, the next takes too: of the same size they are the same network.
        same = before is not None and size == (before.parameters, before.multiply_adds)
        changed = before.changed if same else judge.changed(model, most=hopeless)
        found.append(Found(variant.name, setting, *size, changed))
        return changed > hopeless

    in_a_row = 0
    for setting in variant.grid:
        in_a_row = in_a_row + 1 if attempt(setting) else 0
        if in_a_row == PATIENCE:
            break
    if variant.finer:
        good = {best(found, examples, tolerance) for tolerance in tolerances} - {None}
        for setting in sorted(one.setting for one in good):
            for step in (1, 2, 3):
                attempt(min(setting + step * variant.finer, 0.995))
    return found


def best(found: list[Found], examples: int, tolerance: float) -> Found | None:
    """The network with the fewest parameters of those that meet a tolerance, if there is one."""
    good = [one for one in found if one.changed <= tolerance / 100 * examples]
    return min(good, key=lambda one: (one.parameters, one.multiply_adds), default=None)


def theirs(judge: Judge, tolerances: list[float], gradients_of: int) -> Iterator[Line]:
    """The lines of all peers, each peer's as soon as it is scanned."""
    from compression_peers import peers

    examples = len(judge.original["held out"])
    start = time.perf_counter()
    for peer, variants in peers(judge.trained, gradients_of):
        found = [Found("", 0.0, judge.parameters, judge.multiply_adds, 0)]
        for variant in variants:
            found += scan(judge, variant, tolerances)
        seconds = time.perf_counter() - start
        makes = {"": lambda _: judge.trained.model} | {one.name: one.make for one in variants}
        for tolerance in tolerances:
            one = best(found, examples, tolerance)
            assert one is not None
            model = makes[one.variant](one.setting)
            again = Found(one.variant, one.setting, *judge.size(model), judge.changed(model))
            assert again == one, (again, one)  # made anew it is the same
            good = [each for each in found if each.changed <= tolerance / 100 * examples]
            cheapest = min(good, key=lambda each: each.multiply_adds)
            yield line(judge, peer, tolerance, one, cheapest, model, seconds, str(one))
        judge.unharmed()
        start = time.perf_counter()


def table(rows: list[list[str]]) -> str:
    """Rows below a head, in Markdown, columns of one width."""
    widths = [max(len(row[i]) for row in [list(HEAD), *rows]) for i in range(len(HEAD))]
    rule = ["-" * width for width in widths]
    return "\n".join(
        f"| {' | '.join(cell.ljust(w) for cell, w in zip(row, widths, strict=True))} |"
        for row in [list(HEAD), rule, *rows]
    )


def machine() -> str:
    """Cores and versions, on which the numbers depend."""
    names = ("torch", "numpy", "scipy", "transformers", "torch-pruning")
    found = ", ".join(f"{name} {version(name)}" for name in names)
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), {torch.get_num_threads()} threads; "
        f"Python {platform.python_version()}, {found}"
    )


def compare(trained: Trained, options: argparse.Namespace) -> list[Line]:
    """Print and return the lines of a network."""
    judge = Judge(trained)
    right = [
        float((judge.original[side] == data[1]).double().mean())
        for side, data in (("search", trained.search), ("held out", trained.held_out))
    ]
    print(
        f"\n{trained.name}: {judge.parameters:,} parameters, {judge.multiply_adds:,.0f} multiply-"
        f"adds; right on {right[0]:.1%} of {len(trained.search[1])} search and {right[1]:.1%} of "
        f"{len(trained.held_out[1])} held-out examples",
        flush=True,
    )
    lines = []
    for method in [] if options.peers_only else options.methods:
        for tolerance in options.tolerances:
            lines.append(ours(judge, method, tolerance))
            print("  ".join(lines[-1].cells()[1:]), flush=True)
        judge.unharmed()
    if not options.ours_only:
        for one in theirs(judge, options.tolerances, options.gradients_of):
            lines.append(one)
            print("  ".join(one.cells()[1:]), flush=True)
    return sorted(lines, key=lambda one: one.tolerance)


def main() -> None:
    """Compare on all networks and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser)
    parser.add_argument("--tolerances", nargs="+", type=float, default=list(TOLERANCES))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--gradients-of", type=int, default=500, help="so many search examples")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--peers-only", action="store_true")
    which.add_argument("--ours-only", action="store_true")
    parser.add_argument("--out", type=Path, default=None, metavar="FILE", help="of the table")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    try:
        words = machine()
    except ModuleNotFoundError:
        parser.exit(2, "This needs its peers: pip install '.[benchmarks]'\n")
    print(words)
    rows = [one.cells() for net in networks(options) for one in compare(net, options)]
    text = f"{words}\n\n{table(rows)}\n"
    print(f"\n{table(rows)}")
    if options.out is not None:
        options.out.write_text(text)


if __name__ == "__main__":
    main()
