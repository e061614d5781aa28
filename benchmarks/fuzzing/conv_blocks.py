"""Convolutions of images (N, C, H, W)."""

from __future__ import annotations

from fuzzing.channel_blocks import excite, norm_of
from fuzzing.draft import Block, Draft, Unfit


def _side(side: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> int:
    return (side + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def conv(d: Draft) -> None:
    """A convolution of any kernel, stride, dilation and padding."""
    (c, h, w), o = d.shape, d.width(4, 6, 8)
    k, s, dil = (
        d.rng.choice([1, 2, 3, 3, 3]),
        d.rng.choice([1, 1, 1, 2]),
        d.rng.choice([1, 1, 1, 2]),
    )
    p = d.rng.choice([0, k // 2, k // 2])
    mode = d.rng.choice(["zeros"] * 4 + ["reflect", "circular", "replicate"])
    if mode != "zeros" and (p == 0 or p >= min(h, w)):
        mode = "zeros"
    bias = d.rng.choice([True, False])
    if min(_side(h, k, s, p, dil), _side(w, k, s, p, dil)) < 1:
        raise Unfit
    layer = d.layer(
        f"nn.Conv2d({c}, {o}, {k}, stride={s}, padding={p}, dilation={dil}, bias={bias}, "
        f"padding_mode='{mode}')",
        "conv",
    )
    value = f"{layer}(x)"
    if d.flip():
        value = f"{norm_of(d, o)}({value})"
    d.step(d.act(value, o))
    d.becomes("I", o, _side(h, k, s, p, dil), _side(w, k, s, p, dil))


def conv_plain(d: Draft) -> None:
    """The function instead of the module."""
    (c, h, w), o = d.shape, d.width(4, 6)
    p = d.parameter(o, c, 3, 3, scale=(9 * c) ** -0.5)
    how = d.rng.choice(["same", 1, "'same' odd"])
    if how == 1:
        d.step(d.act(f"F.conv2d(x, {p}, padding=1)", o))
    elif how == "same":
        d.step(d.act(f"F.conv2d(x, {p}, {d.parameter(o)}, padding='same')", o))
    else:
        d.step(d.act(f"F.conv2d(F.pad(x, (1, 1, 1, 1)), {p})", o))
    d.becomes("I", o, h, w)


def grouped(d: Draft) -> None:
    """A grouped convolution, with or without a shuffle of channels."""
    c, h, w = d.shape
    groups = next((g for g in d.rng.sample([2, 3, 4], 3) if c % g == 0), 0)
    if not groups:
        raise Unfit
    o = groups * d.rng.choice([1, 2, 3])
    d.step(d.act(f"{d.layer(f'nn.Conv2d({c}, {o}, 3, padding=1, groups={groups})', 'conv')}(x)", o))
    d.becomes("I", o, h, w)


def depthwise(d: Draft) -> None:
    """A depthwise convolution, alone or before a 1 x 1 one."""
    (c, h, w), times = d.shape, d.rng.choice([1, 1, 2])
    value = f"{d.layer(f'nn.Conv2d({c}, {c * times}, 3, padding=1, groups={c})', 'dw')}(x)"
    o = c * times
    if d.flip():
        value, o = f"{d.layer(f'nn.Conv2d({o}, 6, 1)', 'pw')}({d.act(value)})", 6
    d.step(d.act(value, o))
    d.becomes("I", o, h, w)


def transposed(d: Draft) -> None:
    """A transposed convolution: plain, grouped, depthwise."""
    (c, h, w), o = d.shape, d.width(4, 6)
    groups = d.rng.choice([1, 1, 2, c])
    if c % groups:
        raise Unfit
    o = groups * d.rng.choice([1, 2]) if groups > 1 else o
    if groups == c:
        o = c
    k, s, p = d.rng.choice([(2, 2, 0), (4, 2, 1), (3, 1, 1), (3, 1, 0)])
    layer = d.layer(
        f"nn.ConvTranspose2d({c}, {o}, {k}, {s}, {p}, groups={groups}, bias={d.flip()})", "up"
    )
    d.step(d.act(f"{layer}(x)", o))
    d.becomes("I", o, (h - 1) * s - 2 * p + k, (w - 1) * s - 2 * p + k)


def basic_block(d: Draft) -> None:
    """A residual block, with a projection where sizes change."""
    (c, h, w), o = d.shape, d.width(4, 6)
    s = d.rng.choice([1, 2]) if min(h, w) > 2 else 1
    d.line("s = x")
    if o != c or s != 1:
        d.line(f"s = {d.layer(f'nn.Conv2d({c}, {o}, 1, {s}, bias=False)', 'short')}(x)")
        if d.flip():
            d.line(f"s = {norm_of(d, o)}(s)")
    m = d.width(4, 5, 6)
    d.step(
        d.act(
            f"{norm_of(d, m)}({d.layer(f'nn.Conv2d({c}, {m}, 3, {s}, 1, bias=False)', 'conv')}(x))"
        )
    )
    d.step(f"{norm_of(d, o)}({d.layer(f'nn.Conv2d({m}, {o}, 3, 1, 1, bias=False)', 'conv')}(x))")
    d.step(d.rng.choice(["F.relu(x + s)", "F.relu(x.add(s))", "x + s"]))
    d.becomes("I", o, _side(h, 3, s, 1), _side(w, 3, s, 1))


def inverted(d: Draft) -> None:
    """An inverted residual block with squeeze and excitation (MBConv)."""
    (c, _h, _w), m = d.shape, d.width(6, 8)
    d.line("s = x")
    d.step(d.act(f"{norm_of(d, m)}({d.layer(f'nn.Conv2d({c}, {m}, 1, bias=False)', 'expand')}(x))"))
    d.step(d.act(f"{d.layer(f'nn.Conv2d({m}, {m}, 3, 1, 1, groups={m})', 'dw')}(x)"))
    if d.flip():
        excite(d, m)
    d.step(f"s + {d.layer(f'nn.Conv2d({m}, {c}, 1)', 'project')}(x)")


def conv_next(d: Draft) -> None:
    """A ConvNeXt block: depthwise, layer norm over channels, dense layers."""
    (c, _h, _w), m = d.shape, d.width(6, 8)
    d.line(f"h = {d.layer(f'nn.Conv2d({c}, {c}, 3, padding=1, groups={c})', 'dw')}(x)")
    norm = d.rng.choice([f"nn.LayerNorm({c})", "nn.Identity()", f"nn.RMSNorm({c})"])
    d.line(f"h = {d.layer(norm, 'norm')}(h.permute(0, 2, 3, 1))")
    d.line(f"h = {d.linear(m, c)}({d.act(f'{d.linear(c, m)}(h)')})")
    d.step(f"x + h.permute(0, 3, 1, 2) * {d.parameter(c, 1, 1, scale=1)}")


def computed_kernel(d: Draft) -> None:
    """A convolution whose weight is worked out."""
    (c, h, w), o = d.shape, d.width(4, 6)
    how = d.rng.choice(
        ["standardised", "weight_norm", "old", "spectral", "product", "masked", "half"]
    )
    if how == "standardised":
        p = d.parameter(o, c, 3, 3)
        d.line(f"w = {p} - {p}.mean((1, 2, 3), keepdim=True)")
        d.step(d.act("F.conv2d(x, w / (w.std((1, 2, 3), keepdim=True) + 0.1) / 4, padding=1)"))
    elif how == "product":
        p, q = d.parameter(o, c, 1, 1), d.parameter(1, 1, 3, 3)
        d.step(d.act(f"F.conv2d(x, {p} * {q}, padding=1)"))
    elif how == "masked":
        p, b = (
            d.parameter(o, c, 3, 3),
            d.buffer("torch.tensor([[1.0, 1, 1], [1, 0, 0], [0, 0, 0]])"),
        )
        d.step(d.act(f"F.conv2d(x, {p} * {b}, padding=1)"))
    elif how == "half":
        p = d.parameter(2 * o, c, 3, 3)
        d.step(d.act(f"F.conv2d(x, {p}[:{o}], padding=1)"))
    else:
        wrap = {
            "weight_norm": "nn.utils.parametrizations.weight_norm",
            "old": "old_weight_norm",
            "spectral": "nn.utils.parametrizations.spectral_norm",
        }[how]
        d.step(d.act(f"{d.layer(f'{wrap}(nn.Conv2d({c}, {o}, 3, padding=1))', 'conv')}(x)"))
    d.becomes("I", o, h, w)


def dropped(d: Draft) -> None:
    """Dropout of whole channels, and stochastic depth."""
    (c, h, w), o = d.shape, d.width(4, 6)
    drop = d.layer(
        d.rng.choice(
            [
                "nn.Dropout2d(0.2)",
                "nn.Dropout(0.2)",
                "nn.AlphaDropout(0.1)",
                "nn.FeatureAlphaDropout(0.1)",
            ]
        ),
        "drop",
    )
    conv = d.layer(f"nn.Conv2d({c}, {o}, 3, padding=1)", "conv")
    d.step(f"{drop}({d.act(f'{conv}(x)')})")
    d.becomes("I", o, h, w)


def shared(d: Draft) -> None:
    """One convolution called twice, or at two scales."""
    c, _h, _w = d.shape
    conv = d.layer(f"nn.Conv2d({c}, {c}, 3, padding=1)", "conv")
    d.step(
        d.rng.choice(
            [
                d.act(f"{conv}({d.act(f'{conv}(x)')})"),
                f"{conv}(x).relu() + {conv}(x.flip(3)).relu().flip(3)",
            ]
        )
    )


CONVOLUTIONS: dict[str, Block] = {
    "conv2d": conv,
    "F.conv2d": conv_plain,
    "grouped conv": grouped,
    "depthwise conv": depthwise,
    "transposed conv": transposed,
    "residual conv block": basic_block,
    "inverted residual": inverted,
    "ConvNeXt": conv_next,
    "computed kernel": computed_kernel,
    "dropped channels": dropped,
    "shared conv": shared,
}
