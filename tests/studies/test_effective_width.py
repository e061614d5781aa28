"""The study of effective width: the same networks, one more measure, other runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

import frivolous as fv
from frivolous.data import teacher_data
from frivolous.measures import AS_PUBLISHED
from frivolous.rng import seed_of
from frivolous.store import run_id
from frivolous.studies import STUDIES, Study
from frivolous.studies.papers.dense_curves import SCALES, Scale
from frivolous.studies.papers.image_curves import ImageCurve
from frivolous.studies.report import report_html
from frivolous.studies.result import StudyResult
from frivolous.studies.runs.train_dense import model_of
from frivolous.text.study import gain_lines, study_text

STUDY = STUDIES["effective-width"]
COUNTS = ["effective", "non_prunable", "non_redundant"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("effective")


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """Make dense networks at scale cpu 4, 8 and 16 units wide, and train them 12 updates."""
    with pytest.MonkeyPatch.context() as patch:
        words = "4 hidden units for 128"
        tiny = Scale("cpu", 4, 20, 2, replicates=2, most_rates=2, shrinks=words)
        patch.setitem(SCALES, "cpu", tiny)
        yield


def shrunk(study: Study, curves: list[str]) -> Study:
    return replace(study.only(curves=curves), size_factors=(1.0, 2.0, 4.0), part=(), shortened="")


@pytest.fixture(scope="module")
def result(store: Path) -> StudyResult:
    return shrunk(STUDY, ["10dim - 1e-2", "10dim - 1"]).run(store, scale="cpu", weights="all")


def test_a_run_with_the_measure_has_a_name_of_its_own_and_others_keep_theirs() -> None:
    with_it, without = STUDY.cells()[0].prototype, STUDIES["fig4d"].cells()[0].prototype
    measured = with_it.resolved()["measured"]
    assert measured.pop("joint_tolerance") == 0.02
    assert measured == without.resolved()["measured"]
    assert run_id(with_it.resolved()) != run_id(without.resolved())
    images = [cell.prototype.resolved() for cell in STUDIES["fig4a"].cells()]
    assert not any("joint_tolerance" in spec["measured"] for spec in images)
    joint = [cell for cell in STUDY.cells() if cell.curve == "ResNet56"]
    assert {cell.prototype.resolved()["measured"]["joint_tolerance"] for cell in joint} == {0.02}


def test_every_network_has_three_counts_and_is_one_of_another_study() -> None:
    curves = [curve.name for curve in STUDY.curves]
    assert [(panel.name, panel.measure) for panel in STUDY.panels] == [
        (curve, count) for curve in curves for count in COUNTS
    ]
    theirs = {c.name for name in ("fig4a", "fig4d") for c in STUDIES[name].curves}
    assert set(curves) < theirs


def test_networks_and_the_papers_counts_are_those_of_the_figure(
    result: StudyResult, store: Path
) -> None:
    like = shrunk(STUDIES["fig4d"], ["10dim - 1e-2", "10dim - 1"])
    other = like.run(store, scale="cpu", weights="all")
    pd.testing.assert_frame_equal(result.choices(), other.choices())
    for mine, theirs in zip(result.runs, other.runs, strict=True):
        first, second = (result.store.get(id).weights() for id in (mine, theirs))
        assert all(torch.equal(first[name], second[name]) for name in first)
    keys = ["curve", "size_factor", "replicate"]
    ours, counted = result.table.set_index(keys), other.table.set_index(keys)
    for measure in ("prunable", "redundant"):
        left = ours[ours["measure"] == f"non_{measure}"]["value"]
        taken = counted[counted["measure"] == measure]["value"]
        whole = left.index.get_level_values("size_factor") / 4
        pd.testing.assert_series_equal(left + taken, whole.to_series(left.index), check_names=False)


def test_effective_width_is_what_measuring_the_stored_network_gives(result: StudyResult) -> None:
    test = teacher_data(10, seed=0).test.first(768)
    for one in result.chosen[1::2]:
        for replicate, id in enumerate(one.runs):
            run = result.store.get(id)
            model = model_of(one.cell.spec(one.candidate, replicate))  # type: ignore[arg-type]
            model.load_state_dict(run.weights())
            found = fv.measure(
                *(model, (test.inputs, test.labels)),
                protocol=AS_PUBLISHED,
                unit_examples=None,
                batch_size=768,
                seed=seed_of("measures", 0, replicate),
            )
            rows = result.table[(result.table["run"] == id) & (result.table.measure == "effective")]
            share = found.value("effective") / one.cell.width * one.cell.size_factor / 4
            assert rows["value"].tolist() == [pytest.approx(share)]
            pd.testing.assert_frame_equal(run.frame("joint"), found.joint)
            assert not found.facts["fitted_to_themselves"]


def test_gains_stand_beside_those_of_the_papers_curves(result: StudyResult) -> None:
    gains = result.gains.set_index(["curve", "measure"])
    assert gains.index.tolist() == [
        (curve, count) for curve in ("10dim - 1e-2", "10dim - 1") for count in COUNTS
    ]
    told = gains["published_min"]
    assert (told["10dim - 1", "non_prunable"], told["10dim - 1", "non_redundant"]) == (
        1.8741,
        1.1729,
    )
    assert told[:, "effective"].isna().all()
    lines = gain_lines(result)
    assert lines[0].startswith("panel 10dim - 1e-2, effective: gain per doubling ")
    assert lines[0].endswith("]; nothing published")
    assert lines[1].endswith("]; published 1.76")
    assert "effective and non-prunable and non-redundant units as shares" in study_text(result)


def test_figure_and_report_are_drawn(result: StudyResult) -> None:
    figure = result.figure()
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["10dim - 1e-2", "10dim - 1"]
    words = " ".join(text.get_text() for text in figure.texts)
    assert f"Claim: {STUDY.claim}" in words
    assert result.figure_beside() is None
    page = report_html(result)
    assert "Effective units (panel 10dim - 1): measured gain per doubling" in page
    assert "readers re-fitted; layer by layer, summed" in page


def test_image_networks_sum_their_layers(store: Path) -> None:
    curve = next(one for one in STUDY.curves if one.name == "AlexNet-Random")
    assert isinstance(curve, ImageCurve)
    scale = curve.scale("cpu")
    family = dict(scale.family) | {"base": (4, 4, 8, 8), "image": (3, 8, 8)}
    small = replace(
        scale,
        family=tuple(family.items()),
        training=(("epochs", 1),),
        source=replace(scale.source, options=(("channels", 3), ("size", 8))),
    )
    curve = replace(curve, scales={**curve.scales, "cpu": small})
    panels = tuple(panel for panel in STUDY.panels if panel.name == curve.name)
    study = replace(STUDY, curves=(curve,), panels=panels, size_factors=(1.0,))
    result = study.run(store, scale="cpu")
    (id,) = result.runs
    run = result.store.get(id)
    rows = run.measures[run.measures["measure"] == "effective"].set_index("site")
    assert list(rows.index) == ["conv1", "conv2", "fc3", "fc4", "all"]
    assert rows["value"]["all"] == rows["value"].drop("all").sum()
    assert set(run.frame("joint")["site"]) == {"conv1", "conv2", "fc3", "fc4"}
    value = result.table[result.table["measure"] == "effective"]["value"].item()
    assert value == pytest.approx(rows["value"]["all"] / 24 / 4)
