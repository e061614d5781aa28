"""A thinner network as an ONNX file: what onnxruntime computes, and what is refused."""

from __future__ import annotations

import importlib.util
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import frivolous as fv
from frivolous.compression.export import onnx
from frivolous.compression.result import Compression
from frivolous.errors import BadArgument, FrivolousError
from frivolous.families.response_norm import ResponseNorm

ort = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

IMAGES = torch.randn(40, 2, 8, 8, generator=torch.Generator().manual_seed(0))


class Named(nn.Module):
    """Two keyword inputs and two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, left: Tensor, right: Tensor) -> dict[str, Tensor]:
        hidden = self.one(left + right).relu()
        return {"logits": self.two(hidden), "sums": hidden.sum(1)}


@pytest.fixture(scope="module")
def compression() -> Compression:
    """A network with fewer maps, its response normalisation exchanged; in training mode."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        maps = nn.Conv2d(2, 6, 3), nn.ReLU(), ResponseNorm(radius=2, alpha=0.5), nn.MaxPool2d(2)
        scores = nn.Flatten(), nn.Dropout(0.5), nn.Linear(54, 3)
        model = nn.Sequential(*maps, *scores).train()
    return fv.compress(model, IMAGES, keep={"0": 4})


@pytest.fixture(scope="module")
def path(compression: Compression, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of it, made once; making one takes seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = tmp_path_factory.mktemp("onnx") / "new" / "thin.onnx"
        assert compression.export_onnx(made, IMAGES[:1]) == made
    return made


def test_onnxruntime_computes_the_same_for_any_batch(compression: Compression, path: Path) -> None:
    assert compression.model.training, "the module is left in its mode"
    model = compression.model
    assert type(model[2]).__name__ == "WindowedResponseNorm"
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    assert entry.shape[1:] == [2, 8, 8]
    model.eval()
    for size in (1, 3, 40):
        (given,) = session.run(None, {entry.name: IMAGES[:size].numpy()})
        with torch.no_grad():
            wanted = model(IMAGES[:size]).numpy()
        assert np.abs(given - wanted).max() <= 1e-4 * np.abs(wanted).max()
    model.train()
    assert [one.name for one in path.parent.iterdir()] == ["thin.onnx"]


def test_keyword_inputs_and_nothing_is_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    inputs = {"left": torch.ones(2, 4), "right": torch.ones(2, 4)}
    onnx.export_onnx(Named(), tmp_path / "named.onnx", inputs)
    assert capfd.readouterr() == ("", "")
    session = ort.InferenceSession(str(tmp_path / "named.onnx"))
    assert [one.name for one in session.get_inputs()] == ["left", "right"]
    assert len(session.get_outputs()) == 2


class Deep(nn.Module):
    """Convolutions and functions that onnxruntime has approximations of."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(2, 6, 3), nn.Conv2d(6, 6, 3, padding=1)
        self.out = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.gelu(self.one(x))
        return self.out(torch.softmax(self.two(x), 1).mean((2, 3)))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_what_onnxruntime_cannot_run_is_said_in_one_line(
    dtype: torch.dtype, tmp_path: Path
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Deep().to(dtype)
    name = str(dtype).removeprefix("torch.")
    words = f"onnxruntime cannot run this model in {name} ("
    with pytest.raises(FrivolousError, match="^" + re.escape(words)) as caught:
        onnx.export_onnx(model, tmp_path / "m.onnx", IMAGES[:2].to(dtype))
    told = str(caught.value)
    assert told.endswith("). Export it in float32: convert it and its inputs with `.float()`.")
    assert "\n" not in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_other_precisions_as_far_as_onnxruntime_has_them(
    dtype: torch.dtype, tmp_path: Path
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3)).to(dtype)
    x = torch.randn(20, 4, generator=torch.Generator().manual_seed(0)).to(dtype)
    onnx.export_onnx(model, tmp_path / "m.onnx", x[:2])
    session = ort.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
    (given,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    with torch.no_grad():
        wanted = model.double()(x.double()).numpy()
    assert np.abs(given - wanted).max() <= 64 * torch.finfo(dtype).eps * np.abs(wanted).max()


def test_how_far_outputs_may_lie_apart_follows_from_the_modules_rounding() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        plain = Deep().eval()
    exact = Deep().double().eval()
    exact.load_state_dict(plain.state_dict())
    with torch.no_grad():
        wanted = exact(IMAGES.double())
        apart = float((plain(IMAGES) - wanted).abs().max() / wanted.abs().max())
    unit = torch.finfo(torch.float32).eps
    assert onnx._rounding(plain, IMAGES) == pytest.approx(max(apart, unit))
    with torch.no_grad():  # a network that cancels digits rounds more
        far = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        far[0].bias -= 2000 * far[0].weight.sum(1)
    assert onnx._rounding(far, torch.randn(20, 4) + 2000) > 20 * unit


# ---- what goes wrong


def refused(words: str, kind: type[FrivolousError], call: Any, *arguments: Any) -> None:
    """Call, and expect one line that begins so (a text, not a pattern)."""
    with pytest.raises(kind, match="^" + re.escape(words)) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)


def test_another_networks_outputs(path: Path, compression: Compression) -> None:
    other = nn.Sequential(nn.Flatten(), nn.Linear(128, 3))
    words = "the ONNX file gives other outputs than the model: up to "
    refused(words, FrivolousError, onnx._check, path, other, IMAGES[:1])
    spoilt = nn.Sequential(nn.Flatten(), nn.Linear(128, 3))
    spoilt[1].weight.data.fill_(float("nan"))
    refused(f"{words}nan of the", FrivolousError, onnx._check, path, spoilt, IMAGES[:1])
    shorter = nn.Sequential(nn.Flatten(), nn.Linear(128, 2))
    refused(f"{words}inf of the", FrivolousError, onnx._check, path, shorter, IMAGES[:1])


def test_a_file_that_is_wrong_is_not_kept(
    path: Path, compression: Compression, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Program:
        def save(self, place: str) -> None:
            Path(place).write_bytes(path.read_bytes())

    monkeypatch.setattr(onnx, "_exported", lambda *_: Program())
    model = nn.Sequential(nn.Flatten(), nn.Linear(128, 3))
    words = "the ONNX file gives other outputs"
    refused(words, FrivolousError, onnx.export_onnx, model, tmp_path / "m.onnx", IMAGES[:1])
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_cannot_be_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def export(*_: object, **__: object) -> None:
        print("many lines")
        try:
            raise ValueError("batch is\n2, and nothing else.")
        except ValueError as error:
            raise RuntimeError("failed at step 1/3") from error

    monkeypatch.setattr(torch.onnx, "export", export)
    words = (
        "`model` cannot be exported to ONNX (ValueError: batch is 2, and nothing else). Use oper"
    )
    refused(words, FrivolousError, onnx.export_onnx, Named(), tmp_path / "m", tensors())
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def tensors() -> tuple[Tensor, Tensor]:
    return torch.ones(2, 4), torch.ones(2, 4)


@pytest.mark.parametrize("gone", ["onnx", "onnxruntime", "onnxscript"])
def test_missing_packages(
    gone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: Compression
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == gone else find(name)
    )
    words = (
        f"exporting to ONNX needs onnx, onnxruntime, onnxscript; {gone} cannot be imported. "
        "Install them: pip install 'frivolous[onnx]'."
    )
    refused(words, FrivolousError, compression.export_onnx, tmp_path / "m.onnx", IMAGES[:1])


def test_examples_and_places_that_will_not_do(tmp_path: Path) -> None:
    words = "`example_inputs` is of type int; a batch is a tensor, a tuple of tensors or a dict"
    refused(words, BadArgument, onnx.export_onnx, Named(), tmp_path / "m.onnx", 3)
    words = f"`path` {tmp_path} is a folder; name a file in it, such as model.onnx."
    refused(words, BadArgument, onnx.export_onnx, Named(), tmp_path, tensors())
    words = "`example_inputs` does not fit `model` (Named): it raises RuntimeError: "
    wrong = torch.ones(2, 5), torch.ones(2, 5)
    refused(words, BadArgument, onnx.export_onnx, Named(), tmp_path / "m.onnx", wrong)
    (tmp_path / "file").touch()
    words = f"`path` {tmp_path}/file/m.onnx cannot be written ("
    refused(words, BadArgument, onnx.export_onnx, Named(), tmp_path / "file/m.onnx", tensors())
