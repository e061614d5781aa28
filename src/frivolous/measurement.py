"""``fv.measure``: which units of one network are frivolous, site by site, with uncertainty."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor, nn

from frivolous import ablation
from frivolous.activity import Activity, collect
from frivolous.batches import Batches, as_batches
from frivolous.effective import EffectiveWidth
from frivolous.effects import check_examples
from frivolous.errors import BadArgument
from frivolous.masking import check_choices, check_silenced
from frivolous.measured_record import ALL, Measurement
from frivolous.measured_rows import (
    COLUMNS,
    CORRELATION_COLUMNS,
    CURVE_COLUMNS,
    correlation_frame,
    curve_frame,
)
from frivolous.measured_sites import ablated_of, sites_of, table_of, with_whole
from frivolous.measured_units import (
    JOINT_COLUMNS,
    UNIT_COLUMNS,
    empty,
    joint_frame,
    units_of,
    widths_of,
)
from frivolous.measures import AS_WRITTEN, Protocol, arguments
from frivolous.measures.kinds import Thresholds
from frivolous.network import Network
from frivolous.user_model import accuracy_of, read_model

__all__ = [
    "ALL",
    "COLUMNS",
    "CORRELATION_COLUMNS",
    "CURVE_COLUMNS",
    "JOINT_COLUMNS",
    "UNIT_COLUMNS",
    "Measurement",
    "measure",
    "measure_network",
]

GROUPS = 8
"""Groups of examples left out in turn for the statistics' intervals (delete-a-group jackknife)."""

Progress = Callable[[str], None]


