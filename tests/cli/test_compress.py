"""The verb ``compress``: what it prints and writes, and one line for all that goes wrong."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_model
from torch import Tensor, nn

import frivolous as fv
from frivolous.cli import verbs
from frivolous.compression.export import onnx
from saying import Said, Say, sayer

MODULE = '''
"""A user's own file."""
import torch
from torch import nn

generator = torch.Generator().manual_seed(0)
inputs = torch.randn(80, 4, generator=generator)
held = torch.randn(30, 4, generator=generator)
wide = torch.randn(80, 7, generator=generator)
data = (inputs, torch.arange(80) % 3)
number = 3


def stream():
    yield from inputs.split(20)


def broken():
    yield inputs
    raise OSError("no such file")


def model():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))
'''
FILES = (
    *("compression.json", "model.safetensors", "report.txt"),
    *("outputs.parquet", "sequence.parquet", "sites.parquet", "whole.parquet"),
)


def net() -> nn.Module:
    """The file's model with weights from a generator."""
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))
    drawn = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        parameter.data.copy_(torch.randn(parameter.shape, generator=drawn))
    return model


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the user's file and weights for its model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "mine.py").write_text(MODULE)
    (tmp_path / "file").touch()
    save_model(net(), str(tmp_path / "net.safetensors"))
    return tmp_path


@pytest.fixture
def say(place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Say:
    """Run ``frivolous compress`` in this process, on the user's model and data."""

    def run(*words: object, data: str = "mine.py:data", out: str = "out") -> Said:
        given = ["mine.py:model", "--data", data, "--out", out, "--weights", "net.safetensors"]
        return sayer(monkeypatch, capfd)("compress", *given, *words)

    return run


# ---- what it does


def test_report_files_and_paths(say: Say, place: Path) -> None:
    said = say("--keep", "0=5", "2=4")
    assert said.code == 0
    assert sorted(path.name for path in (place / "out").iterdir()) == sorted(FILES)
    report = (place / "out/report.txt").read_text()
    assert said.out == f"{report}out/model.safetensors\nout/compression.json\n"
    assert report.startswith("Compressed (joint, keep {'0': 5, '2': 4})\n")
    assert "Accuracy: " in report
    loaded = fv.load_compressed(place / "out", net)
    sizes = [layer.out_features for layer in loaded if isinstance(layer, nn.Linear)]
    assert sizes == [5, 4, 3]
    plain = fv.compress(net(), (inputs := torch_inputs(), labels(inputs)), keep={"0": 5, "2": 4})
    written = load_file(place / "out/model.safetensors")
    for name, tensor in plain.model.state_dict().items():
        assert torch.equal(tensor, written[name]), "the command and the function give the same"


def torch_inputs() -> Tensor:
    return torch.randn(80, 4, generator=torch.Generator().manual_seed(0))


def labels(inputs: Tensor) -> Tensor:
    return torch.arange(len(inputs)) % 3


def test_json_is_one_object(say: Say) -> None:
    said = say("--units", "0.6", "--held-out", "mine.py:held", "--method", "magnitude", "--json")
    assert said.code == 0
    found = json.loads(said.out)
    assert list(found) == ["folder", "facts", "kept", "sites", "whole", "outputs", "sequence"]
    assert (found["folder"], found["facts"]["held_out"]) == ("out", 30)
    assert (found["facts"]["method"], found["facts"]["amount"]) == ("magnitude", 0.6)
    assert [row["site"] for row in found["sites"]] == ["0", "2"]
    assert {row["site"]: row["after"] for row in found["sites"]} == {
        name: len(kept) for name, kept in found["kept"].items()
    }
    assert found["whole"][0] == {
        **{"quantity": "units", "unit": "count", "batch": 0, "before": 14.0},
        "after": float(sum(row["after"] for row in found["sites"])),
        **{"ratio": pytest.approx(found["whole"][0]["after"] / 14), "low": None, "high": None},
    }


def test_tolerance_of_nothing_and_progress(say: Say) -> None:
    said = say("--tolerance", "0", "--seed", "3", "--batch-size", "16", "--device", "cpu", "--json")
    assert said.code == 0
    facts = json.loads(said.out)["facts"]
    assert (facts["budget"], facts["amount"], facts["seed"]) == ("tolerance", 0.0, 3)
    assert facts["changed"] == 0


def test_onnx_is_written_on_request_and_an_earlier_one_removed(
    say: Say, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def export(model: nn.Module, path: Path, inputs: Tensor) -> Path:
        asked.append(inputs.shape)
        path.write_bytes(b"")
        return path

    monkeypatch.setattr(onnx, "export_onnx", export)
    said = say("--keep", "0=5", "--onnx")
    assert said.out.splitlines()[-1] == "out/model.onnx"
    assert asked == [(1, 4)]
    assert (place / "out/model.onnx").exists()
    assert say("--keep", "0=5", "--onnx", data="mine.py:stream").code == 0  # read once
    said = say("--keep", "0=5", "--onnx", data="mine.py:broken")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "OSError: no such file" in said.err
    assert asked == [(1, 4)] * 2
    assert say("--keep", "0=5").code == 0
    assert not (place / "out/model.onnx").exists()


def test_help_names_the_budgets(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["frivolous", "compress", "--help"])
    with pytest.raises(SystemExit) as stop:
        verbs.main()
    assert not stop.value.code
    out = capfd.readouterr().out
    for word in ("--tolerance", "--units", "--parameters", "--flops", "--latency", "--keep SITE=N"):
        assert word in out


# ---- what goes wrong


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--keep", "0"), "`keep` is SITE=N, a site and how many of its units stay; got 0. Write"),
        (("--keep", "0=x"), "`keep` is SITE=N, a site and how many of its units stay; got 0=x."),
        (("--keep", "0=3", "0=4"), "`keep` names '0' twice; name each site once."),
        (("--keep", "1=3"), "unknown site '1'"),
        (("--keep", "0=9"), "`keep` has 9 units for '0'; it has 8, of which 1 or more stay."),
        (("--keep", "0=3", "--units", "0.5"), "`units`, `keep` are 2 budgets; a compression has"),
        (("--tolerance", "2"), "`tolerance` is a share in [0, 1); got 2. For 2 percent pass 0.02."),
        (("--flops", "0"), "`flops` is the share of flops that may be left, in (0, 1]; got 0."),
        (("--method", "jiont"), "unknown method 'jiont'; did you mean 'joint'?"),
        (("--finetune", "-1"), "`finetune` is a whole number of epochs, 0 or more; got -1."),
        (("--device", "gpu"), "`device` "),
        (("--weights", "no.safetensors"), "`weights` names no.safetensors, which is not there;"),
        (("--data", "mine.py:number"), "`data` is a tensor, a pair (inputs, labels), a Dataset"),
        (("--data", "mine.py:wide"), "`data` does not fit `model` (Sequential): its first batch"),
        (("--held-out", "mine.py:hold"), "unknown `held_out` in mine.py: 'hold'; did you mean"),
        (("--out", "file/in"), "`out` file/in cannot be written ("),
        ((), "40 held-out examples cannot show that at most 0.02 of the labels change: even"),
    ],
)
def test_one_line_and_exit_code_2(words: tuple[str, ...], line: str, say: Say) -> None:
    said = say(*words)
    assert (said.code, said.out) == (2, "")
    last = said.err.splitlines()[-1]
    assert last.startswith(f"frivolous: {line}")


def test_missing_onnx_is_said_before_the_work(
    say: Say, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx, "NEEDED", ("onnx", "no_such_package"))
    said = say("--keep", "0=5", "--onnx")
    assert said.code == 2
    assert "no_such_package cannot be imported. Install them: pip install" in said.err
    assert not (place / "out").exists()


def test_a_model_of_another_type(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    argv = ["frivolous", "compress", "mine.py:number", "--data", "mine.py:data", "--out", "out"]
    monkeypatch.setattr(sys, "argv", argv)
    with pytest.raises(SystemExit) as stop:
        verbs.main()
    assert stop.value.code == 2
    line = "frivolous: `model` mine.py:number is of type int; name a torch.nn.Module or a function"
    assert capfd.readouterr().err.startswith(line)


def test_an_onnx_file_that_cannot_be_made_is_one_line_and_the_rest_is_saved(
    say: Say, place: Path
) -> None:
    pytest.importorskip("onnxruntime")
    text = MODULE.replace("nn.Linear(6, 3))", "nn.Linear(6, 3)).bfloat16()")
    text = text.replace("generator=generator)\nheld", "generator=generator).bfloat16()\nheld")
    (place / "mine.py").write_text(text)
    save_model(net().bfloat16(), str(place / "net.safetensors"))
    said = say("--keep", "0=5", "--onnx")
    assert (said.code, said.out) == (2, (place / "out/report.txt").read_text())
    assert said.err.splitlines()[-1].startswith("frivolous: onnxruntime cannot run this model in")
    assert said.err.rstrip().endswith("All but the ONNX file is in out.")
    assert sorted(path.name for path in (place / "out").iterdir()) == sorted(FILES)


def test_biases_are_added_where_asked(say: Say, place: Path) -> None:
    text = MODULE.replace("nn.Linear(8, 6)", "nn.Linear(8, 6, bias=False)")
    (place / "mine.py").write_text(text)
    plain = net()
    plain[2].bias = None
    save_model(plain, str(place / "net.safetensors"))
    for words, added in (((), []), (("--add-biases",), ["2"])):
        said = say("--keep", "0=5", "2=4", "--json", *words)
        assert json.loads(said.out)["facts"]["biases_added"] == added
        assert ("2.bias" in load_file(place / "out/model.safetensors")) == bool(added)
