"""What a saved compression gives back: the same outputs, read without this library too."""

from __future__ import annotations

import copy
import errno
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, load_model, save_file
from torch import Tensor, nn

import frivolous as fv
from frivolous import files
from frivolous.compression.result import Compression
from frivolous.errors import BadArgument
from frivolous.families.alexnet import AlexNet
from frivolous.families.response_norm import ResponseNorm

FILES = (
    *("compression.json", "model.safetensors", "report.txt"),
    *("outputs.parquet", "sequence.parquet", "sites.parquet", "whole.parquet"),
)

MINE = '''
"""A user's own classes, which know nothing of frivolous."""
from torch import nn


class Dense(nn.Module):
    def __init__(self, first, second):
        super().__init__()
        self.one, self.two = nn.Linear(5, first), nn.Linear(first, second)
        self.out = nn.Linear(second, 3)

    def forward(self, x):
        return self.out(self.two(self.one(x).relu()).relu())


class Conv(nn.Module):
    def __init__(self, first, second):
        super().__init__()
        self.one, self.norm = nn.Conv2d(2, first, 3, bias=False), nn.BatchNorm2d(first)
        self.two, self.out = nn.Conv2d(first, second, 3), nn.Linear(second, 3)

    def forward(self, x):
        maps = self.norm(self.one(x)).relu()
        return self.out(self.two(maps).relu().mean((2, 3)))
'''


class Residual(nn.Module):
    """Two streams added; the block in between has a depthwise convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.out = nn.Conv2d(2, 6, 3, padding=1), nn.Linear(6, 3)
        self.up = nn.Conv2d(6, 8, 1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.depth = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.down = nn.Conv2d(8, 6, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        inner = self.depth(self.norm(self.up(x)).relu()).relu()
        scores: Tensor = self.out((x + self.down(inner)).relu().mean((2, 3)))
        return scores


class Tied(nn.Module):
    """A layer whose weight is that of another."""

    def __init__(self) -> None:
        super().__init__()
        self.pre, self.one = nn.Linear(5, 6), nn.Linear(6, 6)
        self.two, self.out = nn.Linear(6, 3), nn.Linear(6, 3)
        self.out.weight = self.two.weight

    def forward(self, x: Tensor) -> Tensor:
        value = self.one(self.pre(x).relu()).relu()
        scores: Tensor = self.two(value) + self.out(value)
        return scores


def drawn(model: nn.Module, seed: int = 0) -> nn.Module:
    """The model with weights and running statistics from a generator."""
    generator = torch.Generator().manual_seed(seed)
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point():
            values = torch.randn(tensor.shape, generator=generator)
            values = values / max(1, tensor[0].numel()) ** 0.5 if tensor.dim() > 1 else values.abs()
            tensor.data.copy_(values)
    return model


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The user's classes, as imported from a file."""
    return imported(tmp_path_factory.mktemp("mine") / "mine.py")


def imported(path: Path) -> ModuleType:
    path.write_text(MINE)
    spec = importlib.util.spec_from_file_location("mine", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def unbiased() -> nn.Module:
    layers = nn.Linear(5, 8, bias=False), nn.ReLU(), nn.Linear(8, 6, bias=False), nn.ReLU()
    return nn.Sequential(*layers, nn.Linear(6, 3, bias=False))


def dense() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))


def windowed() -> nn.Module:
    norm = nn.LocalResponseNorm(3, alpha=0.5, beta=0.6, k=1.5)
    layers = nn.Conv2d(2, 6, 3), nn.ReLU(), norm, nn.Conv2d(6, 4, 3), nn.ReLU()
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))


def normed() -> nn.Module:
    layers = nn.Conv2d(2, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 4, 3)
    ending = nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    return nn.Sequential(*layers, *ending)


Case = tuple[Callable[[], nn.Module], dict[str, int], tuple[int, ...]]
CASES: dict[str, Case] = {
    "dense": (dense, {"0": 3}, (5,)),
    "convolution and batch norm": (normed, {"0": 4, "3": 2}, (2, 8, 8)),
    "alexnet": (
        lambda: AlexNet((8, 8, 6, 6), 3, (2, 8, 8)),
        {"conv1": 5, "conv2": 4, "fc3": 4},
        (2, 8, 8),
    ),
    "response norm": (windowed, {"0": 3}, (2, 8, 8)),
    "residual": (Residual, {"stem": 4, "up": 5}, (2, 6, 6)),
    "added bias": (unbiased, {"0": 5, "2": 3}, (5,)),
    "tied": (Tied, {"pre": 4}, (5,)),
}


