"""Blocks that move, halve or change features (N, F), and habits of a forward."""

from __future__ import annotations

from fuzzing.draft import Block, Draft, Unfit


def halved(d: Draft) -> None:
    """Parts of the features, cut by sizes that the module works out, go different ways."""
    (f,) = d.shape
    if f < 4 or f % 2:
        raise Unfit
    h, k = f // 2, d.rng.randint(1, f - 1)
    cut, one, two = d.rng.choice(
        [
            ("x.chunk(2, 1)", h, h),
            (f"(x[:, :{h}], x[:, {h}:])", h, h),
            ("(x[:, :x.shape[1] // 2], x[:, x.shape[1] // 2:])", h, h),
            (f"x.split([{k}, {f - k}], dim=1)", k, f - k),
            (f"torch.split(x, {h}, -1)", h, h),
            ("(x[:, ::2], x[:, 1::2])", h, h),
            (f"(x.narrow(1, 0, {k}), x.narrow(1, {k}, {f - k}))", k, f - k),
        ]
    )
    d.line(f"a, b = {cut}")
    w = d.width(4, 5)
    a, b = d.act(f"{d.linear(one, w)}(a)"), d.act(f"{d.linear(two, w)}(b)")
    if d.flip():
        d.step(f"{a} + {b}")
        d.becomes("F", w)
    else:
        d.step(f"torch.cat([{a}, b], 1)")
        d.becomes("F", w + two)


def arithmetic(d: Draft) -> None:
    """Constants, buffers, where and clamp."""
    (f,) = d.shape
    b = d.buffer(f"torch.linspace(-1, 1, {f})", d.flip())
    d.step(
        d.rng.choice(
            [
                f"torch.where(x > {b}, x, {b})",
                f"x * {b} + 0.5",
                f"(x - {b}) / ({b}.square() + 1)",
                f"torch.minimum(x, {b} + 1)",
                f"2 * x.clamp(-1.5, 1.5) - {b}",
                f"x.masked_fill({b} > 0.5, 0.0)",
                f"torch.where({b} > 0, x, -x)",
                f"x + torch.ones({f}, dtype=x.dtype) * 0.3",
                f"x * {d.parameter(f)} + {d.parameter(f)}",
                f"x * torch.sigmoid({d.parameter(1)})",
                f"torch.addcmul(x, x, {b})",
                "x / (1 + x.abs().sum(1, keepdim=True))",
                "(x - x.mean(1, keepdim=True)) / (x.std(1, keepdim=True) + 0.1)",
            ]
        )
    )


def moved(d: Draft) -> None:
    """Features in another order."""
    (f,) = d.shape
    order = d.rng.sample(range(f), f)
    some = sorted(d.rng.sample(range(f), max(f - 2, 1)))
    code, left = d.rng.choice(
        [
            ("x.flip(1)", f),
            ("torch.flip(x, [-1])", f),
            ("torch.roll(x, 1, 1)", f),
            (f"x[:, {order}]", f),
            (f"x[:, {d.buffer(f'torch.tensor({order})')}]", f),
            (f"x.index_select(1, {d.buffer(f'torch.tensor({some})')})", len(some)),
            ("x[..., :-1]" if f > 1 else "x", max(f - 1, 1)),
            ("F.pad(x, (1, 2))", f + 3),
            ("x.repeat(1, 2)", 2 * f),
            ("x.repeat_interleave(2, 1)", 2 * f),
            ("torch.cat([x, x.flip(1)], 1)", 2 * f),
            ("torch.cat([x, x.new_zeros(x.shape[0], 2)], 1)", f + 2),
            ("torch.cat([torch.relu(x), torch.relu(-x)], 1)", 2 * f),
            ("torch.stack([x, -x], 2).flatten(1)", 2 * f),
            ("x.cumsum(1)", f),
            (f"torch.gather(x, 1, x.argsort(1)[:, :{max(f - 1, 1)}])", max(f - 1, 1)),
            ("x.sort(1).values", f),
            (f"x.topk({max(f - 1, 1)}, 1).values", max(f - 1, 1)),
        ]
    )
    d.step(code)
    d.becomes("F", left)


def squeezed(d: Draft) -> None:
    """Axes of one put in and taken out."""
    (f,), w = d.shape, d.width()
    if d.flip(0.4):
        layer = d.linear(f, w)
        code = d.rng.choice(
            [f"{layer}(x.unsqueeze(1)).squeeze(1)", f"torch.squeeze({layer}(x[:, None]), 1)"]
        )
    elif d.flip(0.4):
        code = f"{d.layer(f'nn.Conv1d({f}, {w}, 1)', 'conv')}(x.unsqueeze(-1)).squeeze(-1)"
    else:
        conv = d.layer(f"nn.Conv2d({f}, {w}, 1)", "conv")
        code = d.rng.choice(
            [
                f"{conv}(x[:, :, None, None])[:, :, 0, 0]",
                f"{conv}(x.view(x.shape[0], -1, 1, 1)).flatten(1)",
            ]
        )
    d.step(d.act(code))
    d.becomes("F", w)


