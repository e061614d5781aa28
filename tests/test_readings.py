"""Whatever a loader does, every reading of ``Batches`` gives the same examples."""

from __future__ import annotations

import errno
import random
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Sampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    get_worker_info,
)

from frivolous import kept
from frivolous.batches import Batches, as_batches
from frivolous.errors import BadArgument

N = 100
X = torch.stack([torch.arange(N) * factor for factor in (1.0, -2.0, 0.5)], dim=1)
Y = torch.arange(N) % 4
PLAIN = TensorDataset(X, Y)


class Augmented(Dataset[Any]):
    """Examples with a random last feature; ``share`` of them, if it is below 1."""

    def __init__(self, share: float = 1.0) -> None:
        self.share = share

    def __len__(self) -> int:
        return N

    def __getitem__(self, at: int) -> tuple[Tensor, Tensor]:
        x = X[at].clone()
        if random.random() < self.share:
            x[2] = torch.rand(()) + np.random.rand()  # noqa: NPY002 - as data sets draw
        return x, Y[at]


def mixed(examples: list[tuple[Tensor, Tensor]]) -> Any:
    """Collate with a random last feature in every second batch or so."""
    x, y = default_collate(examples)
    if random.random() < 0.5:
        x[:, 2] = random.random()
    return x, y


def of_company(examples: list[tuple[Tensor, Tensor]]) -> Any:
    """Collate with a feature that depends on which other examples are in the batch."""
    x, y = default_collate(examples)
    x[:, 2] = x[:, 0].mean()
    return x, y


def sound(examples: list[tuple[Tensor, Tensor]]) -> Any:
    """Collate without the examples that are said to be broken: every eleventh."""
    return default_collate([pair for pair in examples if int(pair[0][0]) % 11] or examples[:0])


class Anew(Sampler[int]):
    """Another order at every reading, and other examples."""

    def __init__(self) -> None:
        self.drawn = random.Random(0)

    def __iter__(self) -> Iterator[int]:
        return iter(self.drawn.sample(range(N), 70))

    def __len__(self) -> int:
        return 70


class AnewByBatch(Sampler[list[int]]):
    """Batches of different sizes, others at every reading; numbers as tensors."""

    def __init__(self) -> None:
        self.drawn = torch.Generator().manual_seed(0)

    def __iter__(self) -> Iterator[Any]:
        order = torch.randperm(N, generator=self.drawn)
        return iter([list(order[:9]), list(order[9:50]), list(order[20:30])])


class Shuffling(IterableDataset[Any]):
    """A stream of examples (or of batches) in another order at every reading."""

    def __init__(self, size: int | None) -> None:
        self.size, self.drawn = size, torch.Generator().manual_seed(0)

    def __iter__(self) -> Iterator[Any]:
        order = torch.randperm(N, generator=self.drawn)
        parts = order if self.size is None else order.split(self.size)
        return iter([(X[part], Y[part]) for part in parts])


class Own(DataLoader[Any]):
    """A loader whose own ``__iter__`` changes what the data set gives."""

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        return ((torch.cat([x[:, :2], torch.rand(len(x), 1)], 1), y) for x, y in super().__iter__())


class Reusing:
    """One buffer for all batches, through NumPy, and written over at once."""

    def __init__(self, size: int = 10) -> None:
        self.x, self.y = np.zeros((size, 3), np.float32), torch.zeros(size, dtype=torch.long)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for x, y in zip(X.split(len(self.y)), Y.split(len(self.y)), strict=True):
            self.x[:], self.y[:] = x.numpy(), y
            yield torch.from_numpy(self.x), self.y
            self.x[:], self.y[:] = -1, -1


class Fewer:
    """Fewer batches at every reading."""

    def __init__(self) -> None:
        self.readings = 0

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        self.readings += 1
        return iter([(X[:40], Y[:40]), (X[40:], Y[40:])][: 3 - self.readings])


def generated() -> Iterator[tuple[Tensor, Tensor]]:
    yield X[:30], Y[:30]
    yield X[30:], Y[30:]


