"""Two hundred random networks of ``benchmarks/fuzz.py``, always the same."""

from __future__ import annotations

from collections import Counter
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

SEEDS, PART = 200, 10
SAVED = 40
"""Seeds whose compressions are loaded in a fresh process."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where compressions are saved."""
    return tmp_path_factory.mktemp("saved")


@pytest.fixture(scope="module")
def outcomes() -> Counter[str]:
    """How often each outcome came."""
    return Counter()


@pytest.mark.parametrize("first", range(0, SEEDS, PART))
def test_every_network_is_right_or_refused_in_one_line(
    first: int, folder: Path, outcomes: Counter[str]
) -> None:
    for seed in range(first, first + PART):
        found = ask(seed, folder if seed < SAVED else None, measure=seed % 4 == 0, again=False)
        faults = "\n".join(f"{f['check']}: {f['message']}\n{f['trace']}" for f in found.faults)
        assert not found.faults, f"python benchmarks/fuzz.py --seed {seed}\n{faults}"
        outcomes[found.outcome] += 1
        outcomes[f"removed: {found.removed}"] += 1
        outcomes["sites"] += found.sites
        outcomes["unchecked"] += len(found.unchecked)


def test_what_was_saved_gives_the_same_in_a_fresh_process(folder: Path) -> None:
    saved = sorted(map(str, folder.iterdir()))
    assert len(saved) > SAVED // 3
    assert {name: fault for name, fault in faults_of(saved).items() if fault} == {}


def test_the_checks_reach_most_networks_and_sites(outcomes: Counter[str]) -> None:
    asked = sum(outcomes[name] for name in ("right", "left", "refused"))
    assert outcomes["refused"] < 0.4 * asked
    assert outcomes["removed: checked"] > 0.5 * asked
    assert outcomes["unchecked"] < 0.05 * outcomes["sites"]


def test_a_network_is_a_function_of_its_seed_alone() -> None:
    for seed in range(5):
        one, other = drawn(seed), drawn(seed)
        assert one == other
        states = [built(net).state_dict() for net in (one, other)]
        assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
        inputs = batch_of(one, 2, 0)
        scores = [scores_of(one, built(one).eval(), inputs) for _ in range(2)]
        assert torch.equal(scores[0], scores[1])


def test_there_are_blocks_of_many_kinds() -> None:
    assert sum(len(blocks) for blocks in BLOCKS.values()) >= 40
    seen = {block for seed in range(2000, 2400) for block in drawn(seed).blocks}
    for blocks in BLOCKS.values():
        assert set(blocks) <= seen


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
