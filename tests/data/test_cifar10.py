"""CIFAR-10 in every form it comes in, and what is said of files that are not it."""

from __future__ import annotations

import os
import pickle
import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors import SafetensorError

from frivolous.data import Splits, cifar10
from frivolous.data.files import cache, cifar10_files
from frivolous.data.files.cifar10_archives import BINARY, PYTHON
from frivolous.data.files.safe_pickle import unpickled_batch
from frivolous.errors import BadArgument

making = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("making.py"))))
SIZES = {"train": 400, "validation": 200}
FORMS = ("parquet", "binary", "python", "binary archive", "python archive")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FRIVOLOUS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FRIVOLOUS_DATA", raising=False)
    return tmp_path / "cache"


def lay_out(folder: Path, form: str) -> Path:
    official = PYTHON if form.startswith("python") else BINARY
    files = making.python_files() if official is PYTHON else making.binary_files()
    folder.mkdir(exist_ok=True)
    if form == "parquet":
        making.cifar_parquet(folder)
    elif form.endswith("archive"):
        making.packed(folder / official.archive, official.folder, files)
    else:
        making.unpacked(folder / official.folder, files)
    return folder


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    return lay_out(tmp_path / "data", "parquet")


def in_order(folder: Path, **options: object) -> Splits:
    return cifar10(folder=folder, order="files", **{**SIZES, **options})


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_images_and_labels(tmp_path: Path, form: str) -> None:
    splits = in_order(lay_out(tmp_path / "data", form))
    pixels = making.pictures(600, 0).transpose(0, 3, 1, 2)
    assert np.array_equal(splits.train.inputs.numpy(), pixels[:400])
    assert np.array_equal(splits.validation.inputs.numpy(), pixels[400:])
    assert np.array_equal(splits.train.labels.numpy(), making.labels(600)[:400])
    tests = making.pictures(200, 1).transpose(0, 3, 1, 2)
    assert np.array_equal(splits.test.inputs.numpy(), tests)
    assert splits.train.inputs.dtype == torch.uint8
    assert splits.facts["source"] == form.split(maxsplit=1)[0]
    assert splits.facts["encoding"] == "bitmaps"
    assert splits.facts["examples"] == {"train": 400, "validation": 200, "test": 200}
    assert splits.facts["images_of_each_class"]["test"] == [20] * 10  # type: ignore[index]


def test_jpeg_is_said_to_be_jpeg(tmp_path: Path) -> None:
    making.cifar_parquet(tmp_path / "data", "JPEG")
    assert in_order(tmp_path / "data").facts["encoding"] == "JPEG"


def test_a_seed_deals_and_no_image_is_lost_or_doubled(parquet: Path) -> None:
    one, same, other = (cifar10(folder=parquet, seed=seed, **SIZES) for seed in (1, 1, 2))
    assert torch.equal(one.train.inputs, same.train.inputs)
    assert not torch.equal(one.train.labels, other.train.labels)
    dealt = torch.cat([one.train.inputs, one.validation.inputs]).flatten(1)
    everything = torch.from_numpy(making.pictures(600, 0)).permute(0, 3, 1, 2).flatten(1)
    assert len(torch.unique(torch.cat([dealt, everything]), dim=0)) == 600
    assert one.facts["order"] == "seeded 1"


def test_the_last_files_validate_whatever_the_seed_and_however_few_train(parquet: Path) -> None:
    few = in_order(parquet, train=100, validation=30, seed=3)
    assert torch.equal(few.validation.inputs, in_order(parquet).validation.inputs[-30:])
    assert torch.equal(few.train.inputs, in_order(parquet).train.inputs[:100])


def test_a_subset_is_the_first_images_of_each_split(parquet: Path) -> None:
    whole, small = cifar10(folder=parquet, **SIZES), cifar10(folder=parquet, subset=150, **SIZES)
    for part in ("train", "validation", "test"):
        assert len(getattr(small, part)) == 150
        assert torch.equal(getattr(small, part).inputs, getattr(whole, part).inputs[:150])
    assert small.facts["subset"] == 150


