"""ResNet-18 and Inception-v3 on ImageNet: Fig. 1a, 3, E2, E4, E5, E10, E12; parameters: Fig. E1."""

from __future__ import annotations

from frivolous.measures import AS_PUBLISHED_IMAGENET
from frivolous.studies.papers import networks_cifar
from frivolous.studies.papers import networks_imagenet as nets
from frivolous.studies.papers.dense_curves import DenseCurve
from frivolous.studies.papers.image_curves import ImageCurve
from frivolous.studies.study import Curve, Panel, Series, Study

CODE = "as the original code does it"

NOTES = (
    (
        "all layers",
        "the mean of the ablation curves of single layers",
        "the original export; joint ablation was computed and not exported",
    ),
    (
        "first convolution",
        "ResNet-18's is silenced before batch normalisation and activation",
        "the original code: a silenced channel gives what these make of zero",
    ),
    (
        "Inception-v3 in panel a",
        "one layer: the reduction to 8 x 8 (index 13); Inceptionv3-layer: the varied one (index 7)",
        "what the published curves are read from",
    ),
    ("networks", "one per point, one order of ablation, one sampling of positions", CODE),
    (
        "ResNet-18 batches",
        "8192, 4096, 3072, 1024, 512 from 1/4x to 4x, learning rate 0.128 x batch / 256",
        "the original code: as large as the hardware held; the text says 256 and 1",
    ),
    (
        "Inception-v3 training",
        "RMSprop at 0.045, 4% decay in 8 epochs, batches of 512, averaged weights",
        "the training code is not public; the text's rate of 1 is not followed",
    ),
)

ALL_NETWORKS = (nets.RESNET18, nets.INCEPTION, nets.INCEPTION_LAYER)
WHOLE = tuple(Series(curve.name, curve.name) for curve in ALL_NETWORKS)
# What the published curves of prunable and of redundant units are read from.
PRUNED = (
    Series("ResNet18", "ResNet18"),
    Series("Inceptionv3", "Inceptionv3", "13"),
    Series("Inceptionv3-layer", "Inceptionv3-layer", nets.VARIED_LAYER),
)
SPANNED = (*WHOLE[:2], Series("Inceptionv3-layer", "Inceptionv3-layer", nets.VARIED_LAYER))
LAYERS = tuple(Series(layer, "ResNet18", layer) for layer in nets.RESNET18_LAYERS)
LAYER_NAMES = {
    "7": "layer 7 (35x35 final)",
    "13": "layer 12 [code index 13]",
    "15": "layer 13 [code index 15]",
}


def inception_layers(curve: str) -> tuple[Series, ...]:
    """Return the three layers that are shown; those not varied are shares of themselves."""
    varied_all = curve == nets.INCEPTION.name
    return tuple(
        Series(LAYER_NAMES[site], curve, site, whole=not varied_all and site != nets.VARIED_LAYER)
        for site in nets.NAMED_LAYERS
    )


def _study(
    name: str, title: str, claim: str, curves: tuple[ImageCurve, ...], *panels: Panel
) -> Study:
    return Study(
        name=name,
        title=title,
        claim=claim,
        curves=curves,
        panels=panels,
        gpu="weeks",
        notes=NOTES,
        protocol=AS_PUBLISHED_IMAGENET,
    )


FIG1A = _study(
    "fig1a",
    "Accuracy on ImageNet",
    "Accuracy does not fall with width.",
    ALL_NETWORKS,
    Panel("a", "accuracy"),
)
FIG3A = _study(
    "fig3a",
    "Prunable units on ImageNet",
    "Prunable units grow much faster than the network.",
    ALL_NETWORKS,
    Panel("a", "prunable", series=PRUNED),
)
FIG3B = _study(
    "fig3b",
    "Redundant units on ImageNet",
    "Redundant units of ResNet-18 grow faster than the network, Inception-v3's hardly.",
    ALL_NETWORKS,
    Panel("b", "redundant", series=SPANNED),
)
FIG3C = _study(
    "fig3c",
    "Prunable units layer by layer",
    "Prunable units outpace the network in every layer of ResNet-18.",
    (nets.RESNET18,),
    Panel("c", "prunable", series=LAYERS),
)
FIG3D = _study(
    "fig3d",
    "Redundant units layer by layer",
    "Redundant units grow about as fast as the network, or faster, in the layers of ResNet-18.",
    (nets.RESNET18,),
    Panel("d", "redundant", series=LAYERS),
)
FIG_E2 = _study(
    "figE2",
    "What is not frivolous on ImageNet",
    "Non-frivolous units grow more slowly than frivolous ones.",
    ALL_NETWORKS,
    Panel("a", "non_prunable", series=PRUNED),
    Panel("b", "non_redundant", series=SPANNED),
    Panel("c", "non_prunable", series=LAYERS),
    Panel("d", "non_redundant", series=LAYERS),
)
FIG_E4 = _study(
    "figE4",
    "Inception-v3 layer by layer",
    "Prunable units outpace the network in single layers of Inception-v3.",
    (nets.INCEPTION,),
    Panel("a", "prunable", series=inception_layers("Inceptionv3")),
    Panel("b", "redundant", series=inception_layers("Inceptionv3")),
)
FIG_E5 = _study(
    "figE5",
    "Inception-v3 with one module varied",
    "Varying one module makes that module's units frivolous and leaves the others' as they were.",
    (nets.INCEPTION_LAYER,),
    Panel("a", "prunable", series=inception_layers("Inceptionv3-layer")),
    Panel("b", "redundant", series=inception_layers("Inceptionv3-layer")),
)
FIG_E10 = _study(
    "figE10",
    "Batch size and learning rate on ImageNet",
    "Accuracy and frivolous units do not depend on batch size and learning rate.",
    nets.RESNET18_BATCHES,
    Panel("a", "accuracy"),
    Panel("b", "prunable"),
    Panel("c", "redundant"),
)
FIG_E12 = Study(
    name="figE12",
    title="Training past convergence",
    claim="Prunable and redundant units are stable over the last epochs.",
    curves=(nets.RESNET18,),
    panels=(Panel("a", "accuracy"), Panel("b", "prunable"), Panel("c", "redundant")),
    gpu="weeks",
    notes=NOTES,
    protocol=AS_PUBLISHED_IMAGENET,
    kind="past",
)

HEAD = (("auxiliary", True),)
PARAMETERS: dict[str, tuple[Curve, ...]] = {
    "a": (DenseCurve("MLP 10 dim", 10), DenseCurve("MLP 10K dim", 10_000)),
    "b": (networks_cifar.PLAIN.named("AlexNet"), networks_cifar.RESNET56),
    # The published numbers count Inception-v3's second classifier, which only training runs.
    "c": (
        nets.RESNET18,
        nets.INCEPTION.with_options(HEAD),
        nets.INCEPTION_LAYER.with_options(HEAD),
    ),
}

FIG_E1 = Study(
    name="figE1",
    title="Parameters",
    claim="Parameters grow up to sixteen times when width grows fourfold.",
    curves=tuple(curve for curves in PARAMETERS.values() for curve in curves),
    panels=tuple(
        Panel(
            letter,
            "num_parameters",
            series=tuple(Series(curve.name, curve.name) for curve in curves),
        )
        for letter, curves in PARAMETERS.items()
    ),
    kind="parameters",
)
