"""Measure one network, stage by stage; finished stages are kept if a later one is stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from frivolous.ablation.curves import AblationCurve, ablation_curves
from frivolous.ablation.intact_model import accuracy_of
from frivolous.ablation.masks import check_choices, check_silenced
from frivolous.ablation.sequential import check_precision, precise_curves, shuffled
from frivolous.ablation.single_units import Effects, check_examples, single_effects
from frivolous.errors import Interrupted
from frivolous.inputs.batches import Batches
from frivolous.inputs.progress import Progress, Tell
from frivolous.measurement.effective_width import EffectiveWidth, effective_width
from frivolous.measurement.result import ALL, Measurement
from frivolous.measurement.rows import correlation_frame, curve_frame
from frivolous.measurement.site_table import ablated_of, sites_of, table_of, with_whole
from frivolous.measurement.unit_table import joint_frame, unit_frame
from frivolous.measures import AS_WRITTEN, Protocol, validation
from frivolous.measures.curve import Method, check_method
from frivolous.measures.unit_kinds import Thresholds
from frivolous.network import Network
from frivolous.statistics.streaming import Activity, collect

GROUPS = 8
"""Groups of examples left out in turn for the statistics' intervals (delete-a-group jackknife)."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What to measure of a network, and how.

    The arguments of :func:`frivolous.measurement.measure.measure`, and: ``ablated_sites`` are those
    of ``sites`` that get an ablation curve, by default all; the others have statistics alone.
    ``silenced_as`` maps a site to the values (U,) that its silenced units give instead of zero
    (:func:`frivolous.ablation.pre_norm.value_of_zeroed_layer`). ``protocol.sites`` decides what
    prunable and area of site "all" are (:class:`Measurement`). ``groups`` of examples give the
    intervals of the statistics; 1 leaves them out.
    """

    sites: Sequence[str] | None = None
    ablated_sites: Sequence[str] | None = None
    grain: str = "channel"
    replacement: str = "zero"
    silenced_as: Mapping[str, Tensor] | None = None
    joint_tolerance: float | None = None
    unit_examples: int | None = None
    thresholds: Thresholds = field(default_factory=Thresholds)
    protocol: Protocol = AS_WRITTEN
    precision: float | None = None
    intervals: Method = "wilson"
    groups: int = GROUPS
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what no stage understands, before the first of them."""
        check_choices(self.grain, self.replacement)
        if self.joint_tolerance is not None:
            validation.share("joint_tolerance", self.joint_tolerance)
        if self.unit_examples is not None:
            check_examples("unit_examples", self.unit_examples)
        if self.precision is not None:
            check_precision(self.precision)
        check_method(self.intervals, "intervals")

    @property
    def by_position(self) -> bool:
        """Whether the mean at each position is what an ablated one gives."""
        return self.replacement == "mean" and self.grain == "position"


