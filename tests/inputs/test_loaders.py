"""Whatever a loader does, every reading of ``Batches`` gives the same examples."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset, get_worker_info

from changing import LOADERS, PLAIN, AnewByBatch, Augmented, Fewer, N, X, Y, together
from frivolous.errors import BadArgument
from frivolous.inputs import cache
from frivolous.inputs.batches import as_batches

loaders = pytest.mark.parametrize("name", LOADERS)


@loaders
@pytest.mark.parametrize("place", ["memory", "disk"])
def test_every_reading_gives_the_same_examples(
    name: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if place == "disk":
        monkeypatch.setattr(cache, "IN_MEMORY", 300)
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


def test_what_a_shuffled_loader_drops_is_a_random_part() -> None:
    """Of data sorted by class, 40 of 100, no class goes."""
    data = TensorDataset(X, torch.arange(N) // 25)
    _, y = together(as_batches(DataLoader(data, 60, shuffle=True, drop_last=True)))
    assert len(y) == 60
    assert min(y.bincount(minlength=4).tolist()) >= 5
    assert y.tolist() == sorted(y.tolist())
    with pytest.raises(BadArgument, match="^`data` holds no example"):
        as_batches(DataLoader(data, 101, shuffle=True, drop_last=True))


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
