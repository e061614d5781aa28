"""AlexNet and ResNet-56 on CIFAR-10: Fig. 1b, c, 2, 4a to c, E3, E6, E11 of Casper et al. 2021."""

from __future__ import annotations

from frivolous.studies.papers import networks_cifar as nets
from frivolous.studies.papers.aaai_synthetic import FIG4D
from frivolous.studies.papers.aaai_synthetic import NOTES as DENSE_NOTES
from frivolous.studies.papers.image_curves import ImageCurve
from frivolous.studies.study import Panel, Series, Study

CODE = "as the original code does it"

ALEXNET_NOTES = (
    (
        "images",
        "central 28 x 28 (random if augmented), standardised one by one, resized back to 32 x 32",
        "the original code; the text does not mention it",
    ),
    (
        "initial weights",
        "normal truncated at two standard deviations and rescaled; biases 0, 0.1, 0.1, 0.1, 0",
        "the original code; the text says Gaussian",
    ),
    (
        "training",
        "370 updates of 128 images an epoch in fixed order, rate 0.01 times 0.95 per epoch",
        "the original code: no shuffling, one step of an epoch only evaluates",
    ),
    (
        "checkpoint",
        "best validation accuracy; stops after 50 epochs without a better one",
        CODE,
    ),
    (
        "validation",
        "the last 2,500 of the 50,000 training images",
        "the original code; the text says 5,000",
    ),
    (
        "weight decay",
        "0.001 on the two dense hidden layers' weights",
        "the original code; the text names no layers",
    ),
    ("dropout", "0.5 after the two dense hidden layers", CODE),
)

RANDOM_NOTES = (
    (
        "random labels",
        "training and validation labels drawn once for all networks; test labels true",
        CODE,
    ),
    (
        "regularisation",
        "networks on true labels are regularised, those on random labels are not",
        "the original code's choice of networks for this figure",
    ),
)

RESNET56_NOTES = (
    (
        "ResNet-56",
        (
            "rate 0.1 x batch / 128, a tenth after epochs 91 and 136 of 50,000 images; 182 passes; "
            "decay 0.0002 on everything trained; the last state counts"
        ),
        "the original code; the text says a rate of 1",
    ),
    (
        "ResNet-56 layers",
        "first convolution and the three groups' outputs are ablated and measured",
        CODE,
    ),
)

INITIALISED = (nets.GLOROT, nets.HE, nets.LECUN)
UNIFORM = (nets.GLOROT_UNIFORM, nets.HE_UNIFORM, nets.LECUN_UNIFORM)
LABELLED = (nets.ALEXNET_TRUE, nets.ALEXNET_RANDOM, nets.RESNET56, nets.RESNET56_RANDOM)
REGULARISERS = (nets.PLAIN, nets.REGULARISED, nets.AUGMENTED, nets.DROPOUT, nets.DECAYED)
BATCHES = (*nets.ALEXNET_K, *nets.RESNET56_K)


FIG1B = Study(
    name="fig1b",
    title="Accuracy with true and with random labels",
    claim="Accuracy does not fall with width, though the networks can fit random labels.",
    curves=LABELLED,
    panels=(Panel("b", "accuracy"), Panel("train", "train_accuracy")),
    gpu="days",
    notes=(*ALEXNET_NOTES, *RANDOM_NOTES, *RESNET56_NOTES),
)

FIG1C = Study(
    name="fig1c",
    title="Accuracy and initialisation",
    claim="Accuracy does not fall with width, whatever the initialisation.",
    curves=INITIALISED,
    panels=(Panel("c", "accuracy"),),
    gpu="days",
    notes=ALEXNET_NOTES,
)


