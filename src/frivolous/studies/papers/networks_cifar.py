"""The papers' networks on CIFAR-10 and how each was trained, following the original code.

Where text and code of "Frivolous Units" disagree:

- AlexNet: one step of an epoch only evaluates (370 updates of 128 images for 371); examples come in
  fixed order; weight decay acts on the two dense hidden layers alone; dropout after them; the
  images are cropped to 28 x 28, standardised and resized back to 32 x 32; "all regularisers" are
  augmentation, dropout and weight decay together.
- ResNet-56: learning rate 0.1 (text: 1) times the batch size / 128, divided by 10 at epochs 91 and
  136 of 50,000 images, which are passes 95.8 and 143.2 over the 47,500; weight decay acts on
  everything that is trained; the last state counts.
- Random labels are drawn once for all networks; those networks are not regularised, and train until
  every training label is right or training accuracy has not risen for 50 epochs.
"""

from __future__ import annotations

from dataclasses import replace

from frivolous.studies.papers.image_curves import ImageCurve, ImageScale, Source
from frivolous.studies.runs.image_spec import ImageTrainingSpec, Options

CIFAR = Source(
    "cifar10", (("train", 47_500), ("validation", 2_500), ("order", "files")), 47_500, 10_000
)
DIGITS_TRAIN, DIGITS_TEST = 1_000, 500


def two_cores(
    network: str,
    size: int,
    epochs: str,
    batch: str,
    *,
    family: Options,
    training: Options,
    divisor: float,
    least: int = 1,
    rate: float = 1.0,
) -> ImageScale:
    """Return a scale for two cores: digits of size x size pixels in three channels, always there.

    ``network``, ``epochs`` and ``batch`` say in words what it shrinks; ``divisor`` and ``least``
    are the batches', see :class:`ImageScale`.
    """
    return ImageScale(
        Source("digits", (("channels", 3), ("size", size)), DIGITS_TRAIN, DIGITS_TEST),
        replicates=1,
        family=(*family, ("image", (3, size, size))),
        training=training,
        batch_divisor=divisor,
        least_batch=least,
        rate=rate,
        shrinks=(
            f"{network}, {DIGITS_TRAIN:,} handwritten digits of {size} x {size} pixels for the "
            f"data, {epochs}, {batch}, by default one network per point: not the paper's experiment"
        ),
    )


# ---- AlexNet on CIFAR-10

ALEXNET_LAYERS = ("conv1", "conv2", "fc3", "fc4")
DENSE_WEIGHTS = ("fc3.weight", "fc4.weight")
ALEXNET_IMAGE: Options = (("classes", 10), ("image", (3, 32, 32)))

ALEXNET_SCALES = {
    "paper": ImageScale(CIFAR),
    "cpu": two_cores(
        "AlexNet with 16, 32, 48 and 32 units at 1x for 96, 256, 384 and 192",
        16,
        "12 epochs",
        "batches of 32 for 128",
        family=(("base", (16, 32, 48, 32)),),
        training=(("epochs", 12),),
        divisor=4,
    ),
}


ALEXNET_LONG = replace(
    ALEXNET_SCALES["cpu"],
    training=(("epochs", 40),),
    shrinks=ALEXNET_SCALES["cpu"].shrinks.replace("12 epochs", "40 epochs where labels are random"),
)


def alexnet_recipe(
    *,
    k: float = 1.0,
    augmented: bool = False,
    weight_decay: float = 0.0,
    random_labels: bool = False,
) -> ImageTrainingSpec:
    """Return how an AlexNet is trained; ``k`` multiplies learning rate and batch size."""
    return ImageTrainingSpec(
        learning_rate=0.01 * k,
        batch_size=int(128 * k),
        epochs=5000 if random_labels else 1000 if augmented else 500,
        preparation="alexnet-augmented" if augmented else "alexnet",
        weight_decay=weight_decay,
        decayed=DENSE_WEIGHTS if weight_decay else ("*",),
        select="train" if random_labels else "validation",
        patience=50,
        stop_at_train_accuracy=1.0 if random_labels else None,
    )


