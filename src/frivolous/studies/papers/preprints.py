"""The figures of the two earlier papers on the same networks: area, similarity, compressibility.

``preprint-…``: "Frivolous Units" as a preprint of 2019 (removability is the area under the ablation
curve, repetition the similarity). ``iclr-…``: "Robustness and/or Redundancy Emerge in
Overparametrized Deep Neural Networks", a submission of 2019 (robustness is the area; with
compressibility). Each point is a mean over layers. None of their numbers are published, and every
network is one of the final paper's.
"""

from __future__ import annotations

from dataclasses import replace

from frivolous.studies.papers import aaai_cifar, aaai_imagenet, networks_imagenet
from frivolous.studies.papers import networks_cifar as nets
from frivolous.studies.papers.image_curves import ImageCurve
from frivolous.studies.study import Kind, Panel, Series, Study

PREPRINT, SUBMISSION = "2019 preprint", "ICLR submission"
PAIR = ("area", "similarity")
TRIPLE = ("area", "compressibility", "similarity")

RESNET56_LINES = tuple(Series(layer, "ResNet56", layer) for layer in nets.RESNET56_LAYERS)
INCEPTION_LINES = aaai_imagenet.inception_layers("Inceptionv3")
VARIED_LINES = aaai_imagenet.inception_layers("Inceptionv3-layer")
# Two curves are means over layers; of Inceptionv3-layer only the varied layer is shown.
IMAGENET_LINES = aaai_imagenet.SPANNED


def _figure(
    paper: str,
    figure: str,
    like: Study,
    measures: tuple[str, ...],
    title: str,
    lines: tuple[Series, ...] = (),
    *,
    claim: str = "",
) -> Study:
    """Return an earlier paper's figure from the networks of a study of the final paper."""
    version = PREPRINT if paper == "preprint" else SUBMISSION
    panels = tuple(
        Panel(letter, measure, version=version, series=lines)
        for letter, measure in zip("abcd", measures, strict=False)
    )
    name = f"{paper}-fig{figure}"
    return replace(like, name=name, title=title, panels=panels, claim=claim or like.claim)


def _both(
    preprint: str,
    submission: str,
    like: Study,
    title: str,
    lines: tuple[Series, ...] = (),
    *,
    accuracy: bool = False,
    claim: str = "",
) -> tuple[Study, Study]:
    """Return the figure of either paper."""
    first = ("accuracy",) if accuracy else ()
    return (
        _figure("preprint", preprint, like, (*first, *PAIR), title, lines, claim=claim),
        _figure("iclr", submission, like, (*first, *TRIPLE), title, lines, claim=claim),
    )


def _ablation(name: str, version: str, like: Study, *curves: ImageCurve) -> Study:
    kind: Kind = "ablation"
    return replace(
        like,
        name=name,
        title="Ablation curves",
        claim="Some networks, not all, keep their labels better the wider they are.",
        curves=curves,
        panels=tuple(
            Panel(letter, "unchanged_labels", version, (Series(curve.name, curve.name),))
            for letter, curve in zip("abc", curves, strict=False)
        ),
        kind=kind,
    )


GLOROT, HE = (
    nets.GLOROT.named("Glorot init AlexNet"),
    nets.HE.named("He init AlexNet"),
)
LAYERED = replace(aaai_cifar.FIG4A, curves=(nets.RESNET56,))
ACCURACY_CURVES = (*aaai_imagenet.ALL_NETWORKS, *aaai_cifar.LABELLED, *aaai_cifar.INITIALISED)


def _accuracy_panel(letter: str, curves: tuple[ImageCurve, ...]) -> Panel:
    lines = tuple(Series(curve.name, curve.name) for curve in curves)
    return Panel(letter, "accuracy", version=SUBMISSION, series=lines)


CORRELATED = (
    nets.PLAIN,
    nets.REGULARISED,
    nets.ALEXNET_RANDOM.named("Random labels"),
)

