"""Blocks on series (N, C, L), tokens (N, T, D) and numbers of tokens (N, T)."""

from __future__ import annotations

from fuzzing.attention import attended
from fuzzing.draft import Block, Draft, Unfit

# Series: channels first.


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
        d.step(
            f"x + {d.layer(f'nn.Conv1d({c}, {c}, 1)', 'res')}(torch.tanh({conv}(h)) * torch.sigmoid({gate}(h)))"
        )


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


SERIES: dict[str, Block] = {
    "conv1d": conv1d,
    "causal conv": causal,
    "pool1d": pooled1d,
    "halved series": halved1d,
}

# Tokens.


def per_token(d: Draft) -> None:
    """A dense layer for each token."""
    (t, f), w = d.shape, d.width(4, 6, 8)
    value = f"{d.linear(f, w)}(x)"
    if d.flip(0.3):
        value = f"{d.layer(d.rng.choice([f'nn.LayerNorm({w})', f'nn.RMSNorm({w})', f'nn.LayerNorm(({t}, {w}))']), 'norm')}({value})"
    if d.flip(0.15):
        value = (
            f"{d.layer(f'nn.BatchNorm1d({w})', 'norm')}({value}.transpose(1, 2)).transpose(1, 2)"
        )
    if d.flip(0.15):
        value = f"{d.linear(f, w)}(x.reshape(-1, {f})).view(x.shape[0], {t}, {w})"
    d.step(d.act(value))
    d.becomes("T", t, w)


def feed_forward(d: Draft) -> None:
    """The feed-forward part of a transformer, gated or not."""
    (_t, f), m = d.shape, d.width()
    norm = d.layer(
        d.rng.choice([f"nn.LayerNorm({f})", f"nn.RMSNorm({f})", "nn.Identity()"]), "norm"
    )
    if d.flip(0.4):
        d.line(f"h = {norm}(x)")
        inner = f"F.silu({d.linear(f, m)}(h)) * {d.linear(f, m)}(h)"
    else:
        inner = d.act(f"{d.linear(f, m)}({norm}(x))")
    d.step(f"x + {d.linear(m, f)}({inner})")


def attention(d: Draft) -> None:
    """Attention in one of its spellings, in a residual sum or alone."""
    t, f = d.shape
    if f % 2:
        raise Unfit
    norm = d.rng.choice(["nn.Identity()", f"nn.LayerNorm({f})", f"nn.RMSNorm({f})"])
    d.line(f"h = {d.layer(norm, 'norm')}(x)")
    attended(d, t, f)
    d.step("x + h" if d.flip(0.7) else "h")


def encoder_layer(d: Draft) -> None:
    """A layer of torch's own transformer."""
    _t, f = d.shape
    if f % 2:
        raise Unfit
    first = d.flip()
    act = d.rng.choice(["'relu'", "'gelu'", "F.silu"])
    code = f"nn.TransformerEncoderLayer({f}, 2, 8, activation={act}, batch_first=True, norm_first={first})"
    if d.flip(0.3):
        code = f"nn.TransformerEncoder({code}, 1, enable_nested_tensor=False)"
    d.step(f"{d.layer(code, 'block')}(x)")


def mixer(d: Draft) -> None:
    """Dense layers along the tokens, then along their features."""
    (t, f), m = d.shape, d.width(4, 6)
    norm = d.layer(d.rng.choice([f"nn.LayerNorm({f})", "nn.Identity()"]), "norm")
    d.step(
        f"x + {d.linear(m, t)}({d.act(f'{d.linear(t, m)}({norm}(x).transpose(1, 2))')}).transpose(1, 2)"
    )


def spatial_gate(d: Draft) -> None:
    """Features halved, one half mixed along the tokens and multiplied (gMLP)."""
    (t, f), m = d.shape, d.rng.choice([4, 6])
    d.line(f"u, v = F.gelu({d.linear(f, 2 * m)}(x)).chunk(2, -1)")
    d.line(f"v = {d.layer(f'nn.Conv1d({t}, {t}, 1)', 'along')}(v)")
    d.step(f"{d.linear(m, f)}(u * v)")


