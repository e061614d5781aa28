"""Layers on tokens (N, T, D): dense, attention, recurrent."""

from __future__ import annotations

from fuzzing.attention import attended
from fuzzing.draft import Block, Draft, Unfit


def per_token(d: Draft) -> None:
    """A dense layer for each token."""
    (t, f), w = d.shape, d.width(4, 6, 8)
    value = f"{d.linear(f, w)}(x)"
    if d.flip(0.3):
        norm = d.rng.choice([f"nn.LayerNorm({w})", f"nn.RMSNorm({w})", f"nn.LayerNorm(({t}, {w}))"])
        value = f"{d.layer(norm, 'norm')}({value})"
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
    code = (
        f"nn.TransformerEncoderLayer({f}, 2, 8, activation={act}, batch_first=True, "
        f"norm_first={first})"
    )
    if d.flip(0.3):
        code = f"nn.TransformerEncoder({code}, 1, enable_nested_tensor=False)"
    d.step(f"{d.layer(code, 'block')}(x)")


def mixer(d: Draft) -> None:
    """Dense layers along the tokens, then along their features."""
    (t, f), m = d.shape, d.width(4, 6)
    norm = d.layer(d.rng.choice([f"nn.LayerNorm({f})", "nn.Identity()"]), "norm")
    inner = d.act(f"{d.linear(t, m)}({norm}(x).transpose(1, 2))")
    d.step(f"x + {d.linear(m, t)}({inner}).transpose(1, 2)")


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


TOKEN_LAYERS: dict[str, Block] = {
    "dense per token": per_token,
    "feed-forward": feed_forward,
    "attention": attention,
    "nn.TransformerEncoderLayer": encoder_layer,
    "mixer": mixer,
    "spatial gate": spatial_gate,
    "recurrent": recurrent,
    "recurrent cell": unrolled,
}
