"""Models of ``transformers`` that move, repeat and gather what they compute with."""

from __future__ import annotations

from functools import partial

import hugging_face
from architecture_cases import CASES, IMAGE, PAIR, TEXT, TWICE, Case, at, maps

SWIN, DEBERTA = "swin.encoder.layers", "deberta.encoder.layer.0"
SPEECH, SEGMENTS = "wav2vec2.encoder.layers.0", "segformer.stages"
CONVOLUTIONS, DENSE = "wav2vec2.feature_extractor.conv_layers", f"{SPEECH}.feed_forward"
T5, NEOX, MIXTRAL = "encoder.block.0.layer", "gpt_neox.layers.0", "model.layers.0"


def _swin(layer: str, windows: int, width: int) -> dict[str, tuple[int, int, tuple[int, ...]]]:
    places = (windows, windows, 2, 2) if windows > 1 else (4,)
    return at(*places, **{f"{SWIN}.{layer}.attention.v_proj": width}) | at(
        4 * windows**2, **{f"{SWIN}.{layer}.mlp.fc1": 4 * width}
    )


def _segments(stage: int, places: int, width: int) -> dict[str, tuple[int, int, tuple[int, ...]]]:
    block = f"{SEGMENTS}.{stage}.blocks.0"
    dense = {f"{block}.mlp.fc1": 2 * width, f"{block}.mlp.dwconv.dwconv": 2 * width}
    return at(places, **{f"{block}.attention.v_proj": width}) | at(places, **dense)


