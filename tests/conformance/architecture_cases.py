"""What is known of every architecture from its construction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import architectures as own
import hugging_face
import torch
from torch import Tensor, nn

Sites = dict[str, tuple[int, int, tuple[int, ...]]]
PAIR = ("input_ids", "attention_mask")


@dataclass(frozen=True)
class Case:
    """A model, its inputs, and what is known of it.

    ``shapes`` are those of its inputs, ``IDS`` for token numbers. ``sites`` has width, axis and
    positions of every layer's site in order, ``streams`` the names of the residual ones, ``first``
    the layers that read inputs alone. ``modules`` has sites that a module gives ("out") or reads
    ("in"), ``attention`` those that a layer of values writes through attention.
    """

    build: Callable[[], nn.Module]
    shapes: tuple[tuple[int, ...], ...]
    sites: Sites
    first: tuple[str, ...] = ()
    streams: tuple[str, ...] = ()
    modules: tuple[tuple[str, str, str], ...] = ()
    attention: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    exact: bool = True  # the model itself runs the same kernels
    alone: tuple[str, ...] = ()  # sites at which copies of a batch cannot be put side by side

    def inputs(self, examples: int) -> tuple[Tensor, ...] | dict[str, Tensor]:
        """A batch, the same numbers whenever it is drawn."""
        rng = torch.Generator().manual_seed(examples)
        parts = tuple(
            torch.randint(own.TOKENS, (examples, *shape), generator=rng)
            if shape is IDS
            else torch.randn(examples, *shape, generator=rng)
            for shape in self.shapes
        )
        if self.keywords:
            mask = torch.arange(own.LENGTH) < torch.arange(examples)[:, None] % 3 + own.LENGTH - 2
            return dict(zip(self.keywords, (parts[0], mask.long()), strict=True))
        return parts


def at(*positions: int, axis: int = -1, **widths: int) -> Sites:
    """Sites of several widths at the same positions."""
    return {name: (width, axis, positions) for name, width in widths.items()}


maps = partial(at, axis=1)
IDS = (own.LENGTH,)
IMAGE = ((3, 8, 8),)
SIGNAL = ((6, 5),)
TEXT = (IDS, IDS)


def _encoder(norm_first: bool) -> Case:
    layers = ["encoder.layers.0"]
    sites: Sites = {}
    for layer in layers:
        sites |= at(6, **{f"{layer}.self_attn.in_proj_weight": 8, f"{layer}.linear1": 12})
    sums = [f"{layer}.residual{call}" for layer in layers for call in ("", ":2")]
    return Case(
        partial(own.Stacked, norm_first),
        SIGNAL,
        sites,
        ("embed",),
        ("embed.residual", *sums),
        tuple((f"{layer}.linear1", f"{layer}.linear2", "in") for layer in layers),
        tuple(f"{layer}.self_attn.in_proj_weight" for layer in layers),
        exact=norm_first,
    )


OWN = {
    "dense": Case(
        own.Dense,
        IMAGE,
        maps(8, 8, **{"stem": 4, "convs.0": 7, "convs.1": 10, "convs.2": 13}),
        ("stem",),
        modules=(("stem", "convs.0", "in"), ("convs.1", "convs.2", "in")),
    ),
    "inception": Case(
        own.Inception,
        IMAGE,
        maps(8, 8, b1=5, a=11) | maps(6, 6, mix=6),
        ("a", "b1", "pooled"),
        modules=(("a", "mix", "in"), ("b1", "b2", "in")),
    ),
    "mobile": Case(
        own.Mobile,
        IMAGE,
        maps(4, 4, expand=8, depthwise=8)
        | maps(1, 1, squeeze=2)
        | maps(4, 4, excite=8)
        | maps(4, 4, last=6),
        ("stem",),
        ("stem.residual", "residual"),
        modules=(("excite", "project", "in"), ("stem.residual", "norm", "out")),
    ),
    "grouped": Case(
        own.Grouped,
        ((4, 8, 8),),
        maps(6, 6, one=8) | maps(4, 4, two=6) | at(fc=5),
        ("one",),
        modules=(("one", "two", "in"), ("fc", "out", "in")),
    ),
    "decoder": Case(
        own.Decoder,
        ((5,),),
        at(fc=16) | maps(4, 4, up1=6) | maps(8, 8, up2=4),
        ("fc",),
        modules=(("up2", "out", "in"),),
    ),
    "gated": Case(
        own.Gated,
        (IDS,),
        at(6, **{"gate_up": 6, "gate_up:2": 6}),
        ("table",),
        ("table.residual", "residual", "residual:2"),
        modules=(("table.residual", "table", "out"),),
    ),
    "attending": Case(
        own.Attending,
        ((6, 5), (4, 4)),
        at(6, embed=8)
        | at(4, keys=8)
        | at(6, **{"cross.in_proj_weight:2": 8, "cross.out_proj": 8})
        | at(6, **{"own.in_proj_weight": 8, "own.out_proj": 8}),
        ("embed", "keys"),
        attention=("cross.in_proj_weight:2", "own.in_proj_weight"),
        exact=False,
    ),
    "by hand": Case(
        own.ByHand,
        SIGNAL,
        at(6, qkv=8) | at(6, proj=8),
        ("qkv",),
        modules=(("qkv", "proj", "in"),),
        attention=("qkv",),
    ),
    "encoder": _encoder(norm_first=False),
    "encoder, norm first": _encoder(norm_first=True),
    "mixer": Case(
        own.Mixer,
        IMAGE,
        at(6, tokens1=5) | at(16, units1=7),
        ("embed",),
        ("residual", "residual:2"),
        modules=(("tokens1", "tokens2", "in"), ("units1", "units2", "in")),
    ),
}


def _blocks(
    name: str,
    shapes: tuple[tuple[int, ...], ...],
    positions: int,
    layers: tuple[str, ...],
    names: tuple[str, str, str],
    sums: tuple[str, ...],
    more: Sites,
    stem: str,
    *,
    width: int = 12,
) -> Case:
    """A transformer: in every layer a site of attention's values and one of the dense units."""
    values, units, reader = names
    sites: Sites = {}
    for layer in layers:
        sites |= at(positions, **{f"{layer}.{values}": 8, f"{layer}.{units}": width})
    return Case(
        partial(hugging_face.build, name),
        shapes,
        sites | more,
        (stem,),
        (f"{stem}.residual", *(f"{layer}.{each}" for layer in layers for each in sums)),
        tuple((f"{layer}.{units}", f"{layer}.{reader}", "in") for layer in layers),
        () if "llama" in name else tuple(f"{layer}.{values}" for layer in layers),
        PAIR if shapes is TEXT else (),
    )


