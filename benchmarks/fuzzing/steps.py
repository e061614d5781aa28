"""Steps from one kind of value to another."""

from __future__ import annotations

from fuzzing.draft import Draft, Unfit


def adapted(d: Draft) -> str:
    """A step from one kind of value to another."""
    name, code, kind, shape = d.rng.choice(_steps(d))
    d.becomes(kind, *shape)
    d.step(code)
    return name


def _steps(d: Draft) -> list[tuple[str, str, str, tuple[int, ...]]]:
    s = d.shape
    if d.kind == "F":
        f = s[0]
        found = [
            ("to tokens", "x.unsqueeze(-1)", "T", (f, 1)),
            ("to series", "x.unsqueeze(1)", "S", (1, f)),
        ]
        if f % 2 == 0 and f >= 6:
            found += [("to tokens", f"x.view(x.shape[0], -1, {f // 2})", "T", (2, f // 2))]
        if f % 4 == 0:
            found += [("to images", f"x.view(-1, {f // 4}, 2, 2)", "I", (f // 4, 2, 2))]
        return found
    if d.kind == "I":
        c, h, w = s
        return [
            ("flatten", "x.flatten(1)", "F", (c * h * w,)),
            ("flatten", "x.view(x.shape[0], -1)", "F", (c * h * w,)),
            (
                "flatten",
                "x.reshape(len(x), -1)" if d.rng.random() < 0.05 else "torch.flatten(x, 1)",
                "F",
                (c * h * w,),
            ),
            ("mean of positions", "x.mean((2, 3))", "F", (c,)),
            ("mean of positions", "F.adaptive_avg_pool2d(x, 1).flatten(1)", "F", (c,)),
            ("mean of positions", "x.mean([-2, -1])", "F", (c,)),
            ("largest of positions", "x.amax((2, 3))", "F", (c,)),
            (
                "pyramid",
                "torch.cat([x.mean((2, 3)), F.adaptive_max_pool2d(x, 2).flatten(1)], 1)",
                "F",
                (5 * c,),
            ),
            ("one position", "x[:, :, 0, -1]", "F", (c,)),
            ("to tokens", "x.flatten(2).transpose(1, 2)", "T", (h * w, c)),
            (
                "to tokens",
                "x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, x.shape[1])",
                "T",
                (h * w, c),
            ),
            ("to series", "x.mean(2)", "S", (c, w)),
            ("to series", "x.flatten(1, 2)", "S", (c * h, w)),
            ("mean of channels", "x.mean(1).flatten(1)", "F", (h * w,)),
        ]
    if d.kind == "V":
        c, t, h, w = s
        return [
            ("mean of positions", "x.mean((2, 3, 4))", "F", (c,)),
            ("flatten", "x.flatten(1)", "F", (c * t * h * w,)),
            ("to images", "x.mean(2)", "I", (c, h, w)),
            ("to images", "x.flatten(1, 2)", "I", (c * t, h, w)),
            ("to images", "x[:, :, 0]", "I", (c, h, w)),
        ]
    if d.kind == "S":
        c, n = s
        return [
            ("flatten", "x.flatten(1)", "F", (c * n,)),
            ("mean of positions", "x.mean(-1)", "F", (c,)),
            ("mean of positions", "F.adaptive_avg_pool1d(x, 1).squeeze(-1)", "F", (c,)),
            ("largest of positions", "x.max(dim=-1).values", "F", (c,)),
            ("largest of positions", "x.max(-1)[0]", "F", (c,)),
            ("one position", "x[:, :, -1]", "F", (c,)),
            ("one position", "x[..., -1]", "F", (c,)),
            ("statistics", "torch.cat([x.mean(-1), x.std(-1)], 1)", "F", (2 * c,)),
            ("to tokens", "x.transpose(1, 2)", "T", (n, c)),
            ("to images", "x.unsqueeze(2)", "I", (c, 1, n)),
        ]
    if d.kind == "T":
        t, f = s
        pool = d.layer(f"nn.Linear({f}, 1)", "pool") if d.rng.random() < 0.2 else ""
        if pool:
            weighed = f"(torch.softmax({pool}(x), 1) * x).sum(1)"
            return [("attention pooling", weighed, "F", (f,))]
        return [
            ("mean of tokens", "x.mean(1)", "F", (f,)),
            ("largest of tokens", "x.amax(1)", "F", (f,)),
            ("one token", "x[:, 0]", "F", (f,)),
            ("one token", "x[:, -1]", "F", (f,)),
            ("one token", "x[:, 0, :]", "F", (f,)),
            ("one token", "x.select(1, 0)", "F", (f,)),
            ("one token", "x.unbind(1)[0]", "F", (f,)),
            ("flatten", "x.flatten(1)", "F", (t * f,)),
            ("flatten", "x.transpose(1, 2).flatten(1)", "F", (t * f,)),
            ("to series", "x.transpose(1, 2)", "S", (f, t)),
            ("to images", "x.unsqueeze(1)", "I", (1, t, f)),
        ]
    raise Unfit
