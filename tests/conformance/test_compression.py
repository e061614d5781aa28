"""Every architecture with half of its units out: silenced, left out of the graph, cut."""

from __future__ import annotations

from functools import cache

import hugging_face
import pytest
import torch
from architecture_cases import CASES, HUGGING_FACE, OWN
from readings import batch, model_of, picture, traced
from removal import CLOSE, half_of, refused, removed

from frivolous.compression.pruner import Pruner
from frivolous.compression.trials import try_out

missing = pytest.mark.skipif(not hugging_face.AVAILABLE, reason=hugging_face.WHY_NOT)
NAMES = [*OWN, *(pytest.param(name, marks=missing) for name in HUGGING_FACE)]
architectures = pytest.mark.parametrize("name", NAMES)

OUTPUTS = {"inception": "scores", "mobile": 0}
Cuts = list[tuple[int, list[str]]]
Refusals = dict[str, list[str]]


def together(op: str) -> str:
    return f"'{op}' works on all units together"


NORM, RMS, GROUPS = (together(op) for op in ("layer_norm", "rms_norm", "group_norm"))
COUNTED = (
    "the model does not compute with fewer units "
    "(AssertionError: was expecting embedding dimension of 8, but got 4)"
)
WRITTEN = (
    "the model does not compute with fewer units "
    "(RuntimeError: Given transposed=1, weight of size [2, 6, 4, 4], "
    "expected input[1, 4, 2, 2] to have 2 channels, but got 4 channels instead)"
)
PACKED, SHARED = "its units are not told apart from positions", "its heads are not told apart"
CONSTANTS = "it meets numbers that no layer writes"


def alone(**units: int) -> Cuts:
    """Sites that are cut each for itself; two lines stand for a dot."""
    return [(count, [name.replace("__", ".")]) for name, count in units.items()]


def residual(*blocks: str, calls: tuple[str, ...] = ("residual", "residual:2")) -> list[str]:
    return [f"{block}.{call}" for block in blocks for call in calls]


