"""Copies of batches: in memory, or mapped to a file that has no name."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path

import pytest
import torch
from torch.utils.data import TensorDataset

from changing import PLAIN, N, X, Y
from frivolous.errors import BadArgument
from frivolous.inputs import cache
from frivolous.inputs.batches import as_batches


@pytest.fixture(params=["memory", "disk"])
def kept_in(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Path:
    """Where copies are: all in memory, or from the second batch on in a file in this folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    if request.param == "disk":
        monkeypatch.setattr(cache, "IN_MEMORY", 300)
    return tmp_path


def test_files_are_gone_with_the_batches_and_before(kept_in: Path) -> None:
    batches = as_batches(iter(X.split(10)))
    assert list(kept_in.iterdir()) == []
    assert torch.equal(torch.cat(list(batches)), X)


KINDS = {
    "bfloat16": X.bfloat16(),
    "float64": X.double(),
    "bool": X > 3,
    "complex": X * 1j,
    "bytes": Y.to(torch.uint8),
    "image, channels last": torch.rand(N, 3, 4, 5).to(memory_format=torch.channels_last),
    "not contiguous": torch.rand(3, N).T,
    "no number in an example": torch.zeros(N, 0),
}


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_of_every_type_come_back_from_the_file(kind: str, kept_in: Path) -> None:
    x = KINDS[kind]
    parts = zip(x.split(7), X.split(7), Y.split(7), strict=True)
    batches = as_batches({"x": a, "z": b, "labels": y} for a, b, y in parts)
    for _ in range(2):
        read = list(batches.labelled())
        assert torch.equal(torch.cat([part["x"] for part, _ in read]), x)  # type: ignore[call-overload,index]
        assert torch.equal(torch.cat([part["z"] for part, _ in read]), X)  # type: ignore[call-overload,index]
        assert torch.equal(torch.cat([y for _, y in read if y is not None]), Y)
    places = torch.tensor([99, 0, 50])
    assert torch.equal(batches.at(places).first()["x"], x[places])  # type: ignore[call-overload,index]


def test_copies_need_room(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def write(self, numbers: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self) -> None:
            pass

    monkeypatch.setattr(cache, "IN_MEMORY", 300)
    monkeypatch.setattr(tempfile, "TemporaryFile", Full)
    words = "no room to keep them in .*No space left on device.* Set the environment's TMPDIR"
    with pytest.raises(BadArgument, match=words) as caught:
        as_batches(iter(X.split(10)))
    assert "\n" not in str(caught.value)
    assert as_batches(PLAIN).examples == N  # read again when needed, as it advises


def test_a_list_is_not_copied_nor_is_a_tensor() -> None:
    for data in (list(X.split(50)), X, TensorDataset(X)):
        first = as_batches(data, batch_size=50).first()
        shared = first.untyped_storage().data_ptr() == X.untyped_storage().data_ptr()
        assert shared == (not isinstance(data, TensorDataset))