SWIN_BLOCKS = ("0.blocks.0", "0.blocks.1", "1.blocks.0")
MORE = {
    "hf-swin": Case(
        partial(hugging_face.build, "hf-swin"),
        IMAGE,
        _swin("0.blocks.0", 2, 4) | _swin("0.blocks.1", 2, 4) | _swin("1.blocks.0", 1, 8),
        ("swin.embeddings.patch_embeddings.projection",),
        (
            "swin.embeddings.patch_embeddings.projection.residual",
            *(f"{SWIN}.0.blocks.{block}.{each}" for block in (0, 1) for each in TWICE),
            f"{SWIN}.0.downsample.reduction.residual",
            *(f"{SWIN}.1.blocks.0.{each}" for each in TWICE),
        ),
        tuple((f"{SWIN}.{b}.mlp.fc1", f"{SWIN}.{b}.mlp.fc2", "in") for b in SWIN_BLOCKS)
        + tuple(
            (f"{SWIN}.{b}.attention.v_proj", f"{SWIN}.{b}.attention.o_proj", "in")
            for b in SWIN_BLOCKS
        ),
        tuple(f"{SWIN}.{block}.attention.v_proj" for block in SWIN_BLOCKS),
    ),
    "hf-deberta": Case(
        partial(hugging_face.build, "hf-deberta"),
        TEXT,
        at(6, **{f"{DEBERTA}.attention.self.{part}_proj": 8 for part in ("query", "key", "value")})
        | at(6, **{f"{DEBERTA}.intermediate.dense": 12})
        | at(**{"pooler.dense": 8}),
        ("deberta.embeddings.word_embeddings",),
        (
            "deberta.embeddings.word_embeddings.residual",
            f"{DEBERTA}.attention.output.residual",
            f"{DEBERTA}.output.residual",
        ),
        (
            *((f"{DEBERTA}.attention.self.{p}_proj",) * 2 + ("out",) for p in ("query", "key")),
            (f"{DEBERTA}.attention.self.value_proj", f"{DEBERTA}.attention.output.dense", "in"),
            (f"{DEBERTA}.intermediate.dense", f"{DEBERTA}.output.dense", "in"),
            ("pooler.dense", "classifier", "in"),
        ),
        (f"{DEBERTA}.attention.self.value_proj",),
        PAIR,
        # What is gathered by place holds heads of examples, as far as is known along no axis.
        alone=tuple(f"{DEBERTA}.attention.self.{part}_proj" for part in ("query", "key")),
    ),
    "hf-mixtral": Case(
        partial(hugging_face.build, "hf-mixtral"),
        TEXT,
        at(6, **{f"{MIXTRAL}.self_attn.v_proj": 8}),
        ("model.embed_tokens",),
        ("model.embed_tokens.residual", *(f"{MIXTRAL}.{each}" for each in TWICE)),
        ((f"{MIXTRAL}.self_attn.v_proj", f"{MIXTRAL}.self_attn.o_proj", "in"),),
        keywords=PAIR,
    ),
    "hf-wav2vec2": Case(
        partial(hugging_face.build, "hf-wav2vec2"),
        ((60,),),
        maps(29, **{f"{CONVOLUTIONS}.0.conv": 6})
        | at(14, **{f"{CONVOLUTIONS}.1.conv": 6})
        | at(14, **{f"{SPEECH}.attention.v_proj": 8})
        | at(14, **{f"{DENSE}.intermediate_dense": 12, "projector": 8}),
        (f"{CONVOLUTIONS}.0.conv",),
        (
            "wav2vec2.feature_projection.projection.residual",
            "wav2vec2.encoder.residual",
            *(f"{SPEECH}.{each}" for each in TWICE),
        ),
        (
            (f"{CONVOLUTIONS}.0.conv", f"{CONVOLUTIONS}.0", "out"),
            (f"{SPEECH}.attention.v_proj", f"{SPEECH}.attention.out_proj", "in"),
            (f"{DENSE}.intermediate_dense", f"{DENSE}.output_dense", "in"),
            ("projector", "projector", "out"),
        ),
        (f"{SPEECH}.attention.v_proj",),
    ),
    "hf-t5": Case(
        partial(hugging_face.build, "hf-t5"),
        TEXT,
        at(6, **{f"{T5}.0.SelfAttention.v": 8, f"{T5}.1.DenseReluDense.wi": 12}),
        ("shared",),
        ("encoder.embed_tokens.residual", f"{T5}.0.residual"),
        (
            (f"{T5}.0.SelfAttention.v", f"{T5}.0.SelfAttention.o", "in"),
            (f"{T5}.1.DenseReluDense.wi", f"{T5}.1.DenseReluDense.wo", "in"),
        ),
        keywords=PAIR,
    ),
    "hf-segformer": Case(
        partial(hugging_face.build, "hf-segformer"),
        ((3, 16, 16),),
        at(16, **{f"{SEGMENTS}.0.blocks.0.attention.sequence_reduction.sequence_reduction": 4})
        | _segments(0, 64, 4)
        | _segments(1, 16, 8),
        ("segformer.stages.0.patch_embeddings.proj",),
        tuple(
            f"{SEGMENTS}.{stage}.{each}"
            for stage in (0, 1)
            for each in ("patch_embeddings.proj.residual", *(f"blocks.0.{t}" for t in TWICE))
        ),
        tuple(
            (f"{SEGMENTS}.{stage}.blocks.0.{site}", f"{SEGMENTS}.{stage}.blocks.0.{path}", side)
            for stage in (0, 1)
            for site, path, side in (
                ("attention.v_proj", "attention.o_proj", "in"),
                ("mlp.fc1", "mlp.fc1", "out"),
                ("mlp.dwconv.dwconv", "mlp.fc2", "in"),
            )
        ),
        tuple(f"{SEGMENTS}.{stage}.blocks.0.attention.v_proj" for stage in (0, 1)),
    ),
    "hf-neox": Case(
        partial(hugging_face.build, "hf-neox"),
        TEXT,
        at(6, **{f"{NEOX}.attention.query_key_value": 8, f"{NEOX}.mlp.dense_h_to_4h": 12}),
        ("gpt_neox.embed_in",),
        ("gpt_neox.embed_in.residual", f"{NEOX}.residual"),
        (
            (f"{NEOX}.attention.query_key_value", f"{NEOX}.attention.dense", "in"),
            (f"{NEOX}.mlp.dense_h_to_4h", f"{NEOX}.mlp.dense_4h_to_h", "in"),
        ),
        keywords=PAIR,
    ),
}
#: All that are read and measured.
EVERY = CASES | MORE