STAGES, NEXT = "resnet.encoder.stages", "convnext.encoder.stages"
ENCODER: tuple[Cuts, Refusals] = (
    alone(encoder__layers__0__linear1=12),
    {
        NORM: ["embed.residual", *residual("encoder.layers.0")],
        PACKED: ["encoder.layers.0.self_attn.in_proj_weight"],
    },
)
#: What is cut, with all sites that go together, and what is left, by the reason.
KNOWN: dict[str, tuple[Cuts, Refusals]] = {
    "dense": ([(13, ["stem", "convs.0", "convs.1", "convs.2"])], {}),
    "inception": (alone(b1=5, a=11, mix=6), {}),
    "mobile": (
        [
            (4, ["stem.residual", "residual"]),
            (8, ["expand", "depthwise", "excite"]),
            *alone(squeeze=2, last=6),
        ],
        {},
    ),
    "grouped": (alone(two=3, fc=5), {GROUPS: ["one"]}),
    "decoder": (alone(up1=3, up2=2), {WRITTEN: ["fc"]}),
    "gated": (
        [(6, ["gate_up", "gate_up:2"])],
        {RMS: ["table.residual", "residual", "residual:2"]},
    ),
    "attending": (
        [(8, ["own.out_proj"])],
        {
            PACKED: ["cross.in_proj_weight:2", "own.in_proj_weight"],
            COUNTED: ["embed", "keys", "cross.out_proj"],
        },
    ),
    "by hand": (alone(proj=8), {CONSTANTS: ["qkv"]}),
    "encoder": ENCODER,
    "encoder, norm first": ENCODER,
    "mixer": (alone(tokens1=5, units1=7), {NORM: ["residual", "residual:2"]}),
    "hf-resnet": (
        [
            (
                4,
                [
                    "resnet.embedder.embedder.convolution",
                    f"{STAGES}.0.layers.0.layer.1.convolution",
                ],
            ),
            (4, [f"{STAGES}.0.layers.0.layer.0.convolution"]),
            (8, [f"{STAGES}.1.layers.0.layer.0.convolution"]),
            (8, [f"{STAGES}.1.layers.{block}.layer.1.convolution" for block in (0, 1)]),
            (8, [f"{STAGES}.1.layers.1.layer.0.convolution"]),
        ],
        {},
    ),
    "hf-convnext": (
        [
            (16, [f"{NEXT}.0.layers.0.pwconv1"]),
            (32, [f"{NEXT}.1.layers.0.pwconv1"]),
            (32, [f"{NEXT}.1.layers.1.pwconv1"]),
        ],
        {
            NORM: [
                "convnext.embeddings.patch_embeddings.residual",
                f"{NEXT}.1.downsampling_layer.1.residual",
                *(
                    f"{NEXT}.{layer}.{what}"
                    for layer in ("0.layers.0", "1.layers.0", "1.layers.1")
                    for what in ("dwconv", "residual")
                ),
            ]
        },
    ),
    "hf-vit": (
        # A unit of what an attention gives is a whole head.
        [
            (units, [f"vit.layers.{layer}.{site}"])
            for layer in (0, 1)
            for units, site in ((2, "attention.v_proj"), (12, "mlp.fc1"))
        ],
        {
            NORM: [
                "vit.embeddings.patch_embeddings.projection.residual",
                *residual("vit.layers.0", "vit.layers.1"),
            ],
        },
    ),
    "hf-bert": (
        [
            *(
                (units, [f"bert.encoder.layer.{layer}.{site}"])
                for layer in (0, 1)
                for units, site in ((2, "attention.self.value"), (12, "intermediate.dense"))
            ),
            (8, ["bert.pooler.dense"]),
        ],
        {
            NORM: [
                "bert.embeddings.word_embeddings.residual",
                *residual(
                    *("bert.encoder.layer.0", "bert.encoder.layer.1"),
                    calls=("attention.output.residual", "output.residual"),
                ),
            ],
        },
    ),
    "hf-distilbert": (
        [
            (2, ["distilbert.transformer.layer.0.attention.v_lin"]),
            (12, ["distilbert.transformer.layer.0.ffn.lin1"]),
            (8, ["pre_classifier"]),
        ],
        {
            NORM: [
                "distilbert.embeddings.word_embeddings.residual",
                *residual("distilbert.transformer.layer.0"),
            ],
        },
    ),
    "hf-gpt2": (
        alone(transformer__h__0__mlp__c_fc=32),
        {
            NORM: ["transformer.wte.residual", *residual("transformer.h.0")],
            SHARED: ["transformer.h.0.attn.c_attn"],
        },
    ),
    "hf-llama": (
        [(12, ["model.layers.0.mlp.gate_proj"])],
        {
            together("mean"): ["model.embed_tokens.residual", *residual("model.layers.0")],
            SHARED: ["model.layers.0.self_attn.v_proj"],
        },
    ),
}


@cache
def bench_of(name: str) -> Pruner:
    """A workbench of an architecture, cuts with which the module does not work left out."""
    pruner = Pruner(model_of(name), traced(name)[0], OUTPUTS.get(name))
    try_out(pruner, batch(CASES[name], 2))
    return pruner


def test_every_architecture_is_known() -> None:
    assert list(KNOWN) == list(CASES)


@architectures
def test_what_is_cut_and_what_is_left_with_its_reason(name: str) -> None:
    cuts, reasons = KNOWN[name]
    pruner = bench_of(name)
    assert [(cut.units, list(cut.places)) for cut in pruner.cuts] == cuts
    wanted = {site: why for why, sites in reasons.items() for site in sites}
    assert refused(pruner) == wanted
    named = [site for _, sites in cuts for site in sites] + list(wanted)
    assert sorted(named) == sorted(site.name for site in pruner.network.sites)


@architectures
def test_half_of_every_cut_silenced_left_out_and_cut_from_the_module(name: str) -> None:
    model, pruner, inputs = model_of(name), bench_of(name), batch(CASES[name], 5)
    before = picture(model)
    assert torch.equal(pruner.network(inputs), pruner.whole(inputs))
    for cut in pruner.cuts:
        found = removed(pruner, {cut.name: half_of(cut)}, inputs)
        assert max(found.apart) < CLOSE, cut.name
        # Other than before by more than what may lie between.
        assert float((found.whole - found.silenced).abs().max()) > 10 * CLOSE
    found = removed(pruner, {cut.name: half_of(cut) for cut in pruner.cuts}, inputs)
    assert max(found.apart) < CLOSE
    assert type(found.cut) is type(model)
    assert list(found.cut.state_dict()) == list(model.state_dict())
    assert picture(model) == before
