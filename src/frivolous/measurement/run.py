"""Measure one network, stage by stage; finished stages are kept if a later one is stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from frivolous.ablation.curves import AblationCurve, ablation_curves
from frivolous.ablation.intact_model import accuracy_of
from frivolous.ablation.masks import check_silenced
from frivolous.ablation.options import Ablation
from frivolous.ablation.sequential import precise_curves, shuffled
from frivolous.ablation.single_units import Effects, single_effects
from frivolous.errors import Interrupted
from frivolous.inputs.batches import Batches
from frivolous.inputs.progress import Progress, Tell
from frivolous.measurement.config import MeasurementConfig
from frivolous.measurement.effective_width import EffectiveWidth, effective_width
from frivolous.measurement.result import ALL, Measurement
from frivolous.measurement.rows import correlation_frame, curve_frame
from frivolous.measurement.site_table import ablated_of, sites_of, table_of, with_all_sites
from frivolous.measurement.unit_table import joint_frame, unit_frame
from frivolous.network import Network
from frivolous.statistics.streaming import Activity, collect

GROUPS = 8
"""Groups of examples left out in turn for the statistics' intervals (delete-a-group jackknife)."""


class MeasurementRun:
    """One network being measured: :meth:`run` it, and at any time take its :meth:`measurement`.

    ``ablated_sites`` are those of the sites that get an ablation curve, by default all; the others
    have statistics alone. ``silenced_as`` maps a site to the values (U,) that its silenced units
    give instead of zero (:class:`frivolous.ablation.options.Ablation`). ``groups`` of examples give
    the intervals of the statistics; 1 leaves them out. ``also`` finds more facts once data and
    model are known to fit.
    """

    def __init__(
        self,
        network: Network,
        batches: Batches,
        config: MeasurementConfig,
        tell: Tell | None = None,
        *,
        ablated_sites: Sequence[str] | None = None,
        silenced_as: Mapping[str, Tensor] | None = None,
        groups: int = GROUPS,
        also: Callable[[Batches], Mapping[str, Any]] = lambda sample: {},
    ) -> None:
        self.ablation = Ablation(
            grain=config.grain, replacement=config.replacement, silenced_as=silenced_as
        )
        check_silenced(network, self.ablation)
        self.network, self.batches, self.config = network, batches, config
        self.protocol = config.conventions
        self.chosen = sites_of(network, config.sites)
        self.names = [site.name for site in self.chosen]
        self.ablated = ablated_of(self.names, ablated_sites)
        cap = self.protocol.cap
        bounded = config.precision is not None and batches.examples > cap
        #: What all but the ablation curves read.
        self.sample = (
            batches.at(shuffled(batches.examples, config.seed)[:cap]) if bounded else batches
        )
        self.groups, self.also = groups, also
        self.progress = Progress(tell)
        self.stage = "reading"
        self.facts: dict[str, Any] = {}
        self.activity: dict[str, Activity] = {}
        self.curves: dict[str, AblationCurve] = {}
        self.effects: dict[str, Effects] = {}
        self.widths: dict[str, EffectiveWidth] = {}

    def run(self) -> None:
        """Measure all that the options ask for."""
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
        config, method = self.config, self.config.intervals
        curves = with_all_sites(self.curves, self.ablated, self.protocol) if self.curves else {}
        return Measurement(
            table_of(
                self.chosen,
                curves,
                self.activity,
                self.widths,
                self.protocol,
                self.sample.examples,
                method,
            ),
            curve_frame(list(curves.values()), method),
            self._all_facts(),
            correlation_frame(self.activity, self.protocol),
            unit_frame(self.network, self.activity, self.effects, config.limits, method),
            joint_frame(self.widths),
        )

    def _all_facts(self) -> dict[str, Any]:
        return {
            "examples": self.batches.examples,
            "sampled_examples": self.sample.examples,
            **self.config.facts,
            "fitted_to_themselves": [
                name for name, found in self.widths.items() if not found.apart
            ],
            "left_out": [site.name for site in self.network.sites if site.name not in self.names],
            "skipped": [list(pair) for pair in self.network.skipped],
            "stopped": None if self.stage == "done" else self.stage,
            **self.facts,
        }

    def _accuracy(self) -> None:
        self.progress.begin("accuracy")
        sample = self.progress.through(self.sample)
        self.facts |= accuracy_of(self.network, sample, self.config.intervals)
        self.facts |= self.also(self.sample)

    def _activity(self) -> None:
        config, protocol = self.config, self.protocol
        self.progress.begin("activity")
        self.activity = collect(
            self.network,
            self.progress.through(self.sample),
            examples=self.sample.examples,
            sites=self.names,
            cap=protocol.cap,
            samplings=protocol.samplings,
            groups=self.groups,
            seed=config.seed,
            position_means=config.replacement == "mean" and config.grain == "position",
        )

    def _curves(self) -> None:
        config, protocol = self.config, self.protocol
        several = len(self.ablated) > 1
        options: dict[str, Any] = {
            "ablation": self._ablation(config.grain),
            "sites": self.ablated,
            "together": several and "together" in protocol.sites,
            "fractions": protocol.fractions,
            "draws": protocol.draws,
            "seed": config.seed,
        }
        self.progress.begin("ablation")
        try:
            if config.precision is None:
                batches = self.progress.through(self.batches)
                self.curves = ablation_curves(self.network, batches, **options)
                return
            self.curves = precise_curves(
                self.network,
                self.batches,
                precision=config.precision,
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
        if self.config.unit_examples is None:
            return
        self.progress.begin("units alone", parts=len(self.names))
        for number, name in enumerate(self.names):
            self.progress.part(f"units alone, {name}", number)
            self.effects[name] = single_effects(
                self.network,
                self.progress.through(self.sample),
                name,
                self._ablation("channel"),  # whole units, whatever the grain of the curves
                total=self.sample.examples,
                most=self.config.unit_examples,
                seed=self.config.seed,
            )

    def _widths(self) -> None:
        if self.config.joint_tolerance is None:
            return
        self.progress.begin("effective width", parts=len(self.names))
        for number, name in enumerate(self.names):
            self.progress.part(f"effective width, {name}", number)
            self.widths[name] = effective_width(
                self.network,
                self.sample,
                self.activity[name],
                tolerance=self.config.joint_tolerance,
                seed=self.config.seed,
                method=self.config.intervals,
            )

    def _ablation(self, grain: str) -> Ablation:
        """What units are and what they give when silenced: with means, those of the activity."""
        means = None
        if self.config.replacement == "mean":
            means = {
                name: torch.as_tensor(found.position_mean if grain == "position" else found.mean_U)
                for name, found in self.activity.items()
            }
        return replace(self.ablation, grain=grain, means=means)
