"""A network drawn by its seed: its source, and the module that the source makes."""

from __future__ import annotations

import linecache
import random
import re
import warnings
from dataclasses import dataclass, field

import torch
from torch import nn

from fuzzing.dense_blocks import DENSE
from fuzzing.draft import Block, Draft, Unfit
from fuzzing.image_blocks import IMAGE, VOLUME
from fuzzing.sequence_blocks import NUMBERS, SERIES, TOKENS

BLOCKS: dict[str, dict[str, Block]] = {
    "F": DENSE,
    "I": IMAGE,
    "V": VOLUME,
    "S": SERIES,
    "T": TOKENS,
    "K": NUMBERS,
}
KINDS = ["F"] * 5 + ["I"] * 6 + ["T"] * 5 + ["S"] * 2 + ["K"] * 2 + ["V"]
TOKEN_NUMBERS = 12
WRAPPERS = ("DataParallel", "AveragedModel", "torch.compile")
PLAIN = ("dense", "dense norm", "conv2d", "conv1d", "conv3d", "dense per token")

HEADER = """\
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import prune
from torch.nn.utils import weight_norm as old_weight_norm
from torch.utils.checkpoint import checkpoint


class Symmetric(nn.Module):
    def forward(self, w):
        return (w + w.t()) / 2


class Positive(nn.Module):
    def forward(self, w):
        return F.softplus(w) / 4


@dataclass
class Scores:
    logits: torch.Tensor
    hidden: torch.Tensor
"""


@dataclass
class Drawn:
    """A network as text: ``inputs`` are the sizes of an example of each argument, ``calls`` how
    arguments are given ("tensor", "tuple", "dict"), ``output`` which of several holds the scores,
    ``heads`` the layers that write the scores, which are no hidden layers.
    """

    seed: int
    source: str
    inputs: list[tuple[str, tuple[int, ...]]]
    calls: str
    output: str | int | None
    heads: list[str]
    blocks: list[str]
    float64: bool
    classes: int
    training: bool = False
    wrapper: str = ""
    names: list[str] = field(default_factory=list)


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
    from fuzzing.given import batch_of, scores_of, some_of

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model, inputs = built(net).eval(), batch_of(net, 3, 0)
            scores = scores_of(net, model, inputs)
            scores_of(net, model, some_of(inputs, 0, 1))
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
        return _written(d, rng, seed, inputs, used, classes, rng.choice([3, 5]))
    while d.kind != "F":
        used.append(_adapted(d))
    if d.shape[0] > 150 or rng.random() < 0.6:
        used += _added(d, classes, only="dense")
    count = rng.choice([2, 3, 3, 5])
    return _written(d, rng, seed, inputs, used, classes, count)


def _added(d: Draft, classes: list[str], only: str = "") -> list[str]:
    """One more block, or a step to another kind of value."""
    for _ in range(30):
        part = d.part()
        try:
            if d.kind != "K" and not only and d.rng.random() < 0.12:
                name = _adapted(part)
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
    return d.rng.choices(names, [5 if name in PLAIN else 1 for name in names])[0]


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
    classes.append(_class(f"Part{number}", part.init, ["x"], [*part.forward, "return x"]))
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


def _adapted(d: Draft) -> str:
    """A step from one kind of value to another."""
    name, code, kind, shape = d.rng.choice(_steps(d))
    d.becomes(kind, *shape)
    d.step(code)
    return name


