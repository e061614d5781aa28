"""How long studies are said to take, against sums over single networks and times on record."""

from __future__ import annotations

import pytest

from frivolous.studies import STUDIES
from frivolous.studies.cost import SHORT, as_time, minutes, usual_scale

NOTHING_TRAINED = {"figE1", "preprint-figB1", "iclr-figA1"}
SYNTHETIC = {"fig4d", "figE7", "figE8", "figE9"}


def one_by_one(name: str, scale: str) -> float:
    """Return a study's minutes: every network by its id once, replicates of a choice besides."""
    found: dict[str, float] = {}
    later = 0.0
    for cell in STUDIES[name].cells(scale):
        found |= {id: spec.cost for id, spec in cell.search_ids.items()}
        chosen = cell.chosen_ids(cell.candidates[0])
        later += sum(spec.cost for id, spec in chosen.items() if id not in cell.search_ids)
    return (sum(found.values()) + later) / 60


@pytest.mark.parametrize("scale", ["paper", "cpu"])
@pytest.mark.parametrize("name", ["fig4d", "figE9", "figE3", "fig4a"])
def test_minutes_are_the_sum_over_networks_shared_ones_once(name: str, scale: str) -> None:
    assert minutes(STUDIES[name].cells(scale)) == pytest.approx(one_by_one(name, scale))


@pytest.mark.parametrize(
    ("name", "scale", "measured"),
    [
        ("fig4d", "paper", 173 / 60),
        ("figE7", "paper", 0.5),
        ("figE8", "paper", 2.0),
        ("figE9", "paper", 20.0),
        ("effective-width", "cpu", 25.0),
    ],
)
def test_minutes_are_within_a_factor_of_three_of_those_on_record(
    name: str, scale: str, measured: float
) -> None:
    assert 1 / 3 < minutes(STUDIES[name].cells(scale)) / measured < 3


def test_what_ends_in_minutes_runs_at_the_papers_scale_and_nothing_else() -> None:
    short = {name for name, study in STUDIES.items() if usual_scale(study) == "paper"}
    assert short == SYNTHETIC | NOTHING_TRAINED
    for name, study in STUDIES.items():
        assert minutes(study.cells(usual_scale(study))) <= SHORT, name
        if name not in short:
            assert minutes(study.cells("paper")) > 60 * 24, f"{name} takes days"


def test_a_part_costs_its_share() -> None:
    study = STUDIES["fig4c"]
    part = study.only(curves=["He Norm"], sizes=[0.25], epochs=50)
    (whole,) = [c for c in study.cells() if (c.curve, c.size_factor) == ("He Norm", 0.25)]
    assert minutes(part.cells()) == pytest.approx(minutes([whole]) / 10)
    assert minutes(part.cells("paper", 1)) == pytest.approx(minutes([whole]) / 30)


def test_costs_in_words() -> None:
    assert STUDIES["figE9"].cost_of("paper") == "920 networks, about 22 minutes on two cores"
    assert STUDIES["figE1"].cost_of("paper") == "nothing is trained"
    assert STUDIES["figE1"].cost_of("cpu") == (
        "nothing is trained, and counts are those of the paper's scale"
    )
    assert STUDIES["fig1a"].cost_of("paper") == (
        "13 networks, about 9 months on two cores, weeks on one GPU"
    )
    assert STUDIES["fig1a"].cost_of("cpu") == "13 networks, about 2 minutes on two cores"
    part = STUDIES["fig1a"].only(curves=["ResNet18"], sizes=[0.25])
    assert part.cost_of("paper") == "1 network, about 3 days on two cores"


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (0, "about 10 seconds"),
        (0.5, "about 30 seconds"),
        (1.4, "about 80 seconds"),
        (1.5, "about 2 minutes"),
        (89, "about 89 minutes"),
        (60 * 30, "about 30 hours"),
        (60 * 24 * 10, "about 10 days"),
        (60 * 24 * 21, "about 3 weeks"),
        (60 * 24 * 365, "about 12 months"),
        (60 * 24 * 365 * 3, "about 3 years"),
    ],
)
def test_lengths_of_time_in_words(length: float, words: str) -> None:
    assert as_time(length) == words
