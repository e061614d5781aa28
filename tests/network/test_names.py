"""What a refusal and a site are called: by the cause's place in the model's own code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

from frivolous.errors import NotTraceable
from frivolous.network import trace


def data() -> Tensor:
    return torch.randn(4, 5, 8, generator=torch.Generator().manual_seed(1))


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.out = nn.Linear(8, 12), nn.Linear(12, 3)
        self.cls = nn.Parameter(torch.ones(1, 1, 8))

    def with_token(self, x: Tensor, n: int) -> Tensor:
        return torch.cat([self.cls.expand(n, -1, -1), x], 1)

    def scores(self, x: Tensor) -> Tensor:
        return self.out(self.a(x).relu().mean(1))


class Inline(Tokens):
    def forward(self, x: Tensor) -> Tensor:
        return self.scores(self.with_token(x, len(x)))


class LinesBefore(Tokens):
    def forward(self, x: Tensor) -> Tensor:
        examples = len(x)
        x = x * 2
        return self.scores(self.with_token(x, examples))


class InAnotherModule(Tokens):
    def __init__(self) -> None:
        super().__init__()
        self.tokens = LinesBefore()

    def forward(self, x: Tensor) -> Tensor:
        layers = [self.a, self.out]
        return self.tokens(x) * len(layers)


class Number(Tokens):
    def forward(self, x: Tensor) -> Tensor:
        n = int(x.shape[0])
        return self.out(self.a(x).relu().view(n, 5, -1).mean(1))


class Deciding(Tokens):
    def forward(self, x: Tensor) -> Tensor:
        if len(x) > 100:
            x = x * 2
        return self.scores(x)


@pytest.mark.parametrize(
    ("kind", "text", "line"),
    [
        (Inline, "len(x)", "return self.scores(self.with_token(x, len(x)))"),
        (LinesBefore, "len(x)", "examples = len(x)"),
        (InAnotherModule, "len(x)", "examples = len(x)"),
        (Number, "int(x.shape[0])", "n = int(x.shape[0])"),
        (Deciding, "len(x)", "if len(x) > 100:"),
    ],
)
def test_a_plain_number_that_fixes_the_batch_is_named(kind: Any, text: str, line: str) -> None:
    with pytest.raises(NotTraceable) as caught:
        trace(kind(), data())
    message = str(caught.value)
    assert message.startswith(f"the batch size is fixed at 4 by `{text}` at test_names.py:")
    assert f"(`{line}`)" in message
    assert message.endswith(f"Write `x.shape[0]` in place of `{text}`, which is a plain number.")


class AsAdvised(Tokens):
    def forward(self, x: Tensor) -> Tensor:
        return self.scores(self.with_token(x, x.shape[0]))


def test_the_remedy_is_one() -> None:
    model = AsAdvised()
    assert [site.name for site in trace(model, data()).sites] == ["a"]


class OfLayers(Tokens):
    def forward(self, x: Tensor) -> Tensor:
        layers = [self.a]
        for place in range(len(layers)):
            x = layers[place](x)
        return self.out(x.view(4, 5, -1).mean(1))


def test_the_length_of_something_else_is_not_the_cause() -> None:
    with pytest.raises(NotTraceable, match="fixed at 4 by 'view' at test_names.py"):
        trace(OfLayers(), data())


class Recurrent(Tokens):
    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = nn.LSTM(12, 10, batch_first=True), nn.Linear(10, 12)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.head(self.rnn(self.a(x).relu())[0][:, -1]))


class Median(Tokens):
    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.a(x).median(1)[0])


@pytest.mark.parametrize(
    ("kind", "op", "skipped"), [(Recurrent, "lstm", ["rnn", "head"]), (Median, "median", ["out"])]
)
def test_an_operation_with_several_results_is_named(kind: Any, op: str, skipped: list[str]) -> None:
    found = dict(trace(kind(), data()).skipped)
    assert list(found) == skipped
    for reason in found.values():
        assert reason.startswith(f"it reads through '{op}', which is in none of the tables")
        assert "test_names.py:" in reason


def pruned(layer: nn.Module) -> nn.Module:
    return prune.ln_structured(layer, "weight", 0.5, n=2, dim=0)


COMPUTED: dict[str, Callable[[nn.Module], nn.Module]] = {
    "pruned": pruned,
    "weight_norm": weight_norm,
    "spectral_norm": spectral_norm,
    "parametrised weight_norm": parametrizations.weight_norm,
    "parametrised spectral_norm": parametrizations.spectral_norm,
    "orthogonal": parametrizations.orthogonal,
}


@pytest.mark.parametrize("name", COMPUTED)
@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
def test_a_site_is_called_by_the_module_whose_weight_is_computed(name: str) -> None:
    model = nn.Sequential(nn.Linear(8, 7), nn.ReLU(), nn.Linear(7, 6), nn.ReLU(), nn.Linear(6, 3))
    for place in (0, 2):
        model[place] = COMPUTED[name](model[place])
    model(data())
    net = trace(model.eval(), data())
    assert [site.name for site in net.sites] == ["0", "2"]
    assert {*net.sites[0].writers, *net.sites[1].writers} <= set(model.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(net(data()), model(data()))
        expected = model[2:](model[1](model[0](data())) * torch.eye(7)[3])
    silenced = net.run(data(), {"0": lambda value: value * torch.eye(7)[3]})
    torch.testing.assert_close(silenced, expected)


class Bare(nn.Module):
    """Parameters of its own that are read as weights."""

    def __init__(self) -> None:
        super().__init__()
        self.k, self.weight_g = nn.Parameter(torch.ones(8, 6)), nn.Parameter(torch.ones(6, 5))

    def forward(self, x: Tensor) -> Tensor:
        return (x @ self.k).relu() @ self.weight_g


def test_a_bare_parameter_keeps_its_name() -> None:
    model = nn.Sequential(Bare(), nn.ReLU(), nn.Linear(5, 3))
    assert [site.name for site in trace(model, data()).sites] == ["0.k", "0.weight_g"]
