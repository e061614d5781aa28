"""Image studies small enough for a test: their numbers from the stored weights, failures, kills."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from frivolous.ablation.curves import permutation
from frivolous.data import digits
from frivolous.data.images.transforms import PREPARATIONS
from frivolous.rng import seed_of
from frivolous.studies import STUDIES, Study
from frivolous.studies.papers.image_curves import ImageCurve
from frivolous.studies.report import all_html, report_html
from frivolous.studies.result import StudyResult
from frivolous.studies.runs.train_image import model_of
from frivolous.text.study import study_text

SMALL = {"base": (8, 8, 24, 24), "image": (3, 8, 8)}
CHILD = """
import sys
sys.path.insert(0, sys.argv[1])
from test_image_studies import small
small("fig4c").run(sys.argv[2], scale="cpu")
"""


def shrunk(curve: ImageCurve, **training: Any) -> ImageCurve:
    """Return a curve with tiny AlexNets on tiny digits, two epochs of training."""
    scale = curve.scale("cpu")
    options = tuple((dict(scale.family) | SMALL).items())
    fields = tuple(({"epochs": 2} | training).items())
    source = replace(scale.source, options=(("channels", 3), ("size", 8)))
    small = replace(scale, family=options, training=fields, source=source)
    return replace(curve, scales=curve.scales | {"cpu": small})


def small(name: str, **training: Any) -> Study:
    study = STUDIES[name]
    curves = tuple(shrunk(curve, **training) for curve in study.curves[:2])  # type: ignore[arg-type]
    names = {curve.name for curve in curves}
    panels = tuple(
        panel
        for panel in study.panels
        if not panel.series or {line.curve for line in panel.series} <= names
    )
    return replace(study, curves=curves, panels=panels, size_factors=(0.5, 1.0))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="module")
def result(store: Path) -> StudyResult:
    return small("fig4c").run(store, scale="cpu")


def forward(weights: dict[str, torch.Tensor], images: torch.Tensor, kept: Any) -> Any:
    """The papers' AlexNet written out, with masks on its four layers; scores and activities."""
    seen = []
    maps = images
    for layer in ("conv1", "conv2"):
        maps = F.conv2d(maps, weights[f"{layer}.weight"], weights[f"{layer}.bias"], padding=2)
        seen.append(F.relu(maps))
        maps = F.max_pool2d(seen[-1] * kept[layer][:, None, None], 3, 2, ceil_mode=True)
        maps = F.local_response_norm(maps, 5, alpha=1e-4, beta=0.75, k=1.0)
    value = maps.flatten(1)
    for layer in ("fc3", "fc4"):
        seen.append(F.relu(F.linear(value, weights[f"{layer}.weight"], weights[f"{layer}.bias"])))
        value = seen[-1] * kept[layer]
    return F.linear(value, weights["out.weight"], weights["out.bias"]), seen


def test_values_agree_with_a_plain_network_with_the_stored_weights(result: StudyResult) -> None:
    data = digits(size=8, channels=3)
    layers = ("conv1", "conv2", "fc3", "fc4")
    for one in result.chosen[:2]:
        (id,) = one.runs
        run = result.store.get(id)
        weights, spec = run.weights(), run.spec
        examples = spec["measured"]["examples"]
        assert examples == 448  # 500 in batches of 32, the last two left out
        images = PREPARATIONS["alexnet"].test(data.test.inputs[:examples])
        whole = {layer: torch.ones(len(weights[f"{layer}.bias"])) for layer in layers}
        scores, seen = forward(weights, images, whole)
        intact = scores.argmax(1)
        right = (intact == data.test.labels[:examples]).double().mean()
        assert run.facts["test_accuracy"] == pytest.approx(float(right), abs=1e-9)
        seed = seed_of("measures", 0, 0)
        unchanged = np.zeros((3, 7))
        for draw in range(3):
            for step in range(7):
                kept = {}
                for depth, layer in enumerate(layers):
                    units = len(whole[layer])
                    order = permutation(units, seed, draw, depth)
                    kept[layer] = whole[layer].clone()
                    kept[layer][order[: int(step / 6 * units)]] = 0
                labels = forward(weights, images, kept)[0].argmax(1)
                unchanged[draw, step] = float((labels == intact).double().mean())
        curves = run.frame("curves")
        found = curves[curves["site"] == "all"].pivot(
            index="draw", columns="fraction", values="unchanged"
        )
        # Labels may differ where two scores tie within rounding.
        assert np.abs(found.to_numpy() - unchanged).max() <= 1 / examples
        measures = run.measures.set_index(["site", "measure"])["value"]
        for layer, value in zip(layers[2:], seen[2:], strict=True):
            numbers = np.linalg.eigvalsh(np.cov(value.double().numpy().T))
            share = np.cumsum(numbers) / numbers.sum()
            assert measures[layer, "redundant"] == (share <= 0.05).sum() + 1
            r = np.abs(np.corrcoef(value.double().numpy()[:, value.std(0) > 0].T))
            pairs = r[np.triu_indices(len(r), 1)]
            told = pairs[pairs < 0.99999].mean()
            assert measures[layer, "mean_abs_r"] == pytest.approx(told, abs=1e-6)


