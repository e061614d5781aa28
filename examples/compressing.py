"""Compress one network with every method at the same budgets: what is left of its labels?

    python examples/compressing.py --out compressing

trains a dense network (`--network conv`: a convolutional one, which takes twice as long) on 1,000
handwritten digits and compresses it, with each method of `fv.compress`, to shares of its parameters
from 60% to 5%. Methods search on the training examples; how many labels change is counted on 500
other digits. It prints a table and draws it.

With `--tolerance 0.02` it also looks for the smallest network that the default method finds within
that tolerance, and prints its report.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from digits import conv, dense, test_data, train
from torch import nn

import frivolous as fv
from frivolous.compression.criteria.methods import METHODS
from frivolous.data import digits
from frivolous.errors import BadArgument
from frivolous.figures import compression_figure, save

NETWORKS = {"conv": "A small convolutional network", "dense": "A dense network"}
BUDGETS = (0.6, 0.4, 0.25, 0.15, 0.1, 0.05)


def left(report: pd.DataFrame, quantity: str) -> float:
    """Return the share that is left of a quantity of the whole network."""
    row = report[report.quantity == quantity].iloc[0]
    return float(row.after / row.before)


def compressed(model: nn.Module, method: str, budget: float, seed: int) -> dict[str, object]:
    """Compress once; how much is left and how many held-out labels are unchanged."""
    searched = digits(seed=0).train.inputs
    thin = fv.compress(
        *(model, searched), parameters=budget, method=method, held_out=test_data(), seed=seed
    )
    facts, whole = thin.report.facts, thin.report.whole
    return {
        "method": method,
        "budget": budget,
        "parameters": left(whole, "parameters"),
        "flops": left(whole, "multiply-adds"),
        "unchanged": 1 - facts["changed_share"],
        "low": 1 - facts["changed_high"],
        "high": 1 - facts["changed_low"],
        "examples": facts["held_out"],
    }


def printed(table: pd.DataFrame) -> None:
    """Print unchanged labels in percent with their intervals, a line per method and budget."""
    print(f"{'method':>22}{'parameters':>12}{'multiply-adds':>15}{'unchanged labels, %':>26}")
    for row in table.itertuples():
        interval = f"{100 * row.unchanged:.1f} [{100 * row.low:.1f}, {100 * row.high:.1f}]"
        print(f"{row.method:>22}{row.parameters:>12.3f}{row.flops:>15.3f}{interval:>26}")
    print(f"95% intervals over {table.examples.iloc[0]} held-out digits, one network")


def main() -> None:
    """Train, compress, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("compressing"), metavar="DIR")
    parser.add_argument("--network", choices=("dense", "conv"), default="dense")
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--budgets", type=float, nargs="+", default=list(BUDGETS))
    parser.add_argument("--tolerance", type=float, help="share of labels that may change")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    model = {"conv": conv, "dense": dense}[options.network]()
    train(model, digits(seed=0).train, epochs=options.epochs, seed=options.seed)
    model.eval()
    rows = []
    for method in options.methods:
        for budget in options.budgets:
            try:
                rows.append(compressed(model, method, budget, options.seed))
            except BadArgument as error:
                print(f"{method} at {budget:g}: {error}")
    table = pd.DataFrame(rows)
    table.to_parquet(options.out / "compressing.parquet", index=False)
    printed(table)
    figure = compression_figure(
        table,
        tolerance=0.02 if options.tolerance is None else options.tolerance,
        title="Labels that stay when units go",
        claim=f"{NETWORKS[options.network]} trained on 1,000 handwritten digits.",
        examples=int(table.examples.iloc[0]),
    )
    print(save(figure, options.out / "compressing.png"))
    if options.tolerance is not None:
        searched = digits(seed=0).train.inputs
        thin = fv.compress(
            *(model, searched), tolerance=options.tolerance, held_out=test_data(), seed=options.seed
        )
        print(thin.report)


if __name__ == "__main__":
    main()
