"""What a user can get wrong around ``measure``: one line that says what to do, exit code 2."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file, save_model
from torch import Tensor, nn

import frivolous as fv
from frivolous.cli import verbs
from frivolous.errors import BadArgument, FrivolousError, NotFinite, NotTraceable, UnknownName
from frivolous.measurement import run

INPUTS = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(40) % 3


def net() -> nn.Sequential:
    """4 inputs, sites '0' (8 units) and '2' (6 units), 3 classes; weights from a generator."""
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))
    drawn = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=drawn))
    return model


class Ending(nn.Module):
    """The network with something done to its scores."""

    def __init__(self, ending: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.net, self.ending = net(), ending

    def forward(self, x: Tensor) -> Any:
        return self.ending(self.net(x))


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = net()

    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:
            return self.net(x)
        return self.net(-x)


class Called(nn.Module):
    """A layer whose name is taken."""

    def __init__(self) -> None:
        super().__init__()
        self.all, self.out = nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.all(x).relu())


def spoilt(tensor: Tensor, value: float) -> Tensor:
    """A copy with one number replaced."""
    copied = tensor.clone()
    copied[(0,) * tensor.dim()] = value
    return copied


def spoilt_net(layer: int, value: float) -> nn.Sequential:
    model = net()
    model[layer].weight.data = spoilt(model[layer].weight.data, value)
    return model


def refused(
    kind: type[FrivolousError], words: str, model: Any, data: Any, **options: Any
) -> FrivolousError:
    """Measure, and expect one line that holds ``words`` (a pattern)."""
    with pytest.raises(kind, match=words) as caught:
        fv.measure(model, data, **options)
    assert "\n" not in str(caught.value)
    return caught.value


def test_unknown_site_is_answered_with_the_nearest() -> None:
    model = nn.Sequential()
    for name, layer in (("conv1", nn.Linear(4, 5)), ("r", nn.ReLU()), ("out", nn.Linear(5, 3))):
        model.add_module(name, layer)
    message = "^unknown site 'conv2'; did you mean 'conv1'\\? Known: conv1\\.$"
    refused(UnknownName, message, model, INPUTS, sites=["conv2"])


def test_no_site_chosen_and_a_name_that_is_taken() -> None:
    refused(BadArgument, "^`sites` is empty; name at least one site", net(), INPUTS, sites=[])
    refused(BadArgument, "^`model` has no site: no hidden layer", nn.Linear(4, 3), INPUTS)
    refused(BadArgument, "^`model` has a layer called 'all'.*rename it", Called(), INPUTS)


@pytest.mark.parametrize(
    ("tolerance", "words"),
    [
        (1.0, "got 1. For 1 percent pass 0.01."),
        (20, "got 20. For 20 percent pass 0.2."),
        (-0.1, "got -0.1. Pass a number such as 0.05."),
        (float("nan"), "got nan. Pass"),
        (float("inf"), "got inf. Pass"),
    ],
)
def test_tolerance(tolerance: float, words: str) -> None:
    message = "^" + re.escape(f"`tolerance` is a share in [0, 1); {words}")
    refused(BadArgument, message, net(), INPUTS, tolerance=tolerance)


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("grain", "pixel", "`grain` is one of channel, position; got 'pixel'. Pass 'channel'"),
        ("replacement", "noise", "`replacement` is one of zero, mean; got 'noise'. Pass 'zero'"),
        ("batch_size", 0, "`batch_size` is a whole number of at least 1; got 0. Pass e.g. 256."),
        ("batch_size", 2.5, "`batch_size` is a whole number of at least 1; got 2.5."),
        ("device", "gpu", "`device` gpu is not available on this machine; it has cpu"),
        ("device", "cuda:99", "`device` cuda:99 is not available on this machine; it has cpu"),
    ],
)
def test_options(option: str, value: Any, words: str) -> None:
    refused(BadArgument, "^" + re.escape(words), net(), INPUTS, **{option: value})


def test_cuda_where_there_is_none() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    words = "^`device` cuda is not available on this machine; it has cpu\\.$"
    refused(BadArgument, words, net(), INPUTS, device="cuda")


@pytest.mark.parametrize("shift", [1, -1])
def test_labels_out_of_range(shift: int) -> None:
    low, high = shift, 2 + shift
    words = f"^`data` has labels from {low} to {high}; a model of 3 classes knows 0 to 2. Re-number"
    refused(BadArgument, words, net(), (INPUTS, LABELS + shift))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_inputs_that_are_not_finite_name_the_site_and_the_examples(value: float) -> None:
    inputs = spoilt(INPUTS, value)
    refused(NotFinite, "^site '0': .* examples 0 to 39 are NaN or infinite", net(), inputs)


@pytest.mark.parametrize(("layer", "site"), [(0, "0"), (2, "2")])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_name_the_site_they_write(
    layer: int, site: str, value: float
) -> None:
    message = f"^site '{site}': .* NaN or infinite.*inputs or weights that are not finite"
    refused(NotFinite, message, spoilt_net(layer, value), INPUTS.abs() + 0.1)


def test_scores_that_are_not_finite() -> None:
    words = "^the network's output is NaN or infinite before any unit is silenced"
    refused(NotFinite, words, spoilt_net(4, float("nan")), INPUTS)


def test_activities_that_overflow() -> None:
    refused(NotFinite, "^site '0': ", spoilt_net(0, 3e38), INPUTS.abs() * 10 + 1)


def test_control_flow_that_depends_on_the_data() -> None:
    words = (
        r"^`model` \(Branching\) cannot be read at test_bad_input.py:\d+ \(`if x.sum\(\) > "
        r"0:`\): the computation depends on the numbers in a tensor.*Choose with `torch.where`"
    )
    refused(NotTraceable, words, Branching(), INPUTS)


def test_one_output_of_several_is_named() -> None:
    several = Ending(lambda s: {"logits": s, "other": -s})
    found = {output: fv.measure(several, INPUTS, output=output).table for output in (None, "other")}
    assert found[None].equals(fv.measure(Ending(lambda s: s), INPUTS).table)
    assert found["other"].equals(fv.measure(Ending(lambda s: -s), INPUTS).table)
    with pytest.raises(FrivolousError, match="other.*Did you mean|logits, other"):
        fv.measure(several, INPUTS, output="othr")


@pytest.mark.parametrize(
    ("ending", "kind", "words"),
    [
        (lambda s: (s, s), NotTraceable, "returns tuple with 2 tensors.*name it, e.g. `output=0`"),
        (lambda s: None, NotTraceable, "without a floating-point tensor.*Wrap it in a module"),
        (lambda s: s.argmax(1), BadArgument, "class scores.*int64.*before the arg-max"),
        (lambda s: s[:, :1], BadArgument, r"class scores.*\(40, 1\).*For two classes"),
        (lambda s: s[:, 0], BadArgument, r"class scores.*\(40,\).*For two classes"),
        (lambda s: s[:, None, None], BadArgument, r"\(40, 1, 1, 3\).*Reduce the other axes"),
        (lambda s: s[:, :, None], BadArgument, r"class scores.*\(40, 3, 1\).*For two classes"),
        (lambda s: s.sum(), BadArgument, r"class scores.*shape \(\).*Reduce the other axes"),
    ],
)
def test_output_that_is_no_table_of_scores(
    ending: Callable[[Tensor], Any], kind: type[FrivolousError], words: str
) -> None:
    refused(kind, f"^`model`.*{words}", Ending(ending), INPUTS)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (torch.zeros(10, 5), r"torch.float32 of shape \(N, 5\).*cannot be multiplied"),
        (torch.zeros(10, 4).long(), r"torch.int64 of shape \(N, 4\).*same dtype"),
        (torch.zeros(10, 4).double(), r"torch.float64 of shape \(N, 4\).*same dtype"),
        ([{"x": INPUTS}], r"'x' torch.float32 of shape \(N, 4\).*unexpected keyword argument 'x'"),
        ([(INPUTS, INPUTS, LABELS)], r"float32.*float32.*positional arguments"),
    ],
)
def test_data_that_the_model_does_not_take(data: Any, words: str) -> None:
    begin, end = r"^`data` does not fit `model` \(Sequential\): ", "Give inputs of the shape and"
    refused(BadArgument, f"{begin}.*{words}.*{end}", net(), data)


class Words(nn.Module):
    """A model of word numbers below 20."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.net = nn.Embedding(20, 4), net()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(self.embedding(x).mean(1))


