"""Two processes that share every batch train the network that one process trains."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from frivolous.errors import FrivolousError
from frivolous.training.single import fabric as under_test

SCRIPT = """
import json, os, sys
import torch
torch.set_num_threads(1)
from safetensors.torch import save_file
from torch import nn
from frivolous.data.splits import Examples, Splits
from frivolous.errors import BadArgument
from frivolous.families.initialisers import initialise
from frivolous.rng import generator
from frivolous.training import LoopRecipe, train_network
from frivolous.training.single.fabric import make_fabric
from frivolous.training.single.trainer import Trainer

folder = sys.argv[1]
drawn = generator("fabric test")

def examples(count):
    labels = torch.arange(count) % 4
    inputs = torch.rand(count, 2, 6, 6, generator=drawn) + labels.view(-1, 1, 1, 1) / 4
    return Examples(inputs, labels)

splits = Splits(examples(50), examples(22), examples(4), classes=4)

def network(norm):
    kinds = (nn.BatchNorm2d(4),) if norm else ()
    model = nn.Sequential(nn.Conv2d(2, 4, 3), *kinds, nn.ReLU(), nn.Flatten(), nn.Linear(64, 4))
    initialise(model, "glorot-truncated", generator("fabric test network"))
    return model

recipe = LoopRecipe(
    epochs=3, batch_size=16, learning_rate=0.05, shuffle=True, select="train", weight_decay=0.01
)
if __name__ == "__main__":
    alone = train_network(network(False), recipe, splits, seed=0)
    fabric = make_fabric(devices=2, accelerator="cpu")
    assert fabric.world_size == 2
    joined = train_network(network(False), recipe, splits, seed=0, fabric=fabric)

    # The same with everything that differs between processes, straight and killed on the way.
    straight = train_network(network(True), recipe, splits, seed=0, fabric=fabric)
    path, step = folder + "/checkpoint", Trainer._step
    def killed(run, *batch):
        if run.update == 4:
            raise KeyboardInterrupt
        step(run, *batch)
    Trainer._step = killed
    options = {"seed": 0, "fabric": fabric, "checkpoint": path, "every": 0.0}
    try:
        train_network(network(True), recipe, splits, **options)
    except KeyboardInterrupt:
        pass
    Trainer._step = step
    fabric.barrier()
    resumed = train_network(network(True), recipe, splits, **options)
    try:
        train_network(network(True), LoopRecipe(batch_size=15), splits, seed=0, fabric=fabric)
    except BadArgument as error:
        message = str(error)
    results = {"alone": alone, "joined": joined, "straight": straight, "resumed": resumed}
    for name, result in results.items():
        save_file(result.state, f"{folder}/{name}.{fabric.global_rank}.safetensors")
    told = {name: [r.validation_accuracy for r in x.history] for name, x in results.items()}
    with open(f"{folder}/told.{fabric.global_rank}.json", "w") as file:
        json.dump({"accuracies": told, "message": message}, file)
"""


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("lightning_fabric")
    folder = tmp_path_factory.mktemp("fabric")
    script = folder / "train.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    found = subprocess.run(
        [sys.executable, str(script), str(folder)],
        capture_output=True, text=True, check=False, env=environment, timeout=300,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    return folder


def states(folder: Path, name: str) -> list[dict[str, torch.Tensor]]:
    return [load_file(folder / f"{name}.{rank}.safetensors") for rank in (0, 1)]


@pytest.mark.slow
def test_two_processes_train_what_one_trains(trained: Path) -> None:
    alone, joined = states(trained, "alone")[0], states(trained, "joined")[0]
    torch.testing.assert_close(joined, alone, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["joined", "straight", "resumed"])
def test_every_process_returns_the_same(name: str, trained: Path) -> None:
    first, second = states(trained, name)
    assert all(torch.equal(first[key], second[key]) for key in first | second)
    told = [json.loads((trained / f"told.{rank}.json").read_text()) for rank in (0, 1)]
    assert told[0] == told[1]
    assert told[0]["accuracies"]["joined"] == told[0]["accuracies"]["alone"]


@pytest.mark.slow
def test_two_processes_go_on_to_the_bit(trained: Path) -> None:
    straight, resumed = states(trained, "straight")[0], states(trained, "resumed")[0]
    assert all(torch.equal(straight[key], resumed[key]) for key in straight)


@pytest.mark.slow
def test_a_batch_that_cannot_be_shared_says_so(trained: Path) -> None:
    message = json.loads((trained / "told.0.json").read_text())["message"]
    assert message.startswith("`batch_size` 15 cannot be shared by 2 processes equally")


def test_without_lightning_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(under_test, "import_module", missing)
    with pytest.raises(FrivolousError, match=r"pip install 'frivolous\[fabric\]', or train on one"):
        under_test.make_fabric()