def examples(shape: tuple[int, ...], count: int = 40) -> Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(1))


@cache
def made(name: str) -> tuple[nn.Module, Compression, Tensor]:
    """A case's model, its compression and inputs; tests leave them as they are."""
    build, keep, shape = CASES[name]
    model, inputs = drawn(build()).eval(), examples(shape)
    return model, fv.compress(model, inputs, keep=keep, add_biases=name == "added bias"), inputs


def outputs(model: nn.Module, inputs: Tensor) -> Tensor:
    with torch.no_grad():
        scores: Tensor = model(inputs)
    return scores


# ---- what comes back


@pytest.mark.parametrize("name", list(CASES))
def test_outputs_are_the_same_to_the_bit(name: str, tmp_path: Path) -> None:
    model, compression, inputs = made(name)
    before = copy.deepcopy(model.state_dict())
    assert compression.save(tmp_path / "out") == tmp_path / "out"
    for build in (model, lambda: drawn(CASES[name][0](), seed=7).train()):
        loaded = fv.load_compressed(tmp_path / "out", build)
        assert torch.equal(outputs(loaded, inputs), outputs(compression.model, inputs))
        assert type(loaded) is type(model)
        assert not any(part.training for part in loaded.modules())
        sizes = [part.extra_repr() for part in compression.model.modules()]
        assert [part.extra_repr() for part in loaded.modules()] == sizes
        assert all(parameter.requires_grad for parameter in loaded.parameters())
    assert all(torch.equal(model.state_dict()[key], value) for key, value in before.items())


def test_a_bias_that_the_layer_had_not_is_added(tmp_path: Path) -> None:
    model, compression, _ = made("added bias")
    loaded = fv.load_compressed(compression.save(tmp_path), model)
    new = {name for name, _ in loaded.named_parameters()} - {*dict(model.named_parameters())}
    assert new == {"2.bias", "4.bias"}
    assert compression.report.facts["biases_added"] == ["2", "4"]
    assert "Biases added, which the original has not: '2', '4'." in str(compression.report)


def test_response_norms_are_exchanged_where_units_went(tmp_path: Path) -> None:
    model, compression, _ = made("alexnet")
    loaded = fv.load_compressed(compression.save(tmp_path), model)
    assert isinstance(model.norm1, ResponseNorm)
    assert loaded.norm1.band.shape == (5, 5, 1, 1)
    facts = json.loads((tmp_path / "compression.json").read_text())
    window = {"units": 5, "bias": 1.0, "beta": 0.75}
    assert facts["surgery"]["windows"]["norm1"] == window


def test_shared_tensors_are_written_once_and_stay_shared(tmp_path: Path) -> None:
    model, compression, inputs = made("tied")
    loaded = fv.load_compressed(compression.save(tmp_path), model)
    assert loaded.out.weight is loaded.two.weight
    assert sorted(load_file(tmp_path / "model.safetensors")) == [
        *("one.bias", "one.weight", "out.bias", "pre.bias", "pre.weight"),
        *("two.bias", "two.weight"),
    ]
    other = copy.deepcopy(compression.model)
    with torch.no_grad():
        other.out.weight.zero_()
    assert load_model(other, tmp_path / "model.safetensors") == (set(), [])
    assert torch.equal(outputs(other, inputs), outputs(compression.model, inputs))


def test_a_module_without_memory_will_do(tmp_path: Path) -> None:
    _, compression, inputs = made("alexnet")
    compression.save(tmp_path)
    with torch.device("meta"):
        model = CASES["alexnet"][0]()
    loaded = fv.load_compressed(tmp_path, model)
    assert torch.equal(outputs(loaded, inputs), outputs(compression.model, inputs))


def test_mode_dtype_and_frozen_weights_are_kept(tmp_path: Path) -> None:
    model = drawn(dense()).double()
    model[0].requires_grad_(False)
    inputs = examples((5,)).double()
    compression = fv.compress(model, inputs, keep={"0": 3}, method="magnitude")
    loaded = fv.load_compressed(compression.save(tmp_path), model)
    assert [p.requires_grad for p in loaded.parameters()] == [False, False, True, True]
    assert torch.equal(outputs(loaded, inputs), outputs(compression.model, inputs))


