"""Weights that read a site's units, against the weights written out by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from frivolous.network import trace


class Model(nn.Module):
    """conv -> relu -> what a test puts between -> reader."""

    def __init__(self, reader: nn.Module, between: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.reader, self.between = nn.Conv2d(3, 4, 3, padding=1), reader, between

    def forward(self, x: Tensor) -> Tensor:
        value = self.reader(self.between(F.relu(self.conv(x))))
        return value.flatten(1) if value.dim() > 2 else value


def rows(*weights: Tensor) -> Tensor:
    """Products of rows (4, ...) of weights on each unit, of several readers."""
    flat = torch.cat([weight.detach().reshape(4, -1).double() for weight in weights], dim=1)
    return flat @ flat.T


CASES: dict[str, tuple[Callable[[], nn.Module], Callable[[Tensor], Tensor], Callable[..., Tensor]]]
CASES = {
    "convolution": (
        lambda: nn.Conv2d(4, 5, 3),
        lambda x: x,
        lambda w: rows(w.transpose(0, 1)),
    ),
    "grouped": (
        lambda: nn.Conv2d(4, 6, 3, groups=2),
        lambda x: x,
        lambda w: torch.block_diag(
            *(
                (part := w[3 * g : 3 * g + 3].transpose(0, 1).reshape(2, -1).double()) @ part.T
                for g in range(2)
            )
        ),
    ),
    "depthwise": (
        lambda: nn.Conv2d(4, 8, 3, groups=4),
        lambda x: x,
        lambda w: torch.diag((w.double() ** 2).reshape(4, -1).sum(dim=1)),
    ),
    "transposed": (
        lambda: nn.ConvTranspose2d(4, 5, 2, stride=2),
        lambda x: x,
        rows,
    ),
    "pooled and padded": (
        lambda: nn.Conv2d(4, 5, 3),
        lambda x: F.pad(F.avg_pool2d(F.max_pool2d(x, 2), 2, 1, 1), (1, 1, 1, 1)),
        lambda w: rows(w.transpose(0, 1)),
    ),
    "an average of borders": (
        lambda: nn.Conv2d(4, 5, 1),
        lambda x: F.avg_pool2d(F.adaptive_avg_pool2d(x, 1), 2, 1, 1),
        lambda w: rows(w.transpose(0, 1)),
    ),
    "flattened": (
        lambda: nn.Linear(4 * 64, 5),
        lambda x: x.flatten(1),
        # The positions of a unit are read apart from each other.
        lambda w: rows(w.view(5, 4, 64).permute(1, 0, 2)),
    ),
    "averaged": (
        lambda: nn.Linear(4, 5),
        lambda x: x.mean((2, 3)),
        lambda w: rows(w.T),
    ),
    "summed, last axis": (
        lambda: nn.Linear(4, 5),
        lambda x: x.permute(0, 2, 3, 1).sum(2).sum(1),
        lambda w: rows(w.T),
    ),
    "concatenated twice": (
        lambda: nn.Conv2d(8, 5, 1),
        lambda x: torch.cat([x.flip(2), x], 1),
        lambda w: rows(w[:, :4].transpose(0, 1)) + rows(w[:, 4:].transpose(0, 1)),
    ),
    "half of the units": (
        lambda: nn.Conv2d(2, 5, 1),
        lambda x: x[:, 1:3],
        lambda w: rows(F.pad(w.transpose(0, 1).flatten(1), (0, 0, 1, 1))),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_products_of_the_weights_on_each_unit(name: str) -> None:
    build, between, expected = CASES[name]
    model = Model(build(), between).eval()
    network = trace(model, torch.randn(2, 3, 8, 8))
    found = network.reader_products("conv")
    assert found.dtype == torch.float64
    weight = model.reader.weight
    assert isinstance(weight, Tensor)
    torch.testing.assert_close(found, expected(weight.detach()))


def test_dense_units_unfolded_into_maps() -> None:
    class Unfolded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dense, self.reader = nn.Linear(3, 8), nn.Conv2d(2, 5, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.reader(F.relu(self.dense(x)).view(-1, 2, 2, 2)).flatten(1)

    model = Unfolded()
    weight = model.reader.weight.detach().double().flatten(1).T
    # Units of one map are read by the same weights, and by other outputs.
    expected = torch.kron(weight @ weight.T, torch.eye(4, dtype=torch.float64))
    found = trace(model, torch.randn(2, 3)).reader_products("dense")
    torch.testing.assert_close(found, expected)


def test_several_readers_and_a_tied_weight_add_up() -> None:
    class Several(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.one, self.two = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            x = F.relu(self.first(x))
            return self.two(F.relu(self.one(x)) + F.relu(x @ self.one.weight))

    model = Several()
    network = trace(model, torch.randn(2, 3))
    weight = model.one.weight.detach()
    torch.testing.assert_close(network.reader_products("first"), rows(weight.T, weight))


def test_a_gate_of_another_layer_beside_the_units() -> None:
    class Beside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.gate, self.out = nn.Linear(3, 4), nn.Linear(4, 6), nn.Linear(7, 2)

        def forward(self, x: Tensor) -> Tensor:
            x = F.relu(self.first(x))
            return self.out(torch.cat([x, F.glu(self.gate(x), 1)], 1))

    model = Beside()
    network = trace(model, torch.randn(2, 3))
    expected = rows(model.gate.weight.T, model.out.weight.T[:4])
    torch.testing.assert_close(network.reader_products("first"), expected)


def test_a_weight_that_is_worked_out() -> None:
    reader = nn.utils.parametrizations.weight_norm(nn.Linear(4, 5))
    model = Model(reader, lambda x: x.mean((2, 3)))
    network = trace(model, torch.randn(2, 3, 8, 8))
    torch.testing.assert_close(network.reader_products("conv"), rows(reader.weight.T))


def test_products_follow_the_weights_of_another_state() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    network = trace(model, torch.randn(2, 3))
    state = {name: value * 2 for name, value in model.state_dict().items()}
    torch.testing.assert_close(
        network.with_weights(state).reader_products("0"), network.reader_products("0") * 4
    )


def test_attention_values_and_a_stream_behind_its_normalisation() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.norm = nn.Linear(3, 6), nn.LayerNorm(6)
            self.q, self.k, self.v = (nn.Linear(6, 4) for _ in range(3))
            self.out, self.last = nn.Linear(4, 6), nn.Linear(6, 2)

        def forward(self, x: Tensor) -> Tensor:
            x = self.embed(x)
            y = self.norm(x)
            q, k, v = (f(y).unflatten(-1, (2, 2)).transpose(1, 2) for f in (self.q, self.k, self.v))
            y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
            return self.last((x + self.out(y)).mean(dim=1))

    model = Block()
    network = trace(model, torch.randn(2, 5, 3), residual=True)
    assert {site.name for site in network.sites} >= {"v", "embed.residual"}
    weight = model.out.weight.detach().double()
    torch.testing.assert_close(network.reader_products("v"), weight.T @ weight)
    read = torch.cat([layer.weight for layer in (model.q, model.k, model.v)]).detach().double()
    torch.testing.assert_close(network.reader_products("embed.residual"), read.T @ read)


class PerHead(nn.Module):
    """Units in heads, each with a matrix of its own; ``form`` is how that is written."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.a, self.out, self.form = nn.Linear(4, 10), nn.Linear(6, 3), form
        self.w = nn.Parameter(torch.randn(2, 5, 3))

    def forward(self, x: Tensor) -> Tensor:
        n, places, _ = x.shape
        heads = self.a(x).relu().view(n, places, 2, 5)
        if self.form == "einsum":
            read = torch.einsum("nphf,hfo->npho", heads, self.w).reshape(n, places, 6)
        else:
            heads = heads.transpose(1, 2)
            if self.form == "bmm":
                flat = torch.bmm(heads.reshape(n * 2, places, 5), self.w.repeat(n, 1, 1))
                read = flat.view(n, 2, places, 3)
            elif self.form == "weight first":
                read = (self.w.mT @ heads.mT).mT
            else:
                read = heads @ self.w
            read = read.transpose(1, 2).reshape(n, places, 6)
        return self.out(read.mean(1))


