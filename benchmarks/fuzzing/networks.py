"""A network drawn by its seed: its source, and the module that the source makes."""

from __future__ import annotations

import random
import warnings

import torch

from fuzzing.channel_blocks import CHANNELS
from fuzzing.conv_blocks import CONVOLUTIONS
from fuzzing.dense_blocks import LAYERS
from fuzzing.draft import Block, Draft, Unfit
from fuzzing.feature_blocks import FEATURES
from fuzzing.given import batch_of, scores_of, some_of
from fuzzing.layer_blocks import TOKEN_LAYERS
from fuzzing.position_blocks import POSITIONS, VOLUME
from fuzzing.series_blocks import NUMBERS, SERIES
from fuzzing.source import HEADER, WRAPPERS, Drawn, built, class_of, wrapped
from fuzzing.steps import adapted
from fuzzing.token_blocks import TOKEN_MOVES
from fuzzing.weight_blocks import WEIGHTS

BLOCKS: dict[str, dict[str, Block]] = {
    "F": {**LAYERS, **WEIGHTS, **FEATURES},
    "I": {**CONVOLUTIONS, **CHANNELS, **POSITIONS},
    "V": VOLUME,
    "S": SERIES,
    "T": {**TOKEN_LAYERS, **TOKEN_MOVES},
    "K": NUMBERS,
}
"""Blocks by the kind of value that they read."""
KINDS = ["F"] * 5 + ["I"] * 6 + ["T"] * 5 + ["S"] * 2 + ["K"] * 2 + ["V"]
PLAIN = ("dense", "dense norm", "conv2d", "conv1d", "conv3d", "dense per token")


def drawn(seed: int) -> Drawn:
    """The network of a seed: the same text always."""
    rng = random.Random(f"network {seed}")
    while True:
        try:
            net = _composed(rng, seed)
        except Unfit:
            continue
        if _runs(net):
            return net