def test_files_are_of_plain_formats_and_hold_all(tmp_path: Path) -> None:
    _, compression, _ = made("dense")
    compression.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)
    for name in ("sites", "whole", "outputs"):
        frame = getattr(compression.report, name)
        assert pd.read_parquet(tmp_path / f"{name}.parquet").equals(frame)
    assert list(pd.read_parquet(tmp_path / "sequence.parquet")) == list(compression.sequence)
    assert (tmp_path / "report.txt").read_text() == f"{compression.report}\n"
    facts = json.loads((tmp_path / "compression.json").read_text())
    assert facts["model"] == "torch.nn.modules.container.Sequential"
    assert facts["versions"]["torch"] == torch.__version__
    assert facts["kept"] == {"0": compression.kept["0"].tolist()}
    assert facts["facts"] == dict(compression.report.facts)
    assert facts["surgery"]["state"]["0.weight"] == {"shape": [3, 5], "dtype": "float32"}


def test_nothing_is_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, compression, _ = made("dense")

    def refuse(*_: object, **__: object) -> Any:
        raise AssertionError("a pickle was written or read")

    for name in ("load", "save"):
        monkeypatch.setattr(torch, name, refuse)
    for name in ("load", "loads", "dump", "dumps", "Unpickler", "Pickler"):
        monkeypatch.setattr("pickle." + name, refuse)
    fv.load_compressed(compression.save(tmp_path), dense)
    assert isinstance(model, nn.Sequential)


def test_a_later_compression_takes_the_place_of_an_earlier(tmp_path: Path) -> None:
    for name in ("dense", "added bias"):
        model, compression, inputs = made(name)
        compression.save(tmp_path)
        loaded = fv.load_compressed(tmp_path, model)
        assert torch.equal(outputs(loaded, inputs), outputs(compression.model, inputs))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, compression, _ = made("dense")
    compression.save(tmp_path)
    write = files.write

    def fills(path: Path, content: bytes) -> None:
        if "whole" in path.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, content)

    monkeypatch.setattr(files, "write", fills)
    with pytest.raises(BadArgument, match=r"^`folder` .* cannot be written \(No space left on dev"):
        made("added bias")[1].save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)
    fv.load_compressed(tmp_path, model)


CHILD = """
import sys
sys.modules["frivolous"] = None
import torch
from safetensors.torch import load_file
from mine import Conv, Dense

for kind in (Dense, Conv):
    folder = sys.argv[1] + "/" + kind.__name__
    known = load_file(folder + "/known.safetensors")
    model = kind(3, 4)
    model.load_state_dict(load_file(folder + "/model.safetensors"))
    with torch.no_grad():
        assert torch.equal(model.eval()(known["inputs"]), known["outputs"])
    print(kind.__name__)
"""


def test_weights_load_into_the_users_class_without_frivolous(
    mine: ModuleType, tmp_path: Path
) -> None:
    for kind, shape in ((mine.Dense, (5,)), (mine.Conv, (2, 7, 7))):
        model, inputs = drawn(kind(6, 7)).eval(), examples(shape)
        compression = fv.compress(model, inputs, keep={"one": 3, "two": 4})
        folder = compression.save(tmp_path / kind.__name__)
        known = {"inputs": inputs, "outputs": outputs(compression.model, inputs)}
        save_file(known, folder / "known.safetensors")
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(Path(mine.__file__ or "").parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.split(), done.stderr, done.returncode) == (["Dense", "Conv"], "", 0)


# ---- what goes wrong