class Work:
    """One network being measured: :meth:`run` it, and take its :meth:`measurement` at any time."""

    def __init__(
        self,
        network: Network,
        batches: Batches,
        wanted: Wanted,
        tell: Tell | None = None,
        *,
        also: Callable[[Batches], Mapping[str, Any]] = lambda sample: {},
    ) -> None:
        """Check what is wanted; ``also`` finds more facts once data and model are known to fit."""
        check_silenced(network, wanted.replacement, wanted.silenced_as)
        self.network, self.batches, self.wanted = network, batches, wanted
        self.chosen = sites_of(network, wanted.sites)
        self.names = [site.name for site in self.chosen]
        self.ablated = ablated_of(self.names, wanted.ablated_sites)
        cap = wanted.protocol.cap
        bounded = wanted.precision is not None and batches.examples > cap
        #: What all but the ablation curves read.
        self.sample = (
            batches.at(shuffled(batches.examples, wanted.seed)[:cap]) if bounded else batches
        )
        self.also = also
        self.progress = Progress(tell)
        self.stage = "reading"
        self.facts: dict[str, Any] = {}
        self.activity: dict[str, Activity] = {}
        self.curves: dict[str, AblationCurve] = {}
        self.effects: dict[str, Effects] = {}
        self.widths: dict[str, EffectiveWidth] = {}

    def run(self) -> None:
        """Measure everything requested."""
        stages = {
            "accuracy": self._accuracy,
            "activity": self._activity,
            "ablation": self._curves,
            "units alone": self._units,
            "effective width": self._widths,
        }
        for self.stage, work in stages.items():
            work()
        self.stage = "done"

    def measurement(self) -> Measurement:
        """What has been measured so far, the activity at least."""
        wanted, method = self.wanted, self.wanted.intervals
        curves = with_whole(self.curves, self.ablated, wanted.protocol) if self.curves else {}
        return Measurement(
            table_of(
                self.chosen,
                curves,
                self.activity,
                self.widths,
                wanted.protocol,
                self.sample.examples,
                method,
            ),
            curve_frame(list(curves.values()), method),
            self._all_facts(),
            correlation_frame(self.activity, wanted.protocol),
            unit_frame(self.network, self.activity, self.effects, wanted.thresholds, method),
            joint_frame(self.widths),
        )

    def _all_facts(self) -> dict[str, Any]:
        wanted, protocol = self.wanted, self.wanted.protocol
        return {
            "examples": self.batches.examples,
            "sampled_examples": self.sample.examples,
            "seed": wanted.seed,
            "grain": wanted.grain,
            "replacement": wanted.replacement,
            "protocol": protocol.name,
            "sites": protocol.sites,
            "draws": protocol.draws,
            "draw": protocol.draw,
            "tolerance": protocol.tolerance,
            "unexplained": protocol.unexplained,
            "precision": wanted.precision,
            "intervals": wanted.intervals,
            "joint_tolerance": wanted.joint_tolerance,
            "unit_examples": wanted.unit_examples,
            "fitted_to_themselves": [
                name for name, found in self.widths.items() if not found.apart
            ],
            "thresholds": asdict(wanted.thresholds),
            "left_out": [site.name for site in self.network.sites if site.name not in self.names],
            "skipped": [list(pair) for pair in self.network.skipped],
            "stopped": None if self.stage == "done" else self.stage,
            **self.facts,
        }

    def _accuracy(self) -> None:
        self.progress.begin("accuracy")
        sample = self.progress.through(self.sample)
        self.facts |= accuracy_of(self.network, sample, self.wanted.intervals)
        self.facts |= self.also(self.sample)

    def _activity(self) -> None:
        wanted, protocol = self.wanted, self.wanted.protocol
        self.progress.begin("activity")
        self.activity = collect(
            self.network,
            self.progress.through(self.sample),
            examples=self.sample.examples,
            sites=self.names,
            cap=protocol.cap,
            samplings=protocol.samplings,
            groups=wanted.groups,
            seed=wanted.seed,
            position_means=wanted.by_position,
        )

    def _curves(self) -> None:
        wanted, protocol = self.wanted, self.wanted.protocol
        several = len(self.ablated) > 1
        options: dict[str, Any] = {
            "sites": self.ablated,
            "together": several and "together" in protocol.sites,
            "fractions": protocol.fractions,
            "draws": protocol.draws,
            "grain": wanted.grain,
            "replacement": wanted.replacement,
            "means": self._means(wanted.by_position),
            "silenced_as": wanted.silenced_as,
            "seed": wanted.seed,
        }
        self.progress.begin("ablation")
        try:
            if wanted.precision is None:
                batches = self.progress.through(self.batches)
                self.curves = ablation_curves(self.network, batches, **options)
                return
            self.curves = precise_curves(
                self.network,
                self.batches,
                precision=wanted.precision,
                tolerance=protocol.tolerance,
                draw=protocol.draw,
                mean_of_sites=ALL if several and "mean" in protocol.sites else None,
                tell=lambda curves, examples: self.progress.note(
                    f"{curves} curve{'s' * (curves != 1)} to go after {examples} examples"
                ),
                **options,
            )
        except Interrupted as stopped:
            self.curves = stopped.found
            raise

    def _units(self) -> None:
        wanted = self.wanted
        if wanted.unit_examples is None:
            return
        self.progress.begin("units alone", parts=len(self.names))
        for number, name in enumerate(self.names):
            self.progress.part(f"units alone, {name}", number)
            self.effects[name] = single_effects(
                self.network,
                self.progress.through(self.sample),
                name,
                total=self.sample.examples,
                most=wanted.unit_examples,
                replacement=wanted.replacement,
                # Whole units, whatever the grain of the curves.
                means=self._means(by_position=False),
                silenced_as=wanted.silenced_as,
                seed=wanted.seed,
            )

    def _widths(self) -> None:
        wanted = self.wanted
        if wanted.joint_tolerance is None:
            return
        self.progress.begin("effective width", parts=len(self.names))
        for number, name in enumerate(self.names):
            self.progress.part(f"effective width, {name}", number)
            self.widths[name] = effective_width(
                self.network,
                self.sample,
                self.activity[name],
                tolerance=wanted.joint_tolerance,
                seed=wanted.seed,
                method=wanted.intervals,
            )

    def _means(self, by_position: bool) -> dict[str, Tensor] | None:
        """What replaces an ablated unit: its mean, at each position or over all."""
        if self.wanted.replacement != "mean":
            return None
        return {
            name: torch.as_tensor(found.position_mean if by_position else found.mean_U)
            for name, found in self.activity.items()
        }