@pytest.mark.parametrize(("place", "words"), [(0, "its first batch"), (7, "from example 5 on")])
def test_word_numbers_that_the_model_does_not_know(place: int, words: str) -> None:
    numbers = torch.arange(40).reshape(10, 4) % 20
    numbers[place, 0] = 20
    message = f"^`data` does not fit `model`.*{words}.*makes .* raise IndexError: index out of rang"
    refused(BadArgument, message, Words(), numbers, batch_size=5)


def test_a_model_that_fails_by_itself_is_not_blamed_on_the_data() -> None:
    model = Ending(lambda scores: scores.no_such_method())
    refused(NotTraceable, r"^`model` \(Ending\) cannot be read at .*no_such_method", model, INPUTS)


def test_no_module() -> None:
    words = r"^`model` is a torch.nn.Module; got function. Pass an instance: Net\(\).$"
    refused(BadArgument, words, net, INPUTS)


def test_value_that_was_not_measured_and_folder_that_cannot_be_written(tmp_path: Path) -> None:
    found = fv.measure(net(), INPUTS)
    with pytest.raises(
        BadArgument, match="no value of measure 'area' at site '7'; sites: 0, .*all;"
    ):
        found.value("area", "7")
    with pytest.raises(UnknownName, match="unknown measure 'prunble'; did you mean 'prunable'?"):
        found.value("prunble")
    (tmp_path / "file").touch()
    with pytest.raises(BadArgument, match="`folder` .*file/in cannot be written .*; name a folder"):
        found.save(tmp_path / "file" / "in")


