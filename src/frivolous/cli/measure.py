"""The verb of a user's own network: measure."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from frivolous.cli.user_inputs import make_folder, user_data, user_model, writing
from frivolous.cli.user_objects import users_code
from frivolous.devices import as_device
from frivolous.errors import Interrupted
from frivolous.figures import save
from frivolous.measurement.config import MeasurementConfig
from frivolous.measurement.measure import measure_model
from frivolous.measurement.result import Measurement

ROWS = ("table", "units", "joint")


def measure_network(
    model_place: str,
    data_place: str,
    weights: Path | None,
    out: Path,
    options: MeasurementConfig,
    *,
    as_json: bool = False,
) -> None:
    """Measure a user's own network and print its table, or all as JSON; write tables and figure."""
    if options.device is not None:
        as_device(options.device)
    options = replace(options, sites=options.sites or None)  # `--sites` without a name is all
    model = user_model(model_place, weights)
    data = user_data(data_place, "data")
    # Before the work, not after it.
    make_folder(out)
    with Console(stderr=True).status("reading the model") as status, users_code():
        try:
            found = measure_model(model, data, options, status.update)
        except Interrupted as error:
            found = error.found
    if not as_json:  # first, so that it is not lost where nothing can be written
        print(found.summary())
    with writing(out):
        pictures = save_all(found, out)
    if as_json:
        print(as_text(found, out))
    else:
        for path in (*pictures, out / "table.parquet", out / "units.parquet"):
            print(path)
    if stage := found.facts["stopped"]:
        raise KeyboardInterrupt(f"stopped during {stage}; what was measured until then is in {out}")


def save_all(found: Measurement, out: Path) -> list[Path]:
    """Write a measurement's tables and figures; return the figures' paths."""
    found.save(out)
    drawn = {"measurement": found.plot()} | (
        {"joint": found.plot_joint()} if len(found.joint) else {}
    )
    return [
        save(figure, out / f"{name}.{ending}")
        for name, figure in drawn.items()
        for ending in ("png", "svg")
    ]


def as_text(found: Measurement, folder: Path) -> str:
    """Return one JSON object: the folder, the facts, and table and units as lists of rows."""
    rows = {name: json.loads(getattr(found, name).to_json(orient="records")) for name in ROWS}
    return json.dumps({"folder": str(folder), "facts": dict(found.facts), **rows})
