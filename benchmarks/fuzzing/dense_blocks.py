"""Layers on features (N, F): plain, gated, summed, joined."""

from __future__ import annotations

from fuzzing.draft import Block, Draft


def dense(d: Draft) -> None:
    """A dense layer, in one of its spellings."""
    (f,), w = d.shape, d.width()
    spelling = d.rng.choice(["linear", "linear", "linear", "@", "matmul", "einsum", "addmm", "F"])
    if spelling == "linear":
        code = f"{d.linear(f, w)}(x)"
    elif spelling == "F":
        code = f"F.linear(x, {d.parameter(w, f)}, {d.parameter(w)})"
    elif spelling == "addmm":
        code = f"torch.addmm({d.parameter(w)}, x, {d.parameter(f, w)})"
    else:
        p = d.parameter(f, w)
        code = {
            "@": f"x @ {p} + {d.parameter(w) if d.flip() else 0.1}",
            "matmul": f"torch.matmul(x, {p})",
            "einsum": f"torch.einsum('nf,fg->ng', x, {p})",
        }[spelling]
    d.step(d.act(code, w))
    d.becomes("F", w)


def dense_norm(d: Draft) -> None:
    """A dense layer and a normalisation."""
    (f,), w = d.shape, d.width(4, 6, 8, 12)
    norm = d.rng.choice(
        [
            f"nn.BatchNorm1d({w})",
            f"nn.BatchNorm1d({w}, affine=False)",
            f"nn.BatchNorm1d({w}, momentum=None)",
            f"nn.LayerNorm({w})",
            f"nn.LayerNorm({w}, elementwise_affine=False)",
            f"nn.LayerNorm({w}, bias=False)",
            f"nn.RMSNorm({w})",
            f"nn.GroupNorm(2, {w})",
            f"nn.GroupNorm({w}, {w})",
            f"nn.GroupNorm(1, {w}, affine=False)",
        ]
    )
    d.step(f"{d.linear(f, w)}(x)")
    d.step(d.act(f"{d.layer(norm, 'norm')}(x)", w))
    d.becomes("F", w)


def swiglu(d: Draft) -> None:
    """A gated unit of two layers, or of one that is halved."""
    (f,), w = d.shape, d.width()
    out = d.linear(w, f)
    gate = d.rng.choice(["F.silu({})", "F.gelu({})", "torch.sigmoid({})"])
    if d.flip():
        d.step(f"{out}({gate.format(f'{d.linear(f, w)}(x)')} * {d.linear(f, w)}(x))")
        return
    halves = d.rng.choice(
        [
            "h.chunk(2, dim=-1)",
            "h.chunk(2, 1)",
            f"h.split({w}, dim=-1)",
            f"(h[:, :{w}], h[:, {w}:])",
            f"h.view(h.shape[0], 2, {w}).unbind(1)",
            "h.tensor_split(2, dim=1)",
        ]
    )
    d.line(f"h = {d.linear(f, 2 * w)}(x)")
    d.line(f"a, g = {halves}")
    d.step(f"{out}(a * {gate.format('g')})")


def glu(d: Draft) -> None:
    """GLU."""
    (f,), w = d.shape, d.width()
    call = "F.glu({}, -1)" if d.flip() else f"{d.layer('nn.GLU(1)', 'act')}({{}})"
    d.step(call.format(f"{d.linear(f, 2 * w)}(x)"))
    d.becomes("F", w)


def maxout(d: Draft) -> None:
    """The largest of some units."""
    (f,), w = d.shape, d.width()
    d.line(f"h = {d.linear(f, 2 * w)}(x)")
    d.step(
        d.rng.choice(
            [
                f"h.view(-1, {w}, 2).amax(-1)",
                f"h.reshape(h.shape[0], 2, {w}).max(1).values",
                f"torch.maximum(h[:, :{w}], h[:, {w}:])",
                "F.max_pool1d(h.unsqueeze(1), 2).squeeze(1)",
            ]
        )
    )
    d.becomes("F", w)


def residual(d: Draft) -> None:
    """A residual sum of two layers, the norm before or after or absent."""
    (f,), w = d.shape, d.width()
    inner = f"{d.linear(w, f)}({d.act(f'{d.linear(f, w)}({{}})')})"
    norm = d.layer(
        d.rng.choice([f"nn.LayerNorm({f})", f"nn.BatchNorm1d({f})", f"nn.RMSNorm({f})"]), "norm"
    )
    d.step(
        d.rng.choice(
            [
                f"x + {inner.replace('{}', f'{norm}(x)')}",
                f"{norm}(x + {inner.replace('{}', 'x')})",
                f"F.relu(x + {inner.replace('{}', 'x')})",
                f"torch.add(x, {inner.replace('{}', 'x')}, alpha=0.5)",
                f"{inner.replace('{}', 'x')} + {d.linear(f, f)}(x)",
            ]
        )
    )


def joined(d: Draft) -> None:
    """Concatenated features."""
    (f,), w = d.shape, d.width(3, 4, 6)
    d.step(f"torch.cat([x, {d.act(f'{d.linear(f, w)}(x)')}], {d.rng.choice([1, -1])})")
    d.becomes("F", f + w)


def highway(d: Draft) -> None:
    """A gate between a layer and what it reads."""
    (f,) = d.shape
    d.line(f"g = torch.sigmoid({d.linear(f, f)}(x))")
    h = d.act(f"{d.linear(f, f)}(x)")
    d.step(d.rng.choice([f"g * {h} + (1 - g) * x", f"torch.lerp(x, {h}, g)", f"x + g * ({h} - x)"]))


def mixture(d: Draft) -> None:
    """Experts, weighed by a soft gate."""
    (f,), w, e = d.shape, d.width(), d.rng.choice([2, 3])
    d.line(f"g = F.softmax({d.linear(f, e)}(x), dim=-1)")
    if d.flip():
        experts = ", ".join(f"F.relu({d.linear(f, w)}(x))" for _ in range(e))
        d.line(f"h = torch.stack([{experts}], 1)")
    else:
        d.line(f"h = torch.einsum('nf,efw->new', x, {d.parameter(e, f, w)}).relu()")
    d.step(
        d.rng.choice(
            [
                "(g.unsqueeze(-1) * h).sum(1)",
                "torch.bmm(g.unsqueeze(1), h).squeeze(1)",
                "torch.einsum('ne,new->nw', g, h)",
            ]
        )
    )
    d.becomes("F", w)


LAYERS: dict[str, Block] = {
    "dense": dense,
    "dense norm": dense_norm,
    "gated": swiglu,
    "glu": glu,
    "maxout": maxout,
    "residual": residual,
    "concatenation": joined,
    "highway": highway,
    "mixture of experts": mixture,
}
