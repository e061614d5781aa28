"""Frames as Parquet and weights as safetensors, in memory; nothing here loads a pickle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from frivolous.errors import BadArgument, one_line

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import torch


def frame_to_bytes(frame: pd.DataFrame, name: str) -> bytes:
    """A frame as Parquet, without its index.

    Raises :class:`~frivolous.errors.BadArgument` where a column has no Parquet type.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not isinstance(frame, pd.DataFrame):
        raise BadArgument(
            f"`{name}` is a {type(frame).__name__}; it is kept as a table. Pass a DataFrame."
        )
    if not all(isinstance(column, str) for column in frame.columns) or not frame.columns.is_unique:
        raise BadArgument(
            f"`{name}` has columns {list(frame.columns)!r}; "
            "names of columns are strings and differ. Rename them."
        )
    try:
        table = pa.Table.from_pandas(frame, preserve_index=False, nthreads=1)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        reason = one_line(" ".join(map(str, error.args)))
        raise BadArgument(
            f"`{name}` cannot be kept as Parquet: {reason}. Give each column one plain type."
        ) from error
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def bytes_to_table(content: bytes) -> pa.Table:
    """A frame's Parquet as a table; :class:`ValueError` where it is none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False)
    except OSError as error:  # what pyarrow raises for damaged pages; no file is read here
        raise ValueError(str(error)) from error


def tables_to_frame(ids: Sequence[str], tables: Sequence[pa.Table]) -> pd.DataFrame:
    """All the tables one below the other, with the id of each in a first column ``run``."""
    import pandas as pd
    import pyarrow as pa

    if not tables:
        return pd.DataFrame({"run": pd.Series([], dtype="str")})
    named = [
        table.replace_schema_metadata(None).add_column(0, "run", pa.repeat(id, table.num_rows))
        for id, table in zip(ids, tables, strict=True)
    ]
    return pa.concat_tables(named, promote_options="permissive").to_pandas()


def weights_to_bytes(weights: Mapping[str, Any]) -> bytes:
    """Named tensors or arrays as safetensors; shared memory is written once for each name."""
    import numpy as np

    for name, value in weights.items():
        if not (isinstance(value, np.ndarray) or hasattr(value, "detach")):
            raise BadArgument(
                f"`weights[{name!r}]` is a {type(value).__name__}; weights are tensors or arrays. "
                "Pass a state_dict()."
            )
    if all(isinstance(value, np.ndarray) for value in weights.values()):
        from safetensors.numpy import save as save_arrays

        return save_arrays({name: np.ascontiguousarray(v) for name, v in weights.items()})
    import torch
    from safetensors.torch import save as save_tensors

    return save_tensors(
        {
            name: torch.as_tensor(value).detach().cpu().clone(memory_format=torch.contiguous_format)
            for name, value in weights.items()
        }
    )


def bytes_to_weights(content: bytes) -> dict[str, torch.Tensor]:
    """Named tensors from safetensors; :class:`ValueError` where it is none."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(content)
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def check_weights(content: bytes) -> None:
    """Raise :class:`ValueError` where the bytes are no safetensors; needs no PyTorch."""
    from safetensors import SafetensorError, deserialize

    try:
        deserialize(content)
    except SafetensorError as error:
        raise ValueError(str(error)) from error
