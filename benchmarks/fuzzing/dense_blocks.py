"""Blocks on features (N, F)."""

from __future__ import annotations

from fuzzing.draft import Block, Draft, Unfit


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


def sliced_weights(d: Draft) -> None:
    """A layer with part of a weight."""
    (f,), w = d.shape, d.width(4, 6)
    if d.flip():
        p = d.parameter(w + 3, f)
        d.step(d.act(f"F.linear(x, {p}[:{w}])"))
    else:
        p = d.layer(f"nn.Linear({f + 2}, {w})", "fc")
        d.step(d.act(f"F.linear(x, {p}.weight[:, :{f}], {p}.bias)"))
    d.becomes("F", w)


def low_rank(d: Draft) -> None:
    """A weight that is the product of two, or an adapter beside a layer (LoRA)."""
    (f,), w, r = d.shape, d.width(), d.rng.choice([2, 3])
    a, b = d.parameter(w, r), d.parameter(r, f)
    d.step(
        d.act(
            d.rng.choice(
                [
                    f"F.linear(x, {a} @ {b})",
                    f"F.linear(x, torch.mm({a}, {b}), {d.parameter(w)})",
                    f"{d.linear(f, w)}(x) + 0.5 * F.linear(F.linear(x, {b}), {a})",
                    f"x @ {b}.t() @ {a}.t()",
                ]
            )
        )
    )
    d.becomes("F", w)


def weight_norm(d: Draft) -> None:
    """Weight norm, old or new."""
    (f,), w = d.shape, d.width()
    how = d.rng.choice(["nn.utils.parametrizations.weight_norm", "old_weight_norm"])
    d.step(d.act(f"{d.layer(f'{how}(nn.Linear({f}, {w}))', 'fc')}(x)"))
    d.becomes("F", w)


def spectral_norm(d: Draft) -> None:
    """Spectral norm, old or new."""
    (f,), w = d.shape, d.width()
    how = d.rng.choice(["nn.utils.parametrizations.spectral_norm", "nn.utils.spectral_norm"])
    d.step(d.act(f"{d.layer(f'{how}(nn.Linear({f}, {w}))', 'fc')}(x)"))
    d.becomes("F", w)


def parametrised(d: Draft) -> None:
    """A weight that is a function of its parameter."""
    (f,) = d.shape
    what = d.rng.choice(["Symmetric", "Positive"])
    fc = d.layer(f"nn.Linear({f}, {f})", "fc")
    d.init.append(f'nn.utils.parametrize.register_parametrization({fc}, "weight", {what}())')
    d.step(d.act(f"{fc}(x)"))


def pruned(d: Draft) -> None:
    """Masks of torch.nn.utils.prune, left on or made permanent."""
    (f,), w = d.shape, d.width()
    fc = d.layer(f"nn.Linear({f}, {w})", "fc")
    d.init.append(
        d.rng.choice(
            [
                f'prune.l1_unstructured({fc}, "weight", 0.4)',
                f'prune.ln_structured({fc}, "weight", 0.5, n=2, dim=0)',
                f'prune.ln_structured({fc}, "weight", 0.3, n=2, dim=1)',
                f'prune.random_unstructured({fc}, "bias", 0.5)',
            ]
        )
    )
    if d.flip(0.3) and '"weight"' in d.init[-1]:
        d.init.append(f'prune.remove({fc}, "weight")')
    d.step(d.act(f"{fc}(x)"))
    d.becomes("F", w)


def autocast(d: Draft) -> None:
    """A region of 16-bit numbers."""
    if d.float64:
        raise Unfit
    (f,), w = d.shape, d.width()
    d.line('with torch.autocast("cpu", dtype=torch.bfloat16):')
    d.line(f"    h = {d.act(f'{d.linear(f, w)}(x)')}")
    d.step("h.float()")
    d.becomes("F", w)


def members(d: Draft) -> None:
    """An ensemble side by side: the batch is not in front."""
    (f,), w, e = d.shape, d.width(), d.rng.choice([2, 3])
    a, b = d.parameter(e, f, w), d.parameter(e, w, w)
    front = d.rng.choice(
        [f"x.expand({e}, -1, -1)", f"x.unsqueeze(0).repeat({e}, 1, 1)", f"torch.stack([x] * {e})"]
    )
    d.line(f"h = torch.bmm({front}, {a}).relu()")
    if d.flip():
        d.line(f"h = torch.baddbmm({d.parameter(e, 1, w)}, h, {b}).tanh()")
    d.step(d.rng.choice(["h.mean(0)", "h.sum(0)", "h.amax(0)", "h[0] + h[1]"]))
    d.becomes("F", w)


