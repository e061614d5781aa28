"""The options of a measurement, as one record for Python, the command line and stored facts.

:func:`frivolous.measurement.measure.measure` builds the record from its arguments, ``frivolous
measure`` from its flags, with the help texts below; ``measurement.json`` holds what it says.
Neither torch nor SciPy is imported before a record is made, so that ``--help`` is quick.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Fixed, Suppress, arg

from frivolous.ablation import options

if TYPE_CHECKING:
    from frivolous.measures import Protocol
    from frivolous.measures.unit_kinds import Thresholds
else:  # no flags are made of them
    Protocol = Thresholds = object


def _one_of(names: Iterable[str]) -> Any:
    return arg(metavar=f"{{{','.join(names)}}}")


@dataclass(frozen=True, kw_only=True)
class MeasurementConfig:
    """How a network is measured: all arguments of ``fv.measure`` but the model and the data.

    Args:
        sites: names of the sites to measure; default all.
        output: which of several outputs holds the scores; default the entry logits.
        residual: measure residual streams too, values that many layers write and read.
        grain: ablate whole units, or each spatial position by itself.
        replacement: what an ablated unit gives: zero, or its mean.
        tolerance: share of labels that may change, from 0 to below 1.
        precision: how closely to know prunable units, as a share of the units, such as 0.01; only
            as many examples are taken as that needs. Default: all examples.
        intervals: of proportions over examples.
        joint_tolerance: share of labels for the effective width; None leaves it out.
        unit_examples: examples on which units are silenced one by one; None leaves it out.
        batch_size: examples per batch for data given as a tensor.
        seed: of ablation orders and samplings.
        device: cpu or cuda; default where the model is.
        thresholds: where one kind of unit ends and the next begins; default ``Thresholds()``.
        protocol: the conventions of counting; default ``AS_WRITTEN``.
    """

    sites: Annotated[Sequence[str] | None, arg(metavar="[STR [STR ...]]")] = None
    output: Annotated[str | int | None, arg(metavar="{None}|STR")] = None
    residual: bool = False
    grain: Annotated[str, _one_of(options.GRAINS)] = "channel"
    replacement: Annotated[str, _one_of(options.REPLACEMENTS)] = "zero"
    tolerance: Annotated[
        float | None, arg(metavar="FLOAT", help_behavior_hint="(default: 0.2)")
    ] = None
    precision: float | None = None
    intervals: Literal["wilson", "exact"] = "wilson"
    joint_tolerance: float | None = 0.02
    unit_examples: int | None = 1000
    batch_size: int = 256
    seed: int = 0
    device: str | None = None
    thresholds: Annotated[Thresholds | None, Fixed, Suppress] = None
    protocol: Annotated[Protocol | None, Fixed, Suppress] = None

    def __post_init__(self) -> None:
        """Refuse what no stage understands, before the first of them."""
        from frivolous.measures import validation
        from frivolous.measures.curve import check_method

        for name in ("tolerance", "joint_tolerance"):
            if getattr(self, name) is not None:
                validation.share(name, getattr(self, name))
        options.Ablation(grain=self.grain, replacement=self.replacement)  # refuses others
        if self.unit_examples is not None:
            options.check_examples("unit_examples", self.unit_examples)
        if self.precision is not None:
            options.check_precision(self.precision)
        check_method(self.intervals, "intervals")

    @property
    def conventions(self) -> Protocol:
        """The protocol, with the tolerance where one is given."""
        from frivolous.measures import AS_WRITTEN

        protocol = self.protocol or AS_WRITTEN
        tolerance = protocol.tolerance if self.tolerance is None else self.tolerance
        return replace(protocol, tolerance=tolerance)

    @property
    def limits(self) -> Thresholds:
        """Where one kind of unit ends and the next begins."""
        from frivolous.measures.unit_kinds import Thresholds

        return self.thresholds or Thresholds()

    @property
    def facts(self) -> dict[str, Any]:
        """What a measurement's facts say of how it was made."""
        asked = ("seed", "grain", "replacement", "precision", "intervals", "joint_tolerance")
        counted = ("sites", "draws", "draw", "tolerance", "unexplained")
        protocol = self.conventions
        return {
            **{name: getattr(self, name) for name in (*asked, "unit_examples")},
            "protocol": protocol.name,
            **{name: getattr(protocol, name) for name in counted},
            "thresholds": asdict(self.limits),
        }
