"""Effective width against network width, with the papers' two counts.

Claim: units needed jointly grow more slowly than the network, unless labels are random. The
effective width of a layer is the fewest of its units with which at most 2% of the labels change,
once the weights that read them are re-fitted by least squares. Units go in the order of least
cost (:mod:`frivolous.measures.elimination`).

Protocol: the networks of Fig. 4d (dense, synthetic data) and three of Fig. 4a (AlexNet on true and
on random labels, ResNet-56), trained and chosen exactly as there, so that weights, prunable and
redundant units agree with those studies. Their runs are others all the same: a run is what was
measured, too. Readers are fitted on one half of the test examples and labels compared on the other,
each half in its turn. A network's effective width is the sum of its layers', each found with all
others whole. Non-prunable units are the width less prunable ones, non-redundant the width less
redundant ones, of the same runs, counted as in Fig. E3: ablation of all layers at once with up to
20% of the labels changed, and principal components with 95% of the variance, every layer's share
equal in weight. All three are shares of the 4x network; gains are of means over replicates, with
bootstrap intervals, and that of non-redundant units leaves out the first doubling as there.

The tolerances differ (2% and 20% of the labels), so compare how the counts grow before how large
they are. No effective width is published; grey marks and "paper" are the non-prunable and
non-redundant units of Fig. E3, gains computed from each curve's values. ImageNet is left out: a
measurement takes about three times as long with the search, ResNet-18 is measured at five epochs
and Inception-v3 at sixteen layers.

    frivolous run effective-width --scale cpu                   25 minutes on two cores, no download
    frivolous run effective-width --scale paper --data-dir DIR  days on one GPU; DIR: CIFAR-10

Expect at scale cpu: gains of the effective width of 1.2 to 1.7 in networks that learn (dense ones
on 10 inputs 1.2 and 1.4, on 1,500 inputs 1.7 and 1.5, AlexNet 1.5, ResNet-56 1.6 up to size 2), so
that ever smaller shares of the units do; about 2 in AlexNets on random labels, which need most of
their units at any width. The narrowest networks need most of what they have. Image networks are one
per point: no interval.
"""

from __future__ import annotations

from dataclasses import replace

from frivolous.studies.papers import networks_cifar as nets
from frivolous.studies.papers.aaai_cifar import FIG1B
from frivolous.studies.papers.aaai_synthetic import FIG4D
from frivolous.studies.papers.aaai_synthetic import NOTES as DENSE_NOTES
from frivolous.studies.study import Panel, Series, Study

TOLERANCE = 0.02
"""Share of labels that may change at the effective width."""

COUNTS = ("effective", "non_prunable", "non_redundant")

DENSE = tuple(replace(curve, joint_tolerance=TOLERANCE) for curve in FIG4D.curves)  # type: ignore[type-var]
IMAGES = tuple(
    replace(curve, joint_tolerance=TOLERANCE)
    for curve in (nets.ALEXNET_TRUE, nets.ALEXNET_RANDOM, nets.RESNET56)
)

NOTES = (
    (
        "effective width",
        f"at most {TOLERANCE:.0%} of the labels change, readers re-fitted; layer by layer, summed",
        "no paper counts it",
    ),
    (
        "re-fitting",
        "least squares on every other group of 8 of test examples, labels of the other groups",
        "a fit to the examples that are counted would flatter wide networks",
    ),
)

EFFECTIVE_WIDTH = Study(
    name="effective-width",
    title="Units that are needed jointly",
    claim="Units needed jointly grow more slowly than the network, unless labels are random.",
    curves=(*DENSE, *IMAGES),
    panels=tuple(
        Panel(curve.name, count, series=(Series(curve.name, curve.name),))
        for curve in (*DENSE, *IMAGES)
        for count in COUNTS
    ),
    gpu="days",
    notes=(*NOTES, *DENSE_NOTES, *FIG1B.notes),
    kind="counts",
    told=("figE3",),
)
