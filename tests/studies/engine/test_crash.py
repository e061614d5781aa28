"""Killed by SIGKILL at any moment, the same command ends as if undisturbed."""

from __future__ import annotations

import json
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from frivolous.store import Store

pytestmark = pytest.mark.slow

Child = Callable[..., subprocess.Popen[str]]

# The beginning of a child: logs every run that its stores publish, by the rename that counts.
LOGGED = Path(__file__).with_name("logged.script").read_text()

# One child for each moment, forked from a warm process; each dies there in `frivolous run`.
KILLED = """
import torch
torch.set_num_threads(1)
import frivolous.figures, frivolous.studies.report
from frivolous.cli import main
for cell in STUDIES["figE7"].cells("cpu"):
    train_dense._network(cell.prototype.family, "cpu")
from frivolous.studies import engine
from frivolous import files
from frivolous.store import Store, claims

def arm(owner, name, n, half=False):
    real, calls = getattr(owner, name), 0
    def call(*args, **options):
        nonlocal calls
        calls += 1
        if calls == n:
            if half:
                real(args[0], bytes(args[1])[: len(args[1]) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **options)
    setattr(owner, name, call)

MOMENTS = {
    "before the first training": (train_dense, "make", 1),
    "before a put": (Store, "put", 3),
    "while a file is half written": (files, "write", 12, True),
    "before a run is published": (Path, "rename", 4),
    "after a run is published": (files, "sync", 8),
    "while a group is claimed": (claims.locks, "take", 8),
    "while the figure is replaced": (Path, "replace", 1),
}
sys.argv = ["frivolous", "run", "figE7", "--scale", "cpu", "--store", sys.argv[2]]
for moment, place in MOMENTS.items():
    child = os.fork()
    if child == 0:
        try:
            arm(*place)
            main()
        finally:
            os._exit(1)
    status = os.waitpid(child, 0)[1]
    done = len(list(Path(sys.argv[-1]).glob("runs/*")))
    print(json.dumps([moment, os.WTERMSIG(status), done]))
main()
print(table(sys.argv[-1]))
"""


def published(log: Path) -> Counter[str]:
    return Counter(log.read_text().split())


def test_killed_at_seven_moments_the_same_command_ends_with_the_same_table(
    child: Child, expected: str, tmp_path: Path
) -> None:
    killed = child(LOGGED + KILLED, tmp_path / "log", tmp_path / "store")
    out, err = killed.communicate(timeout=300)
    assert killed.returncode == 0, err
    assert "Traceback" not in err
    lines = out.splitlines()
    moments: list[list[Any]] = [json.loads(line) for line in lines if line.startswith('["')]
    assert len(moments) == 7
    assert [death for _, death, _ in moments] == [signal.SIGKILL] * 7
    done = [runs for *_, runs in moments]
    assert done == sorted(done)
    assert done[0] == 0
    assert 0 < done[2] < 24
    assert done[-1] == 24
    assert lines[-1] == expected
    # What was published before the kill but not logged yet was not made a second time either.
    counts = published(tmp_path / "log")
    assert set(counts.values()) == {1}
    store = Store(tmp_path / "store")
    assert set(counts) <= set(store.ids())
    assert len(store.ids()) == 24
    with store.claim([]):
        assert not list((tmp_path / "store" / "incoming").iterdir())
    assert not list((tmp_path / "store" / "set-aside").iterdir())


def test_the_expected_table_is_whole(expected: str) -> None:
    frame = pd.DataFrame(**json.loads(expected))
    assert len(frame) == 6 * 2 * 3 * 2
    assert frame["value"].notna().all()
