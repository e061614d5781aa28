"""Load saved compressions in a process that has never seen them, and compare what they give.

``python -m fuzzing.reload FOLDER ...`` prints one JSON object: the fault of each folder, or "".
"""

from __future__ import annotations

import json
import subprocess
import sys
import traceback
import warnings
from pathlib import Path

import torch

import frivolous as fv
from fuzzing.given import scores_of
from fuzzing.networks import drawn
from fuzzing.source import built

ROOT = Path(__file__).parents[1]


def faults_of(folders: list[str], seconds: float = 300) -> dict[str, str]:
    """The fault of each folder, found in one fresh process."""
    if not folders:
        return {}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "fuzzing.reload", *folders],
        cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False,
    )  # fmt: skip
    if done.returncode:
        return dict.fromkeys(folders, f"the process that loads ended: {done.stderr[-500:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _fault(folder: Path) -> str:
    net = drawn(int(folder.name))
    kept = torch.load(folder / "scores.pt", weights_only=True)
    try:
        module = fv.load_compressed(folder / "thin", lambda: built(net))
        scores = scores_of(net, module, kept["inputs"])
    except Exception:  # noqa: BLE001 - any error is the fault that is looked for
        return traceback.format_exc()[-1500:]
    apart = float((scores.double() - kept["scores"].double()).abs().max())
    return "" if apart <= 1e-5 * max(1.0, float(scores.abs().max())) else f"{apart:.3g} apart"


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    print(json.dumps({folder: _fault(Path(folder)) for folder in sys.argv[1:]}))
