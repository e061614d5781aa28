"""Blocks on the positions of images (N, C, H, W), and on volumes (N, C, D, H, W)."""

from __future__ import annotations

from fuzzing.draft import Block, Draft, Unfit


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


def unmirrored_relus(d: Draft) -> None:
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


POSITIONS: dict[str, Block] = {
    "pixel shuffle": pixels,
    "pooling": pooled,
    "upsampling": upsampled,
    "unfold": unfolded,
    "padding": padded,
    "turned images": unmirrored_relus,
    "coordinates": coordinates,
    "blur": blurred,
}
VOLUME: dict[str, Block] = {
    "conv3d": volume_conv,
    "pool3d": volume_pooled,
}
