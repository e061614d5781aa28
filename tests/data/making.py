"""Small files in the forms that data sources come in, made for tests."""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

CLASSES = 10
TRAIN, TEST = 600, 200


def pictures(count: int, seed: int, size: tuple[int, int] = (32, 32)) -> np.ndarray:
    """Images (N, H, W, 3) of random bytes."""
    return np.random.default_rng(seed).integers(0, 256, (count, *size, 3), dtype=np.uint8)


def labels(count: int) -> np.ndarray:
    """Labels 0 to 9 in turn."""
    return np.arange(count) % CLASSES


def encoded(image: np.ndarray, kind: str = "PNG", mode: str | None = None) -> bytes:
    """An image file: PNG loses nothing."""
    file = io.BytesIO()
    picture = Image.fromarray(image)
    (picture.convert(mode) if mode else picture).save(file, kind)
    return file.getvalue()


def parquet(
    path: Path,
    images: list[bytes | None],
    targets: list[int] | np.ndarray,
    column: str = "img",
    rows_of_a_group: int = 50,
) -> None:
    """A file in Hugging Face's layout."""
    rows = [None if image is None else {"bytes": image, "path": None} for image in images]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({column: pa.array(rows, kind), "label": pa.array(targets, pa.int64())})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=rows_of_a_group)


def cifar_parquet(folder: Path, kind: str = "PNG") -> None:
    """CIFAR-10 with few images, the training images in two files."""
    images = [encoded(image, kind) for image in pictures(TRAIN, 0)]
    half = TRAIN // 2
    parquet(folder / "train-00000-of-00002.parquet", images[:half], labels(TRAIN)[:half])
    parquet(folder / "train-00001-of-00002.parquet", images[half:], labels(TRAIN)[half:])
    tests = [encoded(image, kind) for image in pictures(TEST, 1)]
    parquet(folder / "test-00000-of-00001.parquet", tests, labels(TEST))


def _batches() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    size = TRAIN // 5
    rows = pictures(TRAIN, 0).transpose(0, 3, 1, 2).reshape(TRAIN, -1)
    parts = {
        f"data_batch_{i + 1}": (rows[i * size :][:size], labels(TRAIN)[i * size :][:size])
        for i in range(5)
    }
    return parts | {
        "test_batch": (pictures(TEST, 1).transpose(0, 3, 1, 2).reshape(TEST, -1), labels(TEST))
    }


def binary_files() -> dict[str, bytes]:
    """The records of the binary archive."""
    return {
        f"{name}.bin": np.concatenate([targets[:, None].astype(np.uint8), rows], 1).tobytes()
        for name, (rows, targets) in _batches().items()
    }


class _AsPython2(pickle._Pickler):
    """Writes bytes as Python 2 wrote its strings, as the official archive has them."""

    dispatch: ClassVar[dict] = dict(pickle._Pickler.dispatch)

    def save_bytes(self, value: bytes) -> None:
        self.write(pickle.BINSTRING + struct.pack("<i", len(value)) + value)
        self.memoize(value)

    dispatch[bytes] = save_bytes

    def save_str(self, value: str) -> None:
        self.save_bytes(value.encode())

    dispatch[str] = save_str


def as_python2(value: Any) -> bytes:
    """Pickle protocol 2 with byte strings, and numpy's module by its name of that time."""
    file = io.BytesIO()
    _AsPython2(file, protocol=2).dump(value)
    return file.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def python_files() -> dict[str, bytes]:
    """The pickles of the Python archive."""
    return {
        name: as_python2(
            {b"batch_label": name.encode(), b"labels": targets.tolist(), b"data": rows}
        )
        for name, (rows, targets) in _batches().items()
    }


def packed(path: Path, folder: str, files: dict[str, bytes]) -> None:
    """A tar.gz as the official archives are."""
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def unpacked(folder: Path, files: dict[str, bytes]) -> None:
    """The same files in a folder."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def image_tree(
    folder: Path, names: tuple[str, ...] = ("n01", "n02", "n03"), each: int = 8, tests: int = 3
) -> None:
    """Photographs of different sizes in folders; every fourth one is grey."""
    drawn = np.random.default_rng(5)
    for split, count in (("train", each), ("val", tests)):
        for name in names:
            place = folder / split / name
            place.mkdir(parents=True)
            for i in range(count):
                size = tuple(int(x) for x in drawn.integers(20, 60, 2))
                image = drawn.integers(0, 256, (*size, 3), dtype=np.uint8)
                mode = "L" if i % 4 == 3 else None
                (place / f"{name}_{i}.JPEG").write_bytes(encoded(image, "JPEG", mode))


def image_parquet(folder: Path, classes: int = 3, each: int = 8, tests: int = 3) -> None:
    """Photographs in Hugging Face's layout, in row groups of five."""
    for split, count, seed in (("train", each, 7), ("validation", tests, 8)):
        images = [encoded(image, "PNG") for image in pictures(classes * count, seed, (40, 30))]
        targets = list(np.arange(classes * count) % classes)
        path = folder / f"{split}-00000-of-00001.parquet"
        parquet(path, images, targets, column="image", rows_of_a_group=5)
