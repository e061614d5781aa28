"""Every study's grid against the protocol of the papers, and what a run is called."""

from __future__ import annotations

import hashlib
import inspect
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from frivolous.data import DATASETS
from frivolous.errors import BadArgument, UnknownName
from frivolous.families.mlp import mlp, parameter_count
from frivolous.measures import AS_PUBLISHED, Protocol
from frivolous.store import run_id
from frivolous.studies import SCALES, STUDIES
from frivolous.studies.runs.dense_spec import DataSpec, RunSpec
from frivolous.training import Recipe

RATES = {1.0, 0.1, 0.01, 0.001, 0.0001}
FACTORS = {1e-2, 1.0, 1e2, 1e4, 1e6}
DENSE = ("fig4d", "figE7", "figE8", "figE9")
RUN_IDS = json.loads(Path(__file__).with_name("run_ids.json").read_text())
SIGMAS = {"1e-4": 1e-2, "1e-2": 1.0, "1": 1e2, "1e2": 1e4, "1e4": 1e6}


def ids(name: str, curve: str | None = None, **options: Any) -> set[str]:
    cells = STUDIES[name].cells(**options)
    return {id for cell in cells if curve in (None, cell.curve) for id in cell.search_ids}


def specs(name: str) -> Iterator[RunSpec]:
    for cell in STUDIES[name].cells():
        yield from cell.search_ids.values()


@pytest.mark.parametrize(
    ("name", "networks"), [("fig4d", 300), ("figE7", 375), ("figE8", 375), ("figE9", 920)]
)
def test_networks_of_each_study_at_paper_scale(name: str, networks: int) -> None:
    assert sum(cell.networks for cell in STUDIES[name].cells()) == networks
    assert STUDIES[name].cost_of("paper").startswith(f"{networks} networks, about ")


@pytest.mark.parametrize("name", DENSE)
def test_every_curve_has_five_widths_of_32_to_512(name: str) -> None:
    study = STUDIES[name]
    found = [(cell.curve, cell.width, cell.size_factor) for cell in study.cells()]
    widths = [(32, 0.25), (64, 0.5), (128, 1.0), (256, 2.0), (512, 4.0)]
    assert found == [(curve.name, *width) for curve in study.curves for width in widths]
    for cell in study.cells():
        family = cell.prototype.family
        assert mlp(family.inputs, family.size_factor, 2, family.base).hidden == (cell.width,)


@pytest.mark.parametrize(
    ("name", "inputs"),
    [("fig4d", {10, 10_000}), ("figE7", {10}), ("figE8", {10_000}), ("figE9", {10_000})],
)
def test_recipes_of_the_protocol(name: str, inputs: set[int]) -> None:
    assert {spec.family.inputs for spec in specs(name)} == inputs
    for spec in specs(name):
        training, data = spec.training, spec.data
        assert data.inputs == spec.family.inputs
        assert (data.train, data.validation, data.test, data.hidden) == (1000, 1000, 1000, 32)
        assert (training.epochs, training.updates_per_epoch, training.batch_size) == (50, 6, 128)
        assert (spec.family.outputs, spec.initialiser.bias) == (2, 0.0)
        assert spec.initialiser.distribution == "truncated-raw"
        first, last = spec.initialiser.sigmas
        assert last == pytest.approx(10 * first, rel=1e-12)
        assert spec.measured.examples == 768
        assert (spec.measured.draws, spec.measured.tolerance) == (3, 0.2)
        assert spec.measured.fractions == tuple(r / 6 for r in range(7))


@pytest.mark.parametrize("name", ["fig4d", "figE7", "figE8"])
def test_dense_figures_choose_among_five_rates_of_momentum(name: str) -> None:
    for cell in STUDIES[name].cells():
        assert {one.learning_rate for one in cell.candidates} == RATES
        assert len(cell.candidates) == 5
        assert (cell.replicates, cell.searched) == (3, 3)
        assert cell.prototype.training.optimiser == "momentum"
        assert cell.prototype.training.decay == 0.95


@pytest.mark.parametrize("name", ["figE7", "figE8"])
def test_legends_are_the_sigma_of_the_output_layer(name: str) -> None:
    for cell in STUDIES[name].cells():
        (factor,) = {one.factor for one in cell.candidates}
        assert factor == SIGMAS[cell.curve]
        sigmas = cell.spec(cell.candidates[0], 0).initialiser.sigmas
        assert sigmas == pytest.approx((1e-3 * factor, float(cell.curve)), rel=1e-12)


