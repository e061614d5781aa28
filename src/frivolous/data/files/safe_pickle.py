"""Read the one kind of pickle in CIFAR-10's official archive, and no other.

A pickle can name any function and call it. Here every name is refused but those by which numpy
arrays of bytes are written, and even these are replaced by records of our own: no code but this
file's runs.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np

from frivolous.errors import BadArgument


class _Kind:
    """A stand-in for ``numpy.dtype`` that records which one."""

    def __init__(self, code: object, *_: object) -> None:
        self.code = code.decode("ascii") if isinstance(code, bytes) else code

    def __setstate__(self, state: object) -> None:
        """Byte order and the like: of no meaning for single bytes."""


class _Array:
    """A stand-in for ``numpy.core.multiarray._reconstruct``: shape and bytes come as its state."""

    def __init__(self, *_: object) -> None:
        self.values = np.empty(0, np.uint8)

    def __setstate__(self, state: tuple[int, tuple[int, ...], _Kind, bool, bytes]) -> None:
        _, shape, kind, columns_first, raw = state
        if kind.code != "u1":
            raise ValueError("only arrays of single bytes are read")
        order = np.frombuffer(raw, np.uint8)
        self.values = order.reshape(shape, order="F" if columns_first else "C")


_ADMITTED: dict[tuple[str, str], object] = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): None,
    ("numpy", "dtype"): _Kind,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Resolve a name in a pickle to a stand-in, or refuse it."""
        if (module, name) not in _ADMITTED:
            raise _Refused(f"{module}.{name}")
        return _ADMITTED[module, name]


class _Refused(Exception):
    pass


def unpickled_batch(content: bytes, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels (N, 3072) as bytes and labels (N,) of one batch of the Python archive.

    Args:
        content: the pickle: a dictionary with ``data``, an array of bytes, and ``labels``, a list.
        name: of the file, for errors.

    Raises:
        BadArgument: the pickle names anything but arrays of bytes, is damaged, or is not a batch.
    """
    try:
        batch = _Reader(io.BytesIO(content), encoding="bytes").load()
    except _Refused as error:
        raise BadArgument(
            f"{name} is a pickle that asks for {error}, which could run any program; a batch of "
            "CIFAR-10 holds arrays of bytes, lists and text only. Get the archive again from its "
            "official address, and do not open this file otherwise."
        ) from error
    # What a damaged pickle raises depends on where it is damaged.
    except (
        pickle.UnpicklingError,
        EOFError,
        ValueError,
        TypeError,
        AttributeError,
        IndexError,
        KeyError,
        MemoryError,
        OverflowError,
        ImportError,
    ) as error:
        raise BadArgument(_damaged(name, f"{type(error).__name__}")) from error
    batch = batch if isinstance(batch, dict) else {}
    data, labels = (batch.get(key, batch.get(key.decode())) for key in (b"data", b"labels"))
    if not isinstance(data, _Array) or not isinstance(labels, list):
        raise BadArgument(_damaged(name, "no `data` and `labels`"))
    if not all(isinstance(label, int) for label in labels):
        raise BadArgument(_damaged(name, "labels that are no integers"))
    return data.values, np.asarray(labels, dtype=np.int64)


def _damaged(name: str, reason: str) -> str:
    return f"{name} cannot be read as a batch of CIFAR-10 ({reason}). Get the archive again."
