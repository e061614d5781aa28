"""Images in Parquet in Hugging Face's layout: a struct of bytes and path, and a label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from frivolous.errors import BadArgument


@dataclass(frozen=True)
class EncodedImages:
    """Image files as they are stored, with the label of each (N,) and where it came from."""

    encoded: Sequence[bytes]
    labels: np.ndarray
    files: tuple[Path, ...]
    ends: np.ndarray
    """Rows up to and including each file."""

    def name(self, row: int) -> str:
        """Return where a row is: "row 3 of train-0.parquet", counted from 0 in its file."""
        file = int(np.searchsorted(self.ends, row, side="right"))
        return f"row {row - (self.ends[file - 1] if file else 0)} of {self.files[file]}"


def split_files(folder: Path, split: str) -> tuple[Path, ...]:
    """Return the Parquet files of a split, ``train-00000-of-00001.parquet`` and so on, in order."""
    return tuple(sorted(folder.glob(f"{split}-*.parquet")))


def columns_of(file: Path) -> list[str]:
    """Return the names of a file's columns.

    Raises:
        BadArgument: it cannot be read.
    """
    from pyarrow import parquet

    with reading(file):
        return list(parquet.read_schema(file).names)


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Turn the errors of a damaged Parquet file into one clear error."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise BadArgument(
            f"{file} cannot be read as Parquet ({str(error).splitlines()[0]}); it is damaged or "
            "was downloaded in part. Get it again."
        ) from error


def check_columns(file: Path, column: str) -> None:
    """Raise for a file without the images' ``column`` or without labels.

    Raises:
        BadArgument: a column is missing, or the file cannot be read.
    """
    names = columns_of(file)
    if column not in names or "label" not in names:
        raise BadArgument(
            f"{file} has the columns {', '.join(names)}; images in the Hugging Face layout have "
            f"`{column}` (bytes and path) and `label`. Pass the folder of such files."
        )


def encoded_images(files: Sequence[Path], column: str, classes: int) -> EncodedImages:
    """Read images, still encoded, and their labels.

    Raises:
        BadArgument: a file cannot be read, has not the columns, lacks an image, or holds a label
            outside 0 to ``classes`` - 1.
    """
    tables = [_table(file, column) for file in files]
    encoded = [image for images, _ in tables for image in images]
    labels = np.concatenate([label for _, label in tables])
    found = EncodedImages(encoded, labels, tuple(files), np.cumsum([len(x) for _, x in tables]))
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise BadArgument(
            f"{found.name(wrong[0])} has the label {labels[wrong[0]]}; {classes} classes have the "
            f"labels 0 to {classes - 1}. This is not the data set it should be: get it again."
        )
    return found


def _table(file: Path, column: str) -> tuple[list[bytes], np.ndarray]:
    from pyarrow import parquet

    check_columns(file, column)
    with reading(file):
        table = parquet.read_table(file, columns=[column, "label"])
    images: list[Any] = [row["bytes"] if row else None for row in table[column].to_pylist()]
    labels = table["label"].to_pylist()
    for row, (image, label) in enumerate(zip(images, labels, strict=True)):
        if image is None or label is None:
            raise BadArgument(
                f"row {row} of {file} has no {'image' if image is None else 'label'}; every row "
                "needs both. Get the file again."
            )
    return images, np.asarray(labels, dtype=np.int64)
