"""``fv.measure``: which units of one network are frivolous, site by site, with uncertainty."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from torch import nn

from frivolous import ablation
from frivolous.activity import Activity, collect
from frivolous.batches import Batches, as_batches
from frivolous.errors import BadArgument
from frivolous.masking import check_choices
from frivolous.measured_rows import COLUMNS, CURVE_COLUMNS, curve_frame, curve_rows, statistic_rows
from frivolous.measures import AS_WRITTEN, Protocol
from frivolous.network import Network, Site
from frivolous.site_statistics import of_all_sites, of_site
from frivolous.user_model import accuracy_of, read_model

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ALL", "COLUMNS", "CURVE_COLUMNS", "Measurement", "measure", "measure_network"]

ALL = "all"
GROUPS = 8
"""Groups of examples left out in turn for the statistics' intervals (delete-a-group jackknife)."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Measurement:
    """What was measured on one network.

    ``table``: one row per site and measure; columns ``site, depth, grain, width, measure, value,
    low, high, examples``. Measures: ``prunable`` and ``redundant`` (units), ``area`` (0 to 1),
    ``similarity`` (units), ``compressibility`` (share of the width), ``silent`` and ``constant``
    (units). Site ``all`` is the whole network (or the chosen sites, where ``sites`` left some out;
    ``facts["left_out"]`` names those): every site ablated together for prunable and area; sums of
    units; means over sites, each equal in weight, of similarity and compressibility.
    ``low`` and ``high`` bound the 95% interval over examples, NaN where there are too few to say.

    ``curves``: the ablation curves, one row per site, draw and fraction; ``unchanged`` is the share
    of unchanged labels with its 95% Wilson interval.
    """

    table: pd.DataFrame
    curves: pd.DataFrame
    facts: Mapping[str, Any] = field(default_factory=dict)

    def value(self, measure: str, site: str = ALL) -> float:
        """Return one value of the table."""
        rows = self.table[(self.table.measure == measure) & (self.table.site == site)]
        if len(rows) != 1:
            known = ", ".join(self.table.site.unique())
            raise BadArgument(
                f"no value of measure '{measure}' at site '{site}'; sites: {known}; measures: "
                f"{', '.join(self.table.measure.unique())}."
            )
        return float(rows.value.iloc[0])

    def summary(self) -> str:
        """Return the table for a terminal: one line per site, each value with its interval."""
        from frivolous.terminal.network import measurement_text

        return measurement_text(self.table, self.facts)

    def plot(self, title: str = "") -> Figure:
        """Draw the ablation curves and the counts of every site.

        ``title``: what was measured, such as the network's name; default the counts of site "all".
        Accuracy and number of examples stand beneath it.
        """
        from frivolous.figures import headline, measurement_figure

        counts, how = headline(self.table, self.facts)
        return measurement_figure(
            self.table,
            self.curves,
            title=title or counts,
            claim=f"{counts}. {how}" if title else how,
            tolerance=self.facts.get("tolerance", AS_WRITTEN.tolerance),
            draw=self.facts.get("draw", AS_WRITTEN.draw),
        )

    def save(self, folder: str | Path) -> Path:
        """Write ``table.parquet``, ``curves.parquet`` and ``measurement.json`` into ``folder``."""
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.table.to_parquet(folder / "table.parquet", index=False)
            self.curves.to_parquet(folder / "curves.parquet", index=False)
            text = json.dumps(dict(self.facts), indent=2, sort_keys=True)
            (folder / "measurement.json").write_text(text + "\n")
        except OSError as error:
            raise BadArgument(
                f"`folder` {folder} cannot be written ({error.strerror}); name a folder that can."
            ) from error
        return folder