@pytest.mark.parametrize("form", ["matmul", "bmm", "einsum", "weight first"])
def test_a_matrix_for_each_head_reads_the_units_of_its_own_head(form: str) -> None:
    model = PerHead(form)
    net = trace(model, torch.randn(3, 7, 4))
    assert net.site("a").readers == ("w",)
    first, second = model.w.detach().double()
    expected = torch.block_diag(first @ first.T, second @ second.T)
    torch.testing.assert_close(net.reader_products("a"), expected)


class Moved(nn.Module):
    """Units read twice: as they are, and in an order that a buffer has."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.out = nn.Linear(4, 6), nn.Linear(12, 3)
        self.register_buffer("order", torch.tensor([3, 0, 5, 1, 4, 2]))

    def forward(self, x: Tensor) -> Tensor:
        x = self.one(x).relu()
        return self.out(torch.cat([x, x[:, self.order]], 1))


def test_units_taken_by_an_index_are_read_where_it_puts_them() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Moved()
    found = trace(model, torch.zeros(2, 4)).reader_products("one")
    first, second = model.out.weight.detach().double().T.split(6)
    moved = torch.zeros_like(second)
    moved[model.order] = second
    torch.testing.assert_close(found, first @ first.T + moved @ moved.T)


class Gated(nn.Module):
    """One unit that weighs what others give, beside units of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.wide, self.out = nn.Linear(4, 1), nn.Linear(4, 5), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.gate(x).sigmoid()
        return self.out(torch.cat([gate * self.wide(x).relu(), gate], 1))


