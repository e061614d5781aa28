"""Killed at any system call, a store holds the whole of a thing or nothing of it."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from frivolous.errors import StoreError
from frivolous.store import Store, run_id

Start = Callable[..., subprocess.Popen[str]]
SPEC = {"seed": 7}
ID = run_id(SPEC)

# Forks once for every moment n: the child dies by SIGKILL at its n-th system call, a write when
# half is written. Ends with the first child that outlives its deed.
KILLER = """
import fcntl, os, signal, sys
from pathlib import Path
import numpy as np, pandas as pd, pyarrow.parquet, safetensors.numpy
from frivolous.store import Store, run_id
from frivolous.store.provenance import provenance

deed, root = sys.argv[1], Path(sys.argv[2])
frame = pd.DataFrame({"site": ["a", "b"], "measure": ["prunable"] * 2, "value": [3.25, 5.0]})
provenance()

def put(store):
    store.put({"seed": 7}, frame, {"accuracy": 0.5}, {"curves": frame}, {"w": np.ones(3)})

def document(store):
    store.write_document("figures/a.svg", "new" * 500)

def set_aside(store):
    store.has(run_id({"seed": 7}))

def claim(store):
    store.claim([run_id({"seed": 7})]).release()

def arm(n):
    calls = 0
    def wrapped(real, name):
        def call(*args, **options):
            nonlocal calls
            calls += 1
            if calls == n:
                if name == "write":
                    real(args[0], bytes(args[1])[: len(args[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **options)
        return call
    for name in ("open", "write", "fsync", "close", "rename", "replace", "mkdir", "unlink"):
        setattr(os, name, wrapped(getattr(os, name), name))
    fcntl.flock = wrapped(fcntl.flock, "flock")

n = 0
while True:
    n += 1
    store = Store(root / str(n))
    if deed == "document":
        store.write_document("figures/a.svg", "old")
    if deed == "set_aside":
        put(store)
        (store.path / "runs" / run_id({"seed": 7}) / "measures.parquet").write_bytes(b"")
    child = os.fork()
    if not child:
        arm(n)
        globals()[deed](store)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if status == 0:
        break
    assert os.WTERMSIG(status) == signal.SIGKILL, status
print(n)
"""


def killed_stores(python: Start, deed: str, root: Path) -> list[Path]:
    child = python(KILLER, deed, root)
    out, err = child.communicate()
    assert child.returncode == 0, err
    return [root / str(n + 1) for n in range(int(out) - 1)]


def is_clean(path: Path) -> bool:
    """Whether the next claim finds nothing that a dead writer left."""
    Store(path).claim([run_id({"other": 1})]).release()
    return not list((path / "incoming").iterdir()) and not list((path / "claims").glob("*.claim"))


def test_killed_in_put(python: Start, tmp_path: Path, measures: pd.DataFrame) -> None:
    outcomes = []
    for path in killed_stores(python, "put", tmp_path):
        store = Store(path)
        assert store.check([ID]) == []
        outcomes.append(store.has(ID))
        assert store.ids() == ((ID,) if outcomes[-1] else ())
        store.put(SPEC, measures, {"accuracy": 0.5}, weights={"w": np.ones(3)})
        run = store.get(ID)
        pd.testing.assert_frame_equal(run.measures, measures)
        assert run.weights()["w"].tolist() == [1, 1, 1]
        assert store.notes == []
        assert is_clean(path)
    assert outcomes == sorted(outcomes), "once there, a run stays"
    assert outcomes.count(False) > 30
    assert outcomes.count(True) > 3


def test_killed_in_setting_aside(python: Start, tmp_path: Path, measures: pd.DataFrame) -> None:
    for path in killed_stores(python, "set_aside", tmp_path):
        store = Store(path)
        assert not store.has(ID)
        assert len(list((path / "set-aside").iterdir())) == 1
        store.put(SPEC, measures, {})
        assert store.has(ID)


def test_killed_in_writing_a_document(python: Start, tmp_path: Path) -> None:
    seen = set()
    for path in killed_stores(python, "document", tmp_path):
        seen.add((path / "figures" / "a.svg").read_text())
        assert [entry.name for entry in (path / "figures").iterdir()] == ["a.svg"]
        assert is_clean(path)
    assert seen == {"old", "new" * 500}


def test_killed_in_claiming(python: Start, tmp_path: Path) -> None:
    for path in killed_stores(python, "claim", tmp_path):
        assert Store(path).status([ID]).to_do == 1
        with Store(path).claim([ID]) as claim:
            assert claim.ids == (ID,)
        assert is_clean(path)


def test_the_disk_has_everything_before_the_name_counts(
    store: Store, measures: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    before: list[int] = []
    fsync, rename = os.fsync, os.rename

    def note_fsync(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    def note_rename(source: Path, target: Path) -> None:
        before.extend(synced)
        rename(source, target)

    store.put({"first": True}, measures, {})
    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "rename", note_rename)
    store.put(SPEC, measures, {}, {"curves": measures}, {"w": np.ones(2)})
    folder = store.path / "runs" / ID
    files = {entry.name: entry.stat().st_ino for entry in folder.iterdir()}
    assert set(files) == {
        "spec.json",
        "measures.parquet",
        "curves.parquet",
        "weights.safetensors",
        "record.json",
    }
    assert set(before) == {*files.values(), folder.stat().st_ino}
    assert before[-2:] == [files["record.json"], folder.stat().st_ino]
    assert synced[len(before) :] == [folder.parent.stat().st_ino]


@pytest.mark.parametrize("call", ["write", "fsync", "rename", "mkdir"])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_full_disk(
    store: Store, measures: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, call: str, error: int
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(error, os.strerror(error))

    store.put({"kept": 1}, measures, {})
    with monkeypatch.context() as patch:
        patch.setattr(os, call, refuse)
        with pytest.raises(StoreError) as caught:
            store.put(SPEC, measures, {})
    message = str(caught.value)
    assert str(store.path) in message
    assert os.strerror(error) in message
    if call != "mkdir":
        assert message.startswith(f"cannot write a run to {store.path}: ")
    assert message.endswith("Free some space there and run again; what is finished is kept.")
    assert "\n" not in message
    assert list((store.path / "incoming").iterdir()) == []
    assert store.ids() == (run_id({"kept": 1}),)
    store.put(SPEC, measures, {})
    assert store.has(ID)


def test_a_file_larger_than_the_system_allows(python: Start, tmp_path: Path) -> None:
    child = python(
        "import resource, sys, numpy as np, pandas as pd\n"
        "from frivolous.store import Store\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
        "try:\n"
        "    Store(sys.argv[1]).put({'seed': 7}, pd.DataFrame({'value': [1.0]}), {},\n"
        "                           weights={'w': np.ones(10_000)})\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, error)",
        tmp_path / "s",
    )
    out, err = child.communicate()
    assert out.startswith(f"StoreError cannot write a run to {tmp_path / 's'}: File too large."), (
        err
    )
    assert list((tmp_path / "s" / "incoming").iterdir()) == []
    assert Store(tmp_path / "s").ids() == ()


def test_a_folder_without_rights(python: Start, tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    child = python(
        "import os, sys, pandas as pd, pyarrow.parquet\n"
        "from frivolous.store import Store\n"
        "frame = pd.DataFrame({'value': [1.0]})\n"
        "if os.geteuid() == 0:\n"
        "    os.seteuid(65534)  # root may write anywhere\n"
        "try:\n"
        "    Store(sys.argv[1]).put({'seed': 7}, frame, {})\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, error)",
        tmp_path / "s",
    )
    out, err = child.communicate()
    tmp_path.chmod(0o755)
    assert out.startswith("StoreError cannot "), err
    assert f"store {tmp_path / 's'}: Permission denied. Choose a store that you can write to" in out
    assert not (tmp_path / "s").exists()
