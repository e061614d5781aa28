"""Units that a network cannot do without, counted one kind at a time and counted jointly.

    python examples/jointly.py --out jointly

trains dense networks of two hidden layers, 32 to 512 units wide, on handwritten digits, and counts
in the second layer of each: the units that are not prunable, those that are not redundant, those
that are essential by themselves (silenced alone they change a label, and the others do not give
them), and the effective width: how few do when their readers are re-fitted. It prints the counts
with their growth per doubling of the width, and draws them.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import pandas as pd
from digits import train
from matplotlib.figure import Figure
from torch import nn

import frivolous as fv
from frivolous.data import digits
from frivolous.figures import save
from frivolous.figures.base.style import curve_style, house_style, new_figure

COUNTS = ("not prunable", "not redundant", "essential alone", "effective")
SITE = "2"


def trained(width: int, *, epochs: int, seed: int) -> nn.Module:
    """Return a dense network of two hidden layers of one width, trained on 1,000 digits."""
    model = nn.Sequential(
        *(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()),
        nn.Linear(width, 10),
    )
    train(model, digits(seed=0, flat=True).train, epochs=epochs, seed=seed, rate=1e-3)
    return model


def counts(width: int, *, epochs: int, seed: int) -> dict[str, float]:
    """Count the second layer's units on digits that the network was not trained on."""
    test = digits(seed=0, flat=True).test
    found = fv.measure(trained(width, epochs=epochs, seed=seed), (test.inputs, test.labels))
    units = found.units[found.units.site == SITE]
    return {
        "width": width,
        "accuracy": found.facts["accuracy"],
        "not prunable": width - found.value("prunable", SITE),
        "not redundant": width - found.value("redundant", SITE),
        "essential alone": float((units.kind == "essential").sum()),
        "effective": found.value("effective", SITE),
    }


def drawn(means: pd.DataFrame, lows: pd.DataFrame, highs: pd.DataFrame) -> Figure:
    """Draw each count against the width, both on logarithmic scales, with the networks' range."""
    with house_style():
        figure = new_figure(4.4, 3.4)
        axes = figure.add_axes((0.14, 0.15, 0.82, 0.73))
        axes.plot(means.index, means.index, color="#9a9a9a", linewidth=0.8, linestyle=(0, (4, 3)))
        axes.annotate("all units", (means.index[-1], means.index[-1]), ha="right", fontsize=7.5)
        for rank, name in enumerate(COUNTS):
            # None at all is drawn at the foot of the scale.
            mean, low, high = (frame[name].clip(lower=0.5) for frame in (means, lows, highs))
            axes.errorbar(
                *(means.index, mean), yerr=(mean - low, high - mean), label=name, capsize=2,
                **curve_style(rank),
            )  # fmt: skip
        axes.set_xscale("log", base=2)
        axes.set_yscale("log", base=2)
        axes.set_xticks(list(means.index), [str(width) for width in means.index])
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlabel("units of each hidden layer")
        axes.set_ylabel("units of the second layer")
        axes.set_title("Counted jointly, wide networks need what narrow ones do", loc="left")
        axes.legend(frameon=False)
    return figure


def main() -> None:
    """Train, count, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("jointly"), metavar="DIR")
    parser.add_argument("--widths", type=int, nargs="+", default=[32, 64, 128, 256, 512])
    parser.add_argument("--networks", type=int, default=3, help="per width")
    parser.add_argument("--epochs", type=int, default=30)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rows = [
        counts(width, epochs=options.epochs, seed=seed)
        for width in options.widths
        for seed in range(options.networks)
    ]
    table = pd.DataFrame(rows)
    table.to_parquet(options.out / "counts.parquet", index=False)
    by = table.groupby("width")
    means, lows, highs = by.mean(), by.min(), by.max()
    print(f"{'width':>6}" + "".join(f"{name:>26}" for name in ("accuracy", *COUNTS)))
    for width in means.index:
        cells = [f"{means.accuracy[width]:.3f}"]
        cells += [
            f"{means[name][width]:.1f} [{lows[name][width]:.1f}, {highs[name][width]:.1f}]"
            for name in COUNTS
        ]
        print(f"{width:>6}" + "".join(f"{cell:>26}" for cell in cells))
    print(f"mean of {options.networks} networks [least, most], 500 examples each")
    steps = list(pairwise(means.index))
    for name in COUNTS if steps else ():
        ratios = [means[name][wide] / max(means[name][narrow], 0.5) for narrow, wide in steps]
        print(f"{name}: times {', '.join(f'{ratio:.2f}' for ratio in ratios)} from width to width")
    print(save(drawn(means, lows, highs), options.out / "jointly.png"))


if __name__ == "__main__":
    main()
