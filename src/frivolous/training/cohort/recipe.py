"""The recipe of a cohort: how dense networks are trained, as a record."""

from __future__ import annotations

from dataclasses import dataclass

from frivolous.errors import BadArgument, look_up
from frivolous.training.cohort.optimisers import OPTIMISERS

LEARNING_RATES = (1.0, 0.1, 0.01, 0.001, 0.0001)
"""The rates that the papers choose the best of for the dense networks."""


@dataclass(frozen=True)
class Recipe:
    """Training as the papers' original code does it for the dense networks.

    Batches come in fixed order from the training examples repeated without end (no shuffling);
    an epoch is ``updates_per_epoch`` of them; its rate is ``learning_rate * decay**epoch``.
    The network is evaluated on the validation examples before every epoch and after the last, and
    the state with the highest validation accuracy (the earliest of equals) is what training
    returns.

    ``settings`` override the optimiser's own (see ``OPTIMISERS``), e.g. ``(("momentum", 0.8),)``.
    """

    optimiser: str = "momentum"
    learning_rate: float = 0.01
    decay: float = 0.95
    epochs: int = 50
    batch_size: int = 128
    updates_per_epoch: int = 6
    settings: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        defaults = look_up(OPTIMISERS, self.optimiser, "optimiser").settings
        for name, _ in self.settings:
            look_up(defaults, name, f"setting of {self.optimiser}")
        for name in ("epochs", "batch_size", "updates_per_epoch"):
            if getattr(self, name) < 1:
                raise BadArgument(f"`{name}` must be at least 1; got {getattr(self, name)}.")
        if not self.learning_rate > 0:
            raise BadArgument(f"`learning_rate` must be above 0; got {self.learning_rate}.")
        if not 0 < self.decay <= 1:
            raise BadArgument(
                f"`decay` is the factor per epoch in (0, 1]; got {self.decay}. For no decay pass 1."
            )

    def setting(self, name: str) -> float:
        """Return the value of one of the optimiser's settings."""
        return dict(self.settings).get(name, OPTIMISERS[self.optimiser].settings[name])

    def together(self) -> tuple[object, ...]:
        """Return what must be equal for networks to train in one cohort."""
        return (self.optimiser, self.epochs, self.batch_size, self.updates_per_epoch)
