"""Two hundred random networks of ``benchmarks/fuzz.py``, always the same."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from fuzzing.case import Case
from fuzzing.checks import ask
from fuzzing.compression_checks import compressed, removed
from fuzzing.given import batch_of, scores_of
from fuzzing.masked import Place, masked, places_of, values_of
from fuzzing.networks import BLOCKS, drawn
from fuzzing.reload import faults_of
from fuzzing.site_checks import located, read
from fuzzing.source import built
from torch import nn

# Small networks of the first 900, so that every kind of block is among them.
SEEDS = (
    *(0, 1, 2, 8, 20, 24, 33, 38, 54, 56, 57, 59, 61, 65, 66, 67, 68, 70, 71, 83),
    *(
        87,
        92,
        100,
        117,
        123,
        126,
        129,
        133,
        134,
        135,
        142,
        143,
        144,
        145,
        148,
        149,
        150,
        152,
        168,
        174,
    ),
    *(
        177,
        182,
        195,
        204,
        207,
        214,
        216,
        221,
        232,
        237,
        243,
        248,
        250,
        263,
        264,
        265,
        267,
        273,
        276,
        277,
    ),
    *(
        278,
        284,
        285,
        287,
        291,
        293,
        297,
        300,
        301,
        303,
        306,
        307,
        314,
        318,
        322,
        324,
        327,
        331,
        337,
        341,
    ),
    *(
        345,
        351,
        355,
        358,
        360,
        361,
        362,
        366,
        374,
        376,
        384,
        387,
        391,
        398,
        401,
        412,
        414,
        418,
        423,
        429,
    ),
    *(
        432,
        433,
        438,
        451,
        452,
        463,
        465,
        469,
        471,
        477,
        482,
        483,
        487,
        488,
        490,
        493,
        500,
        502,
        503,
        507,
    ),
    *(
        508,
        510,
        514,
        520,
        523,
        535,
        539,
        542,
        550,
        560,
        561,
        563,
        568,
        569,
        578,
        579,
        585,
        587,
        590,
        594,
    ),
    *(
        599,
        603,
        611,
        626,
        629,
        636,
        645,
        649,
        650,
        652,
        655,
        660,
        661,
        662,
        666,
        668,
        669,
        671,
        673,
        674,
    ),
    *(
        679,
        687,
        701,
        705,
        711,
        726,
        730,
        732,
        733,
        740,
        741,
        742,
        746,
        759,
        775,
        782,
        783,
        791,
        795,
        800,
    ),
    *(
        813,
        817,
        823,
        827,
        828,
        831,
        834,
        842,
        844,
        852,
        861,
        868,
        871,
        872,
        875,
        876,
        878,
        883,
        896,
        899,
    ),
)
PART, SAVED = 10, 40
"""Seeds of one test, and seeds whose compressions are loaded in a fresh process."""
QUICK = 80
"""Seeds that are asked whenever tests run; the others with those that are slow."""
PARTS = [
    pytest.param(first, marks=() if first < QUICK else pytest.mark.slow)
    for first in range(0, len(SEEDS), PART)
]
MEASURED = 8
"""Each so many-th network is measured too."""


@pytest.fixture(autouse=True)
def unlogged() -> Iterator[None]:
    """No lines of torch's own kept for a report: they take as long as what they tell of."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where compressions are saved."""
    return tmp_path_factory.mktemp("saved")


@pytest.fixture(scope="module")
def outcomes() -> Counter[str]:
    """How often each outcome came."""
    return Counter()


