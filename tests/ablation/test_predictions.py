"""Labels at every position of a sequence, padding apart, against loops written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import frivolous as fv
from frivolous.ablation.curves import ablation_curves, permutation
from frivolous.ablation.predictions import intact_labels, per_example
from frivolous.ablation.single_units import single_effects
from frivolous.errors import BadArgument
from frivolous.measures import curve
from frivolous.network import trace

TOKENS, LENGTH, N = 7, 5, 40


class Tagger(nn.Module):
    """Scores for every token of a sequence; a token knows the one before it."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(TOKENS, 6)
        self.hidden, self.scores = nn.Linear(12, 9), nn.Linear(9, TOKENS)
        random = torch.Generator().manual_seed(0)
        for parameter in self.parameters():
            parameter.data.copy_(torch.randn(parameter.shape, generator=random))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        x = self.embed(input_ids) * attention_mask[..., None]
        before = torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], 1)
        return {"logits": self.scores(torch.relu(self.hidden(torch.cat([x, before], 2))))}


@pytest.fixture(scope="module")
def model() -> Tagger:
    return Tagger()


@pytest.fixture(scope="module")
def inputs() -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(1)
    lengths = torch.randint(1, LENGTH + 1, (N,), generator=random)
    mask = torch.arange(LENGTH) < lengths[:, None]
    ids = torch.randint(TOKENS, (N, LENGTH), generator=random)
    return {"input_ids": ids, "attention_mask": mask.long()}


def cut(inputs: dict[str, Tensor], size: int) -> list[dict[str, Tensor]]:
    return [
        {name: value[start : start + size] for name, value in inputs.items()}
        for start in range(0, N, size)
    ]


@torch.no_grad()
def unchanged(model: Tagger, inputs: dict[str, Tensor], units: Any) -> float:
    """The share of tokens whose label stays when hidden units are silenced by hand."""
    before = model(**inputs)["logits"].argmax(-1)

    def silence(_module: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
        value = args[0].clone()
        value[..., units] = 0
        return (value,)

    handle = model.scores.register_forward_pre_hook(silence)
    after = model(**inputs)["logits"].argmax(-1)
    handle.remove()
    there = inputs["attention_mask"] == 1
    return float((before == after)[there].double().mean())


def test_curves_count_tokens_that_are_there(model: Tagger, inputs: dict[str, Tensor]) -> None:
    network = trace(model, cut(inputs, 2)[0])
    found = ablation_curves(network, cut(inputs, 16), sites=["hidden"], draws=2)["hidden"]
    depth = network.site("hidden").depth
    for draw in range(2):
        order = permutation(9, 0, draw, depth)
        wanted = [unchanged(model, inputs, order[: int(f * 9)]) for f in found.fractions]
        np.testing.assert_allclose(found.shares[draw], wanted, atol=1e-12)
    assert found.examples == N
    assert (found.unchanged[:, 0] == N).all()


def test_effects_count_tokens_that_are_there(model: Tagger, inputs: dict[str, Tensor]) -> None:
    network = trace(model, cut(inputs, 2)[0])
    found = single_effects(network, cut(inputs, 16), "hidden", total=N)
    wanted = [1 - unchanged(model, inputs, [unit]) for unit in range(9)]
    np.testing.assert_allclose(found.changed_U / N, wanted, atol=1e-12)
    other = {**inputs, "input_ids": inputs["input_ids"].clone()}
    other["input_ids"][inputs["attention_mask"] == 0] = 0
    again = single_effects(network, cut(other, 16), "hidden", total=N)
    np.testing.assert_array_equal(again.changed_U, found.changed_U)
    np.testing.assert_allclose(again.divergence_U, found.divergence_U, rtol=1e-9)


def test_a_whole_measurement(model: Tagger, inputs: dict[str, Tensor]) -> None:
    found = fv.measure(model, cut(inputs, 16))
    whole = found.joint[(found.joint.site == "hidden") & found.joint.unchanged.notna()]
    assert whole.unchanged.between(0, 1).all()
    assert set(found.table.examples) == {N}
    tokens = int(inputs["attention_mask"].sum())
    assert found.facts["labels"] == tokens
    assert found.summary().startswith(f"{N} examples with {tokens} labels in all; in brackets")
    # As wide as if all tokens of a sequence changed together.
    row = found.curves[(found.curves.site == "hidden") & (found.curves.fraction == 0.5)].iloc[0]
    low, high = curve.wilson(row.unchanged * N, N)
    assert (row.low, row.high) == pytest.approx((float(low), float(high)))


def test_a_model_of_one_label_per_example_ignores_the_mask() -> None:
    class Pooled(Tagger):
        def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
            return super().forward(input_ids, attention_mask)["logits"].mean(dim=1)

    some = {"input_ids": torch.zeros(3, LENGTH).long(), "attention_mask": torch.zeros(3, LENGTH)}
    network = trace(Pooled(), some)
    assert (intact_labels(network, some, network(some)) >= 0).all()


def test_whole_counts_stay_whole() -> None:
    counts = torch.tensor([3, 7])
    assert per_example(counts, 7, 7).tolist() == [3, 7]
    assert per_example(counts, 7, 7).dtype == np.int64
    assert per_example(torch.tensor([0, 11, 33]), 33, 3).tolist() == [0, 1, 3]


def test_what_cannot_be_counted(model: Tagger, inputs: dict[str, Tensor]) -> None:
    empty = {**inputs, "attention_mask": torch.zeros_like(inputs["attention_mask"])}
    with pytest.raises(BadArgument, match=r"no position that counts: `attention_mask` is 0"):
        fv.measure(model, empty)
    labelled = {**inputs, "labels": torch.zeros(N).long()}
    with pytest.raises(BadArgument, match=r"a label per example and `model` predicts 5 per"):
        fv.measure(model, labelled)