LOADERS: dict[str, tuple[Callable[[], Iterable[Any]], int, bool]] = {
    # name: a new one, how many examples it gives, whether it holds them all in plain order
    "plain": (lambda: DataLoader(PLAIN, 16), N, True),
    "drop_last": (lambda: DataLoader(PLAIN, 16, drop_last=True), 96, False),
    "shuffle": (lambda: DataLoader(PLAIN, 16, shuffle=True), N, True),
    "shuffle, drop_last": (lambda: DataLoader(PLAIN, 16, shuffle=True, drop_last=True), 96, False),
    "with replacement": (
        lambda: DataLoader(PLAIN, 16, sampler=RandomSampler(PLAIN, replacement=True)),
        N,
        False,
    ),
    "some at random": (
        lambda: DataLoader(PLAIN, 16, sampler=RandomSampler(PLAIN, num_samples=30)),
        30,
        False,
    ),
    "weighted": (
        lambda: DataLoader(PLAIN, 16, sampler=WeightedRandomSampler(torch.rand(N), 2 * N)),
        2 * N,
        False,
    ),
    "subset": (lambda: DataLoader(PLAIN, 16, sampler=SubsetRandomSampler(range(50))), 50, False),
    "own sampler": (lambda: DataLoader(PLAIN, 16, sampler=Anew()), 70, False),
    "own batch sampler": (lambda: DataLoader(PLAIN, batch_sampler=AnewByBatch()), 60, False),
    "batch sampler": (
        lambda: DataLoader(PLAIN, batch_sampler=BatchSampler(RandomSampler(PLAIN), 16, False)),
        N,
        False,
    ),
    "single examples": (
        lambda: DataLoader([(X[i : i + 1], Y[i : i + 1]) for i in range(N)], batch_size=None),  # type: ignore[arg-type]
        N,
        True,
    ),
    "augmented": (lambda: DataLoader(Augmented(), 16), N, True),
    "augmented, shuffle": (lambda: DataLoader(Augmented(), 16, shuffle=True), N, True),
    "augmented, a fifth": (lambda: DataLoader(Augmented(0.2), 16), N, True),
    "augmented data set": (Augmented, N, True),
    "augmented with replacement": (
        lambda: DataLoader(Augmented(), 16, sampler=RandomSampler(PLAIN, replacement=True)),
        N,
        False,
    ),
    "collated at random": (lambda: DataLoader(PLAIN, 16, collate_fn=mixed), N, True),
    "of company": (lambda: DataLoader(PLAIN, 16, collate_fn=of_company), N, True),
    "some left out": (lambda: DataLoader(PLAIN, 16, collate_fn=sound), 90, False),
    "stream of batches": (lambda: Shuffling(16), N, False),
    "loader of a stream": (lambda: DataLoader(Shuffling(None), 16), N, False),
    "own loader": (lambda: Own(PLAIN, 16), N, True),
    "one buffer": (Reusing, N, True),
    "one buffer in a generator": (lambda: iter(Reusing()), N, True),
    "fewer": (Fewer, N, True),
    "generator": (generated, N, True),
    "dictionary's values": ({1: (X[:9], Y[:9]), 2: (X[9:], Y[9:])}.values, N, True),
}
loaders = pytest.mark.parametrize("name", LOADERS)


