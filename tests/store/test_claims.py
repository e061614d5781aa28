"""Several processes share a list of runs: each is made once, and the dead hold nothing."""

from __future__ import annotations

import fcntl
import json
import subprocess
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from frivolous.store import Status, Store, atomic, claims, run_id

Start = Callable[..., subprocess.Popen[str]]
IDS = [run_id({"seed": seed}) for seed in range(600)]

# Claims overlapping windows of 40 runs, each process from another start; makes what it gets.
WORKER = """
import os, sys
import pandas as pd, pyarrow.parquet
from frivolous.store import Store, run_id

root, log, start = sys.argv[1], sys.argv[2], int(sys.argv[3])
frame = pd.DataFrame({"value": [1.0]})
specs = {run_id({"seed": seed}): {"seed": seed} for seed in range(40)}
ids = list(specs)
print("ready", flush=True)
sys.stdin.readline()
store = Store(root)
for first in range(start, start + 40, 5):
    with store.claim(ids[(first + k) % 40] for k in range(8)) as claim:
        for id in claim.ids:
            with open(log, "ab", buffering=0) as file:
                file.write(id.encode() + b"\\n")
            assert store.put(specs[id], frame, {"worker": start}).facts["worker"] == start
"""

# Claims 20 runs and says how many it got; then waits to be told, or killed. With "fork" a worker
# says so, once it is under way: until it is, the kernel lets it share its parent's locks.
HOLDER = """
import os, sys
from frivolous.store import Store, run_id
claim = Store(sys.argv[1]).claim([run_id({"seed": seed}) for seed in range(20)])
forked = sys.argv[2] == "fork"
if forked and os.fork():
    os._exit(os.wait()[1])
if forked:
    claim.release()  # a worker's end is not its parent's
print(len(claim.ids), flush=True)
sys.stdin.readline()
"""


def test_four_processes_make_every_run_once(python: Start, tmp_path: Path) -> None:
    log = tmp_path / "log"
    workers = [python(WORKER, tmp_path / "s", log, 10 * k) for k in range(4)]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        _, err = worker.communicate()
        assert worker.returncode == 0, err
    made = Counter(log.read_text().split())
    assert made == Counter(IDS[:40])
    store = Store(tmp_path / "s")
    assert store.complete(IDS[:40], checksums=True) == set(IDS[:40])
    assert store.notes == []
    assert store.status(IDS[:40]) == Status(done=40, under_way=0, to_do=0)


def test_the_kernel_frees_what_a_killed_holder_claimed(python: Start, store: Store) -> None:
    holder = python(HOLDER, store.path, "alone")
    assert holder.stdout is not None
    assert holder.stdout.readline() == "20\n"
    with store.claim(IDS[10:30]) as claim:
        assert claim.ids == tuple(IDS[20:30])
        assert claim.elsewhere == tuple(IDS[10:20])
    assert store.status(IDS[:30]) == Status(done=0, under_way=20, to_do=10)
    holder.kill()
    holder.wait()
    assert store.status(IDS[:30]) == Status(done=0, under_way=0, to_do=30)
    with store.claim(IDS[10:30]) as claim:
        assert claim.ids == tuple(IDS[10:30])


def test_a_forked_worker_does_not_keep_its_parents_claim(python: Start, store: Store) -> None:
    holder = python(HOLDER, store.path, "fork")
    assert holder.stdout is not None
    assert holder.stdout.readline() == "20\n"
    assert store.status(IDS[:20]).under_way == 20
    holder.kill()
    holder.wait()
    # The worker still waits for its line: its copy of the claim must not count.
    with store.claim(IDS[:20]) as claim:
        assert claim.ids == tuple(IDS[:20])
    assert holder.stdin is not None
    holder.stdin.write("end\n")
    holder.stdin.flush()
    assert holder.stdout.read() == ""


def test_a_second_claim_of_the_same_process_is_refused(store: Store) -> None:
    other = Store(store.path)
    with store.claim(IDS[:3]) as first, other.claim(IDS[:4]) as second:
        assert first.ids == tuple(IDS[:3])
        assert second.ids == (IDS[3],)
        assert second.elsewhere == tuple(IDS[:3])
        with store.claim(IDS[:4]) as third:
            assert third.ids == ()
        assert store.status(IDS[:5]) == Status(done=0, under_way=4, to_do=1)
    with store.claim(IDS[:4]) as again:
        assert again.ids == tuple(IDS[:4])
    again.release()
    first.release()


def test_threads_share_a_list_without_overlap(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(lambda k: store.claim(IDS[k : k + 20]), range(16)))
    got = Counter(id for claim in claims for id in claim.ids)
    assert got == Counter(IDS[:35])
    for claim in claims:
        claim.release()


def test_asking_does_not_steal(store: Store) -> None:
    with store.claim(IDS[:5]):
        for _ in range(3):
            assert store.status(IDS[:5]).under_way == 5
        assert store.claim(IDS[:5]).ids == ()
    for _ in range(3):
        assert store.status(IDS[:5]).to_do == 5


def test_someone_else_asking_at_that_instant_is_no_holder(store: Store) -> None:
    store.claim([]).release()
    dead = store.path / "claims" / "1.0badcafe.claim"
    dead.write_text(json.dumps({"ids": IDS[:2]}))
    with dead.open() as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)
        assert store.status(IDS[:2]).to_do == 2
        with store.claim(IDS[:2]) as claim:
            assert claim.ids == tuple(IDS[:2])
    assert not dead.exists()


def test_done_runs_are_not_claimed(store: Store, measures: pd.DataFrame) -> None:
    store.put({"seed": 1}, measures, {})
    with store.claim([*IDS[:3], IDS[0]]) as claim:
        assert claim.ids == (IDS[0], IDS[2])
        assert claim.done == (IDS[1],)
    assert store.status([*IDS[:3], IDS[0]]) == Status(done=1, under_way=0, to_do=2)


def test_a_run_finished_just_before_the_claim_is_seen(
    store: Store, measures: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = claims.hold

    def another_was_quicker(*args: Any, **options: Any) -> claims.Hold:
        Store(store.path).put({"seed": 0}, measures, {})
        return hold(*args, **options)

    monkeypatch.setattr(claims, "hold", another_was_quicker)
    with store.claim(IDS[:2]) as claim:
        assert claim.ids == (IDS[1],)


def test_hundreds_of_runs_need_few_open_files(python: Start, store: Store) -> None:
    child = python(
        "import resource, sys\n"
        "from frivolous.store import Store, run_id\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))\n"
        "ids = [run_id({'seed': seed}) for seed in range(1200)]\n"
        "store = Store(sys.argv[1])\n"
        "with store.claim(ids[:600]) as one, store.claim(ids) as two:\n"
        "    print(len(one.ids), len(two.ids), store.status(ids).under_way)\n",
        store.path,
    )
    out, err = child.communicate()
    assert out == "600 600 1200\n", err


def test_only_the_dead_are_swept(store: Store) -> None:
    store.claim([]).release()
    incoming = store.path / "incoming"

    def leave_behind(id: str) -> Path:
        folder = incoming / f"{id}.1.0badcafe"
        folder.mkdir()
        (folder / "spec.json").write_text("{}")
        folder.with_name(folder.name + ".lock").write_text("")
        return folder

    with atomic.staged(incoming, IDS[2]) as alive, store.claim([IDS[1]]):
        dead, claimed = leave_behind(IDS[0]), leave_behind(IDS[1])
        store.claim(IDS[:1]).release()
        assert alive.exists()
        assert claimed.exists()
        assert not dead.exists()
    store.claim([IDS[1]]).release()
    assert list(incoming.iterdir()) == []