def recurrent(d: Draft) -> None:
    """A recurrent layer of any kind."""
    (t, f), w = d.shape, d.width(4, 5, 6)
    kind, both = d.rng.choice(["LSTM", "GRU", "RNN"]), d.flip(0.3)
    more = d.rng.choice(["", "", ", num_layers=2", ", bias=False"]) + (
        ", bidirectional=True" if both else ""
    )
    if kind == "LSTM" and d.flip(0.15):
        more += ", proj_size=3"
        w = 3
        code = f"nn.LSTM({f}, 5, batch_first=True{more})"
    else:
        code = f"nn.{kind}({f}, {w}, batch_first=True{more})"
    layer = d.layer(code, "rnn")
    if d.flip(0.2):
        d.step(f"{layer.replace('self', 'self')}(x)[0]")
    else:
        d.line(f"x, _ = {layer}(x)")
    d.becomes("T", t, (1 + both) * w)


def unrolled(d: Draft) -> None:
    """A recurrent cell called token after token."""
    (t, f), w = d.shape, d.width(4, 5)
    t_ = min(t, 3)
    cell = d.layer(f"nn.{d.rng.choice(['GRUCell', 'RNNCell'])}({f}, {w})", "cell")
    d.line(f"h, hs = x.new_zeros(x.shape[0], {w}), []")
    d.line(f"for k in range({t_}):")
    d.line(f"    h = {cell}(x[:, k], h)")
    d.line("    hs.append(h)")
    d.step("torch.stack(hs, 1)")
    d.becomes("T", t_, w)


def class_token(d: Draft) -> None:
    """A learned token before the others, repeated for each example."""
    t, f = d.shape
    p = d.parameter(1, 1, f)
    each = d.rng.choice(
        [
            f"{p}.expand(x.shape[0], -1, -1)",
            f"{p}.repeat(x.shape[0], 1, 1)",
            f"{p}.expand(x.size(0), 1, {f})",
            f"{p} + x.new_zeros(x.shape[0], 1, {f})",
        ]
    )
    d.step(f"torch.cat([{each}, x], 1)")
    d.becomes("T", t + 1, f)


def positions(d: Draft) -> None:
    """Positions added: a parameter, a table, sines; with examples flattened or not."""
    t, f = d.shape
    p = d.parameter(t, f)
    d.step(
        d.rng.choice(
            [
                f"x + {p}",
                f"x + {p}.unsqueeze(0)",
                f"x + {p}.expand(x.shape[0], -1, -1)",
                f"x + {p}.repeat(x.shape[0], 1, 1)",
                f"(x.reshape(-1, {f}) + {p}.repeat(x.shape[0], 1)).view(x.shape[0], {t}, {f})",
                f"x + {d.layer(f'nn.Embedding({t}, {f})', 'table')}(torch.arange({t}))",
                f"x + {d.layer(f'nn.Embedding({t + 2}, {f})', 'table')}(torch.arange(x.shape[1]))",
                f"x + {d.layer(f'nn.Embedding({t}, {f})', 'table')}.weight",
                f"x + {d.buffer(f'torch.sin(torch.arange({t * f}).view({t}, {f}) / 3.0)', d.flip())}",
            ]
        )
    )


def perceived(d: Draft) -> None:
    """Learned queries read the tokens (Perceiver), or one pools them."""
    (_t, f), q = d.shape, d.rng.choice([1, 2, 3])
    p = d.parameter(1, q, f)
    k, v = d.linear(f, f), d.linear(f, f)
    d.line(f"q = {p}.expand(x.shape[0], -1, -1)")
    d.step(
        d.rng.choice(
            [
                f"F.scaled_dot_product_attention(q, {k}(x), {v}(x))",
                f"torch.bmm(torch.bmm(q, {k}(x).transpose(1, 2)).softmax(-1), {v}(x))",
                f"torch.softmax(q @ {k}(x).mT, -1) @ {v}(x)",
                f"{d.layer(f'nn.MultiheadAttention({f}, 1, batch_first=True)', 'mha')}(q, x, {v}(x))[0]",
            ]
        )
    )
    d.becomes("T", q, f)


