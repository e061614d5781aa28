"""The dense networks on synthetic data: Fig. 4d, E7, E8 and E9 of Casper et al. 2021 (AAAI).

One hidden layer of 32 to 512 ReLU units learns what a random teacher of 32 units says of Gaussian
inputs. Text and original code differ in places; followed here, as the published numbers come from
the code:

- initial weights: normals truncated at two standard deviations and not rescaled, sigma 0.001 f in
  the first layer and 0.01 f in the output layer (text: Gaussian, 0.01); biases 0;
- 6 updates of 128 examples per epoch, in fixed order (300 updates in all), learning rate times 0.95
  per epoch; the state with the best validation accuracy is measured;
- learning rate: the best of {1, 0.1, 0.01, 0.001, 0.0001} for each width. Which was chosen for the
  published figures is not recorded and the surviving code looks at test accuracy; here the choice
  is by mean validation accuracy over the replicates, never by test accuracy;
- one teacher and one data set for all replicates; measured on 768 of 1,000 test examples.

In Fig. 4d the legend's "1e-2" and "1" are f; in E7 and E8 it is the output layer's sigma, 0.01 f,
so that 4d's "1e-2" is E7's "1e-4" and 4d's "1" is E7's "1e-2". Those networks are trained once.
"""

from __future__ import annotations

from frivolous.studies.papers.dense_curves import DenseCurve as Curve
from frivolous.studies.study import Panel, Study

FACTORS = {"1e-4": 1e-2, "1e-2": 1.0, "1": 1e2, "1e2": 1e4, "1e4": 1e6}
"""Output layer's sigma, as the legends of E7 and E8 name it, and the factor f behind it."""

CODE = "as the original code does it"

NOTES = (
    (
        "initial weights",
        "truncated normal, not rescaled: 0.001 f first layer, 0.01 f output layer",
        "the original code; the text says Gaussian, 0.01",
    ),
    ("biases", "start at 0", CODE),
    (
        "data",
        "1,000 training, validation and test examples each; one teacher for all replicates",
        "the text gives the sizes, the code the single teacher",
    ),
    (
        "teacher",
        "32 hidden units; each label for 40 to 60% of inputs",
        "the text; teachers are drawn anew until it holds, the number of tries is kept",
    ),
    (
        "training",
        "300 updates of 128 examples in fixed order; rate times 0.95 every 6 updates",
        "the original code: no shuffling, one step of an epoch only evaluates",
    ),
    (
        "checkpoint",
        "best validation accuracy, looked at before each epoch and after the last",
        CODE,
    ),
    (
        "learning rate",
        "best mean validation accuracy over replicates, for each curve and width",
        "not recorded for the published figures; the code looks at test accuracy: not done here",
    ),
)


def _panels(first: str, second: str) -> tuple[Panel, ...]:
    """Return the panels of an appendix figure and of its ancestors in papers 000 and 002."""
    return (
        Panel("a", "accuracy"),
        Panel("b", "prunable"),
        Panel("c", "redundant"),
        Panel(f"{first}b", "area", "2019 preprint, and ICLR submission"),
        Panel(f"{second}c", "compressibility", "ICLR submission"),
        Panel(f"{first}c", "similarity", "2019 preprint, and ICLR submission"),
    )


FIG4D = Study(
    name="fig4d",
    title="Dense networks on synthetic data: input dimension and initialisation",
    claim="Prunable and redundant units more than double when the network's width doubles.",
    curves=(
        Curve("10dim - 1e-2", 10, (1e-2,)),
        Curve("10dim - 1", 10, (1.0,)),
        Curve("10Kdim - 1e-2", 10_000, (1e-2,)),
        Curve("10Kdim - 1", 10_000, (1.0,)),
    ),
    panels=(Panel("accuracy", "accuracy"), Panel("d", "prunable"), Panel("d", "redundant")),
    notes=NOTES,
)

FIG_E7 = Study(
    name="figE7",
    title="Initialisation variance, 10 input dimensions",
    claim="With 10 inputs, frivolous units do not depend on the variance of initialisation.",
    curves=tuple(Curve(name, 10, (factor,)) for name, factor in FACTORS.items()),
    panels=_panels("B5", "C6"),
    notes=NOTES,
)

FIG_E8 = Study(
    name="figE8",
    title="Initialisation variance, 10,000 input dimensions",
    claim="With 10,000 inputs, a small initialisation makes the most redundant units.",
    curves=tuple(Curve(name, 10_000, (factor,)) for name, factor in FACTORS.items()),
    panels=_panels("B4", "C5"),
    notes=NOTES,
)

FIG_E9 = Study(
    name="figE9",
    title="Optimisers, 10,000 input dimensions",
    claim="Prunable units hardly depend on the optimiser; redundant units do.",
    curves=(
        Curve("Momentum", 10_000, tuple(FACTORS.values())),
        Curve("SGD", 10_000, tuple(FACTORS.values()), "sgd"),
        Curve("Adam", 10_000, tuple(FACTORS.values()), "adam", (1e-3,), 1.0, searched=1),
        Curve(
            "RMSprop",
            10_000,
            tuple(FACTORS.values()),
            "rmsprop",
            (0.1, 0.01, 1e-3, 1e-4, 1e-5),
            searched=1,
        ),
    ),
    panels=_panels("B11", "C12"),
    notes=(
        *NOTES[:-1],
        (
            "learning rate and initialisation",
            (
                "chosen together by mean validation accuracy, for each curve and width; of Adam "
                "(default rate, 0.001) and RMSprop (a tenth of the others' rates) by the first "
                "replicate's"
            ),
            "the paper: best over both; one replicate where there is no shortcut for wide inputs",
        ),
        ("RMSprop", "decay 0.9, mean square starts at 1", "TensorFlow 1.14's own"),
    ),
)
