"""Killed at any moment and called again, a training gives the same weights to the bit."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from frivolous.data.splits import Splits
from frivolous.errors import BadArgument, FrivolousError
from frivolous.training import LoopRecipe, Result, forget, train_network
from frivolous.training.single.trainer import Trainer

Make = Callable[..., nn.Sequential]

RECIPES = {
    "momentum": LoopRecipe(epochs=4, batch_size=16, patience=3),
    "all at once": LoopRecipe(
        epochs=4, batch_size=16, optimiser="adam", learning_rate=0.003, shuffle=True,
        updates_per_epoch=4, weight_decay=0.1, average=0.9, snapshots=(2, 0), select="train",
        warmup=1.0,
    ),
    "rmsprop": LoopRecipe(
        epochs=4, batch_size=16, optimiser="rmsprop", settings=(("momentum", 0.9),),
        precision="bfloat16", schedule="steps", boundaries=(1, 2.5), select="last",
    ),
}  # fmt: skip


class Killed(BaseException):
    """What nobody catches."""


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Give the list of updates (counted over all calls) at which training is killed."""
    moments: list[int] = []
    calls, step = 0, Trainer._step

    def counted(run: Trainer, *batch: Any) -> None:
        nonlocal calls
        calls += 1
        if calls in moments:
            raise Killed
        step(run, *batch)

    monkeypatch.setattr(Trainer, "_step", counted)
    return moments


def same(one: Result, other: Result) -> None:
    assert one.history == other.history
    assert one.best_epoch == other.best_epoch
    assert one.train_accuracy == other.train_accuracy
    for first, second in ((one.state, other.state), *zip(
        one.snapshots.values(), other.snapshots.values(), strict=True
    )):  # fmt: skip
        assert all(torch.equal(first[key], second[key]) for key in first | second)


@pytest.mark.parametrize("name", RECIPES)
def test_after_any_kill_the_same_bits(
    name: str, network: Make, splits: Splits, tmp_path: Path, killed: list[int]
) -> None:
    def train(checkpoint: Path | None, every: float = 0.0) -> Result:
        model = network(dropout=0.3, norm=True)
        return train_network(
            model, RECIPES[name], splits, seed=5, checkpoint=checkpoint, every=every
        )

    straight = train(None)
    start = RECIPES[name].epochs * (RECIPES[name].updates_per_epoch or 3)
    killed += [start + k for k in (1, 2, 4, 5, 9, 13)]
    path = tmp_path / "new" / "checkpoint.safetensors"
    kills = 0
    while True:
        try:
            resumed = train(path)
            break
        except Killed:
            kills += 1
            torch.rand(kills)  # the caller's stream is nothing to it
    assert kills == 6
    same(straight, resumed)
    same(straight, train(path))  # nothing is left to do
    forget(path)
    assert not list(path.parent.iterdir())
    forget(path)


SIGKILLED = """
import os, signal, sys
import torch
torch.set_num_threads(1)
from torch import nn
from frivolous.data.splits import Examples, Splits
from frivolous.training import LoopRecipe, train_network
from frivolous.training.single.checkpoint import checksum
from frivolous.training.single.trainer import Trainer
from frivolous.families.initialisers import initialise
from frivolous.rng import generator

def train(*path):
    drawn = generator(0)
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10))
    initialise(model, "glorot-truncated", drawn)
    parts = [
        Examples(torch.rand(80, 1, 8, 8, generator=drawn), torch.arange(80) % 10) for _ in range(3)
    ]
    recipe = LoopRecipe(epochs=2, batch_size=8)
    options = {"checkpoint": path[0], "every": 0.0} if path else {}
    return train_network(model, recipe, Splits(*parts, classes=10), seed=0, **options)

step = Trainer._step
def killed(run, *batch):
    if run.update == at:
        os.kill(os.getpid(), signal.SIGKILL)
    step(run, *batch)

print(checksum(train().state))
for at in (0, 7, 15):
    child = os.fork()
    if child == 0:
        Trainer._step = killed
        train(sys.argv[1])
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
print(checksum(train(sys.argv[1]).state))
"""


