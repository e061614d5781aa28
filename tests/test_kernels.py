"""Other kernels give other last bits, and the same counts; the same kernels give the same bits."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = """
import hashlib, json, sys
import torch
import frivolous as fv

torch.manual_seed(6)
net = torch.nn.Sequential(
    torch.nn.Conv2d(2, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(8, 8, 3), torch.nn.ReLU(),
    torch.nn.Flatten(), torch.nn.Linear(32, 12), torch.nn.ReLU(), torch.nn.Linear(12, 4),
).eval()
x = torch.randn(400, 2, 4, 4)
with torch.no_grad():
    net[0].weight[3], net[0].bias[3] = net[0].weight[2], net[0].bias[2]  # a copy
    net[-1].bias -= net(x).mean(0)

def digest(tensors):
    return hashlib.sha256(b"".join(t.detach().numpy().tobytes() for t in tensors)).hexdigest()

answers = []
for _ in range(2):
    found = fv.measure(net, x)
    thin = {t: fv.compress(net, x, tolerance=t) for t in (0, 0.1)}
    answers.append({
        "counts": found.curves.unchanged.tolist(),
        "units": {m: found.value(m) for m in ("prunable", "redundant", "effective")},
        "kept": {t: {k: u.tolist() for k, u in c.kept.items()} for t, c in thin.items()},
        "bits": [digest([net(x)]), *(digest(c.model.state_dict().values()) for c in thin.values())],
    })
assert answers[0] == answers[1]
print(json.dumps(answers[0]))
"""


def answer(environment: dict[str, str]) -> dict[str, Any]:
    child = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=False
    )
    assert child.returncode == 0, child.stderr
    found: dict[str, Any] = json.loads(child.stdout)
    return found


@pytest.mark.slow
def test_counts_are_the_same_with_the_kernels_of_any_processor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import kernels

    own = answer(kernels.environment(kernels.SETS[-2]))
    assert len(own["kept"]["0"]["0"]) == 7  # the copy goes
    assert 0 < own["units"]["prunable"] < 28
    others = [
        answer(kernels.environment(other))
        for other in kernels.SETS[:2]
        if kernels.available(other, kernels.in_effect(other))
    ]
    for other in others:
        assert other["units"] == pytest.approx(own["units"])
        assert {**other, "bits": [], "units": {}} == {**own, "bits": [], "units": {}}
    assert not others or any(other["bits"] != own["bits"] for other in others)
