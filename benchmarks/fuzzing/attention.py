"""Attention in its spellings: ``h`` (N, T, D) becomes another ``h`` of that shape."""

from __future__ import annotations

from fuzzing.draft import Draft


def attended(d: Draft, t: int, f: int) -> None:
    """Add the lines of one spelling."""
    d.rng.choice(SPELLINGS)(d, t, f)


def _causal(d: Draft) -> str:
    return ", is_causal=True" if d.flip(0.2) else ""


def module(d: Draft, t: int, f: int) -> None:
    """nn.MultiheadAttention."""
    more = d.rng.choice(["", ", bias=False", ", add_bias_kv=True"])
    mha = d.layer(f"nn.MultiheadAttention({f}, 2, batch_first=True{more})", "mha")
    if d.flip():
        d.line(f"h, _ = {mha}(h, h, h)")
    else:
        d.line(f"h = {mha}(h, h, h, need_weights=False)[0]")


def sequence_first(d: Draft, t: int, f: int) -> None:
    """nn.MultiheadAttention with the batch on the second axis."""
    mha = d.layer(f"nn.MultiheadAttention({f}, 2)", "mha")
    d.line("h = h.transpose(0, 1)")
    d.line(f"h = {mha}(h, h, h, need_weights=False)[0].transpose(0, 1)")


def fused(d: Draft, t: int, f: int) -> None:
    """One layer for queries, keys and values, taken apart."""
    m = d.rng.choice([f, 4])
    qkv, out = d.linear(f, 3 * m), d.linear(m, f)
    apart = d.rng.choice(
        [
            f"{qkv}(h).chunk(3, -1)",
            f"{qkv}(h).split({m}, -1)",
            f"{qkv}(h).reshape(h.shape[0], {t}, 3, {m}).unbind(2)",
        ]
    )
    d.line(f"q, k, v = {apart}")
    if m % 2 == 0 and d.flip():
        d.line(
            f"q, k, v = (p.view(h.shape[0], {t}, 2, {m // 2}).transpose(1, 2) for p in (q, k, v))"
        )
        d.line(
            f"h = {out}(F.scaled_dot_product_attention(q, k, v{_causal(d)})"
            f".transpose(1, 2).reshape(h.shape[0], {t}, {m}))"
        )
    else:
        d.line(f"h = {out}(F.scaled_dot_product_attention(q, k, v{_causal(d)}))")


def stacked(d: Draft, t: int, f: int) -> None:
    """One layer, then reshape and permute to (3, N, heads, T, d), as timm writes it."""
    m = d.rng.choice([f, 4])
    if m % 2:
        m = 4
    qkv, out = d.linear(f, 3 * m), d.linear(m, f)
    d.line(f"q, k, v = {qkv}(h).reshape(h.shape[0], {t}, 3, 2, {m // 2}).permute(2, 0, 3, 1, 4)")
    if d.flip():
        d.line(f"h = F.scaled_dot_product_attention(q, k, v{_causal(d)})")
    else:
        d.line(f"h = (q @ k.transpose(-2, -1) * {(m // 2) ** -0.5:.4f}).softmax(-1) @ v")
    d.line(f"h = {out}(h.transpose(1, 2).reshape(-1, {t}, {m}))")


def manual(d: Draft, t: int, f: int) -> None:
    """Three layers and the softmax written out."""
    m = d.rng.choice([f, 4])
    m = m if m % 2 == 0 else 4
    q, k, v, out = d.linear(f, m), d.linear(f, m), d.linear(f, m), d.linear(m, f)
    heads = f".view(h.shape[0], -1, 2, {m // 2}).transpose(1, 2)"
    d.line(f"q, k, v = {q}(h){heads}, {k}(h){heads}, {v}(h){heads}")
    d.line(f"a = q @ k.mT / {(m // 2) ** 0.5:.4f}")
    if d.flip(0.3):
        d.line(f"a = a.masked_fill(torch.ones({t}, {t}, dtype=torch.bool).triu(1), float('-inf'))")
    elif d.flip(0.3):
        d.line(f"a = a + {d.parameter(2, t, t)}")
    d.line(f"h = {out}((a.softmax(-1) @ v).transpose(1, 2).flatten(2))")