def _fig2(panel: str, curve: ImageCurve, start: str, kind: str, claim: str) -> Study:
    titled = curve.named(f"{start} init AlexNet")
    measure, site = ("unchanged_labels", "all") if kind == "ablation" else ("mean_abs_r", "conv2")
    if kind == "correlations":
        measure = "mean_abs_r_conv2"
    return Study(
        name=f"fig2{panel}",
        title=(
            f"Ablation curves of {start}-initialised AlexNets"
            if kind == "ablation"
            else f"Correlations in the second layer of {start}-initialised AlexNets"
        ),
        claim=claim,
        curves=(titled,),
        panels=(Panel(panel, measure, series=(Series(titled.name, titled.name, site),)),),
        gpu="hours",
        notes=ALEXNET_NOTES,
        size_factors=(0.25, 0.5, 1.0, 2.0, 4.0) if kind == "ablation" else (0.25, 1.0, 4.0),
        kind="ablation" if kind == "ablation" else "correlations",
    )


FIG2A = _fig2(
    "a",
    nets.GLOROT,
    "Glorot",
    "ablation",
    "With Glorot initialisation a wider network keeps its labels with more units ablated.",
)
FIG2B = _fig2(
    "b",
    nets.HE,
    "He",
    "ablation",
    "With He initialisation the gain in prunable units is smaller.",
)
FIG2C = _fig2(
    "c",
    nets.GLOROT,
    "Glorot",
    "correlations",
    "With Glorot initialisation correlations between units change little with width.",
)
FIG2D = _fig2(
    "d",
    nets.HE,
    "He",
    "correlations",
    "With He initialisation units of wider networks are more correlated.",
)

FIG4A = Study(
    name="fig4a",
    title="True and random labels",
    claim="Frivolous units outpace the network even where it memorises random labels.",
    curves=LABELLED,
    panels=(Panel("a", "prunable"), Panel("a", "redundant")),
    gpu="days",
    notes=FIG1B.notes,
)

FIG4B = Study(
    name="fig4b",
    title="Regularisers",
    claim="Regularisers change how many units are frivolous, not that they outpace the network.",
    curves=REGULARISERS,
    panels=(Panel("b", "prunable"), Panel("b", "redundant")),
    gpu="days",
    notes=ALEXNET_NOTES,
)

FIG4C = Study(
    name="fig4c",
    title="Initialisation",
    claim="Prunable and redundant units more than double with width for every initialisation.",
    curves=INITIALISED,
    panels=(Panel("c", "prunable"), Panel("c", "redundant")),
    gpu="days",
    notes=ALEXNET_NOTES,
)


def _of(study: Study, panel: str) -> tuple[Panel, ...]:
    """Return the two panels of Fig. E3 that show what the panels of a study leave."""
    lines = tuple(Series(curve.name, curve.name) for curve in study.curves)
    return tuple(
        Panel(panel, measure, series=lines) for measure in ("non_prunable", "non_redundant")
    )


FIG_E3 = Study(
    name="figE3",
    title="What is not frivolous",
    claim="Non-frivolous units grow more slowly than frivolous ones.",
    curves=(*LABELLED, *REGULARISERS, *INITIALISED, *FIG4D.curves),
    panels=(*_of(FIG4A, "a"), *_of(FIG4B, "b"), *_of(FIG4C, "c"), *_of(FIG4D, "d")),
    gpu="days",
    notes=(*ALEXNET_NOTES, *RANDOM_NOTES, *RESNET56_NOTES, *DENSE_NOTES),
)

FIG_E6 = Study(
    name="figE6",
    title="Uniform initialisation",
    claim="Uniform initialisers give the trends of Gaussian ones.",
    curves=UNIFORM,
    panels=(Panel("a", "accuracy"), Panel("b", "prunable"), Panel("c", "redundant")),
    gpu="days",
    notes=ALEXNET_NOTES,
)

FIG_E11 = Study(
    name="figE11",
    title="Learning rate and batch size on CIFAR-10",
    claim="Accuracy and frivolous units do not depend on the factor of learning rate and batch.",
    curves=BATCHES,
    panels=(Panel("a", "accuracy"), Panel("b", "prunable"), Panel("c", "redundant")),
    gpu="days",
    notes=(
        *ALEXNET_NOTES,
        *RESNET56_NOTES,
        ("k", "learning rate and batch size times 1/4, 1 and 4; no 4x AlexNet with k = 4", CODE),
    ),
)
