"""The recipe of one network: everything about its training that decides the weights."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

from frivolous.data.transforms import PREPARATIONS
from frivolous.errors import BadArgument, look_up
from frivolous.training.single.optimisers import LOOP_OPTIMISERS
from frivolous.training.single.schedules import SCHEDULES

SELECTIONS: Mapping[str, str] = {
    "validation": "the state with the highest validation accuracy, the earliest of equals",
    "train": "the state with the highest accuracy on the training examples, the earliest of equals",
    "last": "the state after the last update",
}

PRECISIONS: Mapping[str, str] = {
    "float32": "everything in 32 bits",
    "bfloat16": "products in bfloat16 (autocast); weights, sums and updates in 32 bits",
}


@dataclass(frozen=True)
class LoopRecipe:
    """Training of one network, as :func:`~frivolous.training.single.train.train_network` does it.

    The network is evaluated on the validation examples before every epoch and after the last; an
    epoch is ``updates_per_epoch`` updates, on the next batches of the training examples repeated
    without end. The defaults are those of the papers' AlexNet in the original code; the text says
    the same, but does not tell that examples come in fixed order.

    Args:
        optimiser, settings: a key of ``LOOP_OPTIMISERS`` and what overrides its own settings.
        learning_rate: before the schedule changes it, above 0.
        schedule: ``exponential`` (times ``decay`` after every epoch), ``steps`` (times ``drop`` at
            each of the ``boundaries``, in epochs) or ``constant``.
        warmup: epochs in which the rate grows linearly from 0, whatever the schedule.
        batch_size: examples of one update; with several processes, of all of them together.
        epochs: the most that are trained, at least 1.
        updates_per_epoch: default as many whole batches as the training examples fill.
        shuffle: a new order for each pass over the examples, drawn from the seed.
        preparation: a key of ``PREPARATIONS``: how images are augmented and scaled.
        weight_decay: w; adds w times the parameter to the gradient of every parameter whose name
            one of the patterns ``decayed`` fits (``fnmatch``).
        select: which state is the result: a key of ``SELECTIONS``.
        patience: stop after this many epochs without a state better than the best.
        stop_at_train_accuracy: stop when the accuracy on all training examples reaches it.
        snapshots: numbers of epochs before the end whose states are kept besides.
        average: decay of the moving average of the weights that is evaluated and returned in their
            place; it starts smaller, as (1 + n) / (10 + n) after n updates, as TensorFlow's does.
        precision: a key of ``PRECISIONS``.

    Raises:
        BadArgument: a number out of its range, an unknown name, or options that do not go together.

    >>> LoopRecipe(epochs=2, batch_size=32).schedule
    'exponential'
    """

    epochs: int = 500
    optimiser: str = "momentum"
    learning_rate: float = 0.01
    settings: tuple[tuple[str, float], ...] = ()
    schedule: str = "exponential"
    decay: float = 0.95
    boundaries: tuple[float, ...] = ()
    drop: float = 0.1
    warmup: float = 0.0
    batch_size: int = 128
    updates_per_epoch: int | None = None
    shuffle: bool = False
    preparation: str = "none"
    weight_decay: float = 0.0
    decayed: tuple[str, ...] = ("*",)
    select: str = "validation"
    patience: int | None = None
    stop_at_train_accuracy: float | None = None
    snapshots: tuple[int, ...] = ()
    average: float | None = None
    precision: str = "float32"

    def __post_init__(self) -> None:
        defaults = look_up(LOOP_OPTIMISERS, self.optimiser, "optimiser")
        for name, _ in self.settings:
            look_up(defaults, name, f"setting of {self.optimiser}")
        look_up(SCHEDULES, self.schedule, "schedule")
        look_up(PREPARATIONS, self.preparation, "preparation")
        look_up(SELECTIONS, self.select, "selection")
        look_up(PRECISIONS, self.precision, "precision")
        for name in ("epochs", "batch_size", "updates_per_epoch", "patience"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise BadArgument(f"`{name}` must be at least 1; got {value}.")
        _check_rates(self)
        _check_ends(self)

    def setting(self, name: str) -> float:
        """Return the value of one of the optimiser's settings."""
        return dict(self.settings).get(name, LOOP_OPTIMISERS[self.optimiser][name])

    @property
    def watches_training(self) -> bool:
        """Whether every evaluation looks at the training examples too."""
        return self.select == "train" or self.stop_at_train_accuracy is not None

    def as_json(self) -> dict[str, object]:
        """Return all fields as JSON has them."""
        fields = dataclasses.asdict(self)
        return {
            name: _listed(value) if isinstance(value, tuple) else value
            for name, value in fields.items()
        }


def _listed(value: tuple[object, ...]) -> list[object]:
    return [_listed(item) if isinstance(item, tuple) else item for item in value]


def _check_rates(recipe: LoopRecipe) -> None:
    if not (math.isfinite(recipe.learning_rate) and recipe.learning_rate > 0):
        raise BadArgument(f"`learning_rate` must be above 0; got {recipe.learning_rate}.")
    for name in ("decay", "drop"):
        value = getattr(recipe, name)
        if not 0 < value <= 1:
            raise BadArgument(
                f"`{name}` is a factor in (0, 1]; got {value}. To keep the rate as it is pass 1."
            )
    for name in ("warmup", "weight_decay"):
        value = getattr(recipe, name)
        if not (math.isfinite(value) and value >= 0):
            raise BadArgument(f"`{name}` must be at least 0; got {value}. For none pass 0.")
    points = recipe.boundaries
    if any(b <= a for a, b in zip((0.0, *points), points, strict=False)):
        raise BadArgument(
            f"`boundaries` are epochs above 0, each later than the one before; got {points}. "
            "Pass them in order, such as (91, 136)."
        )
    if bool(points) != (recipe.schedule == "steps"):
        raise BadArgument(
            f"`boundaries` go with the schedule 'steps' and with no other; got {points} and "
            f"'{recipe.schedule}'. Give both or neither."
        )
    if recipe.average is not None and not 0 < recipe.average < 1:
        raise BadArgument(
            f"`average` is a decay in (0, 1); got {recipe.average}. For no average pass None."
        )


def _check_ends(recipe: LoopRecipe) -> None:
    share = recipe.stop_at_train_accuracy
    if share is not None and not 0 < share <= 1:
        raise BadArgument(
            f"`stop_at_train_accuracy` is a share in (0, 1]; got {share}. For 99% pass 0.99."
        )
    kept = recipe.snapshots
    if any(not 0 <= before <= recipe.epochs for before in kept) or len(set(kept)) < len(kept):
        raise BadArgument(
            f"`snapshots` are different numbers of epochs before the end, 0 to {recipe.epochs}; "
            f"got {kept}."
        )
    if kept and (recipe.patience is not None or share is not None):
        raise BadArgument(
            "`snapshots` count back from a fixed end; leave out `patience` and "
            "`stop_at_train_accuracy`, or the snapshots."
        )
    if recipe.patience is not None and recipe.select == "last":
        raise BadArgument(
            "`patience` waits for a better state, and select='last' knows none; "
            "select by 'validation' or 'train'."
        )
