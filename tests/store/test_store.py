"""What goes in comes out; what is damaged is found, named, set aside and made again."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from frivolous.errors import BadArgument, FrivolousError, StoreError, UnknownName
from frivolous.store import Problem, Status, Store, records, run_id

SPEC: dict[str, Any] = {"study": "fig4d", "seed": 7, "lr": 0.1, "hidden": (4, 4)}
ID = run_id(SPEC)


def put(store: Store, measures: pd.DataFrame) -> None:
    store.put(
        SPEC,
        measures,
        {"accuracy": 0.5, "best_epoch": 3},
        {"curves": pd.DataFrame({"p": [0.0, 0.5], "unchanged": [10, 7]})},
        {"w": np.arange(6.0).reshape(2, 3)},
    )


def test_a_run_comes_back_as_it_was_put(store: Store, measures: pd.DataFrame) -> None:
    measures["count"] = pd.array([1, 2], dtype="int32")
    measures["low"] = [np.nan, 0.1 + 2**-55]
    put(store, measures)
    run = store.get(ID)
    assert (run.id, run.spec) == (ID, {**SPEC, "hidden": [4, 4]})
    assert run.facts == {"accuracy": 0.5, "best_epoch": 3}
    assert run.frames == ("measures", "curves")
    pd.testing.assert_frame_equal(run.measures, measures)
    assert run.frame("curves")["unchanged"].tolist() == [10, 7]
    assert torch.equal(run.weights()["w"], torch.arange(6.0, dtype=torch.float64).reshape(2, 3))
    assert store.ids() == (ID,)
    assert store.status([ID]) == Status(1, 0, 0)
    assert json.loads((store.path / "store.json").read_text()) == {"format": 1}


def test_tensors_of_any_layout(store: Store, measures: pd.DataFrame) -> None:
    tied = torch.arange(6.0).reshape(2, 3)
    weights = {
        "a": torch.nn.Parameter(tied),
        "b": tied,
        "t": tied.T,
        "half": tied.to(torch.bfloat16),
        "n": np.ones(2),
        "steps": torch.tensor(5),
    }
    store.put(SPEC, measures, {}, weights=weights)
    back = store.get(ID).weights()
    assert set(back) == set(weights)
    for name, value in weights.items():
        assert torch.equal(back[name], torch.as_tensor(value)), name


def test_the_record_states_files_and_provenance(store: Store, measures: pd.DataFrame) -> None:
    put(store, measures)
    folder = store.path / "runs" / ID
    record = json.loads((folder / "record.json").read_text())
    assert set(record["files"]) == {entry.name for entry in folder.iterdir()} - {"record.json"}
    for name, file in record["files"].items():
        content = (folder / name).read_bytes()
        assert file == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert set(record["provenance"]) == {
        "commit",
        "versions",
        "machine",
        "system",
        "python",
        "cores",
        "threads",
        "time",
    }
    assert record["provenance"]["threads"] == torch.get_num_threads()
    assert record["provenance"]["versions"]["pandas"] == pd.__version__


def test_provenance_of_another_machine_replaces_ours(store: Store, measures: pd.DataFrame) -> None:
    store.put(SPEC, measures, {}, provenance={"machine": "node7", "gpu": "H200"})
    found = store.get(ID).provenance
    assert (found["machine"], found["gpu"]) == ("node7", "H200")
    assert found["python"]


def test_the_first_of_two_is_kept(store: Store, measures: pd.DataFrame) -> None:
    first = store.put(SPEC, measures, {"try": 1})
    second = store.put(SPEC, measures.assign(value=0.0), {"try": 2})
    assert first == second
    assert store.get(ID).facts == {"try": 1}


def test_facts_of_a_diverged_run(store: Store, measures: pd.DataFrame) -> None:
    facts = {"loss": float("nan"), "accuracy": np.float32(0.5), "epochs": torch.tensor(3)}
    store.put(SPEC, measures, facts)
    assert store.get(ID).facts == {"loss": None, "accuracy": 0.5, "epochs": 3}


def test_measures_of_many_runs(store: Store) -> None:
    ids = []
    for seed in (2, 0, 1):
        value = [seed, seed + 1] if seed else [0.5]
        store.put({"seed": seed}, pd.DataFrame({"site": "a", "value": value}), {})
        ids.append(run_id({"seed": seed}))
    found = store.measures(ids)
    expected = pd.concat([store.get(id).measures.assign(run=id) for id in ids], ignore_index=True)
    pd.testing.assert_frame_equal(found, expected[["run", "site", "value"]])
    assert found["value"].tolist() == [2, 3, 0.5, 1, 2]
    assert list(store.measures([]).columns) == ["run"]


def test_what_is_not_there(store: Store, measures: pd.DataFrame) -> None:
    other = run_id({"seed": 0})
    with pytest.raises(
        StoreError, match=rf"1 of 1 runs are not in store .*: {ID}\. Run their study"
    ):
        store.get(ID)
    assert not store.path.exists(), "asking writes nothing"
    store.put(SPEC, measures, {})
    with pytest.raises(StoreError, match=rf"1 of 2 runs are not in store .*: {other}\."):
        store.measures([ID, other])
    with pytest.raises(
        FrivolousError, match="was kept without its weights. Make it again in a new"
    ):
        store.get(ID).weights()
    with pytest.raises(
        UnknownName, match="unknown frame of run .* 'measurs'; did you mean 'measur"
    ):
        store.get(ID).frame("measurs")
    with pytest.raises(BadArgument, match=r"`id` is 16 hexadecimal digits.*got '\.\./\.\./etc'"):
        store.has("../../etc")


def rewrite(folder: Path, name: str, content: bytes) -> None:
    """Change a file and make the record agree with it."""
    (folder / name).write_bytes(content)
    record = json.loads((folder / "record.json").read_text())
    record["files"][name] = {
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    reseal(folder, record)


def reseal(folder: Path, record: dict[str, Any]) -> None:
    record.pop("seal")
    text = json.dumps(record, sort_keys=True, separators=(",", ":"))
    record["seal"] = hashlib.sha256(text.encode()).hexdigest()
    (folder / "record.json").write_text(json.dumps(record))


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def forge_spec(folder: Path) -> None:
    spec = {"seed": 8}
    record = json.loads((folder / "record.json").read_text())
    reseal(folder, {**record, "spec": spec})
    rewrite(folder, "spec.json", json.dumps(spec).encode())


def edit_record(folder: Path, old: str, new: str) -> None:
    text = (folder / "record.json").read_text()
    assert old in text
    (folder / "record.json").write_text(text.replace(old, new))


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def drop_from_record(folder: Path) -> None:
    record = json.loads((folder / "record.json").read_text())
    del record["files"]["measures.parquet"]
    reseal(folder, record)


DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "cut": (
        lambda f: os.truncate(f / "measures.parquet", 10),
        r"measures\.parquet: 10 bytes where the record states \d+",
    ),
    "empty": (lambda f: os.truncate(f / "record.json", 0), r"record\.json: cannot be read"),
    "bit": (lambda f: flip(f / "measures.parquet"), r"measures\.parquet: checksum differs"),
    "bit of curves": (lambda f: flip(f / "curves.parquet"), r"curves\.parquet: checksum differs"),
    "bit of weights": (
        lambda f: flip(f / "weights.safetensors"),
        r"weights\.safetensors: checksum differs",
    ),
    "lost": (lambda f: (f / "measures.parquet").unlink(), r"measures\.parquet: missing"),
    "lost record": (lambda f: (f / "record.json").unlink(), r"record\.json: missing"),
    "folder": (lambda f: replace_by_folder(f / "spec.json"), r"spec\.json: \d+ bytes where"),
    "garbage": (
        lambda f: (f / "record.json").write_bytes(b"\xff\x00"),
        r"record\.json: cannot be read",
    ),
    "list": (lambda f: (f / "record.json").write_text("[1]"), r"record\.json: cannot be read"),
    "edited fact": (
        lambda f: edit_record(f, '"accuracy": 0.5', '"accuracy": 0.9'),
        r"record\.json: checksum differs",
    ),
    "edited spec": (
        lambda f: (f / "spec.json").write_text((f / "spec.json").read_text().replace("7", "8")),
        r"spec\.json: checksum differs",
    ),
    "forged spec": (forge_spec, r"record\.json: spec does not hash to the id"),
    "forged spec file": (
        lambda f: rewrite(f, "spec.json", b'{"seed":8}'),
        r"spec\.json: differs from the spec in the record",
    ),
    "unstated": (drop_from_record, r"record\.json: measures\.parquet is not a file that it may or"),
    "outside": (
        lambda f: rewrite(f, "../x.parquet", b"x"),
        r"record\.json: \.\./x\.parquet is not a file",
    ),
    "no parquet": (
        lambda f: rewrite(f, "measures.parquet", b"PAR1 not at all PAR1"),
        r"measures\.parquet: cannot be read",
    ),
    "no json": (lambda f: rewrite(f, "spec.json", b"{"), r"spec\.json: cannot be read"),
    "no safetensors": (
        lambda f: rewrite(f, "weights.safetensors", b"\x80\x04pickle"),
        r"weights\.safetensors: cannot be read",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_corrupt_run_is_set_aside_and_made_again(
    store: Store, measures: pd.DataFrame, damage: str
) -> None:
    harm, reason = DAMAGE[damage]
    put(store, measures)
    folder = store.path / "runs" / ID
    harm(folder)
    names = {entry.name for entry in folder.iterdir()}

    (problem,) = store.check([ID, run_id({"absent": 1})])
    assert isinstance(problem, Problem)
    line = rf"^run {ID} is corrupt \({reason}.*\)"
    with pytest.raises(StoreError, match=line + "; set aside in .*Run it once more.$"):
        store.get(ID)

    (aside,) = (store.path / "set-aside").iterdir()
    assert aside.name.startswith(f"{ID}.")
    assert {entry.name for entry in aside.iterdir()} == names | {"why.txt"}
    assert store.notes == [f"{problem}; set aside in {aside}; it will be made again"]
    assert (aside / "why.txt").read_text() == store.notes[0] + "\n"
    assert not store.has(ID)
    assert store.status([ID]) == Status(0, 0, 1)
    put(store, measures)
    assert store.check([ID]) == []
    assert store.has(ID)


@pytest.mark.parametrize("ask", ["has", "complete", "claim", "put", "measures", "frame", "weights"])
def test_whoever_meets_a_corrupt_run_sets_it_aside(
    store: Store, measures: pd.DataFrame, ask: str
) -> None:
    said: list[str] = []
    store = Store(store.path, note=said.append)
    put(store, measures)
    run = store.get(ID)
    file = "weights.safetensors" if ask == "weights" else "measures.parquet"
    os.truncate(store.path / "runs" / ID / file, 3)
    assert store.status([ID]) == Status(0, 0, 1, corrupt=1)
    if ask == "has":
        assert not store.has(ID)
    elif ask == "complete":
        assert store.complete([ID]) == set()
    elif ask == "claim":
        with store.claim([ID]) as claim:
            assert claim.ids == (ID,)
    elif ask == "put":
        put(store, measures)
        assert store.has(ID)
    else:
        read = {
            "measures": lambda: store.measures([ID]),
            "frame": lambda: run.measures,
            "weights": run.weights,
        }
        with pytest.raises(StoreError, match=f"run {ID} is corrupt .*set aside in"):
            read[ask]()
    assert len(list((store.path / "set-aside").iterdir())) == 1
    assert said == store.notes
    assert len(said) == 1


def test_checksums_are_read_where_sizes_do_not_tell(store: Store, measures: pd.DataFrame) -> None:
    put(store, measures)
    flip(store.path / "runs" / ID / "measures.parquet")
    assert store.has(ID)
    with pytest.raises(StoreError, match="checksum differs"):
        store.measures([ID])
    assert not store.has(ID)
    put(store, measures)
    flip(store.path / "runs" / ID / "curves.parquet")
    assert store.complete([ID]) == {ID}
    assert store.complete([ID], checksums=True) == set()
    assert len(store.notes) == 2


def test_a_run_remade_since_it_was_judged_stays(
    store: Store, measures: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, measures)
    judge, verdicts = records.judge, [Problem(ID, "measures.parquet", "was corrupt before")]

    def stale_once(*args: Any, **options: Any) -> Any:
        return verdicts.pop() if verdicts else judge(*args, **options)

    monkeypatch.setattr(records, "judge", stale_once)
    assert store.has(ID)
    assert verdicts == []
    assert store.notes == []
    assert list((store.path / "set-aside").iterdir()) == []


@pytest.mark.parametrize("error", [errno.EMFILE, errno.EIO, errno.EACCES, errno.ESTALE])
@pytest.mark.parametrize("call", ["read_bytes", "stat"])
def test_a_passing_error_is_no_verdict_on_the_run(
    store: Store, measures: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, error: int, call: str
) -> None:
    put(store, measures)

    def refuse(path: Path, **_: Any) -> None:
        raise OSError(error, os.strerror(error), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, call, refuse)
        for ask in (store.has, store.get, lambda id: store.check([id])):
            with pytest.raises(StoreError, match=os.strerror(error)) as caught:
                ask(ID)
            assert str(store.path / "runs" / ID) in str(caught.value)
    assert store.notes == []
    assert store.has(ID)


def test_a_path_that_is_a_file(tmp_path: Path, measures: pd.DataFrame) -> None:
    (tmp_path / "f").write_text("mine")
    with pytest.raises(
        StoreError, match=r"^cannot open store .*/f: it is a file\. A store is a fold"
    ):
        Store(tmp_path / "f")
    with pytest.raises(
        StoreError, match=r"^cannot open store .*: Not a directory\. A store is a fold"
    ):
        Store(tmp_path / "f" / "below")
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "runs").write_text("in the way")
    with pytest.raises(StoreError, match="Not a directory|File exists"):
        Store(tmp_path / "s").put(SPEC, measures, {})
    assert (tmp_path / "f").read_text() == "mine"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"format": 2}', "has format 2; this version reads up to 1. Install a newer frivolous"),
        ("{}", "does not state a store's format"),
        ("garbage", "does not state a store's format"),
    ],
)
def test_a_store_of_another_format(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "store.json").write_text(text)
    with pytest.raises(StoreError, match=message):
        Store(tmp_path)


def test_what_cannot_be_kept_is_named(store: Store, measures: pd.DataFrame) -> None:
    for frames in ({"Bad name": measures}, {"measures": measures}, {"../x": measures}):
        with pytest.raises(BadArgument, match="`frames` has the name"):
            store.put(SPEC, measures, {}, frames)
    with pytest.raises(BadArgument, match="`measures` has a column 'run'; the store adds"):
        store.put(SPEC, measures.assign(run="x"), {})
    with pytest.raises(BadArgument, match="`measures` is a dict; it is kept as a table"):
        store.put(SPEC, {"value": [1]}, {})
    with pytest.raises(BadArgument, match=r"`measures` has columns \[0\]; names of columns"):
        store.put(SPEC, pd.DataFrame({0: [1]}), {})
    with pytest.raises(
        BadArgument, match="`measures` cannot be kept as Parquet: .* Give each column"
    ):
        store.put(SPEC, pd.DataFrame({"a": [1, "x", object()]}), {})
    with pytest.raises(BadArgument, match=r"`weights\['w'\]` is a list; weights are tensors"):
        store.put(SPEC, measures, {}, weights={"w": [1.0]})
    assert not store.path.exists()


def test_two_specs_with_one_id_are_not_mixed(
    store: Store, measures: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, measures)
    monkeypatch.setattr("frivolous.store.store.run_id", lambda spec: ID)
    with pytest.raises(StoreError, match=f"two specs share the id {ID}"):
        store.put({"seed": 99}, measures, {})


def test_documents(store: Store, tmp_path: Path) -> None:
    path = store.write_document("figures/fig4d.svg", "<svg/>")
    assert path == store.path / "figures" / "fig4d.svg"
    store.write_document(Path("figures") / "fig4d.svg", b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    (store.path / "link").symlink_to(tmp_path)
    for bad in ("../x", "/etc/x", "runs/x", "store.json", "link/x", ".", "a/../../x", "claims"):
        with pytest.raises(BadArgument, match="`relative_path` is a path in the store, away from"):
            store.write_document(bad, "x")
    assert not (tmp_path / "x").exists()


def test_status_is_quick_to_start(
    python: Callable[..., subprocess.Popen[str]], store: Store, measures: pd.DataFrame
) -> None:
    put(store, measures)
    child = python(
        "import sys\n"
        "from frivolous.store import Store\n"
        "print(Store(sys.argv[1]).status([sys.argv[2]]).done)\n"
        "print({'torch', 'pandas', 'pyarrow', 'numpy'} & set(sys.modules))",
        store.path,
        ID,
    )
    out, err = child.communicate()
    assert out == "1\nset()\n", err


def test_strays_in_the_store_are_left_alone(store: Store, measures: pd.DataFrame) -> None:
    put(store, measures)
    (store.path / "runs" / ".DS_Store").write_text("")
    (store.path / "notes.txt").write_text("mine")
    assert store.ids() == (ID,)
    assert (store.path / "runs" / ".DS_Store").exists()
