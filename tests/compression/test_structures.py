"""Networks of random structure: silenced, left out of the graph and cut from the module agree."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from generated import KINDS, generated, picture
from removal import CLOSE, bench_of, half_of, removed

pytestmark = pytest.mark.rounding

SEEDS = range(7)


def test_the_seeds_have_every_part() -> None:
    assert set(Counter(kind for seed in SEEDS for kind in generated(seed, parts=5).used)) == set(
        KINDS
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_any_half_of_every_cut_and_of_all_of_them(seed: int) -> None:
    model = generated(seed, parts=5)
    x = torch.randn(3, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    before = picture(model)
    pruner = bench_of(model, x)
    sites = {site.name for site in pruner.network.sites}
    cut_sites = [name for cut in pruner.cuts for name in cut.places]
    assert sites == set(cut_sites) | set(pruner.refused)
    assert len(cut_sites) == len(set(cut_sites))
    assert all(pruner.refused.values())
    for cut in pruner.cuts:
        found = removed(pruner, {cut.name: half_of(cut, seed)}, x)
        assert max(found.apart) < CLOSE, (cut.name, model.used)
    found = removed(pruner, {cut.name: half_of(cut, seed) for cut in pruner.cuts}, x)
    assert max(found.apart) < CLOSE
    assert float((found.whole - found.silenced).abs().max()) > 0
    assert picture(model) == before
    kept = dict(found.cut.named_parameters())
    assert {n: p.requires_grad for n, p in model.named_parameters()} == {
        n: p.requires_grad for n, p in kept.items()
    }
    assert [m.training for m in found.cut.modules()] == [m.training for m in model.modules()]