ALL = (
    _ablation("preprint-fig2", PREPRINT, aaai_cifar.FIG2A, GLOROT, HE),
    replace(
        aaai_cifar.FIG2C,
        name="preprint-fig3",
        title="Correlations in the last convolution layer",
        claim="Some networks develop more highly correlated units as they grow.",
        curves=(GLOROT, HE),
        panels=tuple(
            Panel(letter, "mean_abs_r_conv2", PREPRINT, (Series(curve.name, curve.name, "conv2"),))
            for letter, curve in (("a", GLOROT), ("b", HE))
        ),
    ),
    *_both(
        "4",
        "3",
        aaai_imagenet.FIG3A,
        "Removable and repeated units on ImageNet",
        IMAGENET_LINES,
        claim="Both emerge in ResNet-18; Inception-v3 only becomes robust.",
    ),
    *_both("5", "4", aaai_cifar.FIG4A, "True and random labels"),
    *_both("6", "5", aaai_cifar.FIG4C, "Initialisation"),
    replace(aaai_imagenet.FIG_E1, name="preprint-figB1"),
    replace(aaai_imagenet.FIG_E1, name="iclr-figA1"),
    *_both("B2", "C3", aaai_imagenet.FIG_E12, "Training past convergence", accuracy=True),
    *_both("B3", "C4", aaai_cifar.FIG_E6, "Uniform initialisation", accuracy=True),
    *_both(
        "B6",
        "C7",
        LAYERED,
        "ResNet-56 layer by layer",
        RESNET56_LINES,
        claim="The first convolution and the last group are the most frivolous.",
    ),
    *_both(
        "B7",
        "C8",
        aaai_imagenet.FIG3C,
        "ResNet-18 layer by layer",
        aaai_imagenet.LAYERS,
        claim="The last group bears ablation best; the first convolution is the most redundant.",
    ),
    *_both("B8", "C9", aaai_imagenet.FIG_E4, "Inception-v3 layer by layer", INCEPTION_LINES),
    *_both("B9", "C10", aaai_imagenet.FIG_E5, "Inception-v3, one module varied", VARIED_LINES),
    *_both("B10", "C11", aaai_cifar.FIG4B, "Regularisers", accuracy=True),
    *_both(
        "B12",
        "C13",
        aaai_imagenet.FIG_E10,
        "Batch size and learning rate, ResNet-18",
        accuracy=True,
    ),
    *_both(
        "B13", "C14", aaai_cifar.FIG_E11, "Batch size and learning rate, CIFAR-10", accuracy=True
    ),
    replace(
        aaai_cifar.FIG1B,
        name="iclr-fig1",
        title="Accuracy",
        claim="Accuracy does not fall with width.",
        curves=ACCURACY_CURVES,
        gpu=aaai_imagenet.FIG1A.gpu,
        panels=(
            _accuracy_panel("a", aaai_imagenet.ALL_NETWORKS),
            _accuracy_panel("b", aaai_cifar.LABELLED),
            _accuracy_panel("c", aaai_cifar.INITIALISED),
        ),
        notes=(*aaai_imagenet.NOTES, *aaai_cifar.FIG1B.notes),
    ),
    replace(
        _ablation(
            "iclr-fig2", SUBMISSION, aaai_cifar.FIG2A, networks_imagenet.RESNET18, GLOROT, HE
        ),
        gpu=aaai_imagenet.FIG1A.gpu,
    ),
    replace(
        aaai_cifar.FIG2C,
        name="iclr-figB2",
        title="Correlations in every layer of AlexNet",
        claim="The first convolution and the last dense layer have the most similar units.",
        curves=CORRELATED,
        panels=(
            Panel(
                "B2",
                "mean_abs_r",
                SUBMISSION,
                tuple(
                    Series(curve.name, curve.name, layer)
                    for layer in nets.ALEXNET_LAYERS
                    for curve in CORRELATED
                ),
            ),
        ),
        notes=(*aaai_cifar.ALEXNET_NOTES, *aaai_cifar.RANDOM_NOTES),
    ),
)
