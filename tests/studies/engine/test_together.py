"""Two processes on one store and one study: each has the whole table, every run is made once."""

from __future__ import annotations

import json
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

Child = Callable[..., subprocess.Popen[str]]

# The beginning of a child: logs every run that its stores publish, by the rename that counts.
LOGGED = Path(__file__).with_name("logged.script").read_text()

# Two children for each fate, forked from a warm process that holds the ends of their pipes.
TOGETHER = """
import torch
torch.set_num_threads(1)
from collections import Counter
for cell in STUDIES["figE7"].cells("cpu"):
    train_dense._network(cell.prototype.family, "cpu")
from frivolous.studies import engine
from frivolous.studies.run import Silent
engine.PAUSE = 0.005

def held():
    # Tells when it is about to train, and goes on when it is told to.
    make = train_dense.make
    def held(*args, **options):
        train_dense.make = make
        print("training", flush=True)
        sys.stdin.readline()
        yield from make(*args, **options)
    train_dense.make = held

def waiting():
    # Tells when it waits for another process.
    def waiting(self, runs):
        print(f"waiting for {runs}", flush=True)
        Silent.waiting = lambda self, runs: None
    Silent.waiting = waiting

def started(prepare, store):
    (told, tell), (heard, hear) = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(tell, 1)
            os.dup2(heard, 0)
            prepare()
            print(table(store), flush=True)
            os._exit(0)
        finally:
            os._exit(1)
    os.close(tell)
    os.close(heard)
    return pid, os.fdopen(told), os.fdopen(hear, "w")

folder = Path(sys.argv[1]).parent
for fate in ("goes on", "is killed"):
    log = open(folder / f"log of one that {fate}", "a", buffering=1)
    published = lambda: Path(log.name).read_text().split()
    store = folder / f"store of one that {fate}"
    said = {"fate": fate}
    first, told, hear = started(held, store)
    said["first"] = told.readline()
    second, other, _ = started(waiting, store)
    said["second"] = other.readline()
    said["before"] = published()
    if fate == "is killed":
        os.kill(first, signal.SIGKILL)
    else:
        hear.write("\\n")
        hear.flush()
    said["tables"] = [told.read().strip(), other.read().strip()]
    said["ends"] = [os.waitpid(pid, 0)[1] for pid in (first, second)]
    said["after"] = published()
    print(json.dumps(said), flush=True)
"""


def test_of_two_processes_on_one_store_one_waits_and_both_have_the_table(
    child: Child, expected: str, tmp_path: Path
) -> None:
    """Also where the one that the other waits for is killed."""
    out, err = child(LOGGED + TOGETHER, tmp_path / "log").communicate(timeout=300)
    told = {said["fate"]: said for said in map(json.loads, out.splitlines())}
    assert list(told) == ["goes on", "is killed"], err
    for said in told.values():
        assert said["first"] == "training\n"
        # All but the group that the first one holds is done by now.
        assert said["second"] == "waiting for 4\n"
        assert len(said["before"]) == 20
        counts = Counter(said["after"])
        assert (len(counts), set(counts.values())) == (24, {1})
    assert told["goes on"]["tables"] == [expected, expected]
    assert told["goes on"]["ends"] == [0, 0]
    assert told["is killed"]["tables"] == ["", expected]
    assert told["is killed"]["ends"] == [signal.SIGKILL, 0]
