"""What each operation of an exported graph does to units: one row for each, which all engines read.

Names are those of ``torch.ops.aten``, without overload and without the underscore of the in-place
form (a traced graph has none left). An operation without a row is unknown: a layer that reads its
input through one is listed in ``Network.skipped``, never passed over in silence.

A row names its operation's *kind*, and every engine has one function for each kind:

- ``units.propagation.LAYOUTS``: which axes of the result hold units, examples and positions
- ``compression.coupling.rules.COUPLING``: which entries of axes can only be removed together
- ``compression.surgery.graph.THINNING``: arguments that are to change when entries are removed

For example, ``relu`` is "elementwise": units stay on their axes, entries that meet are removed
together, and no argument depends on how many there are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

Kind = Literal[
    "elementwise", "slope", "gate", "batch_norm", "instance_norm", "layer_norm", "response_norm",
    "linear", "convolution", "product", "added_product", "added_batch", "attention", "table",
    "pool", "average_pool", "reduce", "extreme", "along", "reshape", "squeeze", "unsqueeze",
    "transpose", "permute", "select", "expand", "copy", "dropout", "pad", "border_pad", "slice",
    "narrow", "concat", "split", "chunk", "tensor_split", "unbind", "item", "reorder", "repeat",
    "arrange", "weight_norm", "unknown",
]  # fmt: skip
Role = Literal["mixing", "table", "product", "tail", "passing", "unknown"]


@dataclass(frozen=True)
class Mixing:
    """Where a unit-mixing operation takes its input and weight, and where its units come out.

    ``axis`` 1: after a convolution; -1: after a dense layer. ``symmetric``: input and weight may
    come in either order (``x @ W`` and ``W @ x``); the weight is the one no input reaches.
    ``bias`` is the place of an added vector, in operations that take one.
    """

    input: int
    weight: int
    axis: int
    symmetric: bool = False
    bias: int = 2


@dataclass(frozen=True)
class Operation:
    """All that the library knows of an operation.

    ``role`` is what it is to units: "mixing" them (a layer), a "table" of vectors, a "product" of
    computed values, the element-wise "tail" of the layer before it (``activation``: which makes its
    units those of its reader alone, also in a residual stream), or "passing" them on.
    Multiply-adds follow from ``layer`` (each number of the weight once for every position) and,
    where no factor is a weight, from ``factors``, the arguments that are multiplied; an operation
    with neither has none. ``grouping`` gives from a convolution's arguments whether it is
    transposed, and its groups; ``dims`` is how many axes of positions it works along. ``no_layout``
    and ``no_coupling`` say why an engine has no rule for its kind: units are not followed through
    it, and all that it reads is kept.
    """

    kind: Kind
    role: Role = "passing"
    layer: Mixing | None = None
    factors: tuple[int, ...] = ()
    grouping: Callable[[Sequence[Any]], tuple[bool, int]] = lambda args: (False, 1)
    dims: int = 0
    activation: bool = False
    no_layout: str = ""
    no_coupling: str = ""

    @property
    def known(self) -> bool:
        """Whether units can be followed through it where a model has it."""
        return not self.no_layout


def _rows(names: str, row: Operation) -> dict[str, Operation]:
    """One row for several operations, of as many dimensions as each has in its name."""
    dims = {name: re.search(r"(\d)d", name) for name in names.split()}
    return {name: replace(row, dims=int(d[1]) if d else 0) for name, d in dims.items()}


def _convolution(transposed: bool) -> Operation:
    def grouping(args: Sequence[Any]) -> tuple[bool, int]:
        return transposed, int(args[6]) if len(args) > 6 else 1

    return Operation("convolution", "mixing", Mixing(0, 1, 1), grouping=grouping)


_ANY_ORDER = Mixing(0, 1, -1, symmetric=True)
UNKNOWN = Operation("unknown", "unknown", no_layout="not known", no_coupling="not known")

OPERATIONS: dict[str, Operation] = {
    # Layers, and products of two values: with a weight they are layers.
    "linear": Operation("linear", "mixing", Mixing(0, 1, -1)),
    "addmm": Operation("added_product", "mixing", Mixing(1, 2, -1, symmetric=True, bias=0)),
    **_rows("mm bmm matmul", Operation("product", "mixing", _ANY_ORDER, (0, 1))),
    "convolution": replace(
        _convolution(False), grouping=lambda args: (bool(args[6]), int(args[8]))
    ),
    **_rows("conv1d conv2d conv3d", _convolution(False)),
    **_rows("conv_transpose1d conv_transpose2d conv_transpose3d", _convolution(True)),
    "baddbmm": Operation("added_batch", "product", factors=(1, 2), no_coupling="its added batch"),
    "scaled_dot_product_attention": Operation("attention", "product", factors=(0, 1, 2)),
    # Vectors looked up by computed numbers: it writes units and reads none.
    "embedding": Operation("table", "table", Mixing(1, 0, -1)),
    # The element-wise tail of the layer before: activations, arithmetic, normalisations.
    **_rows(
        "relu relu6 leaky_relu elu selu celu gelu silu mish hardswish hardsigmoid hardtanh "
        "sigmoid log_sigmoid tanh softplus softshrink hardshrink threshold _prelu_kernel rrelu "
        "rrelu_with_noise",
        Operation("elementwise", "tail", activation=True),
    ),
    "prelu": Operation("slope", "tail", activation=True),
    "glu": Operation("gate", "tail", activation=True),
    **_rows(
        "add sub rsub mul div neg abs sign square pow sqrt rsqrt reciprocal exp expm1 log log1p "
        "erf sin cos maximum minimum clamp clamp_min clamp_max where masked_fill lerp addcmul "
        "addcdiv eq ne lt le gt ge logical_not logical_and logical_or bitwise_and bitwise_or "
        "bitwise_not isnan isinf nan_to_num floor ceil round trunc",
        Operation("elementwise", "tail"),
    ),
    **_rows(
        "batch_norm native_batch_norm _native_batch_norm_legit "
        "_native_batch_norm_legit_no_training cudnn_batch_norm",
        Operation("batch_norm", "tail"),
    ),
    "instance_norm": Operation("instance_norm", "tail"),
    **_rows("layer_norm native_layer_norm group_norm native_group_norm rms_norm",
            Operation("layer_norm", "tail")),
    # Operations that neither mix units nor belong to a layer's tail.
    **_rows(
        "max_pool1d max_pool2d max_pool3d max_pool2d_with_indices max_pool3d_with_indices "
        "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d _adaptive_avg_pool2d "
        "_adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d "
        "upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_linear1d "
        "upsample_bilinear2d upsample_bicubic2d upsample_trilinear3d",
        Operation("pool"),
    ),
    **_rows("avg_pool1d avg_pool2d avg_pool3d", Operation("average_pool")),
    **_rows("view reshape _unsafe_view flatten unflatten", Operation("reshape")),
    "squeeze": Operation("squeeze"),
    "unsqueeze": Operation("unsqueeze"),
    **_rows("transpose t mT", Operation("transpose")),
    "permute": Operation("permute"),
    "select": Operation("select"),
    # Over the axes named in the second argument, or along the one named there.
    **_rows("mean sum logsumexp", Operation("reduce")),
    **_rows("amax amin", Operation("extreme")),
    **_rows("softmax _softmax _safe_softmax log_softmax _log_softmax cumsum cumprod",
            Operation("along")),
    # The axes stay in place, whatever the size of each; copies keep every number.
    **_rows(
        "dropout native_dropout clone contiguous alias detach lift_fresh_copy to _to_copy type_as",
        Operation("copy"),
    ),
    **_rows("alpha_dropout feature_dropout", Operation("dropout")),
    **_rows("pad constant_pad_nd", Operation("pad")),
    **_rows(
        "reflection_pad1d reflection_pad2d reflection_pad3d "
        "replication_pad1d replication_pad2d replication_pad3d",
        Operation("border_pad", no_coupling="its border repeats entries"),
    ),
    "slice": Operation("slice"),
    "narrow": Operation("narrow"),
    **_rows("flip roll", Operation("reorder", no_coupling="entries change places")),
    **_rows("expand expand_as", Operation("expand")),
    **_rows("cat concat", Operation("concat")),
    **_rows("repeat repeat_interleave", Operation("repeat", no_coupling="an entry is repeated")),
    # Operations that give several values, and the one that takes one of them out.
    **_rows("split split_with_sizes", Operation("split")),
    "chunk": Operation("chunk"),
    "tensor_split": Operation("tensor_split", no_coupling="parts are as large as the whole says"),
    "unbind": Operation("unbind", no_coupling="every entry is a value of its own"),
    "getitem": Operation("item"),
    # Steps that the library puts in, and weights that are computed from others.
    "response_norm": Operation("response_norm", "unknown", no_layout="made by `rewrites`, later"),
    "arrange": Operation("arrange", "unknown", no_layout="made by `relayout`, later",
                         no_coupling="it merges axes that hold units"),
    **_rows("_weight_norm _weight_norm_interface",
            Operation("weight_norm", "unknown", no_layout="no input reaches a weight")),
}  # fmt: skip

#: The links of the chain by which ``F.local_response_norm`` sums squares of neighbouring channels.
RESPONSE_CHAIN = frozenset(["add", "mul", "avg_pool2d", "avg_pool3d", "pad", "constant_pad_nd"]) | {
    "view", "reshape", "squeeze", "unsqueeze"
}  # fmt: skip