def refused(words: str, folder: Path, build: Any) -> None:
    """Load, and expect one line that begins so (a text, not a pattern)."""
    with pytest.raises(BadArgument, match="^" + re.escape(words)) as caught:
        fv.load_compressed(folder, build)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the dense case in it."""
    return made("dense")[1].save(tmp_path)


@pytest.mark.parametrize("name", ["compression.json", "model.safetensors"])
def test_missing_file(name: str, folder: Path) -> None:
    (folder / name).unlink()
    words = f"`folder` {folder} holds no compression: it has no {name}. Pass a folder that `Comp"
    refused(words, folder, dense)


@pytest.mark.parametrize("name", ["compression.json", "model.safetensors"])
def test_truncated_file(name: str, folder: Path) -> None:
    content = (folder / name).read_bytes()
    for size in (0, 5, len(content) // 2, len(content) - 8):
        (folder / name).write_bytes(content[:size])
        words = f"`folder` {folder} holds a compression that cannot be read ({name}: "
        refused(words, folder, dense)


def edited(folder: Path, **changed: Any) -> None:
    facts = json.loads((folder / "compression.json").read_text()) | changed
    (folder / "compression.json").write_text(json.dumps(facts))


def test_another_version(folder: Path) -> None:
    edited(folder, version=2)
    words = f"`folder` {folder} is of format 2; this version of frivolous reads format 1. Save"
    refused(words, folder, dense)


def test_facts_without_a_part(folder: Path) -> None:
    edited(folder, surgery={"state": {}})
    words = f"`folder` {folder} holds a compression that cannot be read (compression.json: it has "
    refused(words + "no 'ties'). Save the compression again.", folder, dense)


def test_files_of_two_compressions(folder: Path) -> None:
    save_file({"0.weight": torch.zeros(9, 5)}, folder / "model.safetensors")
    words = f"`folder` {folder} has files that do not belong together: '0.weight' has shape [9, 5]"
    refused(words + " in model.safetensors and [3, 5] in", folder, dense)


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadArgument, match="`folder` .*file/in cannot be written .*; name a folder"):
        made("dense")[1].save(tmp_path / "file" / "in")


def breaks() -> nn.Module:
    raise OSError("no such\nmatrix")


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (3, "`build` is a module or a function; got int. Pass the model as it was before it was"),
        (lambda: 3, "`build` gives a int, not a module. Pass the model as it was"),
        (lambda n: n, "`build` is called without arguments; that raised TypeError: "),
        (breaks, "`build` is called without arguments; that raised OSError: no such matrix. Pass"),
    ],
)
def test_build_that_builds_nothing(build: Any, words: str, folder: Path) -> None:
    refused(words, folder, build)


OTHER = "`build` gives another architecture than {} that was compressed: {}"
SEQUENTIAL = "torch.nn.modules.container.Sequential"


def other_norm(**options: Any) -> nn.Module:
    model = windowed()
    model[2] = nn.LocalResponseNorm(3, **{"alpha": 0.5, "beta": 0.6, "k": 1.5} | options)
    return model


@pytest.mark.parametrize(
    ("name", "build", "words"),
    [
        ("dense", lambda: nn.Sequential(nn.Linear(5, 8)), "it has no module '1' (1 more like it)."),
        ("dense", lambda: nn.Sequential(*dense(), nn.ReLU()), "it has a module '3' more."),
        (
            "dense",
            lambda: nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)),
            "'1' is a Tanh, not a ReLU.",
        ),
        (
            "dense",
            lambda: nn.Sequential(nn.Linear(5, 2), nn.ReLU(), nn.Linear(2, 3)),
            "'0.weight' has shape (2, 5), (3, 5) was saved (2 more like it).",
        ),
        (
            "dense",
            lambda: nn.Sequential(nn.Linear(5, 9), nn.ReLU(), nn.Linear(9, 3)),
            "it has 84 parameters, not 75.",
        ),
        (
            "dense",
            lambda: nn.Sequential(nn.PReLU(), nn.ReLU(), nn.Linear(8, 3)),
            "'0' is a PReLU, not a Linear.",
        ),
        (
            "response norm",
            lambda: other_norm(beta=0.75),
            "'2' is no response normalisation with bias 1.5 and beta 0.6.",
        ),
        (
            "convolution and batch norm",
            lambda: nn.Sequential(nn.Conv2d(2, 6, 3, stride=2, bias=False), *normed()[1:]),
            "'0' has stride [2, 2], not [1, 1].",
        ),
    ],
)
def test_build_of_another_architecture(
    name: str, build: Callable[[], nn.Module], words: str, tmp_path: Path
) -> None:
    folder = made(name)[1].save(tmp_path)
    refused(OTHER.format(SEQUENTIAL, words) + " Pass the model as", folder, build)


def test_a_bias_that_was_not_saved(tmp_path: Path) -> None:
    folder = made("added bias")[1].save(tmp_path)
    model = unbiased()
    model[0] = nn.Linear(5, 8)
    words = OTHER.format(SEQUENTIAL, "it has '0.bias', which was not saved. Pass the model as")
    refused(words, folder, model)
