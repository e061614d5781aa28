"""The example runs as its docstring says, and the command line measures what it leaves."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
import torch

import frivolous as fv
from frivolous.cli import verbs

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[1] / "examples" / "digits.py"
NAMES = ("dense", "conv")


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """What ``python examples/digits.py`` writes and prints after four epochs."""
    folder = tmp_path_factory.mktemp("digits")
    done = subprocess.run(
        [sys.executable, EXAMPLE, "--out", folder, "--epochs", "4"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "80"},
    )
    assert done.stderr == ""
    return folder, done.stdout


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """The example, imported under a name of its own."""
    spec = importlib.util.spec_from_file_location("digits_example", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", NAMES)
def test_example_writes_weights_tables_and_figure(output: tuple[Path, str], name: str) -> None:
    folder, printed = output
    assert (folder / f"digits-{name}.safetensors").is_file()
    assert (folder / f"digits-{name}.png").read_bytes().startswith(b"\x89PNG")
    table = pd.read_parquet(folder / name / "table.parquet")
    assert set(table.measure) >= {"prunable", "redundant", "area", "similarity", "silent"}
    assert f"digits-{name}: 500 examples" in printed
    assert max(map(len, printed.splitlines())) <= 80 + len(str(folder))


def test_example_networks_learn_the_digits(output: tuple[Path, str]) -> None:
    accuracies = [float(line.split()[1]) for line in output[1].splitlines() if "accuracy" in line]
    assert len(accuracies) == 2
    assert min(accuracies) > 0.8


@pytest.mark.parametrize("name", NAMES)
def test_command_line_measures_what_the_example_saved(
    output: tuple[Path, str],
    example: ModuleType,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, _ = output
    weights = folder / f"digits-{name}.safetensors"
    arguments = ["measure", f"{EXAMPLE}:{name}", "--weights", str(weights)]
    arguments += ["--data", f"{EXAMPLE}:test_data", "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["frivolous", *arguments])
    monkeypatch.setattr(sys, "path", list(sys.path))
    verbs.main()
    assert "500 examples" in capsys.readouterr().out
    for file in ("measurement.png", "measurement.svg", "table.parquet", "curves.parquet"):
        assert (tmp_path / "out" / file).stat().st_size > 0
    # Model, weights and data go through files and come out as they were.
    written = pd.read_parquet(tmp_path / "out" / "table.parquet")
    pd.testing.assert_frame_equal(written, pd.read_parquet(folder / name / "table.parquet"))


def test_command_line_compresses_what_the_example_saved(
    output: tuple[Path, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    weights = output[0] / "digits-dense.safetensors"
    arguments = ["compress", f"{EXAMPLE}:dense", "--weights", str(weights), "--tolerance", "0.05"]
    arguments += ["--data", f"{EXAMPLE}:test_data", "--out", str(tmp_path / "thin")]
    monkeypatch.setattr(sys, "argv", ["frivolous", *arguments])
    monkeypatch.setattr(sys, "path", list(sys.path))
    verbs.main()
    assert "Labels changed" in capsys.readouterr().out
    assert (tmp_path / "thin" / "model.safetensors").stat().st_size > 0


def test_training_depends_on_its_seed_alone(example: ModuleType) -> None:
    """The same weights whatever the global generator holds, which is left as it was."""
    before, data = torch.random.get_rng_state(), example.digits(seed=0).train
    states = []
    for elsewhere, seed in ((5, 0), (6, 0), (6, 1)):
        torch.manual_seed(elsewhere)
        model = example.conv()
        left = torch.random.get_rng_state()
        example.train(model, data, epochs=1, seed=seed)
        assert torch.equal(torch.random.get_rng_state(), left)
        states.append(model.state_dict())
    torch.random.set_rng_state(before)
    first, second, other = states
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])


def test_sites_are_named_as_the_layers(example: ModuleType) -> None:
    images = example.test_data()[0][:2]
    assert [site.name for site in fv.trace(example.dense(), images).sites] == ["fc1", "fc2"]
    assert [site.name for site in fv.trace(example.conv(), images).sites] == [
        "conv1",
        "conv2",
        "fc",
    ]


def test_units_counted_jointly(tmp_path: Path) -> None:
    script = EXAMPLE.with_name("jointly.py")
    words = [sys.executable, script, "--out", tmp_path, "--widths", "8", "16"]
    done = subprocess.run(
        [*words, "--networks", "2", "--epochs", "2"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.stderr == ""
    table = pd.read_parquet(tmp_path / "counts.parquet")
    assert table.width.tolist() == [8, 8, 16, 16]
    assert (table.effective <= table.width).all()
    mean = table[table.width == 16].effective.mean()
    assert f"{mean:.1f} [" in done.stdout
    assert "effective: times " in done.stdout
    assert (tmp_path / "jointly.png").read_bytes().startswith(b"\x89PNG")


def test_methods_of_compression_side_by_side(tmp_path: Path) -> None:
    script = EXAMPLE.with_name("compressing.py")
    words = [sys.executable, script, "--out", tmp_path, "--network", "dense", "--epochs", "4"]
    done = subprocess.run(
        [*words, "--methods", "joint", "random", "--budgets", "0.5", "0.1", "--tolerance", "0.1"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.stderr == ""
    table = pd.read_parquet(tmp_path / "compressing.parquet")
    assert table.method.tolist() == ["joint", "joint", "random", "random"]
    assert (table.parameters <= table.budget).all()
    assert ((table.low <= table.unchanged) & (table.unchanged <= table.high)).all()
    assert f"{100 * table.unchanged[0]:.1f} [" in done.stdout
    assert "Compressed (joint, tolerance 0.1)" in done.stdout
    assert (tmp_path / "compressing.png").read_bytes().startswith(b"\x89PNG")
