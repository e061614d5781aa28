"""Models that move, repeat and gather what they compute with: removed equals silenced."""

from __future__ import annotations

import hugging_face
import numpy as np
import pytest
import torch
from hugging_face_cases import DENSE, EVERY, MIXTRAL, MORE, NEOX, SEGMENTS, SPEECH, SWIN, T5
from readings import batch, model_of, picture, traced
from removal import CLOSE, removed

import frivolous as fv
from frivolous.compression.pruner import Pruner
from frivolous.compression.trials import try_out

pytestmark = pytest.mark.skipif(not hugging_face.AVAILABLE, reason=hugging_face.WHY_NOT)
BLOCK = "deberta.encoder.layer.0"
#: Sites that are cut, with all that go together, and how many can go.
CUT: dict[str, list[tuple[int, list[str]]]] = {
    "hf-swin": [
        (16, [f"{SWIN}.0.blocks.0.mlp.fc1"]),
        (16, [f"{SWIN}.0.blocks.1.mlp.fc1"]),
        (32, [f"{SWIN}.1.blocks.0.mlp.fc1"]),
    ],
    "hf-deberta": [(12, [f"{BLOCK}.intermediate.dense"]), (8, ["pooler.dense"])],
    "hf-mixtral": [],
    "hf-wav2vec2": [
        (2, [f"{SPEECH}.attention.v_proj"]),  # whole heads
        (12, [f"{DENSE}.intermediate_dense"]),
        (8, ["projector"]),
    ],
    "hf-t5": [(12, [f"{T5}.1.DenseReluDense.wi"])],
    "hf-segformer": [
        (8, [f"{SEGMENTS}.0.blocks.0.mlp.{layer}" for layer in ("fc1", "dwconv.dwconv")]),
        (2, [f"{SEGMENTS}.1.blocks.0.attention.v_proj"]),
        (16, [f"{SEGMENTS}.1.blocks.0.mlp.{layer}" for layer in ("fc1", "dwconv.dwconv")]),
    ],
    "hf-neox": [(12, [f"{NEOX}.mlp.dense_h_to_4h"])],
}


def bench_of(name: str) -> Pruner:
    pruner = Pruner(model_of(name), traced(name)[0], None)
    try_out(pruner, batch(EVERY[name], 2))
    return pruner


@pytest.mark.parametrize("name", MORE)
def test_units_that_go_are_as_if_silenced_and_others_say_why_they_stay(name: str) -> None:
    model, pruner, inputs = model_of(name), bench_of(name), batch(EVERY[name], 3)
    before = picture(model)
    assert [(cut.units, list(cut.places)) for cut in pruner.cuts] == CUT[name]
    sites = {site.name for site in pruner.network.sites}
    assert sites == {site for cut in pruner.cuts for site in cut.places} | set(pruner.refused)
    assert all(pruner.refused.values())
    for seed in range(2):
        draw = np.random.default_rng(seed)
        gone = {
            cut.name: np.sort(draw.permutation(cut.units)[: draw.integers(1, cut.units)])
            for cut in pruner.cuts
        }
        found = removed(pruner, gone, inputs)
        assert max(found.apart) < CLOSE
    assert picture(model) == before


def test_experts_chosen_by_scores_are_refused_in_one_line() -> None:
    tokens = torch.arange(240).reshape(40, 6) % hugging_face.TOKENS
    with pytest.raises(
        fv.errors.FrivolousError, match="no layer of `model` can be cut: "
    ) as raised:
        fv.compress(model_of("hf-mixtral"), {"input_ids": tokens}, units=0.5)
    assert f"{MIXTRAL}.mlp.experts" in str(raised.value)
    assert "\n" not in str(raised.value)