@pytest.fixture(params=["memory", "disk"])
def kept_in(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Path:
    """Where copies are: all in memory, or from the second batch on in a file in this folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    if request.param == "disk":
        monkeypatch.setattr(kept, "IN_MEMORY", 300)
    return tmp_path


def together(batches: Batches) -> tuple[Tensor, Tensor]:
    inputs, labels = zip(*batches.labelled(), strict=True)
    return torch.cat(inputs), torch.cat(labels)


@loaders
def test_every_reading_gives_the_same_examples(name: str, kept_in: Path) -> None:
    make, examples, in_order = LOADERS[name]
    torch.manual_seed(0)
    batches = as_batches(make(), batch_size=16)
    x, y = together(batches)
    for again in (together(batches), (torch.cat(list(batches)), y)):
        assert torch.equal(again[0], x)
        assert torch.equal(again[1], y)
    assert len(x) == batches.examples == examples
    # They are examples of the data, each with its own label.
    which = x[:, 0].long()
    assert torch.equal(x[:, :2], X[which, :2])
    assert torch.equal(y, Y[which])
    assert in_order == (which.tolist() == list(range(N)))
    order = torch.randperm(examples, generator=torch.Generator().manual_seed(1))
    for places in (order, order[:7], order[3:4], order.sort().values[5:20], order[:0]):
        part = batches.at(places)
        if len(places):
            got = together(part)
            assert torch.equal(got[0], x[places])
            assert torch.equal(got[1], y[places])
            assert torch.equal(part.first(2), x[places[:2]])
        else:
            assert list(part) == []
    assert torch.equal(together(batches.at(order).at(order[:9]))[0], x[order[order[:9]]])
    assert torch.equal(batches.first(3), x[:3])
    assert torch.equal(batches.first(), next(iter(batches)))


@loaders
def test_an_example_of_a_sampler_that_repeats_is_taken_once(name: str) -> None:
    make, _, _ = LOADERS[name]
    torch.manual_seed(0)
    batches = as_batches(make(), batch_size=16)
    came = together(batches)[0][:, 0].long().tolist()
    once = together(batches.once())[0][:, 0].long().tolist()
    assert once == list(dict.fromkeys(came))
    part = batches.at(torch.arange(batches.examples // 2)).once()
    assert together(part)[0][:, 0].long().tolist() == list(
        dict.fromkeys(came[: batches.examples // 2])
    )


@pytest.mark.parametrize("name", ["plain", "shuffle", "shuffle, drop_last", "augmented data set"])
def test_the_size_of_batches_is_the_loader_s(name: str) -> None:
    sizes = [len(x) for x in as_batches(LOADERS[name][0](), batch_size=16)]
    assert sizes == [16] * 6 + [4] * (name != "shuffle, drop_last")
    assert [len(x) for x in as_batches(DataLoader(PLAIN, batch_sampler=AnewByBatch()))] == [
        9,
        41,
        10,
    ]


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

    monkeypatch.setattr(kept, "IN_MEMORY", 300)
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


def generators() -> list[Any]:
    legacy = np.random.get_state()  # noqa: NPY002
    return [torch.get_rng_state().tolist(), random.getstate(), legacy[1].tolist(), legacy[2]]


@pytest.mark.parametrize("name", ["plain", "drop_last", "shuffle", "shuffle, drop_last"])
def test_nothing_is_drawn_from_the_global_generators(name: str) -> None:
    data, before = LOADERS[name][0](), generators()
    batches = as_batches(data)
    list(batches)
    list(batches.at(torch.tensor([3, 1])))
    batches.first(2)
    assert generators() == before


def test_augmented_examples_are_those_of_one_reading() -> None:
    """The look whether they are the same leaves the global generators as it found them."""

    def seeded() -> None:
        torch.manual_seed(3)
        random.seed(3)
        np.random.seed(3)  # noqa: NPY002

    seeded()
    plain = list(DataLoader(Augmented(), 16, generator=torch.Generator()))
    after = generators()
    seeded()
    batches = as_batches(DataLoader(Augmented(), 16))
    assert generators() == after
    assert torch.equal(torch.cat(list(batches)), torch.cat([x for x, _ in plain]))


class Counted(Dataset[Any]):
    """How often each example is read, and what is added to them."""

    def __init__(self) -> None:
        self.reads, self.added = [0] * N, 0.0

    def __len__(self) -> int:
        return N

    def __getitem__(self, at: int) -> tuple[Tensor, Tensor]:
        self.reads[at] += 1
        return X[at] + self.added, Y[at]


def test_a_data_set_is_read_when_needed_and_a_stream_once() -> None:
    data = Counted()
    batches = as_batches(DataLoader(data, 16, shuffle=True, drop_last=True))
    data.reads = [0] * N
    list(batches.at(torch.tensor([8, 2])))
    batches.first(1)
    assert [at for at in range(N) if data.reads[at]] == [0, 2, 8]
    assert sum(data.reads) == 3
    stream = Fewer()
    batches = as_batches(stream)
    list(batches)
    list(batches.at(torch.tensor([80])))
    batches.first(1)
    assert stream.readings == 1


@pytest.mark.parametrize("where", ["all", "some"])
def test_examples_that_change_later_are_refused_with_a_remedy_that_helps(where: str) -> None:
    data = Counted()
    loader = DataLoader(data, 16)
    batches = as_batches(loader)
    list(batches)
    data.added = 1.0
    read = batches if where == "all" else batches.at(torch.tensor([40, 41]))
    words = "^`data` gave other examples at places (0 to 15|40 to 41) than when first read; .* Pass"
    with pytest.raises(BadArgument, match=words):
        list(read)
    batches = as_batches(list(loader))
    data.added = 2.0
    assert torch.equal(torch.cat(list(batches)), X + 1)


class Scaled(Dataset[Any]):
    """Examples that a worker alone can read, once it is set up."""

    def __init__(self, augmented: bool) -> None:
        self.scale, self.augmented = 0.0, augmented

    def __len__(self) -> int:
        return N

    def __getitem__(self, at: int) -> tuple[Tensor, Tensor]:
        assert self.scale, "no worker"
        x = X[at] * self.scale
        return x + self.augmented * torch.rand(()), Y[at]


def set_up(worker: int) -> None:
    info = get_worker_info()
    assert info is not None
    info.dataset.scale = 2.0


@pytest.mark.parametrize("augmented", [False, True])
def test_workers_read_as_they_do_for_the_loader(augmented: bool) -> None:
    loader = DataLoader(
        Scaled(augmented), 32, shuffle=True, num_workers=1, worker_init_fn=set_up,
        multiprocessing_context="fork",
    )  # fmt: skip
    before = torch.get_rng_state()
    batches = as_batches(loader)
    x, y = together(batches)
    again, _ = together(batches)
    assert torch.equal(x, again)
    assert torch.equal(y, Y)
    assert torch.equal(x, 2 * X) == (not augmented)
    assert torch.equal(together(batches.at(torch.tensor([70, 3])))[0], x[[70, 3]])
    assert torch.equal(torch.get_rng_state(), before)


def test_batches_are_data_too() -> None:
    batches = as_batches((X, Y), batch_size=40)
    same = as_batches(batches, batch_size=3, device="cpu")
    assert [len(x) for x in same] == [40, 40, 20]
    assert torch.equal(together(same)[1], Y)