def crossed(d: Draft) -> None:
    """Products of features (a cross network, a factorisation machine)."""
    (f,), k = d.shape, 3
    w = d.parameter(f, k)
    d.step(
        d.rng.choice(
            [
                f"x * {d.linear(f, f)}(x) + x",
                f"x * {d.layer(f'nn.Linear({f}, 1)', 'fc')}(x) + x",
                f"torch.cat([x, (x @ {w}).square() - x.square() @ {w}.square()], 1)",
            ]
        )
    )
    d.becomes("F", f + k if "cat" in d.forward[-1] else f)


def shares(d: Draft) -> None:
    """Features divided by their sum."""
    (f,), w = d.shape, d.width()
    d.step(
        d.rng.choice(
            [
                "F.softmax({}, -1)",
                "F.normalize({}, dim=1)",
                "F.log_softmax({}, 1)",
                "F.softmin({}, 1)",
            ]
        ).format(f"{d.linear(f, w)}(x)")
    )
    d.becomes("F", w)


def dropped(d: Draft) -> None:
    """Dropout of any kind."""
    (f,), w = d.shape, d.width()
    drop = d.rng.choice(
        [
            "nn.Dropout(0.3)",
            "nn.AlphaDropout(0.3)",
            "nn.FeatureAlphaDropout(0.2)",
            "nn.Dropout(0.5, inplace=True)",
        ]
    )
    h = d.act(f"{d.linear(f, w)}(x)")
    d.step(
        f"{d.layer(drop, 'drop')}({h})" if d.flip(0.7) else f"F.dropout({h}, 0.4, self.training)"
    )
    d.becomes("F", w)


def shared(d: Draft) -> None:
    """One layer called twice."""
    (f,) = d.shape
    fc = d.linear(f, f)
    d.step(d.act(f"{fc}({d.act(f'{fc}(x)')})"))


def listed(d: Draft) -> None:
    """Layers in containers: a list, a dictionary, a sequence within a sequence."""
    (f,), w = d.shape, d.width()
    one, two = f"nn.Linear({f}, {w})", f"nn.Linear({w}, {w})"
    how = d.rng.choice(["list", "dict", "sequential", "plain"])
    if how == "list":
        layers = d.layer(f"nn.ModuleList([{one}, {two}])", "layers")
        d.line(f"for layer in {layers}:")
        d.line("    x = F.relu(layer(x))")
    elif how == "dict":
        layers = d.layer(f"nn.ModuleDict({{'one': {one}, 'two': {two}}})", "layers")
        d.step(f"{layers}['two'](F.relu({layers}['one'](x)))")
    elif how == "sequential":
        layers = f"nn.Sequential({one}, nn.ReLU()), nn.Sequential({two}, nn.Identity())"
        d.step(f"{d.layer(f'nn.Sequential({layers})', 'seq')}(x)")
    else:
        weights = d.layer(
            f"nn.ParameterList([0.4 * torch.randn({f}, {w}), 0.4 * torch.randn({w}, {w})])", "ps"
        )
        d.line(f"for w in {weights}:")
        d.line("    x = torch.tanh(x @ w)")
    d.becomes("F", w)


def added_parameters(d: Draft) -> None:
    """Parameters that are added, multiplied or broadcast before and behind a layer."""
    (f,), w = d.shape, d.width()
    d.step(f"{d.linear(f, w)}(x * {d.parameter(1, f)})")
    d.step(
        d.act(
            d.rng.choice(
                [
                    f"x + {d.parameter(w)}",
                    f"x * {d.parameter(1)} + {d.parameter(1, w)}",
                    f"x + {d.parameter(w)}.expand(x.shape[0], -1)",
                    f"x + {d.parameter(1, w)}.repeat(x.shape[0], 1)",
                    f"x * {d.parameter(w)}.exp()",
                    f"x - {d.parameter(w)}.clamp(0, 1).unsqueeze(0)",
                ]
            ),
            w,
        )
    )
    d.becomes("F", w)


def habits(d: Draft) -> None:
    """What a forward leaves behind: an activation kept, calls counted, a running mean."""
    (f,), w = d.shape, d.width()
    d.step(d.act(f"{d.linear(f, w)}(x)"))
    kept = d.rng.choice(["kept", "count", "mean", "list"])
    if kept == "kept":
        d.line("self.features = x" if d.flip() else "self.features = x.detach()")
    elif kept == "count":
        d.line(f"{d.buffer('torch.zeros(())')} += 1")
    elif kept == "list":
        shapes = d.layer("[]", "shapes")
        d.line(f"{shapes}.append(tuple(x.shape[1:]))")
    else:
        b = d.buffer(f"torch.zeros({w})")
        d.line(f"{b}.mul_(0.9).add_(0.1 * x.detach().mean(0))")
    d.becomes("F", w)


FEATURES: dict[str, Block] = {
    "halved features": halved,
    "arithmetic": arithmetic,
    "moved features": moved,
    "squeezed": squeezed,
    "crossed features": crossed,
    "softmax, normalize": shares,
    "dropout": dropped,
    "shared layer": shared,
    "containers": listed,
    "added parameters": added_parameters,
    "traces left behind": habits,
}
