"""Blocks on features (N, F) whose weights are computed, tied, repeated or of other numbers."""

from __future__ import annotations

from fuzzing.draft import Block, Draft, Unfit


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


def own_weights(d: Draft) -> None:
    """Weights worked out from the example (a hypernetwork)."""
    (f,), w = d.shape, d.width(3, 4)
    d.line(f"h = {d.linear(f, 2 * w)}(x).view(-1, 2, {w})")
    d.line(f"g = {d.linear(f, 2)}(x)")
    d.step("torch.bmm(g.unsqueeze(1), h).squeeze(1).tanh()")
    d.becomes("F", w)


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


WEIGHTS: dict[str, Block] = {
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
    "mixed types": mixed_types,
    "hypernetwork": own_weights,
}