def test_optimisers_choose_initialisation_too_and_adam_keeps_its_rate() -> None:
    rates = {
        "Momentum": ("momentum", 0.95, RATES),
        "SGD": ("sgd", 0.95, RATES),
        "Adam": ("adam", 1.0, {1e-3}),
        "RMSprop": ("rmsprop", 0.95, {0.1, 0.01, 1e-3, 1e-4, 1e-5}),
    }
    cells = STUDIES["figE9"].cells()
    assert list(dict.fromkeys(cell.curve for cell in cells)) == list(rates)
    for cell in cells:
        optimiser, decay, of_curve = rates[cell.curve]
        training = cell.prototype.training
        assert (training.optimiser, training.decay) == (optimiser, decay)
        assert {(one.learning_rate, one.factor) for one in cell.candidates} == {
            (rate, factor) for rate in of_curve for factor in FACTORS
        }
        searched = 1 if optimiser in ("adam", "rmsprop") else 3
        assert (cell.replicates, cell.searched) == (3, searched)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(
    ("curve", "study", "same"),
    [
        ("10dim - 1e-2", "figE7", "1e-4"),
        ("10dim - 1", "figE7", "1e-2"),
        ("10Kdim - 1e-2", "figE8", "1e-4"),
        ("10Kdim - 1", "figE8", "1e-2"),
    ],
)
def test_fig4d_shares_its_networks_with_e7_and_e8(
    curve: str, study: str, same: str, scale: str
) -> None:
    assert ids("fig4d", curve, scale=scale) == ids(study, same, scale=scale)


def test_other_curves_scales_and_seeds_share_no_network() -> None:
    e7 = [ids("figE7", curve) for curve in SIGMAS]
    assert sum(map(len, e7)) == len(set().union(*e7)) == 375
    groups = [ids("figE7"), ids("figE8"), ids("figE7", scale="cpu"), ids("figE7", seed=1)]
    assert len(set().union(*groups)) == sum(map(len, groups))


@pytest.mark.parametrize(
    ("inputs", "counts"),
    [(10, (418, 834, 1666, 3330, 6658)), (10_000, (320_098, 640_194, 1_280_386, None, 5_121_538))],
)
def test_parameter_counts_of_the_published_networks(
    inputs: int, counts: tuple[int | None, ...]
) -> None:
    for size, count in zip((0.25, 0.5, 1, 2, 4), counts, strict=True):
        assert count in (None, parameter_count(mlp(inputs, size)))


def test_panels_are_named_as_the_papers_name_them() -> None:
    def panels(name: str) -> list[tuple[str, str]]:
        return [(panel.name, panel.measure) for panel in STUDIES[name].panels]

    main = [("a", "accuracy"), ("b", "prunable"), ("c", "redundant")]
    assert panels("fig4d") == [
        ("accuracy", "accuracy"),
        ("d", "prunable"),
        ("d", "redundant"),
    ]
    for name, first, second in (
        ("figE7", "B5", "C6"),
        ("figE8", "B4", "C5"),
        ("figE9", "B11", "C12"),
    ):
        assert panels(name) == [
            *main,
            (f"{first}b", "area"),
            (f"{second}c", "compressibility"),
            (f"{first}c", "similarity"),
        ]


@pytest.mark.parametrize(
    ("name", "scale", "cell", "id"),
    [
        ("fig4d", "paper", 0, "9fd5793f830f3d98"),
        ("fig4c", "paper", 0, "e9d72bc70353421b"),
        ("fig4c", "cpu", 0, "475aecacea906ff7"),
        ("fig3a", "paper", 0, "ef7a6bc3b10be18d"),
        ("figE4", "paper", 0, "b57ddf1e3ebf9fbd"),
        ("effective-width", "paper", 0, "e39183e4a349daa7"),
        ("effective-width", "paper", -1, "cf3bff52c404d848"),
    ],
)
def test_the_first_run_of_a_cell_is_called_this_for_ever(
    name: str, scale: str, cell: int, id: str
) -> None:
    found = STUDIES[name].cells(scale)[cell]
    assert run_id(found.spec(found.candidates[0], 0).resolved()) == id


@pytest.mark.parametrize("name", STUDIES)
def test_every_run_of_a_study_is_called_as_it_was(name: str) -> None:
    """``run_ids.json``: SHA-256 of all ids at a scale, in order. A new study adds a line to it."""
    for scale in SCALES:
        ids = [id for cell in STUDIES[name].grid(scale) for id in cell.every_id]
        assert hashlib.sha256(" ".join(ids).encode()).hexdigest()[:16] == RUN_IDS[name][scale]