def _runs(net: Drawn) -> bool:
    """Whether the text is a network at all, one that gives numbers."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model, inputs = built(net).eval(), batch_of(net, 3, 0)
            scores = scores_of(net, model, inputs)
            scores_of(net, model, some_of(inputs, 0, 1))
            wrapped(net, built(net))  # a copy is made of some, which not all modules allow
    except (RuntimeError, ValueError, IndexError):
        return False
    return bool(torch.isfinite(scores).all()) and 1e-3 < float(scores.std(0).max()) < 1e3


def _start(rng: random.Random) -> tuple[str, tuple[int, ...]]:
    kind = rng.choice(KINDS)
    side = rng.choice([4, 5, 6, 8])
    return kind, {
        "F": (rng.choice([5, 6, 8]),),
        "I": (rng.choice([1, 2, 3]), side, rng.choice([side, 6])),
        "V": (2, 2, 4, 4),
        "S": (rng.choice([2, 3, 4]), rng.choice([6, 8, 9])),
        "T": (rng.choice([3, 4, 5]), rng.choice([4, 6])),
        "K": (rng.choice([4, 5, 6]),),
    }[kind]


def _composed(rng: random.Random, seed: int) -> Drawn:
    kind, shape = _start(rng)
    d = Draft(rng, kind, shape, float64=rng.random() < 0.7)
    inputs, used, classes = [(kind, shape)], [], []
    for _ in range(rng.randint(2, 5)):
        used += _added(d, classes)
    if rng.random() < 0.15:
        second = (rng.choice([4, 6]),)
        used.append(_second(d, second[0]))
        inputs.append(("F", second))
    if d.kind == "T" and len(inputs) == 1 and rng.random() < 0.15:
        used.append("scores per token")
        return _written(d, seed, inputs, used, classes, rng.choice([3, 5]))
    while d.kind != "F":
        used.append(adapted(d))
    if d.shape[0] > 150 or rng.random() < 0.6:
        used += _added(d, classes, only="dense")
    count = rng.choice([2, 3, 3, 5])
    return _written(d, seed, inputs, used, classes, count)


def _added(d: Draft, classes: list[str], only: str = "") -> list[str]:
    """One more block, or a step to another kind of value."""
    for _ in range(30):
        part = d.part()
        try:
            if d.kind != "K" and not only and d.rng.random() < 0.12:
                name = adapted(part)
            else:
                name = only or _block(d)
                BLOCKS[d.kind][name](part)
            return [name, *_joined(d, part, classes)]
        except Unfit:
            continue
    raise Unfit


def _block(d: Draft) -> str:
    """The name of a block: plain layers come more often, since others have to meet them."""
    names = list(BLOCKS[d.kind])
    return d.rng.choices(names, [4 if name in PLAIN else 1 for name in names])[0]


def _joined(d: Draft, part: Draft, classes: list[str]) -> list[str]:
    """Put a part into the network: in line, as a module, twice, in a sum, beside what it reads."""
    same = (d.kind, d.shape) == (part.kind, part.shape)
    how = d.rng.choice(
        ["line"] * 4 + ["module"] * 3 + ["twice", "sum", "beside", "sequential", "checkpoint"]
    )
    if (how in {"twice", "sum"} and not same) or (d.kind == "K" and how != "line"):
        how = "module"
    beside = d.kind == part.kind and d.shape[1:] == part.shape[1:] and d.kind != "T"
    if how == "beside" and not beside:
        how = "module"
    if how == "line":
        d.init += part.init
        d.forward += part.forward
        d.kind, d.shape = part.kind, part.shape
        return []
    shape = part.shape if how != "beside" else (d.shape[0] + part.shape[0], *part.shape[1:])
    d.becomes(part.kind, *shape)
    number = next(d.numbers)
    classes.append(class_of(f"Part{number}", part.init, ["x"], [*part.forward, "return x"]))
    name = f"self.part{number}"
    code = f"Part{number}()"
    if how == "sequential":
        code = f"nn.Sequential({code})"
    d.init.append(f"{name} = {code}")
    d.step(
        {
            "twice": f"{name}({name}(x))",
            "sum": f"x + {name}(x)",
            "beside": f"torch.cat([x, {name}(x)], 1)",
            "checkpoint": f"checkpoint({name}, x, use_reentrant=False)",
        }.get(how, f"{name}(x)")
    )
    return [f"({how})"] if how in {"twice", "sum", "beside", "checkpoint"} else []


def _second(d: Draft, f: int) -> str:
    """A second argument ``y`` (N, f) joined to the value."""
    if d.kind == "K":
        raise Unfit
    c = d.shape[-1] if d.kind == "T" else d.shape[0]
    behind = {
        "I": "[:, :, None, None]",
        "V": "[:, :, None, None, None]",
        "S": "[:, :, None]",
        "T": "[:, None]",
        "F": "",
    }
    layer = d.linear(f, c)
    d.step(
        d.rng.choice(
            [
                f"x + {layer}(y){behind[d.kind]}",
                f"x * torch.sigmoid({layer}(y)){behind[d.kind]}",
            ]
        )
    )
    return "second input"


ENDINGS = {
    "plain": "return {head}",
    "output: scaled": "return {head} / 1.7",
    "output: log_softmax": "return F.log_softmax({head}, dim=-1)",
    "output: dict": 'return {{"logits": {head}, "features": x}}',
    "output: with None": 'return {{"logits": {head}, "cache": None, "name": "net"}}',
    "output: dataclass": "return Scores({head}, x)",
    "output: tuple": "return {head}, x",
    "output: two heads": "return self.other(x), {head}",
    "output: two named heads": 'return {{"other": self.other(x), "scores": {head}}}',
}
OUTPUTS = {"output: tuple": 0, "output: two heads": 1, "output: two named heads": "scores"}
"""What holds the scores where the library is to be told."""


def _written(
    d: Draft,
    seed: int,
    inputs: list[tuple[str, tuple[int, ...]]],
    used: list[str],
    classes: list[str],
    count: int,
) -> Drawn:
    """The text of a network that ends with a head on the features of ``x``."""
    rng, f = d.rng, d.shape[-1]
    ending = rng.choice(["plain"] * 9 + list(ENDINGS)[1:])
    d.init.append(f"self.head = nn.Linear({f}, {count})")
    heads = ["head"]
    if "two" in ending:
        d.init.append(f"self.other = nn.Linear({f}, 2)")
        heads.append("other")
    names = ["x", "y"][: len(inputs)]
    arguments, first, calls = names, [], "tensor" if len(names) == 1 else "tuple"
    signature = rng.choice(["plain"] * 20 + ["keywords"] * 3 + ["*args", "**kwargs"])
    if signature == "*args":
        arguments, first = ["*xs"], [f"{', '.join(names)}, = xs"]
    elif signature == "**kwargs":
        arguments, first = ["**given"], [f'{name} = given["{name}"]' for name in names]
    if signature in {"keywords", "**kwargs"}:
        calls = "dict"
    wrapper = rng.choice(WRAPPERS) if rng.random() < 0.06 else ""
    forward = [*first, *d.forward, ENDINGS[ending].format(head="self.head(x)")]
    return Drawn(
        seed=seed,
        source="\n\n".join([HEADER, *classes, class_of("Net", d.init, arguments, forward)]),
        inputs=inputs,
        calls=calls,
        output=OUTPUTS.get(ending),
        heads=heads,
        blocks=[
            *used,
            *(name for name in (ending, signature, wrapper) if name not in {"", "plain"}),
        ],
        float64=d.float64,
        classes=count,
        training=rng.random() < 0.4,
        wrapper=wrapper,
        names=names,
    )
