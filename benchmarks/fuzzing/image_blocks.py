"""Blocks on images (N, C, H, W) and volumes (N, C, D, H, W)."""

from __future__ import annotations

from fuzzing.draft import Block, Draft, Unfit


def _side(side: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> int:
    return (side + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def norm_of(d: Draft, c: int) -> str:
    """A normalisation of channels."""
    choices = [
        *[f"nn.BatchNorm2d({c})"] * 3,
        f"nn.BatchNorm2d({c}, affine=False)",
        f"nn.BatchNorm2d({c}, track_running_stats=True, momentum=None)",
        f"nn.InstanceNorm2d({c})",
        f"nn.InstanceNorm2d({c}, affine=True)",
        f"nn.InstanceNorm2d({c}, affine=True, track_running_stats=True)",
        f"nn.GroupNorm({2 if c % 2 == 0 else 1}, {c})",
        f"nn.GroupNorm({c}, {c})",
        f"nn.LocalResponseNorm({d.rng.choice([2, 3])})",
    ]
    return d.layer(d.rng.choice(choices), "norm")


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


def excite(d: Draft, c: int = 0) -> None:
    """Squeeze and excitation in several spellings."""
    c = c or d.shape[0]
    r = d.rng.choice([2, 3])
    gate = d.rng.choice(["torch.sigmoid({})", "F.hardsigmoid({})", "{}.sigmoid()"])
    if d.flip():
        g = f"{d.linear(r, c)}({d.act(f'{d.linear(c, r)}(x.mean((2, 3)))')})"
        view = d.rng.choice(
            ["[:, :, None, None]", f".view(-1, {c}, 1, 1)", ".unsqueeze(-1).unsqueeze(-1)"]
        )
        d.step(f"x * {gate.format(g)}{view}")
        return
    pool = d.rng.choice(
        [
            "F.adaptive_avg_pool2d(x, 1)",
            "x.mean((2, 3), keepdim=True)",
            "F.adaptive_max_pool2d(x, 1)",
        ]
    )
    down, up = d.layer(f"nn.Conv2d({c}, {r}, 1)", "down"), d.layer(f"nn.Conv2d({r}, {c}, 1)", "up")
    g = gate.format(f"{up}(F.relu({down}({pool})))")
    d.step(d.rng.choice([f"x * {g}", f"x * {g}.expand_as(x)", f"{g}.mul(x)"]))


def excited(d: Draft) -> None:
    """Squeeze and excitation."""
    excite(d)


def dense_net(d: Draft) -> None:
    """Concatenated growth (DenseNet)."""
    (c, h, w), g = d.shape, d.width(3, 4)
    d.line("fs = [x]")
    for turn in range(d.rng.choice([1, 2])):
        read = c + turn * g
        layer = d.layer(f"nn.Conv2d({read}, {g}, 3, padding=1)", "conv")
        norm = norm_of(d, read)
        d.line(f"fs.append({layer}(F.relu({norm}(torch.cat(fs, 1)))))")
        d.becomes("I", read + g, h, w)
    d.step("torch.cat(fs, 1)")


def c2f(d: Draft) -> None:
    """Halves of a layer's channels that go different ways and meet again (YOLOv8's C2f)."""
    (c, h, w), m = d.shape, d.rng.choice([3, 4])
    cut = d.rng.choice(
        [
            "x.chunk(2, 1)",
            f"x.split({m}, 1)",
            f"x.split(({m}, {m}), 1)",
            "(x[:, :x.shape[1] // 2], x[:, x.shape[1] // 2:])",
            f"(x[:, :{m}], x[:, {m}:])",
        ]
    )
    d.step(d.act(f"{d.layer(f'nn.Conv2d({c}, {2 * m}, 1)', 'cv')}(x)"))
    d.line(f"ys = list({cut})")
    for _ in range(d.rng.choice([1, 2])):
        inner = d.act(f"{d.layer(f'nn.Conv2d({m}, {m}, 3, padding=1)', 'm')}(ys[-1])")
        d.line(f"ys.append(ys[-1] + {inner})" if d.flip() else f"ys.append({inner})")
    o, n = d.width(4, 6), sum("ys.append" in line for line in d.forward) + 2
    d.step(d.act(f"{d.layer(f'nn.Conv2d({n * m}, {o}, 1)', 'cv')}(torch.cat(ys, 1))"))
    d.becomes("I", o, h, w)


def halves(d: Draft) -> None:
    """The stream itself cut in two: one part goes through a layer, both are joined."""
    c, _h, _w = d.shape
    if c % 2 or c < 4:
        raise Unfit
    m = c // 2
    d.line(
        "a, b = "
        + d.rng.choice(
            [
                "x.chunk(2, dim=1)",
                f"torch.split(x, [{m}, {m}], dim=1)",
                f"(x[:, :{m}], x[:, {m}:])",
                "(x[:, :x.size(1) // 2], x[:, x.size(1) // 2:])",
            ]
        )
    )
    conv = d.layer(f"nn.Conv2d({m}, {m}, 3, padding=1)", "conv")
    d.line(f"b = {d.act(f'{conv}(b)')}")
    d.step(
        d.rng.choice(["torch.cat([a, b], 1)", "torch.cat([b, a], 1)", "torch.cat([a + b, a], 1)"])
    )


def shuffle(d: Draft) -> None:
    """Channels shuffled between groups (ShuffleNet)."""
    c, _h, _w = d.shape
    if c % 2 or c < 4:
        raise Unfit
    if d.flip():
        d.step(f"{d.layer('nn.ChannelShuffle(2)', 'shuffle')}(x)")
    else:
        d.line("n, c, h, w = x.shape")
        d.step(
            d.rng.choice(
                [
                    "x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)",
                    f"x.reshape(n, 2, {c // 2}, h, w).permute(0, 2, 1, 3, 4).flatten(1, 2)",
                ]
            )
        )
    d.step(d.act(f"{d.layer(f'nn.Conv2d({c}, {c}, 1, groups={d.rng.choice([1, 2])})', 'conv')}(x)"))


def pixels(d: Draft) -> None:
    """Pixel shuffle or its inverse behind a layer."""
    c, h, w = d.shape
    if d.flip() and min(h, w) <= 6:
        d.step(
            d.act(f"F.pixel_shuffle({d.layer(f'nn.Conv2d({c}, 12, 3, padding=1)', 'conv')}(x), 2)")
        )
        d.becomes("I", 3, 2 * h, 2 * w)
    elif h % 2 == w % 2 == 0:
        d.step(
            d.rng.choice(
                ["F.pixel_unshuffle(x, 2)", f"{d.layer('nn.PixelUnshuffle(2)', 'pixels')}(x)"]
            )
        )
        d.becomes("I", 4 * c, h // 2, w // 2)
        o = d.width(4, 6)
        d.step(d.act(f"{d.layer(f'nn.Conv2d({4 * c}, {o}, 1)', 'conv')}(x)"))
        d.becomes("I", o, h // 2, w // 2)
    else:
        raise Unfit


def pooled(d: Draft) -> None:
    """Pooling of any kind."""
    c, h, w = d.shape
    if min(h, w) < 3:
        raise Unfit
    code, a, b = d.rng.choice(
        [
            ("F.max_pool2d(x, 2)", h // 2, w // 2),
            (f"{d.layer('nn.MaxPool2d(3, 1, 1)', 'pool')}(x)", h, w),
            (f"{d.layer('nn.MaxPool2d(2, ceil_mode=True)', 'pool')}(x)", -(-h // 2), -(-w // 2)),
            ("F.avg_pool2d(x, 2)", h // 2, w // 2),
            (f"{d.layer('nn.AvgPool2d(3, 1, 1, count_include_pad=False)', 'pool')}(x)", h, w),
            ("F.adaptive_avg_pool2d(x, 2)", 2, 2),
            (f"{d.layer('nn.AdaptiveMaxPool2d((2, 3))', 'pool')}(x)", 2, 3),
            ("F.lp_pool2d(x.abs() + 0.1, 2, 2)", h // 2, w // 2),
            (f"{d.layer('nn.LPPool2d(2, 2)', 'pool')}(x.relu() + 0.1)", h // 2, w // 2),
            ("x[:, :, ::2, 1::2]", -(-h // 2), w // 2),
            ("(x[..., :-1] - x[..., 1:])", h, w - 1),
        ]
    )
    d.step(code)
    d.becomes("I", c, a, b)


def upsampled(d: Draft) -> None:
    """Upsampling of any kind."""
    c, h, w = d.shape
    size = d.rng.choice(["scale_factor=2", f"size=({2 * h}, {2 * w})"])
    mode = d.rng.choice(
        [
            "mode='nearest'",
            "mode='bilinear'",
            "mode='bilinear', align_corners=True",
            "mode='bicubic'",
            "mode='nearest-exact'",
        ]
    )
    call = (
        f"F.interpolate(x, {size}, {mode})"
        if d.flip()
        else f"{d.layer(f'nn.Upsample({size}, {mode})', 'up')}(x)"
    )
    d.becomes("I", c, 2 * h, 2 * w)
    d.step(call)


def unfolded(d: Draft) -> None:
    """Patches by unfold, read by a dense layer."""
    c, h, w = d.shape
    if h % 2 or w % 2:
        raise Unfit
    o = d.width(4, 6)
    if d.flip():
        d.line("h = F.unfold(x, 2, stride=2)")
        d.line(f"h = {d.act(f'{d.linear(4 * c, o)}(h.transpose(1, 2))')}")
        d.step(f"h.transpose(1, 2).view(x.shape[0], {o}, {h // 2}, {w // 2})")
    else:
        d.line("h = x.unfold(2, 2, 2).unfold(3, 2, 2).permute(0, 2, 3, 1, 4, 5).flatten(3)")
        d.step(f"{d.act(f'{d.linear(4 * c, o)}(h)')}.permute(0, 3, 1, 2)")
    d.becomes("I", o, h // 2, w // 2)


def padded(d: Draft) -> None:
    """Padding of any kind."""
    c, h, w = d.shape
    if min(h, w) < 2:
        raise Unfit
    d.step(
        d.rng.choice(
            [
                "F.pad(x, (1, 1, 1, 1))",
                "F.pad(x, (1, 1, 1, 1), value=0.5)",
                "F.pad(x, (1, 1, 1, 1), mode='reflect')",
                "F.pad(x, (1, 1, 1, 1), mode='replicate')",
                "F.pad(x, (1, 1, 1, 1), mode='circular')",
                f"{d.layer('nn.ZeroPad2d(1)', 'pad')}(x)",
                f"{d.layer('nn.ReflectionPad2d(1)', 'pad')}(x)",
                f"{d.layer('nn.ConstantPad2d(1, 0.3)', 'pad')}(x)",
            ]
        )
    )
    d.becomes("I", c, h + 2, w + 2)


def turned(d: Draft) -> None:
    """Flips, rolls and transposes of positions, channels in another order."""
    c, h, w = d.shape
    order = d.rng.sample(range(c), c)
    code, shape = d.rng.choice(
        [
            ("x.flip(3)", (c, h, w)),
            ("torch.flip(x, [2, 3])", (c, h, w)),
            ("torch.roll(x, (1, 1), (2, 3))", (c, h, w)),
            ("torch.rot90(x, 1, (2, 3))", (c, w, h)),
            ("x.transpose(2, 3)", (c, w, h)),
            ("x.mT", (c, w, h)),
            ("x.flip(1)", (c, h, w)),
            ("torch.roll(x, 2, 1)", (c, h, w)),
            (f"x[:, {order}]", (c, h, w)),
            ("x[:, 1:]", (c - 1, h, w)),
            ("x[:, ::2]", (-(-c // 2), h, w)),
            ("x[:, :, 0:1]", (c, 1, w)),
            ("x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)", (c, h, w)),
            ("x.contiguous(memory_format=torch.channels_last)", (c, h, w)),
            ("torch.cat([x, x.mean(1, keepdim=True)], 1)", (c + 1, h, w)),
            ("torch.cat([x.relu(), (-x).relu()], 1)", (2 * c, h, w)),
            ("x.repeat(1, 2, 1, 1)", (2 * c, h, w)),
        ]
    )
    d.step(code)
    d.becomes("I", *shape)


def conv_next(d: Draft) -> None:
    """A ConvNeXt block: depthwise, layer norm over channels, dense layers."""
    (c, _h, _w), m = d.shape, d.width(6, 8)
    d.line(f"h = {d.layer(f'nn.Conv2d({c}, {c}, 3, padding=1, groups={c})', 'dw')}(x)")
    norm = d.rng.choice([f"nn.LayerNorm({c})", "nn.Identity()", f"nn.RMSNorm({c})"])
    d.line(f"h = {d.layer(norm, 'norm')}(h.permute(0, 2, 3, 1))")
    d.line(f"h = {d.linear(m, c)}({d.act(f'{d.linear(c, m)}(h)')})")
    d.step(f"x + h.permute(0, 3, 1, 2) * {d.parameter(c, 1, 1, scale=1)}")


def spatial_attention(d: Draft) -> None:
    """Positions weighed by a map made of all channels."""
    conv = d.layer("nn.Conv2d(2, 1, 3, padding=1)", "conv")
    d.step(
        f"x * torch.sigmoid({conv}(torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)))"
    )


def non_local(d: Draft) -> None:
    """Attention between positions."""
    (c, h, w), m = d.shape, d.rng.choice([2, 4])
    q, k, v = (d.layer(f"nn.Conv2d({c}, {m}, 1)", n) for n in "qkv")
    o = d.layer(f"nn.Conv2d({m}, {c}, 1)", "o")
    d.line(f"a = torch.bmm({q}(x).flatten(2).transpose(1, 2), {k}(x).flatten(2)).softmax(-1)")
    d.line(f"h = torch.bmm({v}(x).flatten(2), a.transpose(1, 2)).view(x.shape[0], {m}, {h}, {w})")
    d.step(f"x + {o}(h)")


def inception(d: Draft) -> None:
    """Branches side by side."""
    c, h, w = d.shape
    a, b = d.width(3, 4), d.width(2, 3)
    branches = [
        d.act(f"{d.layer(f'nn.Conv2d({c}, {a}, 1)', 'b')}(x)"),
        f"{d.layer(f'nn.Conv2d({c}, {b}, (1, 3), padding=(0, 1))', 'b')}(x)",
        f"{d.layer(f'nn.Conv2d({c}, 3, 1)', 'b')}(F.max_pool2d(x, 3, 1, 1))",
    ]
    d.step(d.act(f"torch.cat([{', '.join(branches)}], dim=1)"))
    d.becomes("I", a + b + 3, h, w)


def coordinates(d: Draft) -> None:
    """A layer that also reads positions, repeated for every example."""
    (c, h, w), o = d.shape, d.width(4, 6)
    b = d.buffer(f"torch.linspace(-1, 1, {h * w}).view(1, 1, {h}, {w})")
    conv = d.layer(f"nn.Conv2d({c + 1}, {o}, 3, padding=1)", "conv")
    d.step(d.act(f"{conv}(torch.cat([x, {b}.expand(x.shape[0], -1, -1, -1)], 1))"))
    d.becomes("I", o, h, w)


def blurred(d: Draft) -> None:
    """A fixed kernel expanded to all channels."""
    c, _h, _w = d.shape
    b = d.buffer("torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16")
    d.step(
        d.rng.choice(
            [
                f"F.conv2d(x, {b}.expand({c}, 1, 3, 3), padding=1, groups={c})",
                f"F.conv2d(x, {b}.expand(x.shape[1], 1, 3, 3), padding=1, groups=x.shape[1])",
                f"F.conv2d(x, {b}[None, None].repeat({c}, 1, 1, 1), padding=1, groups={c})",
            ]
        )
    )


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


def u_net(d: Draft) -> None:
    """Down and up again, joined with what was before."""
    c, h, w = d.shape
    if h % 2 or w % 2:
        raise Unfit
    m, o = d.width(4, 6), d.width(4, 6)
    enc = d.layer(f"nn.Conv2d({c}, {m}, 3, padding=1)", "enc")
    d.line(f"s = {d.act(f'{enc}(x)')}")
    d.step(d.act(f"{d.layer(f'nn.Conv2d({m}, {o}, 3, padding=1)', 'mid')}(F.max_pool2d(s, 2))"))
    d.step(
        d.rng.choice(
            [
                f"{d.layer(f'nn.ConvTranspose2d({o}, {m}, 2, 2)', 'up')}(x)",
                f"{d.layer(f'nn.Conv2d({o}, {m}, 1)', 'up')}(F.interpolate(x, scale_factor=2))",
            ]
        )
    )
    d.step(
        d.act(f"{d.layer(f'nn.Conv2d({2 * m}, {o}, 3, padding=1)', 'dec')}(torch.cat([s, x], 1))")
    )
    d.becomes("I", o, h, w)


def modulated(d: Draft) -> None:
    """Scale and shift from all positions (FiLM), or parameters broadcast."""
    c, h, w = d.shape
    if d.flip():
        d.line(f"g, b = {d.linear(c, 2 * c)}(x.mean((2, 3))).chunk(2, 1)")
        d.step("x * (1 + g[:, :, None, None]) + b[:, :, None, None]")
    else:
        d.step(
            d.rng.choice(
                [
                    f"x * {d.parameter(1, c, 1, 1, scale=1)} + {d.parameter(1, c, 1, 1)}",
                    f"x + {d.parameter(c, h, w)}",
                    f"x * {d.parameter(c, 1, 1, scale=1)}.expand(x.shape[0], -1, -1, -1)",
                    f"x + {d.parameter(1, 1, h, w)}",
                ]
            )
        )


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


def maxed(d: Draft) -> None:
    """The largest of some channels, gates between channels."""
    (c, h, w), o = d.shape, d.width(3, 4)
    d.line(f"h = {d.layer(f'nn.Conv2d({c}, {2 * o}, 3, padding=1)', 'conv')}(x)")
    d.step(
        d.rng.choice(
            [
                f"h.view(-1, {o}, 2, {h}, {w}).amax(2)",
                f"torch.maximum(h[:, :{o}], h[:, {o}:])",
                "F.glu(h, 1)",
                "(lambda p, q: p * q)(*h.chunk(2, 1))",
            ]
        )
    )
    d.becomes("I", o, h, w)


def volume_conv(d: Draft) -> None:
    """A convolution of volumes, plain, grouped, transposed, normalised."""
    (c, t, h, w), o = d.shape, d.width(4, 6)
    code, k = d.rng.choice(
        [
            (f"nn.Conv3d({c}, {o}, 3, padding=1)", 0),
            (f"nn.Conv3d({c}, {o}, (1, 3, 3), padding=(0, 1, 1), bias=False)", 0),
            (f"nn.Conv3d({c}, {c}, 3, padding=1, groups={c})", c),
            (f"nn.ConvTranspose3d({c}, {o}, 3, padding=1)", 0),
        ]
    )
    o = k or o
    value = f"{d.layer(code, 'conv')}(x)"
    if d.flip():
        norm = d.rng.choice(
            [
                f"nn.BatchNorm3d({o})",
                f"nn.InstanceNorm3d({o}, affine=True)",
                f"nn.GroupNorm(1, {o})",
            ]
        )
        value = f"{d.layer(norm, 'norm')}({value})"
    d.step(d.act(value, o))
    d.becomes("V", o, t, h, w)


def volume_pooled(d: Draft) -> None:
    """Pooling of volumes."""
    c, t, h, w = d.shape
    if min(h, w) < 2:
        raise Unfit
    d.step(
        d.rng.choice(
            [
                "F.max_pool3d(x, (1, 2, 2))",
                "F.avg_pool3d(x, (1, 2, 2))",
                f"F.adaptive_avg_pool3d(x, ({t}, {h // 2}, {w // 2}))",
            ]
        )
    )
    d.becomes("V", c, t, h // 2, w // 2)


VOLUME: dict[str, Block] = {"conv3d": volume_conv, "pool3d": volume_pooled}
IMAGE: dict[str, Block] = {
    "conv2d": conv,
    "F.conv2d": conv_plain,
    "grouped conv": grouped,
    "depthwise conv": depthwise,
    "transposed conv": transposed,
    "residual conv block": basic_block,
    "inverted residual": inverted,
    "squeeze and excitation": excited,
    "dense net": dense_net,
    "C2f": c2f,
    "halved channels": halves,
    "channel shuffle": shuffle,
    "pixel shuffle": pixels,
    "pooling": pooled,
    "upsampling": upsampled,
    "unfold": unfolded,
    "padding": padded,
    "turned images": turned,
    "ConvNeXt": conv_next,
    "spatial attention": spatial_attention,
    "non-local attention": non_local,
    "inception": inception,
    "coordinates": coordinates,
    "blur": blurred,
    "computed kernel": computed_kernel,
    "U-Net": u_net,
    "modulation": modulated,
    "dropped channels": dropped,
    "shared conv": shared,
    "maxout channels": maxed,
}