def test_a_unit_that_weighs_others_is_read_wherever_they_are() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Gated()
    net = trace(model, torch.zeros(2, 4))
    weight = model.out.weight.detach().double()
    for site in net.sites:
        products = net.reader_products(site.name)
        assert products.shape == (site.width, site.width)
    (gate,) = [site for site in net.sites if site.width == 1]
    total = sum(float(weight[:, i].square().sum()) for i in range(6))
    torch.testing.assert_close(float(net.reader_products(gate.name)), total)


class Rounded(nn.Module):
    """A layer of single precision in a network of double."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.out = nn.Linear(4, 6).double(), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.one(x).relu().float()
        return self.out(x + (x @ self.out.weight.T).mean(1, keepdim=True))


def test_conversions_on_the_way_keep_the_units_numbers() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Rounded()
    found = trace(model, torch.zeros(2, 4, dtype=torch.float64)).reader_products("one")
    weight = model.out.weight.detach().double()
    assert torch.linalg.matrix_rank(found) == torch.linalg.matrix_rank(weight.T @ weight)


@pytest.mark.parametrize(
    "mixed",
    [
        lambda x: x.cumsum(1),
        lambda x: x.softmax(1),
        lambda x: x.mean(1, keepdim=True),
        lambda x: x.sum(1, keepdim=True),
        lambda x: x.amax(1, keepdim=True),
        lambda x: x.sort(1).values,
        lambda x: x.topk(2, 1).values,
        lambda x: x.std(1, keepdim=True),
    ],
    ids=["cumsum", "softmax", "mean", "sum", "amax", "sort", "topk", "std"],
)
@pytest.mark.parametrize("first", [True, False])
def test_what_mixes_the_units_on_a_branch_is_no_unit(
    mixed: Callable[[Tensor], Tensor], first: bool
) -> None:
    def between(x: Tensor) -> Tensor:
        x = x.mean((2, 3))
        return torch.cat([x, mixed(x)] if first else [mixed(x), x], 1)

    others = mixed(torch.zeros(1, 4)).shape[1]
    model = Model(nn.Linear(4 + others, 5), between)
    weight = model.get_submodule("reader").weight
    (site,) = trace(model, torch.zeros(2, 3, 6, 6)).sites
    assert site.name == "conv"
    found = trace(model, torch.zeros(2, 3, 6, 6)).reader_products("conv")
    own = weight[:, :4] if first else weight[:, others:]
    torch.testing.assert_close(found, rows(own.T))


@pytest.mark.parametrize(
    "along",
    [
        lambda x: x.flatten(2).cumsum(2).mean(2),
        lambda x: x.flatten(2).softmax(2).amax(2),
        lambda x: F.adaptive_avg_pool2d(F.pad(x, (2, 2, 2, 2)), 1).flatten(1),
        lambda x: F.avg_pool2d(F.pad(x, (2, 2, 2, 2)), 10).flatten(1),
        lambda x: F.pad(x, (9, 9, 9, 9)).mean((2, 3)),
        lambda x: F.interpolate(F.pad(x, (2, 2, 2, 2)), (1, 1), mode="bilinear").flatten(1),
    ],
    ids=["running sum", "softmax", "adaptive", "average", "mean", "resized"],
)
def test_what_mixes_positions_keeps_the_units(along: Callable[[Tensor], Tensor]) -> None:
    model = Model(nn.Linear(4, 5), along)
    weight = model.get_submodule("reader").weight
    found = trace(model, torch.zeros(2, 3, 6, 6)).reader_products("conv")
    torch.testing.assert_close(found, rows(weight.T))


@pytest.mark.parametrize("digits", [torch.bfloat16, torch.float16])
def test_conversions_keep_the_numbers_of_many_units(digits: torch.dtype) -> None:
    """More units than a type of few digits can count."""
    one, out = nn.Linear(4, 4100), nn.Linear(4100, 3)

    class Converted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.out = one, out

        def forward(self, x: Tensor) -> Tensor:
            return self.out(self.one(x).relu().to(digits).float())

    found = trace(Converted(), torch.zeros(2, 4)).reader_products("one")
    weight = out.weight.detach().double()
    torch.testing.assert_close(found, weight.T @ weight)