def heads_by_einsum(d: Draft, t: int, f: int) -> None:
    """A weight per head as a bare parameter, everything by einsum."""
    m = d.rng.choice([2, 3])
    q, k, v = (d.parameter(2, f, m) for _ in range(3))
    o = d.parameter(2, m, f)
    if d.flip():
        d.line(f"q, k, v = (torch.einsum('ntf,hfm->nhtm', h, w) for w in ({q}, {k}, {v}))")
        d.line("a = torch.einsum('nhtm,nhsm->nhts', q, k).softmax(-1)")
        d.line(f"h = torch.einsum('nhts,nhsm,hmf->ntf', a, v, {o})")
    else:
        d.line(f"q, k, v = (h.unsqueeze(1) @ w for w in ({q}, {k}, {v}))")
        d.line(f"h = (((q @ k.mT).softmax(-1) @ v) @ {o}).sum(1)")


def grouped_queries(d: Draft, t: int, f: int) -> None:
    """Fewer heads of keys and values than of queries."""
    q, k, v, out = d.linear(f, 8), d.linear(f, 4), d.linear(f, 4), d.linear(8, f)
    d.line(f"q = {q}(h).view(h.shape[0], {t}, 4, 2).transpose(1, 2)")
    d.line(f"k, v = (p(h).view(h.shape[0], {t}, 2, 2).transpose(1, 2) for p in ({k}, {v}))")
    how = d.rng.choice(["gqa", "repeat", "expand"])
    if how == "gqa":
        d.line("h = F.scaled_dot_product_attention(q, k, v, enable_gqa=True)")
    else:
        each = {
            "repeat": "k.repeat_interleave(2, 1), v.repeat_interleave(2, 1)",
            "expand": "*(p[:, :, None].expand(-1, -1, 2, -1, -1)"
            f".reshape(h.shape[0], 4, {t}, 2) for p in (k, v))",
        }[how]
        d.line(f"h = F.scaled_dot_product_attention(q, {each})")
    d.line(f"h = {out}(h.transpose(1, 2).reshape(h.shape[0], {t}, 8))")


def multi_query(d: Draft, t: int, f: int) -> None:
    """One head of keys and values for all queries."""
    q, kv, out = d.linear(f, 6), d.linear(f, 6), d.linear(6, f)
    d.line(f"q = {q}(h).view(h.shape[0], {t}, 2, 3).transpose(1, 2)")
    d.line(f"k, v = {kv}(h).unsqueeze(1).chunk(2, -1)")
    d.line(f"h = {out}(((q @ k.transpose(-1, -2)).softmax(-1) @ v).transpose(1, 2).flatten(2))")


def linear_attention(d: Draft, t: int, f: int) -> None:
    """Keys and values summed first."""
    q, k, v, out = d.linear(f, 4), d.linear(f, 4), d.linear(f, 5), d.linear(5, f)
    d.line(f"q, k, v = F.elu({q}(h)) + 1, F.elu({k}(h)) + 1, {v}(h)")
    d.line("h = torch.einsum('ntm,nmo->nto', q, torch.einsum('ntm,nto->nmo', k, v)) / 4")
    d.line(f"h = {out}(h)")


def rotary(d: Draft, t: int, f: int) -> None:
    """Queries and keys turned by their places."""
    q, k, v, out = d.linear(f, 4), d.linear(f, 4), d.linear(f, 4), d.linear(4, f)
    c, s = (
        d.buffer(f"torch.{g}(torch.arange({t})[:, None] / torch.tensor([1.0, 4.0]).repeat(2))")
        for g in ("cos", "sin")
    )
    d.line("turn = lambda p: torch.cat([-p[..., 2:], p[..., :2]], -1)")
    d.line(f"q, k = {q}(h), {k}(h)")
    d.line(f"q, k = q * {c} + turn(q) * {s}, k * {c} + turn(k) * {s}")
    d.line(f"h = {out}(F.scaled_dot_product_attention(q, k, {v}(h)))")


SPELLINGS = [
    module,
    module,
    sequence_first,
    fused,
    stacked,
    manual,
    manual,
    heads_by_einsum,
    grouped_queries,
    multi_query,
    linear_attention,
    rotary,
]
