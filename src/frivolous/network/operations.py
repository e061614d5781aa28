"""What each operation of an exported graph does to units: the tables that the site search reads.

Names are those of ``torch.ops.aten``, without overload and without the underscore of the in-place
form (a traced graph has none left). An operation in no table is unknown: a layer that reads its
input through one is listed in ``Network.skipped``, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Mixing:
    """Where a unit-mixing operation has its input and its weight, and where its units come out.

    ``axis`` 1: after a convolution; -1: after a dense layer. ``symmetric``: input and weight may
    come in either order (``x @ W`` and ``W @ x``); the weight is the one no input reaches.
    """

    input: int
    weight: int
    axis: int
    symmetric: bool = False


def _named(words: str) -> frozenset[str]:
    return frozenset(words.split())


MIXING = {
    "linear": Mixing(0, 1, -1),
    "addmm": Mixing(1, 2, -1, symmetric=True),
    "mm": Mixing(0, 1, -1, symmetric=True),
    "bmm": Mixing(0, 1, -1, symmetric=True),
    "matmul": Mixing(0, 1, -1, symmetric=True),
    "convolution": Mixing(0, 1, 1),
    "conv1d": Mixing(0, 1, 1),
    "conv2d": Mixing(0, 1, 1),
    "conv3d": Mixing(0, 1, 1),
    "conv_transpose1d": Mixing(0, 1, 1),
    "conv_transpose2d": Mixing(0, 1, 1),
    "conv_transpose3d": Mixing(0, 1, 1),
}


def _convolution(transposed: bool) -> Callable[[Sequence[Any]], tuple[bool, int]]:
    return lambda args: (transposed, int(args[6]) if len(args) > 6 else 1)


#: Convolutions -> whether one is transposed, and its groups, from its arguments.
CONVOLUTIONS: dict[str, Callable[[Sequence[Any]], tuple[bool, int]]] = {
    "convolution": lambda args: (bool(args[6]), int(args[8])),
    **{f"conv{d}d": _convolution(False) for d in (1, 2, 3)},
    **{f"conv_transpose{d}d": _convolution(True) for d in (1, 2, 3)},
}
#: Tables of vectors looked up by computed numbers: layers that write units and read none.
LOOKING_UP = {"embedding": Mixing(1, 0, -1)}
#: Products of two values, by the arguments that they are; with a weight they are layers.
PRODUCTS = {
    "mm": (0, 1),
    "bmm": (0, 1),
    "matmul": (0, 1),
    "baddbmm": (1, 2),
    "scaled_dot_product_attention": (0, 1, 2),
}
ATTENTION = frozenset(["scaled_dot_product_attention"])

ACTIVATIONS = _named(
    "glu relu relu6 leaky_relu elu selu celu gelu silu mish hardswish hardsigmoid hardtanh "
    "sigmoid log_sigmoid tanh softplus softshrink hardshrink threshold prelu _prelu_kernel "
    "rrelu rrelu_with_noise"
)
ARITHMETIC = _named(
    "add sub rsub mul div neg abs sign square pow sqrt rsqrt reciprocal exp expm1 log log1p "
    "erf sin cos maximum minimum clamp clamp_min clamp_max where masked_fill lerp addcmul "
    "addcdiv eq ne lt le gt ge logical_not logical_and logical_or bitwise_and bitwise_or "
    "bitwise_not isnan isinf nan_to_num floor ceil round trunc"
)
NORMALISATIONS = _named(
    "batch_norm native_batch_norm _native_batch_norm_legit "
    "_native_batch_norm_legit_no_training cudnn_batch_norm layer_norm native_layer_norm "
    "group_norm native_group_norm instance_norm rms_norm"
)
#: Operations that belong to the element-wise tail of the layer before them.
TAIL = ACTIVATIONS | ARITHMETIC | NORMALISATIONS

POOLING = _named(
    "max_pool1d max_pool2d max_pool3d max_pool2d_with_indices max_pool3d_with_indices "
    "avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d "
    "adaptive_avg_pool3d _adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_max_pool1d "
    "adaptive_max_pool2d adaptive_max_pool3d upsample_nearest1d upsample_nearest2d "
    "upsample_nearest3d upsample_linear1d upsample_bilinear2d upsample_bicubic2d "
    "upsample_trilinear3d"
)
RESHAPING = frozenset(["view", "reshape", "_unsafe_view", "flatten", "unflatten"])
#: Operations that keep the axes in place, whatever the size of each.
COPYING = _named(
    "dropout native_dropout alpha_dropout feature_dropout clone contiguous alias detach "
    "lift_fresh_copy to _to_copy type_as pad constant_pad_nd reflection_pad1d "
    "reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d replication_pad3d "
    "slice narrow flip roll expand expand_as cat concat repeat repeat_interleave"
)
#: Those of them that keep every number.
SAME = _named("dropout native_dropout clone contiguous alias detach to _to_copy type_as")
#: Operations that give several values, and the one that takes one of them out.
SPLITTING = _named("split split_with_sizes chunk tensor_split unbind getitem")
#: Operations over the axes named in their second argument; they pass while that is not the units'.
REDUCING = frozenset(["mean", "sum", "amax", "amin", "logsumexp"])
#: Operations along the axis named in their second argument; they pass while it is not the units'.
ALONG = _named("softmax _softmax _safe_softmax log_softmax _log_softmax cumsum cumprod")
REARRANGING = _named("squeeze unsqueeze permute transpose t mT select")
#: Operations that neither mix units nor belong to a layer's tail.
PASSING = POOLING | RESHAPING | COPYING | SPLITTING | REDUCING | ALONG | REARRANGING
#: Operations that are in one of these tables.
KNOWN = frozenset([*MIXING, *LOOKING_UP, *PRODUCTS]) | TAIL | PASSING

#: The links of the chain by which ``F.local_response_norm`` sums squares of neighbouring channels.
RESPONSE_CHAIN = _named(
    "add mul avg_pool2d avg_pool3d pad constant_pad_nd view reshape squeeze unsqueeze"
)
