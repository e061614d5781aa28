"""Two processes on one store and one study: each has the whole table, every run is made once."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

Child = Callable[..., subprocess.Popen[str]]

# The beginning of a child: logs every run that its stores publish, by the rename that counts.
LOGGED = Path(__file__).with_name("logged.script").read_text()

# Tells when it is about to train, and goes on when it is told to.
HELD = """
from frivolous.running import here
here.PAUSE = 0.005
make = making.make
def held(*args, **options):
    making.make = make
    print("training", flush=True)
    sys.stdin.readline()
    yield from make(*args, **options)
making.make = held
print(table(sys.argv[2]), flush=True)
"""

# Tells when it waits for another process.
WAITING = """
from frivolous.running import here
from frivolous.studies.execution import Silent
here.PAUSE = 0.005
def waiting(self, runs):
    print(f"waiting for {runs}", flush=True)
    Silent.waiting = lambda self, runs: None
Silent.waiting = waiting
print(table(sys.argv[2]), flush=True)
"""


def published(log: Path) -> Counter[str]:
    return Counter(log.read_text().split())


@pytest.mark.parametrize("fate", ["goes on", "is killed"])
def test_of_two_processes_on_one_store_one_waits_and_both_have_the_table(
    fate: str, child: Child, expected: str, tmp_path: Path
) -> None:
    held = child(LOGGED + HELD, tmp_path / "log", tmp_path / "store")
    assert held.stdout is not None
    assert held.stdin is not None
    assert held.stdout.readline() == "training\n"
    other = child(LOGGED + WAITING, tmp_path / "log", tmp_path / "store")
    assert other.stdout is not None
    # All but the group that the first one holds is done by now.
    assert other.stdout.readline() == "waiting for 4\n"
    assert sum(published(tmp_path / "log").values()) == 20
    if fate == "is killed":
        held.kill()
    else:
        held.stdin.write("\n")
        held.stdin.flush()
        assert held.stdout.readline().strip() == expected
    out, err = other.communicate(timeout=300)
    assert out.strip() == expected, err
    counts = published(tmp_path / "log")
    assert (len(counts), set(counts.values())) == (24, {1})