def shifted(d: Draft) -> None:
    """Tokens moved, taken out, joined, cut into windows."""
    t, f = d.shape
    half = t // 2
    code, shape = d.rng.choice(
        [
            ("torch.roll(x, 1, 1)", (t, f)),
            ("x.flip(1)", (t, f)),
            ("x[:, 1:]", (t - 1, f)),
            ("x[:, ::2]", (-(-t // 2), f)),
            (f"torch.cat([x[:, 0::2][:, :{half}], x[:, 1::2][:, :{half}]], -1)", (half, 2 * f)),
            (f"x[:, :{2 * half}].reshape(x.shape[0], {half}, {2 * f})", (half, 2 * f)),
            ("torch.cat([x, x.mean(1, keepdim=True)], 1)", (t + 1, f)),
            ("torch.cat([x, x.mean(1, keepdim=True).expand_as(x)], -1)", (t, 2 * f)),
            (f"x.index_select(1, {d.buffer(f'torch.arange({t - 1}, -1, -1)')})", (t, f)),
            ("x.cumsum(1) / 4", (t, f)),
            ("x - x.mean(1, keepdim=True)", (t, f)),
            ("F.pad(x, (0, 0, 1, 0))", (t + 1, f)),
            ("x.repeat_interleave(2, 1)", (2 * t, f)),
            ("x[..., 1:]", (t, f - 1)),
            ("torch.cat(x.chunk(2, -1)[::-1], -1)", (t, f)),
        ]
    )
    d.step(code)
    d.becomes("T", *shape)


def windows(d: Draft) -> None:
    """Tokens in windows that attend within (Swin), with a bias for each place."""
    t, f = d.shape
    if t % 2 or t < 4:
        raise Unfit
    w = t // 2
    q, k, v = (d.linear(f, 4) for _ in range(3))
    d.line(f"h = torch.roll(x, 1, 1).view(x.shape[0] * 2, {w}, {f})")
    bias = d.rng.choice(
        [
            d.parameter(w, w),
            f"{d.parameter(2, w, w)}.repeat(x.shape[0], 1, 1)",
        ]
    )
    d.line(f"a = ({q}(h) @ {k}(h).transpose(1, 2) / 2 + {bias}).softmax(-1)")
    d.step(f"{d.linear(4, f)}((a @ {v}(h)).view(x.shape[0], {t}, 4))")


def token_conv(d: Draft) -> None:
    """A convolution along the tokens."""
    (t, f), w = d.shape, d.width(4, 6)
    groups = d.rng.choice([1, f])
    w = f if groups > 1 else w
    conv = d.layer(f"nn.Conv1d({f}, {w}, 3, padding=1, groups={groups})", "conv")
    d.step(
        d.act(
            f"{conv}(x.{d.rng.choice(['transpose(1, 2)', 'mT', 'permute(0, 2, 1)'])}).transpose(1, 2)"
        )
    )
    d.becomes("T", t, w)


def token_experts(d: Draft) -> None:
    """Soft mixture of experts for each token."""
    (_t, f), e, w = d.shape, 2, d.width(4, 6)
    d.line(f"g = {d.linear(f, e)}(x).softmax(-1)")
    p, q = d.parameter(e, f, w), d.parameter(e, w, f)
    d.step(
        d.rng.choice(
            [
                f"torch.einsum('nte,ntef->ntf', g, torch.einsum('ntew,ewf->ntef', torch.einsum('ntf,efw->ntew', x, {p}).relu(), {q}))",
                f"sum(g[..., i:i + 1] * ((x @ {p}[i]).relu() @ {q}[i]) for i in range({e}))",
                f"(((x.unsqueeze(2).unsqueeze(3) @ {p}).relu() @ {q}).squeeze(3) * g.unsqueeze(-1)).sum(2)",
            ]
        )
    )


TOKENS: dict[str, Block] = {
    "dense per token": per_token,
    "feed-forward": feed_forward,
    "attention": attention,
    "nn.TransformerEncoderLayer": encoder_layer,
    "mixer": mixer,
    "spatial gate": spatial_gate,
    "recurrent": recurrent,
    "recurrent cell": unrolled,
    "class token": class_token,
    "position table": positions,
    "learned queries": perceived,
    "moved tokens": shifted,
    "windows": windows,
    "conv along tokens": token_conv,
    "token experts": token_experts,
}

# Numbers of tokens.


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
    d.step(
        f"{d.layer(f'nn.Linear(12, {w})', 'fc')}(F.one_hot(x, 12).to({'torch.float64' if d.float64 else 'torch.float32'}))"
    )
    d.becomes("T", t, w)


NUMBERS: dict[str, Block] = {"embedding": embedding, "embedding bag": bag, "one-hot": one_hot}
