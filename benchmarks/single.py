"""Every unit of a site silenced alone, and the labels that change: against Captum.

The peer is ``captum.attr.LayerFeatureAblation``, asked for the same answer in one call: a feature
per channel (``layer_mask``), and a forward function that gives 1 for each example whose label is no
longer what it was. Its ``perturbations_per_eval`` is the fastest of those tried. It is asked for
labels alone; ours gives the divergence of the scores as well.

All run here, in turn, in this process, on the same network and examples. Medians of ``--repeats``;
``--clock cpu`` (the default) counts the processor time of all threads, of which there is one unless
``--threads`` says otherwise. ``unequal`` counts the labels, of all (example, unit) pairs, on which
the two disagree: only those whose two best scores tie within rounding may. ``whole/after`` is the
network's multiply-adds over those behind the site, which each unit needs anew: at an early site,
the ratio's limit as far as the two compute equally fast.

    python benchmarks/single.py
    python benchmarks/single.py --nets dense --repeats 5
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from networks import Place, Subject, convolutional, dense3, resnet56
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from frivolous.ablation.batched import run_single_units
from frivolous.ablation.masks import masks_for
from frivolous.ablation.single_units import single_effects
from frivolous.network import Network, trace

#: Network -> how it is made, how many examples it is given, and the sites that are measured.
NETS: dict[str, tuple[Callable[[], Subject], int, tuple[str, ...]]] = {
    "dense": (dense3, 256, ("0", "2", "4")),
    "convolutional": (convolutional, 64, ("0", "4", "11")),
    "resnet56": (resnet56, 16, ("conv", "groups.1.4.second", "groups.2.8.second")),
}
CLOCKS = {"cpu": time.process_time, "wall": time.perf_counter}
BATCH = 64


def captum_changes(
    subject: Subject, place: Place, batches: list[Tensor], per_pass: int
) -> np.ndarray:
    """Whether each example's label changes without each unit, by Captum: (examples, units)."""
    from captum.attr import LayerFeatureAblation

    net, layer = subject.net, subject.net.get_submodule(place.module)

    def changed(inputs: Tensor, labels: Tensor) -> Tensor:
        return (net(inputs).argmax(1) != labels).float()

    ablation = LayerFeatureAblation(changed, layer)
    rows = []
    for batch in batches:
        value, labels = _value_and_labels(subject, place, batch)
        units = torch.arange(value.shape[1]).view(1, -1, *[1] * (value.dim() - 2))
        found = ablation.attribute(
            batch,
            additional_forward_args=(labels,),
            layer_mask=units.expand(1, *value.shape[1:]),
            attribute_to_layer_input=place.input,
            perturbations_per_eval=per_pass,
        )
        # All positions of a channel are one feature and have its number: the intact 0 less 1.
        found = found[0] if isinstance(found, tuple) else found
        rows.append(-found.flatten(2)[:, :, 0] if found.dim() > 2 else -found)
    return torch.cat(rows).numpy() > 0


@torch.no_grad()
def _value_and_labels(subject: Subject, place: Place, batch: Tensor) -> tuple[Tensor, Tensor]:
    seen: list[Tensor] = []
    layer = subject.net.get_submodule(place.module)
    if place.input:
        hook = layer.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    else:
        hook = layer.register_forward_hook(lambda _, __, value: seen.append(value))
    labels = subject.net(batch).argmax(1)
    hook.remove()
    return seen[0], labels


def our_changes(network: Network, site: str, batches: list[Tensor]) -> np.ndarray:
    """The same by the steps that ``single_effects`` takes before it adds examples up."""
    alone = [[unit] for unit in range(network.site(site).width)]
    masks, late = masks_for(network, site, alone), network.past_pooling()
    parts = []
    for batch in batches:
        alive = late.until(site, batch)
        labels = late.onward(site, alive).argmax(-1)
        changed_NU = torch.zeros(len(batch), len(alone), dtype=torch.bool)
        for units, rows, scores in run_single_units(late, alive, site, masks):
            changed_NU[rows, units] = scores.argmax(-1) != labels[rows]
        parts.append(changed_NU)
    return torch.cat(parts).numpy()


def medians(sides: dict[str, Callable[[], object]], repeats: int, clock: Callable[[], float]):
    """Median seconds of each side; they take turns, after one turn to warm up."""
    times: dict[str, list[float]] = {side: [] for side in sides}
    for turn in range(repeats + 1):
        for side, work in sides.items():
            start = clock()
            work()
            if turn:
                times[side].append(clock() - start)
    return {side: statistics.median(taken) for side, taken in times.items()}


def whole_to_after(network: Network, site: str, batch: Tensor) -> float:
    """The multiply-adds of the whole network over those behind a site."""
    alive = network.until(site, batch)
    with FlopCounterMode(display=False) as after:
        network.onward(site, alive)
    with FlopCounterMode(display=False) as whole:
        network(batch)
    return whole.get_total_flops() / after.get_total_flops()


def compare(name: str, options: argparse.Namespace) -> None:
    """Print a line for each site of a network."""
    torch.manual_seed(0)
    make, examples, sites = NETS[name]
    subject = make()
    batches = list(subject.inputs(examples).split(BATCH))
    network = trace(subject.net, batches[0])
    for site in sites:
        place, width = subject.places[site], network.site(site).width
        sides: dict[str, Callable[[], object]] = {
            "ours": lambda s=site: single_effects(network, batches, s, total=examples)
        }
        for count in sorted({min(count, width) for count in options.per_eval}):
            sides[str(count)] = lambda p=place, c=count: captum_changes(subject, p, batches, c)
        # All that is tried takes part once; what is compared is ours and the fastest.
        tried = medians(sides, 1, CLOCKS[options.clock])
        best = min((side for side in sides if side != "ours"), key=lambda side: tried[side])
        took = medians(
            {side: sides[side] for side in ("ours", best)}, options.repeats, CLOCKS[options.clock]
        )
        mine, theirs = (
            our_changes(network, site, batches),
            captum_changes(subject, place, batches, 1),
        )
        effects = single_effects(network, batches, site, total=examples)
        assert effects.changed_U.tolist() == mine.sum(axis=0).tolist()
        print(
            f"{name:14} {site:18} {width:5} {took['ours']:9.4f} {took[best]:9.4f} "
            f"{took[best] / took['ours']:6.1f} {best:>9} "
            f"{whole_to_after(network, site, batches[0]):11.1f}   "
            f"{int((mine != theirs).sum())} of {mine.size}, {int(theirs.sum())} change",
            flush=True,
        )


def main() -> None:
    """Print one line per site."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--per-eval", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--clock", choices=CLOCKS, default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    options = parser.parse_args()
    try:
        import captum
    except ModuleNotFoundError:
        parser.exit(2, "This needs Captum: pip install '.[benchmarks]'\n")
    torch.set_num_threads(options.threads)
    print(
        f"torch {torch.__version__}, captum {captum.__version__}, {torch.get_num_threads()} "
        f"threads, medians of {options.repeats}, {options.clock} seconds, batches of {BATCH}"
    )
    print(
        f"{'network':14} {'site':18} {'units':>5} {'ours s':>9} {'Captum s':>9} {'ratio':>6} "
        f"{'per eval':>9} {'whole/after':>11}   unequal labels"
    )
    for name in options.nets:
        compare(name, options)


if __name__ == "__main__":
    main()