def measure(
    model: nn.Module,
    data: Any,
    *,
    sites: Sequence[str] | None = None,
    grain: str = "channel",
    replacement: str = "zero",
    tolerance: float | None = None,
    protocol: Protocol = AS_WRITTEN,
    batch_size: int = 256,
    device: torch.device | str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Measurement:
    """Count the prunable and redundant units of ``model`` on ``data``, site by site and in all.

    The model is read as a graph and left as it is; it is measured as in evaluation mode.

    Args:
        model: any module with class scores (N, classes) as its output.
        data: inputs, or inputs with labels, in any form that :func:`frivolous.batches.as_batches`
            reads; labels serve only to state the accuracy.
        sites: names of the sites to measure; default all. ``trace(model, inputs).sites`` has them.
        grain: ablate whole units (``channel``) or each spatial position by itself (``position``).
        replacement: what an ablated unit gives: ``zero``, or its ``mean`` over the data.
        tolerance: share of labels that may change, in [0, 1); default the protocol's 0.2.
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
    network = read_model(model, batches, home).to(batches.device)
    return measure_network(
        network,
        batches,
        sites=sites,
        grain=grain,
        replacement=replacement,
        protocol=protocol,
        seed=seed,
        progress=progress,
    )


def measure_network(
    network: Network,
    batches: Batches,
    *,
    sites: Sequence[str] | None = None,
    grain: str = "channel",
    replacement: str = "zero",
    protocol: Protocol = AS_WRITTEN,
    groups: int = GROUPS,
    seed: int = 0,
    progress: Progress | None = None,
) -> Measurement:
    """Measure a traced network: what :func:`measure` does after reading model and data.

    ``groups`` of examples give the intervals of the statistics; 1 leaves them out.
    """
    tell = progress or (lambda line: None)
    check_choices(grain, replacement)
    chosen = _chosen(network, sites)
    names = [site.name for site in chosen]
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
        sites=names,
        together=len(chosen) > 1,
        fractions=protocol.fractions,
        draws=protocol.draws,
        grain=grain,
        replacement=replacement,
        means=_means(activity, by_position) if replacement == "mean" else None,
        seed=seed,
    )
    # With one site, ablating every site together is ablating it.
    together = next((name for name in curves if name not in names), names[0])
    curves = {name: curves[name] for name in names} | {ALL: replace(curves[together], site=ALL)}
    facts = {
        "examples": batches.examples,
        "seed": seed,
        "grain": grain,
        "replacement": replacement,
        "protocol": protocol.name,
        "draws": protocol.draws,
        "draw": protocol.draw,
        "tolerance": protocol.tolerance,
        "unexplained": protocol.unexplained,
        "left_out": [site.name for site in network.sites if site.name not in names],
        "skipped": [list(pair) for pair in network.skipped],
        **accuracy,
    }
    table = _table(chosen, curves, activity, protocol)
    return Measurement(table, curve_frame(list(curves.values())), facts)


def _means(activity: Mapping[str, Activity], by_position: bool) -> dict[str, torch.Tensor]:
    """Return what an ablated unit gives instead: its mean, at each position or over all."""
    return {
        name: torch.as_tensor(found.position_mean if by_position else found.mean_U)
        for name, found in activity.items()
    }


def _table(
    sites: Sequence[Site],
    curves: Mapping[str, ablation.AblationCurve],
    activity: Mapping[str, Activity],
    protocol: Protocol,
) -> pd.DataFrame:
    """Return a row per site and measure, the whole network's last."""
    statistics = [of_site(activity[site.name], protocol) for site in sites]
    examples = curves[ALL].examples
    rows: list[dict[str, Any]] = []
    for site, found in zip(sites, statistics, strict=True):
        rows += curve_rows(curves[site.name], site.depth, protocol)
        rows += statistic_rows(found, site.name, site.depth, site.width, examples)
    rows += curve_rows(curves[ALL], -1, protocol)
    width = sum(site.width for site in sites)
    rows += statistic_rows(of_all_sites(statistics), ALL, -1, width, examples)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _chosen(network: Network, sites: Sequence[str] | None) -> list[Site]:
    """Return the sites to measure in order of depth."""
    known = {site.name for site in network.sites}
    if not known:
        why = "".join(f"; {layer}: {reason}" for layer, reason in network.skipped)
        raise BadArgument(
            f"`model` has no site: no hidden layer is read by another layer{why}. Measure a model "
            "with a hidden layer."
        )
    if ALL in known:
        raise BadArgument(
            f"`model` has a layer called '{ALL}', which stands for all sites together; rename it."
        )
    names = known if sites is None else [sites] if isinstance(sites, str) else sites
    if not names:
        raise BadArgument("`sites` is empty; name at least one site, or pass None for all.")
    return sorted({network.site(name) for name in names}, key=lambda site: site.depth)