@pytest.mark.parametrize("scale", SCALES)
def test_a_stored_spec_is_read_back_as_the_record_it_was(scale: str) -> None:
    for study in STUDIES.values():
        for cell in study.grid(scale):
            spec = cell.spec(cell.candidates[-1], 0)
            again = type(spec).model_validate(json.loads(json.dumps(spec.resolved())))
            assert (again, hash(again)) == (spec, hash(spec))
            assert run_id(again.resolved()) in cell.every_id


def test_a_recipe_is_hashed_with_the_types_of_its_fields() -> None:
    spec = STUDIES["fig4d"].cells()[0].prototype
    whole = RunSpec(**{**dict(spec), "training": Recipe(learning_rate=1, decay=1)})
    same = RunSpec(**{**dict(spec), "training": Recipe(learning_rate=1.0, decay=1.0)})
    assert whole.resolved()["training"] == {
        "optimiser": "momentum",
        "learning_rate": 1.0,
        "decay": 1.0,
        "epochs": 50,
        "batch_size": 128,
        "updates_per_epoch": 6,
        "settings": [],
    }
    assert run_id(whole.resolved()) == run_id(same.resolved())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"epoch": 3}, "training.epoch\n  Unexpected keyword argument"),
        ({"epochs": "many"}, "training.epochs\n  Input should be a valid integer"),
        ({"epochs": 0}, "`epochs` must be at least 1; got 0."),
    ],
)
def test_a_stored_recipe_that_cannot_be_is_refused(changed: dict[str, Any], message: str) -> None:
    stored = STUDIES["fig4d"].cells()[0].prototype.resolved()
    with pytest.raises(ValueError, match=message):
        RunSpec.model_validate({**stored, "training": {**stored["training"], **changed}})


def test_specs_are_resolved_without_pytorch() -> None:
    script = (
        "import sys\nfrom frivolous.studies import STUDIES\n"
        "cells = [*STUDIES['fig4d'].cells(), *STUDIES['fig3a'].cells()]\n"
        "print(sum(len(cell.every_id) for cell in cells), 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["313", "False"]


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        if isinstance(item, dict | list) and item:
            yield from leaves(item, (*path, key))
        else:
            yield (*path, key)


def test_every_field_of_the_spec_changes_the_id() -> None:
    spec = STUDIES["fig4d"].cells()[0].prototype
    resolved = spec.resolved()
    seen = {run_id(resolved)}
    places = list(leaves(resolved))
    for path in places:
        changed = spec.resolved()
        place: Any = changed
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = ["another", place[path[-1]]]
        seen.add(run_id(changed))
    assert len(seen) == len(places) + 1
    assert {path[0] for path in places} == set(RunSpec.model_fields)


def test_the_spec_names_every_setting_of_the_data() -> None:
    parameters = set(inspect.signature(DATASETS["teacher"]).parameters)
    assert set(DataSpec.model_fields) == parameters | {"name"}


@pytest.mark.parametrize(
    "changed",
    [
        {"tolerance": 0.1},
        {"unexplained": 0.1},
        {"similar": 0.9},
        {"draws": 2},
        {"draw": "mean"},
        {"fractions": (0.0, 0.5, 1.0)},
        {"count_crossing": False},
        {"cap": 100},
        {"samplings": 1},
        {"drop_last_batch": False},
        {"name": "mine"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_another_protocol_is_another_run(changed: dict[str, Any]) -> None:
    study = STUDIES["figE7"]
    protocol: Protocol = replace(AS_PUBLISHED, **changed)
    other = replace(study, protocol=protocol)
    assert not set(other.cells()[0].search_ids) & set(study.cells()[0].search_ids)


def test_replicates_are_added_to_those_there_are() -> None:
    assert ids("figE7", replicates=2) < ids("figE7", replicates=3)
    for two, three in zip(
        STUDIES["figE9"].cells(replicates=2), STUDIES["figE9"].cells(replicates=5), strict=True
    ):
        if two.searched == 1:
            assert list(two.search_ids) == list(three.search_ids)
        else:
            assert set(two.search_ids) < set(three.search_ids)
        chosen = two.candidates[3]
        assert list(three.chosen_ids(chosen))[:2] == list(two.chosen_ids(chosen))


def test_a_wrong_study_scale_or_number_of_replicates_is_answered_in_one_line() -> None:
    with pytest.raises(UnknownName, match="unknown study 'figE71'; did you mean 'figE7'"):
        STUDIES["figE71"]
    with pytest.raises(UnknownName, match="unknown scale 'cpus'; did you mean 'cpu'"):
        STUDIES["figE7"].cells("cpus")
    with pytest.raises(BadArgument, match="`replicates` must be at least 1; got 0."):
        STUDIES["figE7"].cells(replicates=0)
