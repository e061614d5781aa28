"""Random networks and random data: what the library says of each against independent oracles.

    python benchmarks/fuzz.py --networks 10000 --out fuzz.jsonl --workers 2
    python benchmarks/fuzz.py --seed 1234      # the source of one network, and what came of it

Outcomes are kept line by line in the file; a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

PART = 50
"""Networks per process, whose saved compressions one more process loads."""
SECONDS = 60
"""Time that one network may take; longer counts as an error."""


def main() -> int:
    """Run what the arguments ask for; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=int, default=200)
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("fuzz.jsonl"))
    parser.add_argument("--seed", type=int, help="one network alone, with its source and errors")
    parser.add_argument("--seeds", type=int, nargs="*", help="these networks")
    parser.add_argument("--refusals", action="store_true", help="print refusals by their words too")
    parser.add_argument("--part", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.seed is not None:
        return one(given.seed)
    seeds = given.seeds or list(range(given.start, given.start + given.networks))
    if given.part:
        part(seeds, given.out)
        return 0
    rows = everything(seeds, given.out, given.workers)
    from fuzzing.counting import alike, details, summary

    print(details(rows))
    if given.refusals:
        print(alike(rows, refusals=True))
    print(alike(rows))
    print(summary(rows))
    return int(any(row["outcome"] in {"wrong", "raw"} for row in rows))


def one(seed: int) -> int:
    """Print the source of a network, its data, and all that came of it."""
    from fuzzing.checks import ask
    from fuzzing.networks import drawn

    net = drawn(seed)
    print(net.source)
    print(f"# {'float64' if net.float64 else 'float32'}, inputs {net.inputs} as {net.calls}")
    print(f"# blocks: {', '.join(net.blocks)}")
    with tempfile.TemporaryDirectory() as folder:
        found = ask(seed, Path(folder))
        if found.folder:
            _loaded([found.as_row()])
    for fault in found.faults:
        print(f"\n{fault['kind']}, {fault['check']}: {fault['message']}\n{fault['trace']}")
    for what, text in found.refusals.items():
        print(f"\nrefused, {what}: {text}")
    row = {k: v for k, v in found.as_row().items() if k not in {"faults", "refusals", "blocks"}}
    print(f"\n{row}")
    return int(found.outcome in {"wrong", "raw"})


def everything(seeds: list[int], out: Path, workers: int) -> list[dict[str, Any]]:
    """The rows of all seeds; those that the file has are not asked again."""
    done = _kept(out)
    missing = [seed for seed in seeds if seed not in done]
    parts = [missing[i : i + PART] for i in range(0, len(missing), PART)]
    with ThreadPoolExecutor(workers) as pool:
        for count, _ in enumerate(pool.map(lambda p: _child(p, out), parts), 1):
            print(f"{min(count * PART, len(missing))} of {len(missing)}", file=sys.stderr)
    done = _kept(out)
    return [done[seed] for seed in seeds if seed in done]


def _kept(out: Path) -> dict[int, dict[str, Any]]:
    """The last whole row of every seed."""
    found: dict[int, dict[str, Any]] = {}
    for line in out.read_text().splitlines() if out.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:  # the process was killed while it wrote
            continue
        if not row["folder"]:  # else its saved compression was never loaded
            found[row["seed"]] = row
    return found


def _child(seeds: list[int], out: Path) -> None:
    """Ask in a process of its own, begun anew behind a network that ends it."""
    while seeds:
        command = [sys.executable, "-W", "ignore", __file__, "--part", "--out", str(out), "--seeds"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run([*command, *map(str, seeds)], env=environment, check=False)
        left = [seed for seed in seeds if seed not in _kept(out)]
        if done.returncode == 0 or not left:
            return
        _append(out, _ended(left[0], f"the process ended with {done.returncode}", ""))
        seeds = left[1:]


def part(seeds: list[int], out: Path) -> None:
    """Ask for some networks in this process, then load what they saved in another."""
    from fuzzing.case import TooLong
    from fuzzing.checks import ask

    def too_long(number: int, frame: object) -> None:
        raise TooLong(f"more than {SECONDS} s")

    signal.signal(signal.SIGALRM, too_long)
    waiting: list[dict[str, Any]] = []
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        for seed in seeds:
            signal.alarm(SECONDS)
            try:
                row = ask(seed, folder).as_row()
            except TooLong as error:
                row = _ended(seed, str(error), traceback.format_exc())
            except Exception as error:  # noqa: BLE001 - kept as an error of this network
                text = f"outside a check: {type(error).__name__}: {error}"
                row = _ended(seed, text, traceback.format_exc())
            finally:
                signal.alarm(0)
            if row["folder"]:
                waiting.append(row)
            else:
                _append(out, row)
        for row in _loaded(waiting):
            _append(out, row)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _loaded(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with what came of loading their compressions in a fresh process."""
    from fuzzing.reload import faults_of

    faults = faults_of([row["folder"] for row in rows])
    for row in rows:
        fault = faults[row["folder"]]
        if fault:
            message = fault.strip().splitlines()[-1][:300]
            row["faults"].append(
                {"check": "load", "kind": "wrong", "message": message, "trace": fault}
            )
            row["outcome"] = "raw" if row["outcome"] == "raw" else "wrong"
            print(fault)
        row["folder"] = ""
    return rows


def _ended(seed: int, message: str, trace: str) -> dict[str, Any]:
    from fuzzing.case import Outcome
    from fuzzing.networks import drawn

    fault = {"check": "process", "kind": "raw", "message": message, "trace": trace[-2500:]}
    return Outcome(seed, "raw", drawn(seed).blocks, faults=[fault]).as_row()


def _append(out: Path, row: dict[str, Any]) -> None:
    with out.open("a") as file:
        file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
