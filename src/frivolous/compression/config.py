"""The options of a compression, as one record for Python, the command line and stored facts.

:func:`frivolous.compression.compress.compress` builds the record from its arguments, ``frivolous
compress`` from its flags, with the help texts below; ``compression.json`` holds what it says. Torch
is not imported before a record is made, so that ``--help`` is quick.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from tyro.conf import Fixed, Suppress, arg

from frivolous.compression.budget import BUDGETS, Budget, budget_of
from frivolous.errors import BadArgument


@dataclass(frozen=True, kw_only=True)
class CompressionConfig:
    """How a network is compressed: all arguments of ``fv.compress`` but the model and the data.

    Args:
        tolerance: share of held-out labels that may change, its 95% bound too. This is the default
            budget, with 0.02.
        units: share of the units that may be left.
        parameters: share of the parameters that may be left.
        flops: share of the multiply-adds that may be left.
        latency: share of the time of one example that may be left.
        keep: how many units of each site named stay, all of the others.
        method: joint, refactor, prune, or a baseline: magnitude, random and others.
        finetune: epochs of training on the data to give the scores of the original.
        add_biases: let layers without a bias be given one; their class must then take it.
        output: which of several outputs holds the scores; default the entry logits.
        batch_size: examples per batch for data given as a tensor.
        seed: of the split of the data, of samples and of method random.
        device: cpu or cuda; default where the model is.
    """

    tolerance: float | None = None
    units: float | None = None
    parameters: float | None = None
    flops: float | None = None
    latency: float | None = None
    keep: Annotated[Mapping[str, int] | None, Fixed, Suppress] = None
    method: str = "joint"
    finetune: int = 0
    add_biases: bool = False
    output: Annotated[str | int | None, arg(metavar="{None}|STR")] = None
    batch_size: int = 256
    seed: int = 0
    device: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be asked, before any work."""
        from frivolous.compression.criteria.methods import method_named

        _ = self.budget
        method_named(self.method)
        whole = isinstance(self.finetune, int) and not isinstance(self.finetune, bool)
        if not whole or self.finetune < 0:
            raise BadArgument(
                f"`finetune` is a whole number of epochs, 0 or more; got {self.finetune!r}."
            )

    @property
    def budget(self) -> Budget:
        """The one budget that must hold."""
        return budget_of({name: getattr(self, name) for name in BUDGETS})

    @property
    def facts(self) -> dict[str, Any]:
        """What a report's facts say of how it was made."""
        kind, amount = self.budget.kind, self.budget.amount
        return {
            "method": self.method,
            "budget": kind,
            "amount": dict(amount) if kind == "keep" else float(amount),
            "finetune": self.finetune,
            "seed": self.seed,
        }