def prototypes(d: Draft) -> None:
    """Distances or products with parameters that are repeated for each example."""
    (f,), k = d.shape, d.width(4, 6)
    p = d.parameter(k, f)
    d.step(
        d.rng.choice(
            [
                f"(x.unsqueeze(1) - {p}.expand(x.shape[0], -1, -1)).square().sum(-1)",
                f"(x[:, None] - {p}[None]).abs().sum(-1)",
                f"torch.cdist(x, {p})",
                f"torch.bmm({p}.unsqueeze(0).repeat(x.size(0), 1, 1), x.unsqueeze(-1)).squeeze(-1)",
                f"torch.bmm(x.unsqueeze(1), {p}.t().expand(x.shape[0], -1, -1)).squeeze(1)",
                f"F.cosine_similarity(x.unsqueeze(1), {p}.unsqueeze(0), dim=-1)",
                f"F.normalize(x, dim=-1) @ F.normalize({p}, dim=-1).t()",
            ]
        )
    )
    d.becomes("F", k)


def bilinear(d: Draft) -> None:
    """A bilinear layer of two others."""
    (f,), a, w = d.shape, d.width(4, 5), d.width(4, 6)
    one, two = d.act(f"{d.linear(f, a)}(x)"), d.act(f"{d.linear(f, 3)}(x)")
    d.step(f"{d.layer(f'nn.Bilinear({a}, 3, {w})', 'bi')}({one}, {two})")
    d.becomes("F", w)


def tied(d: Draft) -> None:
    """A weight used there and, transposed, back."""
    (f,), w = d.shape, d.width()
    fc = d.layer(f"nn.Linear({f}, {w})", "fc")
    d.step(f"F.linear({d.act(f'{fc}(x)')}, {fc}.weight.t())")


def tied_layers(d: Draft) -> None:
    """Two layers with one weight."""
    (f,) = d.shape
    one, two = (d.layer(f"nn.Linear({f}, {f})", "fc") for _ in range(2))
    d.init.append(f"{two}.weight = {one}.weight")
    d.step(d.act(f"{two}({d.act(f'{one}(x)')})"))


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


def mixed_types(d: Draft) -> None:
    """A layer in another type of numbers."""
    (f,), w = d.shape, d.width()
    if d.float64:
        fc = d.layer(f"nn.Linear({f}, {w}).float()", "single")
        d.step(f"{fc}(x.float()).to(x.dtype)")
    else:
        fc = d.layer(f"nn.Linear({f}, {w}).double()", "double")
        d.step(d.act(f"{fc}(x.double()).float()"))
    d.becomes("F", w)


def squeezed(d: Draft) -> None:
    """Axes of one put in and taken out."""
    (f,), w = d.shape, d.width()
    d.step(
        d.act(
            d.rng.choice(
                [
                    f"{d.layer(f'nn.Conv1d({f}, {w}, 1)', 'conv')}(x.unsqueeze(-1)).squeeze(-1)",
                    f"{d.layer(f'nn.Conv2d({f}, {w}, 1)', 'conv')}(x[:, :, None, None])[:, :, 0, 0]",
                    f"{d.layer(f'nn.Conv2d({f}, {w}, 1)', 'conv')}(x.view(x.shape[0], -1, 1, 1)).flatten(1)",
                    f"{d.linear(f, w)}(x.unsqueeze(1)).squeeze(1)",
                    f"torch.squeeze({d.linear(f, w)}(x[:, None]), 1)",
                ]
            )
        )
    )
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


def own_weights(d: Draft) -> None:
    """Weights worked out from the example (a hypernetwork)."""
    (f,), w = d.shape, d.width(3, 4)
    d.line(f"h = {d.linear(f, 2 * w)}(x).view(-1, 2, {w})")
    d.line(f"g = {d.linear(f, 2)}(x)")
    d.step("torch.bmm(g.unsqueeze(1), h).squeeze(1).tanh()")
    d.becomes("F", w)


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
        d.step(
            f"{d.layer(f'nn.Sequential(nn.Sequential({one}, nn.ReLU()), nn.Sequential({two}, nn.Identity()))', 'seq')}(x)"
        )
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


DENSE: dict[str, Block] = {
    "dense": dense,
    "dense norm": dense_norm,
    "gated": swiglu,
    "glu": glu,
    "maxout": maxout,
    "residual": residual,
    "concatenation": joined,
    "highway": highway,
    "mixture of experts": mixture,
    "sliced weights": sliced_weights,
    "low rank, LoRA": low_rank,
    "weight norm": weight_norm,
    "spectral norm": spectral_norm,
    "parametrization": parametrised,
    "prune masks": pruned,
    "autocast": autocast,
    "bmm ensemble": members,
    "prototypes": prototypes,
    "bilinear": bilinear,
    "tied weight": tied,
    "tied layers": tied_layers,
    "halved features": halved,
    "arithmetic": arithmetic,
    "moved features": moved,
    "mixed types": mixed_types,
    "squeezed": squeezed,
    "crossed features": crossed,
    "hypernetwork": own_weights,
    "softmax, normalize": shares,
    "dropout": dropped,
    "shared layer": shared,
    "containers": listed,
    "added parameters": added_parameters,
    "traces left behind": habits,
}
