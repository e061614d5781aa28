"""Views that take units apart: whole heads of an attention go, and what is computed stays right."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from removal import CLOSE, bench_of, half_of, removed
from torch import Tensor, nn

import frivolous as fv
from frivolous.compression.trials import try_out

UNITS, HEAD = 8, 4


class Attending(nn.Module):
    """Self-attention with a layer each for queries, keys and values, heads by their size."""

    def __init__(self, how: str = "fused", heads: int = 3) -> None:
        super().__init__()
        inner = heads * HEAD
        self.how = how
        self.query, self.key, self.value = (nn.Linear(UNITS, inner) for _ in range(3))
        self.back, self.out = nn.Linear(inner, UNITS), nn.Linear(UNITS, 5)

    def forward(self, x: Tensor) -> Tensor:
        n, t, _ = x.shape
        parts = (
            layer(x).view(n, t, -1, HEAD).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        query, key, value = parts
        if self.how == "fused":
            read = F.scaled_dot_product_attention(query, key, value)
        else:
            read = (query @ key.transpose(2, 3) / HEAD**0.5).softmax(-1) @ value
        read = read.transpose(1, 2).reshape(n, t, -1)
        return self.out((x + self.back(read)).mean(1))


def attending(how: str = "fused", examples: int = 200) -> tuple[Attending, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Attending(how).eval(), torch.randn(examples, 6, UNITS)


def head_of(weight: Tensor, head: int) -> Tensor:
    return weight[head * HEAD : (head + 1) * HEAD]


@pytest.mark.parametrize("how", ["fused", "by hand"])
@pytest.mark.parametrize("head", [0, 1, 2])
def test_a_head_that_is_cut_is_a_head_that_is_silent(how: str, head: int) -> None:
    model, x = attending(how, examples=5)
    pruner = bench_of(model, x)
    try_out(pruner, x)
    (cut,) = (cut for cut in pruner.cuts if "value" in cut.places)
    assert cut.units == 3
    assert cut.places["value"].tolist() == np.repeat([0, 1, 2], HEAD).tolist()
    found = removed(pruner, {cut.name: np.array([head])}, x)
    assert max(found.apart) < CLOSE
    with torch.no_grad():
        silent, _ = attending(how)
        head_of(silent.value.weight, head).zero_()
        head_of(silent.value.bias, head).zero_()
        torch.testing.assert_close(found.module, silent(x), rtol=0, atol=1e-6)
    kept = [k for k in range(3) if k != head]
    for name in ("query", "key", "value"):
        layer, own = getattr(found.cut, name), getattr(model, name)
        assert torch.equal(layer.weight, torch.cat([head_of(own.weight, k) for k in kept]))
        assert layer.out_features == 2 * HEAD
    assert found.cut.back.in_features == 2 * HEAD


def test_readers_are_fitted_to_what_the_heads_left_give() -> None:
    model, x = attending()
    thin = fv.compress(model, x, keep={"value": 2 * HEAD})
    assert len(thin.kept["value"]) == 2 * HEAD
    assert thin.model.value.out_features == thin.model.query.out_features == 2 * HEAD
    prune = fv.compress(model, x, keep={"value": 2 * HEAD}, method="prune")
    with torch.no_grad():
        scores = model(x)
        fitted, excised = (float((one.model(x) - scores).square().mean()) for one in (thin, prune))
    assert 0 < fitted < excised
    assert thin.report.facts["masked_apart"] < 1e-5


def test_two_heads_alike_are_one() -> None:
    model, x = attending()
    with torch.no_grad():
        for layer in (model.query, model.key, model.value):
            for tensor in (layer.weight, layer.bias):
                tensor[HEAD : 2 * HEAD] = tensor[:HEAD]
    thin = fv.compress(model, x, keep={"value": 2 * HEAD})
    assert 2 in thin.kept["value"] // HEAD, "the head without a copy stays"
    plain = fv.compress(model, x, tolerance=0)
    assert len(plain.kept["value"]) == 2 * HEAD
    with torch.no_grad():
        torch.testing.assert_close(plain.model(x), model(x), rtol=0, atol=1e-4)


class Apart(nn.Module):
    """Units seen as a table: along its rows they go, those of a row together."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.out = nn.Linear(6, 12), nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        table = torch.tanh(self.one(x)).view(x.shape[0], -1, 3)
        return self.out((table / (1 + table.square().sum(2, keepdim=True))).flatten(1))


def test_units_that_meet_in_a_row_go_together() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, x = Apart().eval(), torch.randn(5, 6)
    pruner = bench_of(model, x)
    try_out(pruner, x)
    (cut,) = pruner.cuts
    assert cut.units == 4
    found = removed(pruner, {"one": half_of(cut)}, x)
    assert max(found.apart) < CLOSE
    assert found.cut.one.out_features == 6


def test_heads_of_a_vision_transformer() -> None:
    transformers = pytest.importorskip("transformers")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    config = transformers.ViTConfig(
        hidden_size=12, num_hidden_layers=1, num_attention_heads=3, intermediate_size=10,
        image_size=8, patch_size=4, num_labels=4,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.ViTForImageClassification(config).eval()
        images = torch.randn(60, 3, 8, 8)
        for parameter in model.parameters():
            parameter.data.normal_(0, parameter[0].numel() ** -0.5)
    block = "vit.layers.0"
    keep = {f"{block}.attention.v_proj": 8, f"{block}.mlp.fc1": 6}
    thin = fv.compress(model, images, keep=keep)
    attention = thin.model.get_submodule(f"{block}.attention")
    assert attention.v_proj.out_features == attention.q_proj.out_features == 8
    assert len(thin.kept[f"{block}.attention.v_proj"]) == 8
    assert thin.model.get_submodule(f"{block}.mlp.fc1").out_features == 6
    assert thin.report.facts["masked_apart"] < 1e-5
    one = fv.compress(model, images, keep={f"{block}.attention.v_proj": 8}, method="prune")
    (gone,) = {0, 1, 2} - set((one.kept[f"{block}.attention.v_proj"] // 4).tolist())
    with torch.no_grad():
        value = model.get_submodule(f"{block}.attention.v_proj")
        for tensor in (value.weight, value.bias):
            tensor[gone * 4 : gone * 4 + 4] = 0
        wanted, found = model(images).logits, one.model(images).logits
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
