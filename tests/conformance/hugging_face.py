"""Models of ``transformers``, each built from a tiny configuration: nothing is downloaded."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

from torch import nn

AVAILABLE = find_spec("transformers") is not None
WHY_NOT = "transformers is not installed; `pip install 'frivolous[hf]'` brings it"
TOKENS = 20
LABELS = {"num_labels": 3}
SEQUENCE = {"vocab_size": TOKENS, "max_position_embeddings": 16}
BLOCKS = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}

#: Name -> the model's class, its configuration's, and what that is given.
CONFIGURATIONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "hf-resnet": (
        "ResNetForImageClassification",
        "ResNetConfig",
        {"embedding_size": 4, "hidden_sizes": [4, 8], "depths": [1, 2], "layer_type": "basic"}
        | LABELS,
    ),
    "hf-convnext": (
        "ConvNextForImageClassification",
        "ConvNextConfig",
        {"hidden_sizes": [4, 8], "depths": [1, 2], "num_stages": 2, "patch_size": 2} | LABELS,
    ),
    "hf-vit": (
        "ViTForImageClassification",
        "ViTConfig",
        {"intermediate_size": 12, "image_size": 8, "patch_size": 4} | BLOCKS | LABELS,
    ),
    "hf-bert": (
        "BertForSequenceClassification",
        "BertConfig",
        {"intermediate_size": 12} | BLOCKS | SEQUENCE | LABELS,
    ),
    "hf-distilbert": (
        "DistilBertForSequenceClassification",
        "DistilBertConfig",
        {"dim": 8, "n_layers": 1, "n_heads": 2, "hidden_dim": 12} | SEQUENCE | LABELS,
    ),
    "hf-gpt2": (
        "GPT2LMHeadModel",
        "GPT2Config",
        {"vocab_size": TOKENS, "n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": 16}
        | {"bos_token_id": 0, "eos_token_id": 0},
    ),
    "hf-llama": (
        "LlamaForCausalLM",
        "LlamaConfig",
        {"intermediate_size": 12, "num_key_value_heads": 2}
        | BLOCKS
        | {"num_attention_heads": 4, "num_hidden_layers": 1}
        | SEQUENCE,
    ),
    "hf-swin": (
        "SwinForImageClassification",
        "SwinConfig",
        {"image_size": 8, "patch_size": 2, "embed_dim": 4, "depths": [2, 1]}
        | {"num_heads": [2, 2], "window_size": 2}
        | LABELS,
    ),
    "hf-deberta": (
        "DebertaV2ForSequenceClassification",
        "DebertaV2Config",
        {"intermediate_size": 12, "type_vocab_size": 0, "position_biased_input": False}
        | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 4}
        | {"share_att_key": True, "norm_rel_ebd": "layer_norm"}
        | BLOCKS
        | {"num_hidden_layers": 1}
        | SEQUENCE
        | LABELS,
    ),
    "hf-mixtral": (
        "MixtralForCausalLM",
        "MixtralConfig",
        {"intermediate_size": 12, "num_local_experts": 3, "num_experts_per_tok": 2}
        | BLOCKS
        | {"num_hidden_layers": 1, "num_key_value_heads": 1}
        | SEQUENCE,
    ),
    "hf-wav2vec2": (
        "Wav2Vec2ForSequenceClassification",
        "Wav2Vec2Config",
        {"intermediate_size": 12, "conv_dim": (6, 6), "conv_kernel": (4, 3)}
        | {"conv_stride": (2, 2), "num_feat_extract_layers": 2, "num_conv_pos_embeddings": 4}
        | {"num_conv_pos_embedding_groups": 2, "classifier_proj_size": 8}
        | BLOCKS
        | {"num_hidden_layers": 1}
        | LABELS,
    ),
    "hf-t5": (
        "T5EncoderModel",
        "T5Config",
        {"vocab_size": TOKENS, "d_model": 8, "d_kv": 4, "d_ff": 12}
        | {"num_layers": 1, "num_heads": 2},
    ),
    "hf-segformer": (
        "SegformerForImageClassification",
        "SegformerConfig",
        {"num_encoder_blocks": 2, "depths": [1, 1], "sr_ratios": [2, 1]}
        | {"hidden_sizes": [4, 8], "patch_sizes": [3, 3], "strides": [2, 2]}
        | {"num_attention_heads": [1, 2], "mlp_ratios": [2, 2]}
        | LABELS,
    ),
    "hf-neox": (
        "GPTNeoXForCausalLM",
        "GPTNeoXConfig",
        {"intermediate_size": 12} | BLOCKS | {"num_hidden_layers": 1} | SEQUENCE,
    ),
}


def build(name: str) -> nn.Module:
    """The model of that name, its weights drawn as ``transformers`` draws them."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import transformers

    model, config, options = CONFIGURATIONS[name]
    made: nn.Module = getattr(transformers, model)(getattr(transformers, config)(**options))
    return made