def measure(
    model: nn.Module,
    data: Any,
    *,
    sites: Sequence[str] | None = None,
    output: str | int | None = None,
    residual: bool = False,
    grain: str = "channel",
    replacement: str = "zero",
    tolerance: float | None = None,
    joint_tolerance: float | None = 0.02,
    unit_examples: int | None = 1000,
    thresholds: Thresholds | None = None,
    protocol: Protocol = AS_WRITTEN,
    batch_size: int = 256,
    device: torch.device | str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Measurement:
    """Count the prunable and redundant units of ``model`` on ``data``, site by site and in all.

    The model is read as a graph and left as it is; it is measured as in evaluation mode.

    Args:
        model: any module with class scores (N, classes) as its output, or among its outputs.
        data: inputs, or inputs with labels, in any form that :func:`frivolous.batches.as_batches`
            reads; labels serve only to state the accuracy.
        sites: names of the sites to measure; default all. ``trace(model, inputs).sites`` has them.
        output: which of several outputs holds the scores, a key, field or place; default the entry
            ``logits``, or the only one that can.
        residual: measure residual streams too, values that many layers write and read.
        grain: ablate whole units (``channel``) or each spatial position by itself (``position``).
        replacement: what an ablated unit gives: ``zero``, or its ``mean`` over the data.
        tolerance: share of labels that may change, in [0, 1); default the protocol's 0.2.
        joint_tolerance: the same for the effective width; None leaves out joint frivolity.
        unit_examples: examples on which units are silenced one by one, spread evenly over the
            data; None leaves out the units' table.
        thresholds: where one kind of unit ends and the next begins.
        protocol: the conventions of counting, ``AS_WRITTEN`` or ``AS_PUBLISHED``.
        batch_size: examples per batch for data given as a tensor.
        device: where to compute; default where the model's parameters are.
        seed: of ablation orders and samplings.
        progress: called with a line about what is under way.

    Raises:
        FrivolousError: bad data, unknown sites, values that are not finite, a model that cannot be
            read as a graph or does not give class scores; the message says what to do.

    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    >>> found = measure(model, torch.randn(100, 4))
    >>> list(found.table.columns) == list(COLUMNS), found.table.site.unique().tolist()
    (True, ['0', 'all'])
    """
    if not isinstance(model, nn.Module):
        raise BadArgument(
            f"`model` is a torch.nn.Module; got {type(model).__name__}. Pass an instance: Net()."
        )
    if tolerance is not None:
        protocol = replace(protocol, tolerance=tolerance)
    check_choices(grain, replacement)
    parameter = next(model.parameters(), None)
    home = torch.device("cpu") if parameter is None else parameter.device
    batches = as_batches(data, batch_size=batch_size, device=home if device is None else device)
    network = read_model(model, batches, home, output=output, residual=residual).to(batches.device)
    return measure_network(
        network,
        batches,
        sites=sites,
        grain=grain,
        replacement=replacement,
        joint_tolerance=joint_tolerance,
        unit_examples=unit_examples,
        thresholds=thresholds,
        protocol=protocol,
        seed=seed,
        progress=progress,
    )


def measure_network(
    network: Network,
    batches: Batches,
    *,
    sites: Sequence[str] | None = None,
    ablated_sites: Sequence[str] | None = None,
    grain: str = "channel",
    replacement: str = "zero",
    silenced_as: Mapping[str, Tensor] | None = None,
    joint_tolerance: float | None = None,
    unit_examples: int | None = None,
    thresholds: Thresholds | None = None,
    protocol: Protocol = AS_WRITTEN,
    groups: int = GROUPS,
    seed: int = 0,
    progress: Progress | None = None,
) -> Measurement:
    """Measure a traced network: what :func:`measure` does after reading model and data.

    ``ablated_sites`` are those of ``sites`` that get an ablation curve, by default all; the others
    have statistics alone. ``silenced_as`` maps a site to the values (U,) that its silenced units
    give instead of zero (:func:`frivolous.silenced_layer.as_silenced`). ``protocol.sites`` decides
    what prunable and area of site "all" are (:class:`Measurement`). ``groups`` of examples give the
    intervals of the statistics; 1 leaves them out. Joint frivolity and the units' table are left
    out unless ``joint_tolerance`` and ``unit_examples`` ask for them.
    """
    tell = progress or (lambda line: None)
    check_choices(grain, replacement)
    check_silenced(network, replacement, silenced_as)
    if joint_tolerance is not None:
        arguments.share("joint_tolerance", joint_tolerance)
    if unit_examples is not None:
        check_examples("unit_examples", unit_examples)
    chosen = sites_of(network, sites)
    names = [site.name for site in chosen]
    ablated = ablated_of(names, ablated_sites)
    accuracy = accuracy_of(network, batches)
    by_position = replacement == "mean" and grain == "position"
    tell("activity")
    activity = collect(
        network,
        batches,
        examples=batches.examples,
        sites=names,
        cap=protocol.cap,
        samplings=protocol.samplings,
        groups=groups,
        seed=seed,
        position_means=by_position,
    )
    tell("ablation")
    curves = ablation.ablation_curves(
        network,
        batches,
        sites=ablated,
        together=len(ablated) > 1 and "together" in protocol.sites,
        fractions=protocol.fractions,
        draws=protocol.draws,
        grain=grain,
        replacement=replacement,
        means=_means(activity, by_position) if replacement == "mean" else None,
        silenced_as=silenced_as,
        seed=seed,
    )
    curves = with_whole(curves, ablated, protocol)
    units = empty(UNIT_COLUMNS)
    limits = thresholds or Thresholds()
    if unit_examples is not None:
        # Whole units, whatever the grain of the curves.
        means = _means(activity, by_position=False) if replacement == "mean" else None
        units = units_of(
            network,
            batches,
            activity,
            most=unit_examples,
            thresholds=limits,
            replacement=replacement,
            means=means,
            silenced_as=silenced_as,
            seed=seed,
            tell=tell,
        )
    widths: dict[str, EffectiveWidth] = {}
    if joint_tolerance is not None:
        widths = widths_of(
            network, batches, activity, tolerance=joint_tolerance, seed=seed, tell=tell
        )
    facts = {
        "examples": batches.examples,
        "seed": seed,
        "grain": grain,
        "replacement": replacement,
        "protocol": protocol.name,
        "sites": protocol.sites,
        "draws": protocol.draws,
        "draw": protocol.draw,
        "tolerance": protocol.tolerance,
        "unexplained": protocol.unexplained,
        "joint_tolerance": joint_tolerance,
        "unit_examples": unit_examples,
        "fitted_to_themselves": [name for name, found in widths.items() if not found.apart],
        "thresholds": asdict(limits),
        "left_out": [site.name for site in network.sites if site.name not in names],
        "skipped": [list(pair) for pair in network.skipped],
        **accuracy,
    }
    table = table_of(chosen, curves, activity, widths, protocol, batches.examples)
    return Measurement(
        table,
        curve_frame(list(curves.values())),
        facts,
        correlation_frame(activity, protocol),
        units,
        joint_frame(widths),
    )


def _means(activity: Mapping[str, Activity], by_position: bool) -> dict[str, Tensor]:
    """Return what an ablated unit gives instead: its mean, at each position or over all."""
    return {
        name: torch.as_tensor(found.position_mean if by_position else found.mean_U)
        for name, found in activity.items()
    }