TWICE = ("residual", "residual:2")
STAGES = "resnet.encoder.stages"
NEXT = "convnext.encoder.stages"
HUGGING_FACE = {
    "hf-resnet": Case(
        partial(hugging_face.build, "hf-resnet"),
        ((3, 16, 16),),
        maps(8, 8, **{"resnet.embedder.embedder.convolution": 4})
        | maps(4, 4, **{f"{STAGES}.0.layers.0.layer.{i}.convolution": 4 for i in range(2)})
        | maps(
            *(2, 2),
            **{f"{STAGES}.1.layers.{i}.layer.{j}.convolution": 8 for i in (0, 1) for j in (0, 1)},
        ),
        ("resnet.embedder.embedder.convolution",),
        modules=(
            ("resnet.embedder.embedder.convolution", "resnet.embedder.embedder", "out"),
            (f"{STAGES}.1.layers.1.layer.1.convolution", f"{STAGES}.1.layers.1", "out"),
        ),
    ),
    "hf-convnext": Case(
        partial(hugging_face.build, "hf-convnext"),
        ((3, 16, 16),),
        at(8, 8, **{f"{NEXT}.0.layers.0.dwconv": 4, f"{NEXT}.0.layers.0.pwconv1": 16})
        | at(4, 4, **{f"{NEXT}.1.layers.0.dwconv": 8, f"{NEXT}.1.layers.0.pwconv1": 32})
        | at(4, 4, **{f"{NEXT}.1.layers.1.dwconv": 8, f"{NEXT}.1.layers.1.pwconv1": 32}),
        ("convnext.embeddings.patch_embeddings",),
        (
            "convnext.embeddings.patch_embeddings.residual",
            f"{NEXT}.0.layers.0.residual",
            f"{NEXT}.1.downsampling_layer.1.residual",
            f"{NEXT}.1.layers.0.residual",
            f"{NEXT}.1.layers.1.residual",
        ),
        (
            (f"{NEXT}.0.layers.0.pwconv1", f"{NEXT}.0.layers.0.act", "out"),
            (f"{NEXT}.1.layers.1.dwconv", f"{NEXT}.1.layers.1.layernorm", "out"),
            (f"{NEXT}.1.layers.0.residual", f"{NEXT}.1.layers.0", "out"),
        ),
    ),
    "hf-vit": _blocks(
        *("hf-vit", IMAGE, 5, ("vit.layers.0", "vit.layers.1")),
        ("attention.v_proj", "mlp.fc1", "mlp.fc2"),
        *(TWICE, {}, "vit.embeddings.patch_embeddings.projection"),
    ),
    "hf-bert": _blocks(
        *("hf-bert", TEXT, 6, ("bert.encoder.layer.0", "bert.encoder.layer.1")),
        ("attention.self.value", "intermediate.dense", "output.dense"),
        ("attention.output.residual", "output.residual"),
        at(**{"bert.pooler.dense": 8}),
        "bert.embeddings.word_embeddings",
    ),
    "hf-distilbert": _blocks(
        *("hf-distilbert", TEXT, 6, ("distilbert.transformer.layer.0",)),
        ("attention.v_lin", "ffn.lin1", "ffn.lin2"),
        *(TWICE, at(pre_classifier=8), "distilbert.embeddings.word_embeddings"),
    ),
    "hf-gpt2": _blocks(
        *("hf-gpt2", TEXT, 6, ("transformer.h.0",)),
        ("attn.c_attn", "mlp.c_fc", "mlp.c_proj"),
        *(TWICE, {}, "transformer.wte"),
        width=32,
    ),
    "hf-llama": _blocks(
        *("hf-llama", TEXT, 6, ("model.layers.0",)),
        ("self_attn.v_proj", "mlp.gate_proj", "mlp.down_proj"),
        *(TWICE, {}, "model.embed_tokens"),
    ),
}
CASES = OWN | HUGGING_FACE
