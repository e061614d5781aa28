"""The papers' networks on ImageNet and how each was trained, following the original code.

Where text and code of "Frivolous Units" disagree:

- ResNet-18: learning rate 0.128 times the batch size / 256 after five epochs of warm-up, batches
  as large as the hardware held ("max": 8192, 4096, 3072, 1024, 512 from 1/4x to 4x).
- Inception-v3: the training code is not public; the paper's text is followed (RMSprop, 4% decay in
  8 epochs, here spread evenly over them) but for the learning rate: 1 in the text, 0.045 here, as
  the network's own authors have it; batches of 512 as in the code's list of options.
"""

from __future__ import annotations

from frivolous.measures import AS_PUBLISHED_IMAGENET
from frivolous.studies.papers.image_curves import ImageCurve, ImageScale, Source
from frivolous.studies.papers.networks_cifar import two_cores
from frivolous.studies.runs.image_spec import ImageTrainingSpec

IMAGENET_TRAIN, IMAGENET_TEST = 1_281_167, 50_000

UNNORMALISED = (
    "conv.weight",
    "*.first.weight",
    "*.second.weight",
    "*.projection.weight",
    "dense.*",
)
"""What weight decay acts on in ResNet-18: everything but batch normalisation."""

RESNET18_LAYERS = ("init-conv", "block-1", "block-2", "block-3", "block-4")
LARGEST_BATCH = {0.25: 8192, 0.5: 4096, 1.0: 3072, 2.0: 1024, 4.0: 512}
BEFORE_THE_END = (8, 6, 4, 2)
"""Epochs before the end of training at which a ResNet-18 is measured too."""


def imagenet(size: int) -> ImageScale:
    """Return the papers' scale on ImageNet: one network per point."""
    source = Source("imagenet", (("size", size),), IMAGENET_TRAIN, IMAGENET_TEST)
    return ImageScale(source, replicates=1)


RESNET18_SCALES = {
    "paper": imagenet(224),
    "cpu": two_cores(
        "ResNet-18 with 8, 8, 16, 32 and 64 units at 1x for 64, 64, 128, 256 and 512",
        32,
        "10 epochs",
        "batches a 64th of the paper's (16 at least) at a 40th of the learning rate",
        family=(("base", (8, 8, 16, 32, 64)), ("classes", 10), ("norm_decay", 0.9)),
        training=(("epochs", 10), ("boundaries", (4.0, 6.0, 8.0)), ("warmup", 1.0)),
        divisor=64,
        least=16,
        rate=1 / 40,
    ),
}


def resnet18(name: str, batch: int | None = None, sizes: tuple[float, ...] = ()) -> ImageCurve:
    """Return a curve of ResNet-18s trained with one batch size, or the largest of each width."""

    def recipe(size_factor: float) -> ImageTrainingSpec:
        size = batch or LARGEST_BATCH.get(size_factor, 1024)
        return ImageTrainingSpec(
            learning_rate=0.128 * size / 256,
            schedule="steps",
            boundaries=(30.0, 60.0, 80.0),
            warmup=5.0,
            batch_size=size,
            epochs=90,
            shuffle=True,
            preparation="imagenet-augmented",
            weight_decay=1e-4,
            decayed=UNNORMALISED,
            select="last",
            snapshots=BEFORE_THE_END,
        )

    return ImageCurve(
        name,
        "resnet18",
        recipe,
        RESNET18_SCALES,
        RESNET18_LAYERS,
        options=(("classes", 1001),),
        sizes=sizes,
        protocol=AS_PUBLISHED_IMAGENET,
        before_normalisation=("init-conv",),
    )


RESNET18 = resnet18("ResNet18")
RESNET18_BATCHES = (
    RESNET18.named("batch max"),
    resnet18("batch 4096", 4096, (0.25, 0.5)),
    resnet18("batch 2048", 2048, (0.25, 0.5, 1.0)),
    resnet18("batch 1024", 1024, (0.25, 0.5, 1.0, 2.0)),
)

INCEPTION_LAYERS = tuple(str(index) for index in range(16))
VARIED_LAYER, NAMED_LAYERS = "7", ("7", "13", "15")

INCEPTION_SCALES = {
    "paper": imagenet(299),
    "cpu": two_cores(
        "Inception-v3 an eighth as wide",
        75,
        "5 epochs at a learning rate of 0.005",
        "batches of 32 for 512",
        family=(("base", 0.125), ("classes", 10), ("norm_decay", 0.9)),
        training=(("epochs", 5), ("learning_rate", 0.005), ("average", 0.95)),
        divisor=16,
    ),
}


def inception(name: str, varied: str, sizes: tuple[float, ...]) -> ImageCurve:
    """Return a curve of Inception-v3s with all layers varied, or one module."""
    recipe = ImageTrainingSpec(
        optimiser="rmsprop",
        settings=(("alpha", 0.9), ("epsilon", 1.0), ("momentum", 0.9)),
        learning_rate=0.045,
        schedule="exponential",
        decay=0.96 ** (1 / 8),
        batch_size=512,
        epochs=90,
        shuffle=True,
        preparation="inception-augmented",
        weight_decay=4e-5,
        decayed=("*conv*.weight", "dense.*"),
        select="last",
        average=0.9999,
    )
    return ImageCurve(
        name,
        "inception",
        lambda size_factor: recipe,
        INCEPTION_SCALES,
        INCEPTION_LAYERS,
        options=(("classes", 1001), ("varied", varied)),
        sizes=sizes,
        protocol=AS_PUBLISHED_IMAGENET,
        ablated=NAMED_LAYERS,
    )


INCEPTION = inception("Inceptionv3", "all", (0.25, 0.5, 1.0))
INCEPTION_LAYER = inception("Inceptionv3-layer", "35x35x288b", ())
