"""Blocks that part, join, weigh and mix the channels of images (N, C, H, W)."""

from __future__ import annotations

from fuzzing.draft import Block, Draft, Unfit


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


def spatial_attention(d: Draft) -> None:
    """Positions weighed by a map made of all channels."""
    conv = d.layer("nn.Conv2d(2, 1, 3, padding=1)", "conv")
    d.step(
        f"x * torch.sigmoid({conv}("
        "torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)))"
    )


def non_local(d: Draft) -> None:
    """Attention between positions."""
    (c, h, w), m = d.shape, d.rng.choice([2, 4])
    q, k, v = (d.layer(f"nn.Conv2d({c}, {m}, 1)", n) for n in "qkv")
    o = d.layer(f"nn.Conv2d({m}, {c}, 1)", "o")
    d.line(f"a = torch.bmm({q}(x).flatten(2).transpose(1, 2), {k}(x).flatten(2)).softmax(-1)")
    d.line(f"h = torch.bmm({v}(x).flatten(2), a.transpose(1, 2)).view(x.shape[0], {m}, {h}, {w})")
    d.step(f"x + {o}(h)")


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


CHANNELS: dict[str, Block] = {
    "squeeze and excitation": excited,
    "dense net": dense_net,
    "C2f": c2f,
    "halved channels": halves,
    "channel shuffle": shuffle,
    "spatial attention": spatial_attention,
    "non-local attention": non_local,
    "inception": inception,
    "U-Net": u_net,
    "modulation": modulated,
    "maxout channels": maxed,
}