def test_random_labels_regularisers_and_starts_are_told_apart(store: Path) -> None:
    study = small("fig4b")
    specs = {
        cell.curve: next(iter(cell.search_ids.values())) for cell in small("fig4c").cells("cpu")
    }
    glorot, he = (model_of(spec).state_dict() for spec in specs.values())  # type: ignore[arg-type]
    ratio = he["fc3.weight"].std() / glorot["fc3.weight"].std()
    assert ratio == pytest.approx(np.sqrt((32 + 24) / 32), rel=0.1)
    assert study.run(store, scale="cpu").table["value"].notna().all()


def test_a_network_whose_loss_is_no_number_is_marked_and_the_study_goes_on(
    result: StudyResult, store: Path
) -> None:
    failing = shrunk(STUDIES["fig4c"].curves[0], learning_rate=1e30)  # type: ignore[arg-type]
    study = small("fig4c")
    study = replace(study, curves=(replace(failing, name="Glorot Norm"), study.curves[1]))
    found = study.run(store, scale="cpu")
    assert set(found.failed["curve"]) == {"Glorot Norm"}
    assert len(found.failed) == 2
    assert (found.failed["step"] >= 1).all()
    values = found.table.groupby("curve")["value"]
    assert values.apply(lambda part: part.isna().all()).to_dict() == {
        "Glorot Norm": True,
        "He Norm": False,
    }
    page = report_html(found)
    assert "Failed runs" in page
    assert str(int(found.failed["step"].iloc[0])) in page
    assert "fig4c, scale cpu: one replicate" in study_text(found)


def test_every_kind_of_figure_is_drawn_from_the_same_networks(
    result: StudyResult, store: Path
) -> None:
    before = set(result.store.ids())
    results = [result]
    for name in ("fig1c", "fig2a", "fig2c", "preprint-fig6", "iclr-fig5"):
        study = small(name)
        found = study.run(store, scale="cpu")
        results.append(found)
        assert found.figure().axes
        beside = found.figure_beside()
        expected = name in ("fig1c", "fig2a")
        assert (beside is not None) == expected
    assert set(result.store.ids()) == before
    page = all_html(results)
    assert all(one.study.title in page for one in results)
    assert "not the paper's" in page


@pytest.mark.slow
def test_a_study_killed_in_training_ends_in_the_same_table(
    result: StudyResult, tmp_path: Path
) -> None:
    here = str(Path(__file__).parent)
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    command = [sys.executable, "-c", CHILD, here, str(tmp_path)]
    child = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    runs = tmp_path / "runs"
    while child.poll() is None and not (runs.exists() and any(runs.iterdir())):
        time.sleep(0.01)
    child.kill()
    child.communicate()
    again = small("fig4c").run(tmp_path, scale="cpu")
    columns = ["panel", "measure", "curve", "size_factor", "value"]
    assert again.table[columns].equals(result.table[columns])
    assert not any((tmp_path / "checkpoints").iterdir())