# The command line

MODULE = '''
"""A user's own file."""
import torch
from torch import nn

generator = torch.Generator().manual_seed(0)
inputs = torch.randn(60, 4, generator=generator)
wide = torch.randn(60, 7, generator=generator)
spoilt = torch.full((60, 4), float("nan"))
data = (inputs, torch.arange(60) % 3)
number = 3


def model():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


def needs(width):
    return nn.Linear(width, 3)


def breaks():
    raise OSError("no such\\nmatrix")


def leaves():
    raise SystemExit(5)
'''


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with ``mine.py`` and weights that fit its model and that do not."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "mine.py").write_text(MODULE)
    (tmp_path / "file").touch()
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    save_model(model, str(tmp_path / "fits.safetensors"))
    state = model.state_dict()
    save_file({**state, "0.weight": torch.zeros(5, 4)}, str(tmp_path / "shape.safetensors"))
    save_file({"0.weight": state["0.weight"]}, str(tmp_path / "few.safetensors"))
    save_file({**state, "9.bias": torch.zeros(1)}, str(tmp_path / "many.safetensors"))
    (tmp_path / "other.safetensors").write_bytes(b"PK\x03\x04 not what it says")
    return tmp_path


def frivolous(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command line in this process; return its exit code."""
    monkeypatch.setattr(sys, "argv", ["frivolous", *arguments])
    try:
        verbs.main()
    except SystemExit as stopped:
        return int(stopped.code or 0)
    return 0


NO_FIT = "`weights` {0}.safetensors does not fit the model: {1}"
FEW = "it has no '0.bias', which the model needs (2 more like it). Build the model that the weights"
GOOD = {"model": "mine.py:model", "data": "mine.py:data"}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"model": "mine.py"}, "`model` is FILE.py:NAME; got mine.py. Write e.g. model.py:net."),
        ({"model": "my.py:model"}, "`model` names the file my.py, which is not there. Write"),
        ({"data": "my.py:data"}, "`data` names the file my.py, which is not there. Write"),
        ({"model": "mine.py:modle"}, "unknown `model` in mine.py: 'modle'; did you mean 'model'?"),
        ({"data": "mine.py:dat"}, "unknown `data` in mine.py: 'dat'; did you mean 'data'?"),
        ({"model": "mine.py:number"}, "`model` mine.py:number is of type int; name a torch.nn"),
        ({"model": "mine.py:needs"}, "`model` mine.py:needs needs the arguments width; it is"),
        ({"data": "mine.py:breaks"}, "`data` mine.py:breaks cannot be called: OSError: no such m"),
        ({"data": "mine.py:leaves"}, "`data` mine.py:leaves cannot be called: SystemExit: 5."),
        ({"data": "mine.py:number"}, "`data` is a tensor, a pair (inputs, labels), a Dataset or"),
        ({"data": "mine.py:wide"}, "`data` does not fit `model` (Sequential): its first batch"),
        ({"data": "mine.py:spoilt"}, "site '0': 480 of 480 activities of examples 0 to 59 are Na"),
        ({"model": "file:model"}, "`model` names file, which is no Python file; give FILE.py:NAM"),
        ({"sites": "1"}, "unknown site '1'. Known: 0."),
        ({"precision": "2"}, "`precision` is how far bounds may lie from the share of prunable"),
        ({"tolerance": "20"}, "`tolerance` is a share in [0, 1); got 20. For 20 percent pass 0.2."),
        ({"tolerance": "nan"}, "`tolerance` is a share in [0, 1); got nan."),
        ({"batch-size": "0"}, "`batch_size` is a whole number of at least 1; got 0."),
        ({"device": "tpu"}, "`device` tpu is not available on this machine; it has cpu"),
        ({"out": "file/in"}, "`out` file/in cannot be written (Not a directory); name a folder"),
        ({"out": "file"}, "`out` file cannot be written (File exists); name a folder that can."),
        ({"weights": "no.safetensors"}, "`weights` names no.safetensors, which is not there"),
        ({"weights": "."}, "`weights` names ., which is a folder; name a safetensors file."),
        ({"weights": "other.safetensors"}, "`weights` other.safetensors is no safetensors file"),
        ({"weights": "shape.safetensors"}, NO_FIT.format("shape", "'0.weight' has shape (5, 4), ")),
        ({"weights": "few.safetensors"}, NO_FIT.format("few", FEW)),
        ({"weights": "many.safetensors"}, NO_FIT.format("many", "it has '9.bias', which the ")),
    ],
)
def test_command_line_says_one_line_and_exits_with_2(
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changed: dict[str, str],
    words: str,
) -> None:
    given = {**GOOD, "out": "out", **changed}
    model = given.pop("model")
    flags = [word for name, value in given.items() for word in (f"--{name}", value)]
    assert frivolous(monkeypatch, "measure", model, *flags) == 2
    said = capsys.readouterr()
    assert said.err.startswith(f"frivolous: {words}")
    assert said.err.count("\n") == 1
    assert said.out == ""


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("raise ValueError('two\\nlines')", "ValueError: two lines. Correct the file; `python "),
        ("import no_such_module_anywhere", "ModuleNotFoundError: No module named 'no_such_module"),
        ("def broken(:", "SyntaxError: invalid syntax (bad.py, line 1). Correct the file"),
        ("import sys; sys.exit(0)", "SystemExit: 0. Correct the file"),
    ],
)
def test_file_that_cannot_be_imported(
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    source: str,
    words: str,
) -> None:
    (place / "bad.py").write_text(source + "\n")
    assert frivolous(monkeypatch, "measure", "bad.py:model", "--data", "mine.py:data") == 2
    said = capsys.readouterr().err
    assert said.startswith(f"frivolous: `model`: bad.py cannot be imported: {words}")
    assert "bad" not in sys.modules
    assert not (place / "measurement").exists()


def test_nothing_is_written_when_nothing_was_measured(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("measure", "mine.py:needs", "--data", "mine.py:data", "--out", "out")
    assert frivolous(monkeypatch, *arguments) == 2
    assert not (place / "out").exists()


def test_good_arguments_are_measured(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the refusals above differ from by one argument each."""
    flags = ("--data", "mine.py:data", "--weights", "fits.safetensors", "--out", "deep/out")
    assert frivolous(monkeypatch, "measure", "mine.py:model", *flags) == 0
    assert "accuracy" in capsys.readouterr().out
    assert sorted(path.name for path in (place / "deep" / "out").iterdir()) == [
        "correlations.parquet",
        "curves.parquet",
        "joint.parquet",
        "joint.png",
        "joint.svg",
        "measurement.json",
        "measurement.png",
        "measurement.svg",
        "table.parquet",
        "units.parquet",
    ]


def test_stopped_by_hand_what_is_done_is_written(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def pressed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "single_effects", pressed)
    flags = ("--data", "mine.py:data", "--out", "out", "--precision", "0.1")
    assert frivolous(monkeypatch, "measure", "mine.py:model", *flags) == 130
    said = capsys.readouterr()
    assert "stopped during units alone: what came after is missing" in " ".join(said.out.split())
    assert said.err.splitlines()[-1] == (
        "frivolous: stopped during units alone; what was measured until then is in out"
    )
    kept = fv.load_measurement(place / "out")
    assert kept.facts["stopped"] == "units alone"
    assert kept.facts["precision"] == 0.1
    assert set(kept.table.measure) >= {"prunable", "redundant"}
    assert not (place / "out" / "joint.png").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("mine.py:nothing",), "frivolous: unknown `model` in mine.py: 'nothing'"),
        (("mine.py:model", "--grain", "pixel"), "pixel"),
    ],
)
def test_from_a_shell(place: Path, flags: tuple[str, ...], words: str) -> None:
    """A child process: no traceback, nothing on standard output, exit code 2."""
    command = [sys.executable, "-c", "from frivolous.cli.verbs import main; main()", "measure"]
    done = subprocess.run(
        [*command, *flags, "--data", "mine.py:data"],
        check=False,
        capture_output=True,
        text=True,
        cwd=place,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr


def test_json_for_scripts(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--data", "mine.py:data", "--out", "out", "--unit-examples", "7", "--json")
    assert frivolous(monkeypatch, "measure", "mine.py:model", *flags) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told) == {"folder", "facts", "table", "units", "joint"}
    found = fv.load_measurement(told["folder"])
    assert [row["value"] for row in told["table"]] == pytest.approx(found.table.value.tolist())
    assert [row["kind"] for row in told["units"]] == found.units.kind.tolist()
    assert told["facts"] == found.facts
    assert max(row["examples"] for row in told["units"]) <= 7


def test_what_is_left_out_on_the_command_line(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--data", "mine.py:data", "--unit-examples", "None", "--joint-tolerance", "None")
    assert frivolous(monkeypatch, "measure", "mine.py:model", *flags) == 0
    text = capsys.readouterr().out
    assert "prunable" in text
    assert "effective" not in text
    assert "kinds" not in text


def test_wrong_joint_tolerance_is_one_line(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--data", "mine.py:data", "--joint-tolerance", "2")
    assert frivolous(monkeypatch, "measure", "mine.py:model", *flags) == 2
    line = "`joint_tolerance` is a share in [0, 1); got 2. For 2 percent pass 0.02."
    assert line in capsys.readouterr().err
