"""Keep batches that can be read only once: in memory up to a size, then in a temporary file."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from typing import IO

import numpy as np
import torch
from torch import Tensor

from frivolous.errors import BadArgument
from frivolous.inputs.batch import Batch, batch_size_of, concatenate, map_batch, take_examples

IN_MEMORY = 2 * 2**30
"""Bytes of examples kept in memory; the rest goes to a temporary file."""
ALIGNED = 64
"""Every tensor begins at a multiple of this many bytes of the file."""


def keep(batches: Iterable[Batch]) -> list[Batch]:
    """Copy batches as they come, since a loader may reuse a tensor for other contents.

    Beyond ``IN_MEMORY`` bytes they are written to a file in the folder for temporary files (the
    environment's ``TMPDIR``) and returned as tensors that are mapped to it: the system reads what
    is used. The file has no name, so it disappears with the last of them, however the program ends.
    Copies are on the CPU. Raises :class:`BadArgument` where the file has no room.
    """
    kept: list[Batch] = []
    held = 0

    def put(part: Tensor) -> Tensor:
        nonlocal held
        held += part.numel() * part.element_size()
        part = part.detach()
        return part.to("cpu", copy=True) if held <= IN_MEMORY else file.put(part.cpu())

    with closing(_File()) as file:
        for batch in batches:
            kept.append(_changed(batch, put))
        if file.size:
            get = file.reader()
            kept = [
                _changed(batch, lambda part: get(part) if part.is_meta else part) for batch in kept
            ]
    return kept


def picker(batches: Sequence[Batch]) -> Callable[[Tensor], Iterator[Batch]]:
    """Make a function that reads the examples at any indices, in that order, from stored batches.

    It yields batches of the size of the largest.
    """
    sizes = np.array([batch_size_of(inputs) for inputs, _ in batches])
    starts = np.cumsum(sizes) - sizes

    def gathered(places: np.ndarray) -> Batch:
        of_batch = np.searchsorted(starts, places, side="right") - 1
        order = np.argsort(of_batch, kind="stable")
        parts = []
        for number in np.unique(of_batch):
            inputs, labels = batches[number]
            rows = torch.as_tensor(places[order][of_batch[order] == number] - starts[number])
            parts.append((take_examples(inputs, rows), None if labels is None else labels[rows]))
        back = torch.as_tensor(np.argsort(order))
        return _changed(concatenate(parts), lambda part: part[back])

    def picked(index: Tensor) -> Iterator[Batch]:
        for places in index.split(int(sizes.max())) if len(index) else ():
            yield gathered(places.numpy())

    return picked


def _changed(batch: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
    inputs, labels = batch
    return map_batch(inputs, change), None if labels is None else change(labels)


class _File:
    """Tensors one after another in a temporary file that has no name."""

    def __init__(self) -> None:
        self.size = 0
        self.file: IO[bytes] | None = None

    def put(self, part: Tensor) -> Tensor:
        """Write a tensor; return one of its shape and type without data, on device "meta"."""
        numbers = part.contiguous().view(torch.uint8).numpy()
        try:
            if self.file is None:
                self.file = tempfile.TemporaryFile()  # noqa: SIM115 - see close
            self.file.write(numbers.tobytes() + bytes(-numbers.nbytes % ALIGNED))
            self.file.flush()
        except OSError as error:
            raise BadArgument(
                f"`data` gives examples that cannot be read again, and there is no room to keep "
                f"them in {tempfile.gettempdir()} after {(IN_MEMORY + self.size) / 2**30:.3g} GiB "
                f"({error.strerror}). Set the environment's TMPDIR to a larger disk, or pass fewer "
                "examples, or a Dataset that gives the same ones at every reading."
            ) from error
        self.size += -(-numbers.nbytes // ALIGNED) * ALIGNED
        return torch.empty(part.shape, dtype=part.dtype, device="meta")

    def reader(self) -> Callable[[Tensor], Tensor]:
        """A function that returns the tensors in the order in which they were written."""
        # The map outlives the closed file. It is shared: a private one must fit memory and swap.
        assert self.file is not None
        whole = torch.from_numpy(np.memmap(self.file, np.uint8, "r+", shape=(self.size,)))
        start = 0

        def get(part: Tensor) -> Tensor:
            nonlocal start
            stop = start + part.numel() * part.element_size()
            found = whole[start:stop].view(part.dtype).view(part.shape)
            start += -(-(stop - start) // ALIGNED) * ALIGNED
            return found

        return get

    def close(self) -> None:
        """Close the file; what has been read of it stays mapped."""
        if self.file is not None:
            self.file.close()