@pytest.mark.parametrize("first", PARTS)
def test_every_network_is_right_or_refused_in_one_line(
    first: int, folder: Path, outcomes: Counter[str]
) -> None:
    for place, seed in enumerate(SEEDS[first : first + PART], first):
        kept = folder if place < SAVED else None
        found = ask(seed, kept, measure=place % MEASURED == 0, again=False)
        faults = "\n".join(f"{f['check']}: {f['message']}\n{f['trace']}" for f in found.faults)
        assert not found.faults, f"python benchmarks/fuzz.py --seed {seed}\n{faults}"
        outcomes[found.outcome] += 1
        outcomes[f"removed: {found.removed}"] += 1
        outcomes["sites"] += found.sites
        outcomes["unchecked"] += len(found.unchecked)
        outcomes.update(set(found.blocks))


def test_what_was_saved_gives_the_same_in_a_fresh_process(folder: Path) -> None:
    saved = sorted(map(str, folder.iterdir()))
    assert len(saved) > SAVED // 3
    assert {name: fault for name, fault in faults_of(saved).items() if fault} == {}


@pytest.mark.slow
def test_the_checks_reach_most_networks_and_sites(outcomes: Counter[str]) -> None:
    asked = sum(outcomes[name] for name in ("right", "left", "refused"))
    assert asked % PART == 0, "a test above failed"
    assert outcomes["refused"] < 0.4 * asked
    assert outcomes["removed: checked"] > 0.4 * asked
    assert outcomes["unchecked"] < 0.05 * outcomes["sites"]
    blocks = {block for blocks in BLOCKS.values() for block in blocks}
    assert len(blocks) >= 40
    assert asked < len(SEEDS) or blocks <= set(outcomes)


def test_a_network_is_a_function_of_its_seed_alone() -> None:
    for seed in range(5):
        one, other = drawn(seed), drawn(seed)
        assert one == other
        states = [built(net).state_dict() for net in (one, other)]
        assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
        inputs = batch_of(one, 2, 0)
        scores = [scores_of(one, built(one).eval(), inputs) for _ in range(2)]
        assert torch.equal(scores[0], scores[1])


# The oracle itself.


class Doubled(nn.Module):
    """Two layers, the activation in place, the second layer reading another arrangement."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = nn.functional.relu(self.one(x), inplace=True).t().contiguous()
        return self.two(h.t())


def test_masking_an_operation_is_masking_by_hand() -> None:
    model, x = Doubled().double(), torch.randn(5, 4, dtype=torch.float64)
    keep = torch.tensor([1.0, 0, 1, 1, 0, 1])
    hidden = model.one(x).relu().detach()
    places = places_of(hidden, 1, values_of(lambda: model(x)), 1e-12)
    assert {place.axis for place in places} == {0, 1}
    with torch.no_grad():
        expected = model.two(hidden * keep)
    for place in places:
        assert torch.allclose(masked(lambda: model(x), {place: keep}), expected)


def test_a_value_that_no_operation_gives_is_not_found() -> None:
    model, x = Doubled(), torch.randn(5, 4)
    values = values_of(lambda: model(x))
    assert places_of(torch.randn(5, 6), 1, values, 1e-4) == []
    assert all(isinstance(place, Place) for place in places_of(values[0][2], 0, values, 1e-6))


@pytest.mark.parametrize("honest", [True, False])
def test_other_units_than_those_named_are_found_out(honest: bool) -> None:
    plain = ({"dense"}, {"dense", "dense norm"})
    seed = next(s for s in range(2000) if set(drawn(s).blocks) in plain and drawn(s).float64)
    case = Case(seed, None)
    network = case.asked("trace", lambda: read(case))
    places = case.asked("sites", lambda: located(case, network))
    thin = case.asked("compress", lambda: compressed(case, network))
    if not honest:
        cut = {n: u for n, u in thin.kept.items() if len(u) < network.site(n).width}
        name, kept = next(iter(cut.items()))
        gone = [unit for unit in range(network.site(name).width) if unit not in kept]
        thin.kept[name] = [*kept[1:], gone[0]]
    case.asked("removed", lambda: removed(case, thin, network, places))
    said = [fault["message"].split(":")[0] for fault in case.found.faults]
    assert said == ([] if honest else ["units removed against units masked"])