@pytest.mark.slow
def test_processes_that_are_killed_one_after_the_other(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-c", SIGKILLED, str(tmp_path / "checkpoint")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    straight, resumed = found.stdout.split()
    assert straight == resumed


def test_a_kill_while_the_checkpoint_is_written_leaves_the_one_before(
    network: Make, splits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, recipe = tmp_path / "checkpoint", RECIPES["momentum"]
    straight = train_network(network(), recipe, splits, seed=0)
    replace, writes = Path.replace, 0

    def half(self: Path, target: Path) -> Path:
        nonlocal writes
        writes += 1
        if writes == 5:
            raise Killed
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", half)
    with pytest.raises(Killed):
        train_network(network(), recipe, splits, seed=0, checkpoint=path, every=0.0)
    same(train_network(network(), recipe, splits, seed=0, checkpoint=path), straight)
    forget(path)
    assert not list(tmp_path.iterdir())


def test_the_checkpoint_of_another_training_is_refused(
    network: Make, splits: Splits, tmp_path: Path
) -> None:
    path, recipe = tmp_path / "checkpoint", RECIPES["momentum"]
    train_network(network(), recipe, splits, seed=0, checkpoint=path, every=0.0)
    content = path.read_bytes()
    others: list[tuple[tuple[Any, ...], int, str]] = [
        ((network(), recipe, splits), 1, r"its seed differs \(there 0, here 1\)"),
        ((network(), RECIPES["rmsprop"], splits), 0, "optimiser: there momentum, here rmsprop"),
        ((network(norm=True), recipe, splits), 0, "its untrained network differs"),
        (
            (network(), recipe, Splits(splits.train, splits.test, splits.test, 4)),
            0,
            "its data differs",
        ),
    ]
    for (model, other, data), seed, message in others:
        with pytest.raises(BadArgument, match=message):
            train_network(model, other, data, seed=seed, checkpoint=path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("harm", ["cut short", "one bit", "no facts", "no file of the kind"])
def test_a_damaged_checkpoint_is_set_aside_and_training_starts_anew(
    harm: str, network: Make, splits: Splits, tmp_path: Path
) -> None:
    path, recipe = tmp_path / "checkpoint", RECIPES["momentum"]
    result = train_network(network(), recipe, splits, seed=0, checkpoint=path, every=0.0)
    content = bytearray(path.read_bytes())
    if harm == "cut short":
        path.write_bytes(content[:-50])
    elif harm == "one bit":
        content[-20] ^= 4
        path.write_bytes(content)
    elif harm == "no facts":
        save_file(load_file(path), path)
    else:
        path.write_text("{}")
    with pytest.warns(UserWarning, match="set aside as checkpoint.corrupt-0; the training starts"):
        again = train_network(network(), recipe, splits, seed=0, checkpoint=path)
    same(result, again)
    assert [entry.name for entry in tmp_path.iterdir()] == ["checkpoint.corrupt-0"]


def test_a_place_that_cannot_be_written_says_so(
    network: Make, splits: Splits, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "checkpoint"
    with pytest.raises(FrivolousError, match="cannot write the checkpoint .*name another"):
        train_network(network(), RECIPES["momentum"], splits, seed=0, checkpoint=path, every=0.0)


def test_shares_of_progress_add_up_also_after_a_resume(
    network: Make, splits: Splits, tmp_path: Path, killed: list[int]
) -> None:
    path, told = tmp_path / "checkpoint", []
    killed.append(8)
    with pytest.raises(Killed):
        train_network(network(), RECIPES["momentum"], splits, seed=0, checkpoint=path, every=0.0)
    train_network(
        network(), RECIPES["momentum"], splits, seed=0, checkpoint=path, progress=told.append
    )
    assert told[0] >= 7 / 12
    assert sum(told) == pytest.approx(1)
