"""Blocks that add, move and weigh tokens (N, T, D)."""

from __future__ import annotations

from fuzzing.draft import Block, Draft, Unfit


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
    sines = d.buffer(f"torch.sin(torch.arange({t * f}).view({t}, {f}) / 3.0)", d.flip())
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
                f"x + {sines}",
            ]
        )
    )


def perceived(d: Draft) -> None:
    """Learned queries read the tokens (Perceiver), or one pools them."""
    (_t, f), q = d.shape, d.rng.choice([1, 2, 3])
    p = d.parameter(1, q, f)
    k, v = d.linear(f, f), d.linear(f, f)
    mha = d.layer(f"nn.MultiheadAttention({f}, 1, batch_first=True)", "mha")
    d.line(f"q = {p}.expand(x.shape[0], -1, -1)")
    d.step(
        d.rng.choice(
            [
                f"F.scaled_dot_product_attention(q, {k}(x), {v}(x))",
                f"torch.bmm(torch.bmm(q, {k}(x).transpose(1, 2)).softmax(-1), {v}(x))",
                f"torch.softmax(q @ {k}(x).mT, -1) @ {v}(x)",
                f"{mha}(q, x, {v}(x))[0]",
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
    turned = d.rng.choice(["transpose(1, 2)", "mT", "permute(0, 2, 1)"])
    d.step(d.act(f"{conv}(x.{turned}).transpose(1, 2)"))
    d.becomes("T", t, w)


def token_experts(d: Draft) -> None:
    """Soft mixture of experts for each token."""
    (_t, f), e, w = d.shape, 2, d.width(4, 6)
    d.line(f"g = {d.linear(f, e)}(x).softmax(-1)")
    p, q = d.parameter(e, f, w), d.parameter(e, w, f)
    d.step(
        d.rng.choice(
            [
                (
                    "torch.einsum('nte,ntew,ewf->ntf', g, "
                    f"torch.einsum('ntf,efw->ntew', x, {p}).relu(), {q})"
                ),
                f"sum(g[..., i:i + 1] * ((x @ {p}[i]).relu() @ {q}[i]) for i in range({e}))",
                f"(((x[:, :, None, None] @ {p}).relu() @ {q}).squeeze(3) * g.unsqueeze(-1)).sum(2)",
            ]
        )
    )


TOKEN_MOVES: dict[str, Block] = {
    "class token": class_token,
    "position table": positions,
    "learned queries": perceived,
    "moved tokens": shifted,
    "windows": windows,
    "conv along tokens": token_conv,
    "token experts": token_experts,
}