def alexnet(
    name: str,
    start: str = "glorot-truncated",
    *,
    dropout: float = 0.0,
    random_labels: bool = False,
    sizes: tuple[float, ...] = (),
    k: float = 1.0,
    augmented: bool = False,
    weight_decay: float = 0.0,
) -> ImageCurve:
    """Return a curve of AlexNets."""
    recipe = alexnet_recipe(
        k=k, augmented=augmented, weight_decay=weight_decay, random_labels=random_labels
    )
    scales = ALEXNET_SCALES | ({"cpu": ALEXNET_LONG} if random_labels else {})
    return ImageCurve(
        name,
        "alexnet",
        lambda size_factor: recipe,
        scales,
        ALEXNET_LAYERS,
        options=(*ALEXNET_IMAGE, ("dropout", dropout)),
        start=start,
        random_labels=random_labels,
        sizes=sizes,
        idle_updates=1,
    )


GLOROT, HE, LECUN = (
    alexnet("Glorot Norm", "glorot-truncated"),
    alexnet("He Norm", "he-truncated"),
    alexnet("Lecun Norm", "lecun-truncated"),
)
GLOROT_UNIFORM, HE_UNIFORM, LECUN_UNIFORM = (
    alexnet("Glorot Unif.", "glorot-uniform"),
    alexnet("He Unif.", "he-uniform"),
    alexnet("Lecun Unif.", "lecun-uniform"),
)
PLAIN = GLOROT.named("None")
AUGMENTED = alexnet("DataAug.", augmented=True)
DROPOUT = alexnet("Dropout", dropout=0.5)
DECAYED = alexnet("W. Decay", weight_decay=1e-3)
REGULARISED = alexnet("All", augmented=True, dropout=0.5, weight_decay=1e-3)
ALEXNET_TRUE = REGULARISED.named("AlexNet (all regularizers)")
ALEXNET_RANDOM = alexnet("AlexNet-Random", random_labels=True)
ALEXNET_K = (
    GLOROT.named("AlexNet-k=1"),
    alexnet("AlexNet-k=0.25", k=0.25),
    # The 4x network with k = 4 did not fit the original hardware.
    alexnet("AlexNet-k=4", k=4.0, sizes=(0.25, 0.5, 1.0, 2.0)),
)

# ---- ResNet-56 on CIFAR-10

RESNET56_LAYERS = ("init-conv", "block-1", "block-2", "block-3")
PASS = 50_000 / 47_500  # epochs are counted in 50,000 images, a pass has 47,500

RESNET56_SCALES = {
    "paper": ImageScale(CIFAR),
    "cpu": two_cores(
        "ResNet-56 with 8, 8, 16 and 32 units at 1x for 16, 16, 32 and 64",
        8,
        "12 epochs",
        "batches of 32 for 128, an eighth of the learning rates",
        family=(("base", (8, 8, 16, 32)), ("norm_decay", 0.9)),
        training=(("epochs", 12), ("boundaries", (8.0, 10.0))),
        divisor=4,
        rate=1 / 8,
    ),
}


def resnet56(name: str, *, k: float = 1.0, random_labels: bool = False) -> ImageCurve:
    """Return a curve of ResNet-56s."""
    recipe = ImageTrainingSpec(
        learning_rate=0.1 * k,
        schedule="steps",
        boundaries=(91 * PASS, 136 * PASS),
        batch_size=int(128 * k),
        epochs=182,
        shuffle=True,
        preparation="resnet56" if random_labels else "resnet56-augmented",
        weight_decay=0.0 if random_labels else 2e-4,
        select="last",
    )
    return ImageCurve(
        name,
        "resnet56",
        lambda size_factor: recipe,
        RESNET56_SCALES,
        RESNET56_LAYERS,
        random_labels=random_labels,
    )


RESNET56 = resnet56("ResNet56")
RESNET56_RANDOM = resnet56("ResNet56-Random", random_labels=True)
RESNET56_K = (
    RESNET56.named("ResNet-k=1"),
    resnet56("ResNet-k=0.25", k=0.25),
    resnet56("ResNet-k=4", k=4.0),
)
