"""One row makes an operation known to all: sites behind it are read, grouped, thinned and cut."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from removal import CLOSE, bench_of, half_of, removed
from torch import Tensor, nn

from frivolous.network import trace
from frivolous.network.operations import OPERATIONS, Operation

NEW: dict[str, tuple[Operation, Callable[[Tensor], Tensor]]] = {
    "log2": (Operation("elementwise", "tail"), lambda x: torch.log2(1 + x.square())),
    "view_copy": (Operation("reshape"), lambda x: torch.view_copy(x, (x.shape[0], -1))),
    "permute_copy": (
        Operation("permute"),
        lambda x: torch.permute_copy(x[..., None], (0, 2, 1))[:, 0],
    ),
}


class Net(nn.Module):
    """Two layers with an operation between them that no table has."""

    def __init__(self, between: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.one, self.two, self.between = nn.Linear(4, 8), nn.Linear(8, 3), between

    def forward(self, x: Tensor) -> Tensor:
        return self.two(self.between(torch.relu(self.one(x))))


@pytest.mark.rounding
@pytest.mark.parametrize("name", NEW)
def test_one_row_makes_an_operation_known_to_all(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, between = NEW[name]
    torch.manual_seed(0)
    model, x = Net(between), torch.randn(5, 4)
    before = trace(model, x)
    assert before.sites == ()
    assert [(layer, why.split(",")[0]) for layer, why in before.skipped] == [
        ("two", f"it reads through '{name}'")
    ]
    monkeypatch.setitem(OPERATIONS, name, row)
    pruner = bench_of(model, x)
    assert [site.name for site in pruner.network.sites] == ["one"]
    (cut,) = pruner.cuts
    found = removed(pruner, {"one": half_of(cut)}, x)
    assert max(found.apart) < CLOSE
    assert isinstance(found.cut, Net)
    assert found.cut.two.in_features == 4
