"""Layouts against tensors whose every number says which example, unit and position it is."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from frivolous.network import trace
from frivolous.network.units.axis_layout import (
    BATCH,
    OTHER,
    UNIT,
    Factor,
    combined,
    plain,
    reshaped,
    unit_axes,
    units_on,
)

HEADS = ((Factor(BATCH, 1),), (Factor(UNIT, 2),), (Factor(OTHER, 5),), (Factor(UNIT, 4),))


class Size:
    """Stands for the batch in a shape: one symbol, times a number."""

    def __init__(self, times: int = 1) -> None:
        self.times, self.free_symbols = times, {"n"}
        self.is_Integer = True

    def __truediv__(self, symbol: object) -> Size:
        return self

    def __int__(self) -> int:
        return self.times


def test_heads_are_split_off_and_merged_again() -> None:
    layout = units_on(plain((Size(), 5, 8)), -1, 8)
    split = reshaped(layout, (Size(), 5, 2, 4))
    assert split is not None
    assert unit_axes(split) == (2, 3)
    assert reshaped(split, (Size(), 5, 8)) is not None
    beside = (HEADS[0], HEADS[1], HEADS[2], HEADS[3])
    merged = reshaped(beside, (Size(2), 5, 4))
    assert merged == ((Factor(BATCH, 1), Factor(UNIT, 2)), *HEADS[2:])
    assert reshaped(merged, (Size(), 2, 5, 4)) == HEADS


def test_a_view_across_factors_is_not_followed() -> None:
    assert reshaped(HEADS, (Size(), 4, 2, 5)) is None
    assert reshaped(HEADS, (2, Size(), 5, 4)) is None


def test_units_along_different_axes_are_the_first_operands() -> None:
    first, second = units_on(plain((3, 5, 5)), 1, 5), units_on(plain((3, 5, 5)), 2, 5)
    assert unit_axes(combined([first, second], (3, 5, 5))) == (1,)
    gate = units_on(plain((3, 1, 5)), 1, 1)
    assert unit_axes(combined([gate, second], (3, 5, 5))) == (2,)


class Moving(nn.Module):
    """A layer's values moved about by views and permutations until another layer reads them."""

    def __init__(self, heads: int, moves: tuple[str, ...]) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(3, 4 * heads), nn.Linear(4 * heads, 2)
        self.heads, self.moves = heads, moves

    def forward(self, x: Tensor) -> Tensor:
        x = self.one(x).unflatten(-1, (self.heads, 4))  # N, T, H, D
        n, t = x.shape[:2]
        for move in self.moves:
            if move == "heads first":
                x = x.transpose(1, 2).relu().transpose(1, 2)
            elif move == "heads beside the batch":
                x = x.transpose(1, 2).reshape(-1, t, 4).sigmoid()
                x = x.view(n, self.heads, t, 4).transpose(1, 2)
            elif move == "time first":
                x = x.transpose(0, 1).tanh().transpose(0, 1)
            else:
                x = x.reshape(-1, self.heads * 4).square().view(n, t, self.heads, 4)
        return self.two(x.flatten(2)).mean(1)


@settings(max_examples=6, deadline=None)
@given(
    heads=st.integers(2, 3),
    moves=st.lists(
        st.sampled_from(["heads first", "heads beside the batch", "time first", "flat"]),
        min_size=1,
        max_size=3,
    ),
)
def test_units_are_found_however_they_are_laid_out(heads, moves) -> None:
    model = Moving(heads, tuple(moves)).eval()
    x = torch.randn(5, 6, 3, generator=torch.Generator().manual_seed(0))
    net = trace(model, x[:2])
    (site,) = net.sites
    assert (site.width, site.axis, site.positions) == (4 * heads, -1, (6,))
    alive = net.until("one", x)
    assert torch.equal(net.onward("one", alive), net(x))
    with torch.no_grad():
        read: list[Tensor] = []
        hook = model.two.register_forward_pre_hook(lambda _, args: read.append(args[0]))
        assert torch.equal(model(x), net(x))
        hook.remove()
    assert torch.equal(alive.value, read[0])


@pytest.mark.parametrize("moves", [("heads first",), ("heads beside the batch",), ("time first",)])
def test_a_changed_unit_is_that_unit_for_its_reader(moves) -> None:
    model, x = Moving(2, moves).eval(), torch.randn(5, 6, 3)
    net = trace(model, x)
    keep = torch.ones(8)
    keep[3] = 0
    found = net.run(x, {"one": lambda value: value * keep})
    with torch.no_grad():
        hook = model.two.register_forward_pre_hook(lambda _, args: (args[0] * keep,))
        torch.testing.assert_close(found, model(x))
        hook.remove()
