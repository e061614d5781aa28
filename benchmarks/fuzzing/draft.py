"""A network being written down as source text, block after block."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

MOST = 1200
"""Numbers of one example that a value between two blocks may have."""


class Unfit(Exception):
    """A block that the value at hand does not suit; another one is drawn."""


@dataclass
class Draft:
    """Source lines of some layers that turn ``x`` into another ``x``.

    ``kind`` says what an example is and ``shape`` its sizes: F features (f,), I image (c, h, w), S
    series with channels first (c, l), T tokens (t, d), V volume (c, d, h, w), K token numbers (t,).
    """

    rng: random.Random
    kind: str
    shape: tuple[int, ...]
    numbers: Iterator[int] = field(default_factory=itertools.count)
    init: list[str] = field(default_factory=list)
    forward: list[str] = field(default_factory=list)
    float64: bool = True
    after: list[str] = field(default_factory=list)

    def part(self) -> Draft:
        """An empty draft that begins where this one ends."""
        return Draft(self.rng, self.kind, self.shape, self.numbers, float64=self.float64)

    # Layers.

    def layer(self, code: str, name: str = "") -> str:
        """Add a layer (or anything else that a module holds); the expression that calls it."""
        name = f"{name or 'layer'}{next(self.numbers)}"
        self.init.append(f"self.{name} = {code}")
        return f"self.{name}"

    def linear(self, read: int, written: int, **options: object) -> str:
        """A dense layer, with a bias or without."""
        more = "" if self.rng.random() < 0.7 else ", bias=False"
        return self.layer(f"nn.Linear({read}, {written}{more})", "fc")

    def parameter(self, *shape: int, scale: float | None = None) -> str:
        """A bare parameter."""
        scale = shape[-1] ** -0.5 if scale is None else scale
        sizes = ", ".join(map(str, shape))
        return self.layer(f"nn.Parameter({scale:.3g} * torch.randn({sizes}))", "p")

    def buffer(self, code: str, persistent: bool = True) -> str:
        """A buffer of constants."""
        name = f"b{next(self.numbers)}"
        more = "" if persistent else ", persistent=False"
        self.init.append(f'self.register_buffer("{name}", {code}{more})')
        return f"self.{name}"

    # Lines of forward.

    def step(self, code: str) -> None:
        """Let ``x`` be that."""
        self.forward.append(f"x = {code}")

    def line(self, code: str) -> None:
        """Any other line."""
        self.forward.append(code)

    def becomes(self, kind: str, *shape: int) -> None:
        """What ``x`` now is; refused where it is too large or has nothing left."""
        if min(shape) < 1 or math.prod(shape) > MOST:
            raise Unfit
        self.kind, self.shape = kind, tuple(shape)

    # Choices.

    def width(self, *choices: int) -> int:
        """A number of units."""
        return self.rng.choice(choices or (4, 5, 6, 8, 9, 12))

    def flip(self, chance: float = 0.5) -> bool:
        """True with this chance."""
        return self.rng.random() < chance

    def act(self, value: str = "x", channels: int = 0) -> str:
        """An activation of an expression: one of all families."""
        code = self.rng.choice(ACTIVATIONS)
        if code == "prelu":
            count = channels if channels and self.flip() else ""
            return f"{self.layer(f'nn.PReLU({count})', 'act')}({value})"
        if code.startswith("nn."):
            return f"{self.layer(code, 'act')}({value})"
        if any(sign in value for sign in (" + ", " - ", " * ", " @ ", " / ")):
            value = f"({value})"
        first, *rest = code.split("{x}")
        if len(rest) > 1 and not value.isidentifier():  # the layer is called once
            return f"{first}(v := {value}){'v'.join(rest)}"
        return first + value + value.join(rest)


ACTIVATIONS = [
    *["F.relu({x})"] * 6,
    *("{x}.relu()", "torch.relu({x})", "nn.ReLU()", "nn.ReLU(inplace=True)", "nn.ReLU6()"),
    *("F.gelu({x})", "F.gelu({x}, approximate='tanh')", "nn.GELU()"),
    *("F.silu({x})", "nn.SiLU()", "{x} * torch.sigmoid({x})", "F.mish({x})", "nn.Mish()"),
    *("torch.tanh({x})", "nn.Tanh()", "torch.sigmoid({x})", "nn.Sigmoid()", "F.logsigmoid({x})"),
    *("F.leaky_relu({x}, 0.1)", "nn.LeakyReLU(0.2)", "prelu", "prelu", "nn.RReLU()"),
    *("F.elu({x})", "nn.ELU()", "F.selu({x})", "nn.CELU()"),
    *("F.hardswish({x})", "nn.Hardswish()", "F.hardsigmoid({x})", "nn.Hardtanh()"),
    *("F.softplus({x})", "nn.Softplus()", "F.softsign({x})", "nn.Softshrink(0.2)"),
    *("nn.Hardshrink(0.2)", "F.tanhshrink({x})", "nn.Threshold(0.1, 0.0)", "{x}.abs()"),
    *("{x}.square()", "torch.sin({x})", "{x}.clamp(min=0)", "{x}.clamp(-1, 1)"),
    *(
        "torch.where({x} > 0, {x}, 0.1 * {x})",
        "torch.maximum({x}, 0.2 * {x})",
        "{x}.exp().clamp(max=3)",
    ),
]

Block = Callable[[Draft], None]