def test_the_folder_may_be_named_by_the_environment_and_lie_one_level_below(
    parquet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRIVOLOUS_DATA", str(parquet.parent))
    assert len(cifar10(**SIZES).train) == 400  # type: ignore[arg-type]


def test_an_archive_may_be_named_itself(tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "data", "binary archive")
    assert len(in_order(folder / "cifar-10-binary.tar.gz").train) == 400


def test_files_are_decoded_once_and_again_when_they_change(
    parquet: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = in_order(parquet)
    (kept,) = own_cache.iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(cifar10_files, "all_decoded", None)
        assert torch.equal(in_order(parquet).train.inputs, first.train.inputs)
    kept.write_bytes(kept.read_bytes()[:1000])
    assert torch.equal(in_order(parquet).train.inputs, first.train.inputs)
    assert kept.stat().st_size > 1000
    test = parquet / "test-00000-of-00001.parquet"
    os.utime(test, ns=(0, 0))
    assert torch.equal(in_order(parquet).train.inputs, first.train.inputs)
    assert len(list(own_cache.iterdir())) == 2


def test_a_cache_that_cannot_be_written_is_done_without(parquet: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert len(in_order(parquet, cache=tmp_path / "file" / "below").train) == 400


def test_a_cache_on_a_full_disk_is_done_without_and_leaves_nothing(
    parquet: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(tensors: dict[str, torch.Tensor], path: Path) -> None:
        path.write_bytes(b"half of it")
        raise SafetensorError("No space left on device (os error 28)")

    monkeypatch.setattr(cache, "save_file", half)
    assert len(in_order(parquet).train) == 400
    assert list(own_cache.iterdir()) == []


# --- what is refused -------------------------------------------------------------------------


def test_where_nothing_is_found(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="must say where CIFAR-10 is, or FRIVOLOUS_DATA must"):
        cifar10()
    with pytest.raises(BadArgument, match="none does not exist; name the folder that holds"):
        cifar10(folder=tmp_path / "none")
    with pytest.raises(BadArgument, match="holds no CIFAR-10: looked there and one level below"):
        cifar10(folder=tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": 500}, "`train` 500 and `validation` 200 must be .* at most 600 together"),
        ({"validation": 0}, "must be at least 1 each"),
        ({"subset": 0}, "`subset` must be at least 1 image; got 0"),
        ({"order": "any"}, "`order` is 'seeded' or 'files'; got 'any'"),
    ],
)
def test_splits_the_data_cannot_give(parquet: Path, options: dict, message: str) -> None:
    with pytest.raises(BadArgument, match=message):
        cifar10(folder=parquet, **{**SIZES, **options})


def with_row(folder: Path, image: bytes | None, label: int | None = 0) -> Path:
    """The data with one more row at the end of the second training file: row 40."""
    images = [making.encoded(x) for x in making.pictures(40, 0)]
    path = folder / "train-00001-of-00002.parquet"
    making.parquet(path, [*images, image], [*making.labels(40), label])
    return folder


def test_images_that_do_not_belong(parquet: Path) -> None:
    picture = making.pictures(1, 9)[0]
    wrong = {
        "is a grey image .mode L.; all images must be in colour": making.encoded(picture, mode="L"),
        "is a palette image .mode P.": making.encoded(picture, mode="P"),
        "cannot be decoded as an image .1000 bytes": making.encoded(picture)[:1000],
        "cannot be decoded as an image .4 bytes: Unidentified": b"none",
        "has 32x30 pixels; all images must have 32x32": making.encoded(picture[:, :30]),
        "has no image; every row": None,
    }
    for message, image in wrong.items():
        with pytest.raises(BadArgument, match=f"row 40 of .*train-00001.*parquet {message}"):
            in_order(with_row(parquet, image))


def test_labels_that_do_not_belong(parquet: Path) -> None:
    image = making.encoded(making.pictures(1, 9)[0])
    for label, message in ((10, "has the label 10; 10 classes have"), (None, "has no label")):
        with pytest.raises(BadArgument, match=f"row 40 of .*parquet {message}"):
            in_order(with_row(parquet, image, label))


def test_half_a_parquet_file(parquet: Path) -> None:
    path = parquet / "train-00000-of-00002.parquet"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(BadArgument, match="cannot be read as Parquet .*downloaded in part. Get it"):
        in_order(parquet)


def test_columns_of_other_data_are_not_taken_for_it(tmp_path: Path) -> None:
    image = making.encoded(making.pictures(1, 0)[0])
    for split in ("train", "test"):
        making.parquet(tmp_path / f"{split}-0.parquet", [image], [0], column="image")
    with pytest.raises(BadArgument, match="columns `img`, `label`"):
        cifar10(folder=tmp_path)


@pytest.mark.parametrize("form", ["binary archive", "python archive"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_half_an_archive(tmp_path: Path, form: str, share: float) -> None:
    folder = lay_out(tmp_path / "data", form)
    (path,) = folder.iterdir()
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(BadArgument, match="cannot be read to its end; it is damaged or was downl"):
        in_order(folder)


def test_files_missing_or_cut(tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "data", "binary")
    batch = folder / "cifar-10-batches-bin" / "data_batch_3.bin"
    batch.write_bytes(batch.read_bytes()[:-1])
    with pytest.raises(BadArgument, match="data_batch_3.bin .* bytes, not a multiple of 3073"):
        in_order(folder)
    batch.write_bytes(bytes([10]) + bytes(3072))
    with pytest.raises(BadArgument, match="data_batch_3.bin .* holds labels from 10 to 10"):
        in_order(folder)
    batch.unlink()
    with pytest.raises(BadArgument, match="lacks data_batch_3.bin, one of CIFAR-10's files"):
        in_order(folder)
    files = making.binary_files()
    del files["test_batch.bin"]
    (tmp_path / "packed").mkdir()
    archive = tmp_path / "packed" / "cifar-10-binary.tar.gz"
    making.packed(archive, "cifar-10-batches-bin", files)
    with pytest.raises(BadArgument, match="lacks test_batch.bin; this is not the official"):
        in_order(tmp_path / "packed")


class Harmful:
    def __reduce__(self) -> object:
        return os.system, ("touch harmed",)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_could_run_a_program_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: int
) -> None:
    monkeypatch.chdir(tmp_path)
    content = pickle.dumps({"data": Harmful(), "labels": [0]}, protocol)
    with pytest.raises(BadArgument, match="asks for .*system, which could run any program"):
        unpickled_batch(content, "data_batch_1")
    assert not (tmp_path / "harmed").exists()


def test_only_arrays_of_bytes_are_read_from_a_pickle() -> None:
    good = {b"data": np.zeros((2, 3072), np.uint8), b"labels": [0, 1]}
    data, targets = unpickled_batch(making.as_python2(good), "batch")
    assert data.shape == (2, 3072)
    assert targets.tolist() == [0, 1]
    assert np.array_equal(
        pickle.loads(making.as_python2(good), encoding="bytes")[b"data"], good[b"data"]
    )
    for wrong in (
        {**good, b"data": np.zeros((2, 3072))},
        {**good, b"data": np.array([print, {}], dtype=object)},
        {**good, b"labels": "01"},
        {**good, b"labels": [0, "a"]},
        [1, 2],
        {},
    ):
        with pytest.raises(BadArgument, match="cannot be read as a batch of CIFAR-10|asks for"):
            unpickled_batch(making.as_python2(wrong), "batch")
    for content in (b"", b"no pickle", making.as_python2(good)[:-3000]):
        with pytest.raises(BadArgument, match="batch cannot be read as a batch of CIFAR-10"):
            unpickled_batch(content, "batch")
