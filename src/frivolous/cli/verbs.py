"""The command line. Heavy imports stay inside the commands, so that ``--help`` is quick."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import tyro

from frivolous.cli.study_args import Folder, Name, Which, WhichOrAny
from frivolous.cli.system_errors import describe_error
from frivolous.compression.config import CompressionConfig
from frivolous.errors import FrivolousError, look_up
from frivolous.measurement.config import MeasurementConfig

Chosen = Annotated[Which, tyro.conf.arg(name="")]
ChosenOrAny = Annotated[WhichOrAny, tyro.conf.arg(name="")]


def run(
    which: Chosen,
    device: str = "cpu",
    weights: Literal["chosen", "all", "none"] = "chosen",
    data_dir: Folder | None = None,
    workers: int = 1,
) -> None:
    """Train and measure a study, print its table and gains, write its figure and report.

    Stopped at any moment, the same command goes on where it was. Several processes may work on one
    store at once. What would take hours is run at the paper's scale only with --scale paper.

    Args:
        which: the study.
        device: cpu or cuda.
        weights: whose weights to keep: of the chosen networks, all, or none.
        data_dir: where CIFAR-10 or ImageNet lies; default the environment's FRIVOLOUS_DATA.
        workers: processes that share the work; small networks gain from one per core.
    """
    from frivolous.cli.study import run_studies

    run_studies(which, device, weights, data_dir, workers)


def report(which: Chosen) -> None:
    """Write the figure and the report of a finished study again; train nothing.

    Args:
        which: the study, as it was run.
    """
    from frivolous.cli.study import write_reports

    write_reports(which)


def status(which: ChosenOrAny) -> None:
    """Say how many networks of a study are done, under way and to do; without one, of all begun.

    Args:
        which: the study, as it is run.
    """
    from frivolous.cli.status import print_status

    print_status(which)


def list_() -> None:
    """List the studies: name, claim, networks and rough cost."""
    from frivolous.cli.study import print_studies

    print_studies()


def measure(
    model: Name,
    /,
    data: str,
    options: Annotated[MeasurementConfig, tyro.conf.arg(name="")],
    weights: Path | None = None,
    out: Folder = Path("measurement"),
    json: bool = False,
) -> None:
    """Count prunable, redundant and essential units of your own network, site by site.

    Args:
        model: FILE.py:NAME of a module, or of a function that returns one.
        data: FILE.py:NAME of inputs, (inputs, labels), batches of them, or a function that
            returns them.
        options: how to measure.
        weights: safetensors file with the model's state.
        out: folder for the tables and the figure.
        json: print facts, table and units as one JSON object, for scripts.
    """
    from frivolous.cli.measure import measure_network

    measure_network(model, data, weights, out, options, as_json=json)


def compress(
    model: Name,
    /,
    data: str,
    out: Folder,
    options: Annotated[CompressionConfig, tyro.conf.arg(name="")],
    weights: Path | None = None,
    held_out: str | None = None,
    keep: Annotated[tuple[str, ...], tyro.conf.arg(metavar="SITE=N ...")] = (),
    onnx: bool = False,
    json: bool = False,
) -> None:
    """Find the smallest network that gives the same labels as your own, and save it.

    One budget decides how small: a tolerance, a share that may be left, or units of sites.

    Args:
        model: FILE.py:NAME of a module, or of a function that returns one.
        data: FILE.py:NAME of examples to search with, in any form that `measure` takes.
        out: folder for the weights, the tables and the report.
        options: how to compress.
        weights: safetensors file with the model's state.
        held_out: FILE.py:NAME of examples that certify; default a random half of the data.
        keep: how many units of each site named stay, all of the others.
        onnx: write model.onnx too, checked in onnxruntime.
        json: print facts and tables as one JSON object, for scripts.
    """
    from frivolous.cli.compress import compress_network

    places = model, data, weights, held_out, out
    compress_network(*places, options, keep=keep, onnx=onnx, as_json=json)


def fetch(name: Name, /, data_dir: Folder) -> None:
    """Download a data set into a folder, check it and decode it; what is there is not fetched.

    Args:
        name: name of the data set: cifar10.
        data_dir: folder for it; the same is then passed to `frivolous run`.
    """
    from frivolous.cli.fetch import fetch

    fetch(name, data_dir)


COMMANDS: dict[str, Any] = {
    "run": run,
    "report": report,
    "status": status,
    "list": list_,
    "measure": measure,
    "compress": compress,
    "fetch": fetch,
}


KEPT = "finished networks are kept, the same command goes on"


def main() -> None:
    """Entry point: one line and exit code 2 for what a user can mend."""
    words = sys.argv[1:]
    if words in ([], ["help"]):
        words = ["--help"]
    # Idle threads spin for microseconds, not milliseconds, before they sleep: on cores shared with
    # another process (a second one on the same store) spinning can cost ten times the work itself.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    try:
        if not words[0].startswith("-"):
            look_up(COMMANDS, words[0], "command")
        tyro.extras.subcommand_cli_from_dict(
            COMMANDS,
            args=words,
            prog="frivolous",
            description="Find the units a network does not need, and remove them.",
        )
        # Now, so that a full disk or a reader that has gone is met here, not at the exit.
        sys.stdout.flush()
    except FrivolousError as error:
        _stop(2, str(error))
    except KeyboardInterrupt as stop:
        running = "run" in words[:1]
        _stop(130, f"stopped; {KEPT}" if running else str(stop) or "stopped")
    except BrokenPipeError:
        # The reader of our output has gone; there is nobody to tell.
        _stop(141)
    except OSError as error:
        _stop(2, describe_error(error, words))


def _stop(code: int, line: str = "") -> NoReturn:
    """Say why in one line, drop output that cannot be written, and exit."""
    if line:
        print(f"frivolous: {' '.join(line.split())}", file=sys.stderr)
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
