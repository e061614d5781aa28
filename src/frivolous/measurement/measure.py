"""``fv.measure``: which units of one network are frivolous, site by site, with uncertainty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from frivolous.ablation.intact_model import read_model, rounding_of
from frivolous.devices import as_device, home_of
from frivolous.errors import Interrupted
from frivolous.inputs.batches import Batches, as_batches
from frivolous.inputs.progress import Tell
from frivolous.measurement.config import MeasurementConfig
from frivolous.measurement.result import ALL, Measurement
from frivolous.measurement.rows import COLUMNS, CORRELATION_COLUMNS, CURVE_COLUMNS
from frivolous.measurement.run import GROUPS, MeasurementRun
from frivolous.measurement.unit_table import JOINT_COLUMNS, UNIT_COLUMNS
from frivolous.measures import AS_WRITTEN, Protocol
from frivolous.measures.curve import Method
from frivolous.measures.unit_kinds import Thresholds
from frivolous.network import Network
from frivolous.network.module.wrappers import unwrap

__all__ = [
    "ALL",
    "COLUMNS",
    "CORRELATION_COLUMNS",
    "CURVE_COLUMNS",
    "JOINT_COLUMNS",
    "UNIT_COLUMNS",
    "Measurement",
    "measure",
    "measure_model",
    "measure_network",
]


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
    precision: float | None = None,
    intervals: Method = "wilson",
    batch_size: int = 256,
    device: torch.device | str | None = None,
    seed: int = 0,
    progress: Tell | None = None,
) -> Measurement:
    """Count the prunable and redundant units of ``model`` on ``data``, site by site and in total.

    The model is traced into a graph and not changed; it is measured in evaluation mode.
    Of ``torch.compile``, ``DataParallel``, ``DistributedDataParallel`` and ``AveragedModel`` the
    module inside is measured; the names of sites are its own.

    Args:
        model: any module with class scores (N, classes) as its output, or among its outputs.
        data: inputs, or inputs with labels, in any form that
            :func:`frivolous.inputs.batches.as_batches` reads; labels serve only to state the
            accuracy. What the model predicts is the arg-max of its scores: of a multilabel model,
            whose scores are compared with thresholds, only the best class is measured.
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
        precision: how far the bounds of prunable units may lie from their middle, as a share of a
            site's units, such as 0.01. Each curve then takes only as many examples, drawn at
            random, as that needs (:func:`frivolous.ablation.sequential.precise_curves`), and all
            else at most ``protocol.cap`` examples, so that the cost does not grow with the data.
            None takes all examples; so does a curve that never gets so precise.
        intervals: of proportions over examples, ``wilson`` or ``exact`` (Clopper-Pearson). With
            ``precision`` those of ablation curves are confidence sequences.
        batch_size: examples per batch for data given as a tensor.
        device: where to compute; default where the model's parameters are.
        seed: of ablation orders and samplings.
        progress: called with a line about the current stage and the time left.

    Raises:
        FrivolousError: bad data, unknown sites, values that are not finite, a model that cannot be
            read as a graph or does not give class scores; the message says what to do.
        Interrupted: stopped by Ctrl-C; its ``found`` is the Measurement of what was done.

    Warns of a model of 16-bit numbers in which rounding alone changes labels, and of how many.

    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    >>> found = measure(model, torch.randn(100, 4))
    >>> list(found.table.columns) == list(COLUMNS), found.table.site.unique().tolist()
    (True, ['0', 'all'])
    """
    config = MeasurementConfig(
        sites=sites,
        output=output,
        residual=residual,
        grain=grain,
        replacement=replacement,
        tolerance=tolerance,
        joint_tolerance=joint_tolerance,
        unit_examples=unit_examples,
        thresholds=thresholds,
        protocol=protocol,
        precision=precision,
        intervals=intervals,
        batch_size=batch_size,
        device=None if device is None else str(as_device(device)),
        seed=seed,
    )
    return measure_model(model, data, config, progress)


def measure_model(
    model: nn.Module, data: Any, config: MeasurementConfig, progress: Tell | None = None
) -> Measurement:
    """Do what :func:`measure` does, its options in one record."""
    model = unwrap(model)
    home = home_of(model)
    batches = as_batches(data, batch_size=config.batch_size, device=config.device or home)
    output = config.output
    read = read_model(model, batches, home, output=output, residual=config.residual)
    network = read.to(batches.device)

    def rounding(sample: Batches) -> dict[str, Any]:
        return rounding_of(model, network, sample, home, output=output)

    run = MeasurementRun(network, batches, config, progress, also=rounding)
    try:
        run.run()
    except KeyboardInterrupt:
        if not run.activity:
            raise  # nothing to keep
        message = f"stopped during {run.stage}; `found` of this exception has what was measured"
        raise Interrupted(message, run.measurement()) from None
    return run.measurement()


def measure_network(
    network: Network,
    batches: Batches,
    *,
    sites: Sequence[str] | None = None,
    ablated_sites: Sequence[str] | None = None,
    silenced_as: Mapping[str, Tensor] | None = None,
    protocol: Protocol = AS_WRITTEN,
    joint_tolerance: float | None = None,
    groups: int = GROUPS,
    seed: int = 0,
) -> Measurement:
    """Measure a traced network, as studies do: what :func:`measure` does after reading the model.

    Units are not silenced one by one. ``ablated_sites``, ``silenced_as`` and ``groups`` are those
    of :class:`frivolous.measurement.run.MeasurementRun`.
    """
    config = MeasurementConfig(
        sites=sites,
        protocol=protocol,
        joint_tolerance=joint_tolerance,
        unit_examples=None,
        seed=seed,
    )
    run = MeasurementRun(
        *(network, batches, config),
        ablated_sites=ablated_sites,
        silenced_as=silenced_as,
        groups=groups,
    )
    run.run()
    return run.measurement()