def _steps(d: Draft) -> list[tuple[str, str, str, tuple[int, ...]]]:
    s = d.shape
    if d.kind == "F":
        f = s[0]
        found = [
            ("to tokens", "x.unsqueeze(-1)", "T", (f, 1)),
            ("to series", "x.unsqueeze(1)", "S", (1, f)),
        ]
        if f % 2 == 0 and f >= 6:
            found += [("to tokens", f"x.view(x.shape[0], -1, {f // 2})", "T", (2, f // 2))]
        if f % 4 == 0:
            found += [("to images", f"x.view(-1, {f // 4}, 2, 2)", "I", (f // 4, 2, 2))]
        return found
    if d.kind == "I":
        c, h, w = s
        return [
            ("flatten", "x.flatten(1)", "F", (c * h * w,)),
            ("flatten", "x.view(x.shape[0], -1)", "F", (c * h * w,)),
            (
                "flatten",
                "x.reshape(len(x), -1)" if d.rng.random() < 0.05 else "torch.flatten(x, 1)",
                "F",
                (c * h * w,),
            ),
            ("mean of positions", "x.mean((2, 3))", "F", (c,)),
            ("mean of positions", "F.adaptive_avg_pool2d(x, 1).flatten(1)", "F", (c,)),
            ("mean of positions", "x.mean([-2, -1])", "F", (c,)),
            ("largest of positions", "x.amax((2, 3))", "F", (c,)),
            (
                "pyramid",
                "torch.cat([x.mean((2, 3)), F.adaptive_max_pool2d(x, 2).flatten(1)], 1)",
                "F",
                (5 * c,),
            ),
            ("one position", "x[:, :, 0, -1]", "F", (c,)),
            ("to tokens", "x.flatten(2).transpose(1, 2)", "T", (h * w, c)),
            (
                "to tokens",
                "x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, x.shape[1])",
                "T",
                (h * w, c),
            ),
            ("to series", "x.mean(2)", "S", (c, w)),
            ("to series", "x.flatten(1, 2)", "S", (c * h, w)),
            ("mean of channels", "x.mean(1).flatten(1)", "F", (h * w,)),
        ]
    if d.kind == "V":
        c, t, h, w = s
        return [
            ("mean of positions", "x.mean((2, 3, 4))", "F", (c,)),
            ("flatten", "x.flatten(1)", "F", (c * t * h * w,)),
            ("to images", "x.mean(2)", "I", (c, h, w)),
            ("to images", "x.flatten(1, 2)", "I", (c * t, h, w)),
            ("to images", "x[:, :, 0]", "I", (c, h, w)),
        ]
    if d.kind == "S":
        c, n = s
        return [
            ("flatten", "x.flatten(1)", "F", (c * n,)),
            ("mean of positions", "x.mean(-1)", "F", (c,)),
            ("mean of positions", "F.adaptive_avg_pool1d(x, 1).squeeze(-1)", "F", (c,)),
            ("largest of positions", "x.max(dim=-1).values", "F", (c,)),
            ("largest of positions", "x.max(-1)[0]", "F", (c,)),
            ("one position", "x[:, :, -1]", "F", (c,)),
            ("one position", "x[..., -1]", "F", (c,)),
            ("statistics", "torch.cat([x.mean(-1), x.std(-1)], 1)", "F", (2 * c,)),
            ("to tokens", "x.transpose(1, 2)", "T", (n, c)),
            ("to images", "x.unsqueeze(2)", "I", (c, 1, n)),
        ]
    if d.kind == "T":
        t, f = s
        pool = d.layer(f"nn.Linear({f}, 1)", "pool") if d.rng.random() < 0.2 else ""
        if pool:
            weighed = f"(torch.softmax({pool}(x), 1) * x).sum(1)"
            return [("attention pooling", weighed, "F", (f,))]
        return [
            ("mean of tokens", "x.mean(1)", "F", (f,)),
            ("largest of tokens", "x.amax(1)", "F", (f,)),
            ("one token", "x[:, 0]", "F", (f,)),
            ("one token", "x[:, -1]", "F", (f,)),
            ("one token", "x[:, 0, :]", "F", (f,)),
            ("one token", "x.select(1, 0)", "F", (f,)),
            ("one token", "x.unbind(1)[0]", "F", (f,)),
            ("flatten", "x.flatten(1)", "F", (t * f,)),
            ("flatten", "x.transpose(1, 2).flatten(1)", "F", (t * f,)),
            ("to series", "x.transpose(1, 2)", "S", (f, t)),
            ("to images", "x.unsqueeze(1)", "I", (1, t, f)),
        ]
    raise Unfit


def _used(init: list[str], forward: list[str]) -> list[str]:
    """The lines without layers that no other line calls."""
    while True:
        text = "\n".join([*init, *forward])
        kept = [line for line in init if _times(line, text) > 1]
        if len(kept) == len(init):
            return init
        init = kept


def _times(line: str, text: str) -> int:
    made = re.match(r"(self\.\w+) = |self\.register_buffer\(\"(\w+)\"", line)
    if made is None:
        return 2
    name = made[1] or f"self.{made[2]}"
    return len(re.findall(rf"{re.escape(name)}\b", text)) + (made[1] is None)


def _class(name: str, init: list[str], arguments: list[str], forward: list[str]) -> str:
    init = _used(init, forward)
    lines = [
        f"class {name}(nn.Module):",
        "    def __init__(self):",
        "        super().__init__()",
        *(f"        {line}" for line in init),
        "",
        f"    def forward(self, {', '.join(arguments)}):",
        *(f"        {line}" for line in forward),
    ]
    return "\n".join(lines) + "\n"


def _written(d: Draft, rng: random.Random, seed: int, inputs, used, classes, count) -> Drawn:  # type: ignore[no-untyped-def]
    f = d.shape[-1]
    heads, output, body = ["head"], None, list(d.forward)
    d.init.append(f"self.head = nn.Linear({f}, {count})")
    ending = rng.choice(
        ["plain"] * 9
        + ["log_softmax", "dict", "tuple", "dataclass", "two heads", "scaled", "with None"]
    )
    if ending == "log_softmax":
        body.append("return F.log_softmax(self.head(x), dim=-1)")
    elif ending == "scaled":
        body.append("return self.head(x) / 1.7")
    elif ending == "dict":
        body.append('return {"logits": self.head(x), "features": x}')
    elif ending == "tuple":
        output = 0
        body.append("return self.head(x), x")
    elif ending == "with None":
        body.append('return {"logits": self.head(x), "cache": None, "name": "net"}')
    elif ending == "dataclass":
        body.append("return Scores(self.head(x), x)")
    elif ending == "two heads":
        d.init.append(f"self.other = nn.Linear({f}, 2)")
        heads.append("other")
        output = 1 if rng.random() < 0.5 else "scores"
        body.append(
            "return self.other(x), self.head(x)"
            if output == 1
            else 'return {"other": self.other(x), "scores": self.head(x)}'
        )
    else:
        body.append("return self.head(x)")
    if ending != "plain":
        used.append(f"output: {ending}")
    names = ["x", "y"][: len(inputs)]
    arguments, calls = names, "tensor" if len(names) == 1 else rng.choice(["tuple", "dict"])
    variadic = rng.random()
    if variadic < 0.04:
        arguments, body = ["*xs"], [f"{', '.join(names)}, = xs", *body]
        used.append("*args")
        calls = "tensor" if len(names) == 1 else "tuple"
    elif variadic < 0.08:
        arguments, body = ["**given"], [*(f'{n} = given["{n}"]' for n in names), *body]
        used.append("**kwargs")
        calls = "dict"
    elif variadic < 0.12:
        calls = "dict"
        used.append("keywords")
    text = "\n\n".join([HEADER, *classes, _class("Net", d.init, arguments, body)])
    wrapper = rng.choice(WRAPPERS) if rng.random() < 0.06 else ""
    if wrapper:
        used.append(wrapper)
    training = rng.random() < 0.4
    return Drawn(
        *(seed, text, inputs, calls, output, heads, used, d.float64, count),
        training=training,
        wrapper=wrapper,
        names=names,
    )


def wrapped(net: Drawn, model: nn.Module) -> nn.Module:
    """The module as its user has it: within a wrapper, or as it is."""
    if net.wrapper == "AveragedModel":
        return torch.optim.swa_utils.AveragedModel(model).train(net.training)
    if net.wrapper == "DataParallel":
        return nn.DataParallel(model)
    return torch.compile(model) if net.wrapper == "torch.compile" else model


def inside(model: nn.Module) -> nn.Module:
    """The module within a wrapper."""
    return getattr(model, "module", getattr(model, "_orig_mod", model))


def built(net: Drawn) -> nn.Module:
    """The module that the text makes, with weights and statistics away from 0 and 1."""
    name = f"<network {net.seed}>"
    linecache.cache[name] = (len(net.source), None, net.source.splitlines(True), name)
    space: dict[str, object] = {"__name__": f"network_{net.seed}"}
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(net.seed)
        exec(compile(net.source, name, "exec"), space)
        model: nn.Module = space["Net"]()  # type: ignore[operator]
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                if parameter.dim() < 2 and parameter.is_floating_point():
                    parameter.add_(0.3 * torch.randn(parameter.shape))
            for key, buffer in model.named_buffers():
                if key.endswith("running_mean"):
                    buffer.normal_(0, 0.5)
                elif key.endswith("running_var"):
                    buffer.uniform_(0.5, 1.5)
    if net.float64:
        kept = [m for n, m in model.named_modules() if n.rpartition(".")[2].startswith("single")]
        model.double()
        for module in kept:
            module.float()
    if net.seed % 4 == 0:
        for parameter in list(model.parameters())[::2]:
            parameter.requires_grad_(False)
    return model.train(net.training)
