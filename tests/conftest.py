"""A study small enough to run in a test, here and in child processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# The modules beside the tests, which hold what the tests ask about, can be imported.
sys.path.insert(0, str(Path(__file__).parent))

# A shell starts what runs in its background deaf to Ctrl-C, and its children are born so.
HEED = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
SHRINK = f"import runpy; runpy.run_path({__file__!r})['shrink'](dict.__setitem__)\n"


def shrink(put: Callable[[dict[str, Any], str, Any], None]) -> Any:
    """Make figE7 at scale cpu two curves of 4, 8 and 16 units: 24 networks of 12 updates each."""
    from dataclasses import replace

    from frivolous.studies import STUDIES
    from frivolous.studies.papers.dense_curves import SCALES, Scale

    study = STUDIES["figE7"]
    small = replace(study, curves=study.curves[1:3], size_factors=(1.0, 2.0, 4.0))
    words = "4 hidden units for 128"
    put(SCALES, "cpu", Scale("cpu", 4, 20, 2, replicates=2, most_rates=2, shrinks=words))
    put(STUDIES._studies, "figE7", small)  # type: ignore[attr-defined]
    return small


@pytest.fixture(autouse=True)
def drawn_alike() -> None:
    """Layers that a test draws without a word of how are the same whatever ran before it."""
    if (torch := sys.modules.get("torch")) is not None:
        torch.manual_seed(0)


@pytest.fixture(scope="module")
def tiny() -> Iterator[Any]:
    """The small figE7, in the registry too, until the end of the module."""
    with pytest.MonkeyPatch.context() as patch:
        yield shrink(patch.setitem)


@pytest.fixture
def child() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a Python child in which figE7 is small; it is killed at the end if it lives."""
    children: list[subprocess.Popen[str]] = []

    def start(script: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        # Buffered, as a user's shell has it: what is printed may fail as late as at the exit.
        buffered = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
        usual: dict[str, Any] = {"stdin": pipe, "stdout": pipe, "stderr": pipe, "env": buffered}
        process = subprocess.Popen(
            [sys.executable, "-c", HEED + SHRINK + script, *map(str, arguments)],
            text=True,
            **usual | options,
        )
        children.append(process)
        return process

    yield start
    for process in children:
        process.kill()
        process.communicate()
