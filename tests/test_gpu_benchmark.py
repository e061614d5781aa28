"""The benchmark for a GPU runs, here on the CPU at its smallest sizes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.slow


def test_every_part_answers_and_agrees_with_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    import gpu

    few = {"alexnet": 2}
    sizes = gpu.Sizes(0.25, few, {"alexnet": 120}, few, updates=1, seconds=600)
    monkeypatch.setattr(gpu, "PARTS", gpu.PARTS[1:])  # pytest does not run itself
    rows = list(gpu.rows(torch.device("cpu"), sizes))
    assert [what.split()[:2] for what, _, _ in rows] == [
        *(["ablation", "of"], ["training", "alexnet"], ["measure", "alexnet,"]),
        ["compress", "alexnet,"],
    ], rows
    (_, _, labels), _, (_, _, counts), (_, _, silenced) = rows
    assert labels == "0 of 210 labels differ"
    assert counts.endswith("counts differ from the CPU's, curves at most 0 apart")
    assert float(silenced.split(": ")[1].split()[0]) < 1e-4


def test_what_fails_and_what_there_is_no_time_for_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    import gpu

    def failing(*_: object) -> list[tuple[str, str, str]]:
        raise ValueError("no such thing")

    def endless(*_: object) -> list[tuple[str, str, str]]:
        while True:
            pass

    monkeypatch.setattr(gpu, "PARTS", (failing, endless))
    sizes = gpu.Sizes(0.25, {}, {}, {}, updates=1, seconds=0.2)
    assert list(gpu.rows(torch.device("cpu"), sizes)) == [
        ("failing", "FAILED", "ValueError: no such thing"),
        ("endless", "not done", "0 s had gone by"),
    ]
