"""Blocks on series (N, C, L), and on numbers of tokens (N, T)."""

from __future__ import annotations

from fuzzing.draft import Block, Draft, Unfit


def conv1d(d: Draft) -> None:
    """A convolution along a series: plain, strided, dilated, grouped, depthwise, causal."""
    (c, n), o = d.shape, d.width(4, 6, 8)
    code, o, left = d.rng.choice(
        [
            (f"nn.Conv1d({c}, {o}, 3)", o, n - 2),
            (f"nn.Conv1d({c}, {o}, 3, padding=1, bias=False)", o, n),
            (f"nn.Conv1d({c}, {o}, 3, stride=2, padding=1)", o, (n - 1) // 2 + 1),
            (f"nn.Conv1d({c}, {o}, 3, dilation=2, padding=2)", o, n),
            (f"nn.Conv1d({c}, {c}, 3, padding=1, groups={c})", c, n),
            (f"nn.Conv1d({c}, {2 * c}, 3, padding='same', groups={c})", 2 * c, n),
            (f"nn.Conv1d({c}, {o}, 3, padding=1, padding_mode='circular')", o, n),
            (f"nn.ConvTranspose1d({c}, {o}, 3, padding=1)", o, n),
            (f"nn.ConvTranspose1d({c}, {c}, 3, padding=1, groups={c})", c, n),
            (f"nn.utils.parametrizations.weight_norm(nn.Conv1d({c}, {o}, 3, padding=1))", o, n),
            (f"old_weight_norm(nn.Conv1d({c}, {o}, 3, padding=1))", o, n),
            (f"nn.Conv1d({c}, {o}, 1)", o, n),
        ]
    )
    if left < 2:
        raise Unfit
    value = f"{d.layer(code, 'conv')}(x)"
    if d.flip(0.4):
        norm = d.rng.choice(
            [
                f"nn.BatchNorm1d({o})",
                f"nn.InstanceNorm1d({o})",
                f"nn.InstanceNorm1d({o}, affine=True, track_running_stats=True)",
                f"nn.GroupNorm(1, {o})",
                "nn.Dropout1d(0.2)",
            ]
        )
        value = f"{d.layer(norm, 'norm')}({value})"
    d.step(d.act(value, o))
    d.becomes("S", o, left)


def causal(d: Draft) -> None:
    """A dilated residual block padded on one side (TCN), or gated (WaveNet)."""
    c, _n = d.shape
    conv = d.layer(f"nn.Conv1d({c}, {c}, 2, dilation=2)", "conv")
    if d.flip():
        d.step(f"x + F.relu({conv}(F.pad(x, (2, 0))))")
    else:
        gate = d.layer(f"nn.Conv1d({c}, {c}, 2, dilation=2)", "gate")
        d.line("h = F.pad(x, (2, 0))")
        res = d.layer(f"nn.Conv1d({c}, {c}, 1)", "res")
        d.step(f"x + {res}(torch.tanh({conv}(h)) * torch.sigmoid({gate}(h)))")


def pooled1d(d: Draft) -> None:
    """Pooling or stretching of a series."""
    c, n = d.shape
    if n < 4:
        raise Unfit
    code, left = d.rng.choice(
        [
            ("F.max_pool1d(x, 2)", n // 2),
            ("F.avg_pool1d(x, 2)", n // 2),
            (f"{d.layer('nn.AdaptiveAvgPool1d(3)', 'pool')}(x)", 3),
            (f"{d.layer('nn.AdaptiveMaxPool1d(3)', 'pool')}(x)", 3),
            ("F.lp_pool1d(x.abs() + 0.1, 2, 2)", n // 2),
            ("F.interpolate(x, scale_factor=2)", 2 * n),
            ("F.interpolate(x, scale_factor=2, mode='linear')", 2 * n),
            ("x[..., 1:]", n - 1),
            ("x.flip(-1)", n),
            ("torch.roll(x, 1, -1)", n),
            ("x[:, :, ::2]", -(-n // 2)),
            ("x.diff(dim=-1)", n - 1),
            ("x.cumsum(-1) / 4", n),
            ("x.unfold(-1, 2, 2).mean(-1)", n // 2),
        ]
    )
    d.step(code)
    d.becomes("S", c, left)


def halved1d(d: Draft) -> None:
    """Channels of a series in two parts."""
    c, _n = d.shape
    if c % 2 or c < 4:
        raise Unfit
    d.line("a, b = x.chunk(2, 1)" if d.flip() else f"a, b = x.split({c // 2}, 1)")
    conv = d.layer(f"nn.Conv1d({c // 2}, {c // 2}, 1)", "conv")
    d.line(f"b = {d.act(f'{conv}(b)')}")
    d.step(
        d.rng.choice(
            [
                "torch.cat([a, b], 1)",
                "torch.cat([a, a * b], 1)",
                "torch.stack([a, b], 2).flatten(1, 2)",
            ]
        )
    )


def embedding(d: Draft) -> None:
    """A table of tokens."""
    (t,), w = d.shape, d.width(4, 6, 8)
    table = d.layer(f"nn.Embedding(12, {w}{d.rng.choice(['', ', padding_idx=0'])})", "embed")
    d.step(
        d.rng.choice(
            [f"{table}(x)", f"F.embedding(x, {table}.weight)", f"{table}(x) * {w**0.5:.3f}"]
        )
    )
    d.becomes("T", t, w)


def bag(d: Draft) -> None:
    """Tokens summed or averaged."""
    w = d.width(4, 6, 8)
    mode = d.rng.choice(["mean", "sum", "max"])
    d.step(f"{d.layer(f'nn.EmbeddingBag(12, {w}, mode={mode!r})', 'bag')}(x)")
    d.becomes("F", w)


def one_hot(d: Draft) -> None:
    """Tokens one-hot, read by a dense layer."""
    (t,), w = d.shape, d.width(4, 6)
    fc = d.layer(f"nn.Linear(12, {w})", "fc")
    d.step(f"{fc}(F.one_hot(x, 12).to({fc}.weight.dtype))")
    d.becomes("T", t, w)


SERIES: dict[str, Block] = {
    "conv1d": conv1d,
    "causal conv": causal,
    "pool1d": pooled1d,
    "halved series": halved1d,
}
NUMBERS: dict[str, Block] = {
    "embedding": embedding,
    "embedding bag": bag,
    "one-hot": one_hot,
}
