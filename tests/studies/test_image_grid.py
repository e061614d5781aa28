"""The grids of the image studies: against the published figures and the papers' protocol."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from frivolous import published
from frivolous.data import PREPARATIONS
from frivolous.errors import BadArgument, UnknownName
from frivolous.families import FAMILIES
from frivolous.measures.registry import measure_named
from frivolous.studies import STUDIES, Study
from frivolous.studies.panel_values import READINGS
from frivolous.studies.runs.image_spec import ImageSpec

FINAL = [name for name in STUDIES if name.startswith("fig")]
EARLIER = {
    "preprint": "2 3 4 5 6 B1 B2 B3 B6 B7 B8 B9 B10 B12 B13",
    "iclr": "1 2 3 4 5 A1 B2 C3 C4 C7 C8 C9 C10 C11 C13 C14",
}


def specs(study: Study, scale: str = "paper") -> Iterator[tuple[str, float, ImageSpec]]:
    for cell in study.cells(scale):
        for spec in cell.search_ids.values():
            if isinstance(spec, ImageSpec):
                yield cell.curve, cell.size_factor, spec


def one(name: str, curve: str, size: float = 1.0, scale: str = "paper") -> ImageSpec:
    found = specs(STUDIES[name].only(curves=[curve], sizes=[size]), scale)
    return next(spec for _, _, spec in found)


def ids(name: str, curve: str) -> set[str]:
    cells = STUDIES[name].only(curves=[curve]).cells()
    return {id for cell in cells for id in cell.search_ids}


def test_every_figure_of_the_three_papers_has_a_study() -> None:
    final = [f"fig1{x}" for x in "abc"] + [f"fig{n}{x}" for n in (2, 3, 4) for x in "abcd"]
    final += [f"figE{n}" for n in range(1, 13)]
    earlier = [f"{paper}-fig{x}" for paper, names in EARLIER.items() for x in names.split()]
    assert set(STUDIES) == {*final, *earlier, "effective-width"}
    assert all(study.name == name for name, study in STUDIES.items())


@pytest.mark.parametrize("name", FINAL)
def test_a_study_has_every_published_point_of_its_figure_and_no_other(name: str) -> None:
    study = STUDIES[name]
    told = published.read(name).values
    mine = {
        (panel.name, panel.measure, line.name, cell.size_factor)
        for panel in study.panels
        for line in study.lines(panel)
        for cell in study.grid()
        if cell.curve == line.curve
    }
    panels = {(panel.name, panel.measure) for panel in study.panels}
    asked = told[told["split"].isin(["", "test"])]
    if study.kind == "past":  # its published curves are the sizes of one network
        asked = asked.assign(curve="ResNet18")
    points = set(asked[["panel", "measure", "curve", "size_factor"]].itertuples(index=False))
    points = {tuple(point) for point in points}
    assert {point[:2] for point in points} <= panels
    here = {point for point in mine if point[:2] in {key[:2] for key in points}}
    if study.kind == "past":
        points |= {point for point in here if point[3] in {key[3] for key in points}}
    assert here == points


@pytest.mark.parametrize("scale", ["paper", "cpu"])
@pytest.mark.parametrize("name", STUDIES)
def test_every_line_names_a_curve_a_layer_and_a_measure_that_there_are(
    name: str, scale: str
) -> None:
    study = STUDIES[name]
    curves = {curve.name: curve for curve in study.curves}
    for panel in study.panels:
        reading = measure_named(panel.measure).scale.reading
        assert reading in READINGS or panel.measure == "num_parameters"
        for line in panel.series:
            assert line.curve in curves
            layers = getattr(curves[line.curve], "layers", ())
            assert line.site == "all" or line.site in layers
    assert (study.shrinks(scale) == "") == (scale == "paper" or study.kind == "parameters")
    assert study.cost_of(scale)


@pytest.mark.parametrize("scale", ["paper", "cpu"])
def test_every_spec_is_one_that_data_family_loop_and_measurement_take(scale: str) -> None:
    for study in STUDIES.values():
        for curve, _, spec in specs(study, scale):
            family = FAMILIES[spec.family.name]
            assert set(spec.measured.layers) <= set(family.layers), curve
            assert set(spec.measured.ablated) <= set(spec.measured.layers), curve
            assert spec.training.preparation in PREPARATIONS
            assert spec.training.updates_per_epoch is not None
            assert spec.width > 0
            assert spec.cost > 0


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("fig4c", "Glorot Norm"), ("fig4b", "None")),
        (("fig4c", "Glorot Norm"), ("figE11", "AlexNet-k=1")),
        (("fig4c", "He Norm"), ("fig2b", "He init AlexNet")),
        (("fig4a", "AlexNet (all regularizers)"), ("fig4b", "All")),
        (("fig4a", "ResNet56"), ("figE11", "ResNet-k=1")),
        (("fig1a", "ResNet18"), ("fig3c", "ResNet18")),
        (("fig3a", "ResNet18"), ("figE10", "batch max")),
        (("figE12", "ResNet18"), ("fig3d", "ResNet18")),
        (("fig3a", "Inceptionv3-layer"), ("figE5", "Inceptionv3-layer")),
        (("fig4a", "AlexNet-Random"), ("iclr-figB2", "Random labels")),
    ],
)
def test_networks_of_several_figures_are_trained_once(
    first: tuple[str, str], second: tuple[str, str]
) -> None:
    a, b = ids(*first), ids(*second)
    assert a <= b or b <= a


def test_curves_of_a_figure_share_no_network_but_where_they_are_one_experiment() -> None:
    curves = ["AlexNet (all regularizers)", "AlexNet-Random", "ResNet56", "ResNet56-Random"]
    found = [ids("fig4a", curve) for curve in curves]
    found += [ids("fig4b", curve) for curve in ("None", "DataAug.", "Dropout", "W. Decay")]
    found += [ids("figE6", curve) for curve in ("Glorot Unif.", "He Unif.", "Lecun Unif.")]
    assert len(set().union(*found)) == sum(map(len, found))


def test_alexnets_are_trained_as_the_original_code_does() -> None:
    plain = one("fig4c", "Glorot Norm").training
    assert (plain.optimiser, plain.learning_rate, plain.decay) == ("momentum", 0.01, 0.95)
    assert (plain.batch_size, plain.updates_per_epoch, plain.shuffle) == (128, 370, False)
    assert (plain.epochs, plain.patience, plain.select) == (500, 50, "validation")
    assert one("fig4c", "Glorot Norm").measured.examples == 9856
    assert one("figE11", "AlexNet-k=0.25").measured.examples == 9952
    assert one("figE11", "AlexNet-k=4").measured.examples == 9216
    assert one("figE11", "AlexNet-k=4").training.learning_rate == 0.04
    every = one("fig4b", "All")
    assert every.training.weight_decay == 1e-3
    assert every.training.decayed == ("fc3.weight", "fc4.weight")
    assert every.training.preparation == "alexnet-augmented"
    assert dict(every.family.options)["dropout"] == 0.5
    assert every.training.epochs == 1000
    random = one("fig4a", "AlexNet-Random")
    assert random.data.random_labels
    assert (random.training.epochs, random.training.select) == (5000, "train")
    assert random.training.stop_at_train_accuracy == 1.0
    assert dict(random.data.options)["train"] == 47_500


def test_residual_networks_are_trained_as_the_original_code_does() -> None:
    small = one("fig4a", "ResNet56").training
    assert (small.learning_rate, small.batch_size, small.epochs) == (0.1, 128, 182)
    assert small.boundaries == pytest.approx((95.79, 143.16), abs=0.01)
    assert (small.weight_decay, small.decayed, small.select) == (2e-4, ("*",), "last")
    assert one("fig4a", "ResNet56-Random").training.weight_decay == 0
    assert one("fig4a", "ResNet56-Random").training.preparation == "resnet56"
    large = {size: one("fig3a", "ResNet18", size) for size in (0.25, 0.5, 1.0, 2.0, 4.0)}
    batches = [spec.training.batch_size for spec in large.values()]
    assert batches == [8192, 4096, 3072, 1024, 512]
    for spec in large.values():
        training = spec.training
        assert training.learning_rate == pytest.approx(0.128 * training.batch_size / 256)
        assert (training.warmup, training.boundaries) == (5.0, (30.0, 60.0, 80.0))
        assert (training.epochs, training.snapshots) == (90, (8, 6, 4, 2))
        assert (spec.measured.sites, spec.measured.draws) == ("mean of single sites", 1)
        assert (spec.measured.samplings, spec.measured.examples) == (1, 50_000)
        assert spec.measured.before_normalisation == ("init-conv",)


def test_a_part_of_a_study_keeps_its_networks_and_says_what_it_leaves_out() -> None:
    part = STUDIES["fig4c"].only(curves=["He Norm"], sizes=[0.25, 0.5], epochs=12)
    assert part.part == ("--curves", "He Norm", "--sizes", "0.25", "0.5", "--epochs", "12")
    assert part.shortened == "only curves He Norm; only sizes 0.25, 0.5; at most 12 epochs"
    late = STUDIES["figE12"].only(sizes=[0.25], epochs=5)
    assert {spec.training.snapshots for _, _, spec in specs(late)} == {(4, 2)}
    whole = STUDIES["fig4c"].only(curves=["He Norm"], sizes=[0.25, 0.5])
    assert {spec.training.epochs for _, _, spec in specs(part)} == {12}
    assert {id for cell in whole.cells() for id in cell.search_ids} < ids("fig4c", "He Norm")
    with pytest.raises(UnknownName, match="unknown curve of fig4c 'He'; did you mean 'He Norm'"):
        STUDIES["fig4c"].only(curves=["He"])
    with pytest.raises(BadArgument, match="`sizes` has 3; the size factors of fig4c are 0.25, 0.5"):
        STUDIES["fig4c"].only(sizes=[3.0])
    with pytest.raises(BadArgument, match="`epochs` must be at least 1; got 0."):
        STUDIES["fig4c"].only(epochs=0)
