"""The cut module: its class, its flags, its ties; and what cannot be cut, named with the reason."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from generated import HOOKS, picture
from removal import CLOSE, Removed, bench_of, half_of, refused, removed
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from frivolous.compression.pruner import Pruner
from frivolous.compression.surgery.graph import window
from frivolous.compression.surgery.module import CannotCut
from frivolous.compression.trials import try_out
from frivolous.families.response_norm import ResponseNorm


class Net(nn.Module):
    """Convolutions, a normalisation, dropout and dense layers; some parts frozen or training."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.two, self.drop = nn.Conv2d(8, 6, 3), nn.Dropout(0.5)
        self.three, self.out = nn.Linear(6 * 16, 10), nn.Linear(10, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.two(F.relu(self.norm(self.one(x)))))
        return self.out(self.drop(F.relu(self.three(x.flatten(1)))))


def images(examples: int = 3, side: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(examples, 3, side, side, generator=generator)


def halved(model: nn.Module, x: Tensor | None = None) -> tuple[Pruner, Removed]:
    """Every cut at half of its units."""
    x = images() if x is None else x
    pruner = bench_of(model, x[:2])
    return pruner, removed(pruner, {cut.name: half_of(cut) for cut in pruner.cuts}, x)


def test_flags_class_and_layers_are_those_of_the_model() -> None:
    model = Net()
    model.one.weight.requires_grad_(False)
    model.norm.requires_grad_(False)
    model.norm.eval()
    model.three.eval()
    before = picture(model)
    _, found = halved(model)
    assert picture(model) == before
    cut = found.cut
    assert type(cut) is Net
    assert {name for name, p in cut.named_parameters() if not p.requires_grad} == {
        *("one.weight", "norm.weight", "norm.bias"),
    }
    assert {name: m.training for name, m in cut.named_modules()} == {
        name: m.training for name, m in model.named_modules()
    }
    assert [repr(layer) for layer in (cut.one, cut.norm, cut.two, cut.three, cut.out)] == [
        "Conv2d(3, 4, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))",
        "BatchNorm2d(4, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)",
        "Conv2d(4, 3, kernel_size=(3, 3), stride=(1, 1))",
        "Linear(in_features=48, out_features=5, bias=True)",
        "Linear(in_features=5, out_features=5, bias=True)",
    ]
    assert all(not getattr(m, hooks) for m in cut.modules() for hooks in HOOKS)
    assert all(p.is_leaf and p.grad is None for p in cut.parameters())
    mine = {p.data_ptr() for p in cut.parameters()}
    assert mine.isdisjoint(p.data_ptr() for p in model.parameters())
    fresh = Net()
    with pytest.raises(RuntimeError, match="size mismatch"):
        fresh.load_state_dict(cut.state_dict())
    cut.train()(images()).sum().backward()
    assert cut.two.weight.grad.shape == cut.two.weight.shape


class Tied(nn.Module):
    """Two layers with one weight, and one layer known by two names."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.one = nn.Linear(6, 8), nn.Linear(8, 8)
        self.two, self.out = nn.Linear(8, 8), nn.Linear(8, 6, bias=False)
        self.two.weight = self.one.weight
        self.again = self.embed

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.two(torch.tanh(self.one(torch.tanh(self.embed(x))))))
        return self.out(x) + self.out(torch.tanh(self.again(self.out(x))))


def test_tied_weights_remain_tied() -> None:
    x = torch.randn(3, 6, generator=torch.Generator().manual_seed(1))
    pruner, found = halved(Tied(), x)
    assert max(found.apart) < CLOSE
    assert found.cut.two.weight is found.cut.one.weight
    assert found.cut.again is found.cut.embed
    assert found.cut.one.weight.shape == (4, 4)
    assert len(pruner.cuts) == 1
    units = pruner.cuts[0].units // 2
    assert pruner.sizes().both([units])[0] == sum(p.numel() for p in found.cut.parameters())


class Written(nn.Module):
    """A size that is written in the forward."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.one, self.two = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 6, 3)
        self.three, self.out = nn.Linear(6 * 4, 7), nn.Linear(7, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.two(F.relu(self.one(x))))
        x = x.view(-1, 6 * 2 * 2) if self.how == "view" else x.flatten(1)[:, : 6 * 4 - 4 * 0]
        x = F.relu(self.three(x))
        if self.how == "half":
            x = x * torch.where(torch.arange(x.shape[1]) < x.shape[1] // 2, 2.0, 1.0)
        return self.out(x)


def test_a_size_in_the_forward_leaves_one_layer_as_it_is() -> None:
    pruner = bench_of(Written("view").eval(), images())
    assert [cut.name for cut in pruner.cuts] == ["one", "two", "three"]
    try_out(pruner, images())
    assert [cut.name for cut in pruner.cuts] == ["one", "three"]
    why = pruner.refused["two"]
    assert why.startswith("the model does not compute with fewer units (RuntimeError: shape '[-1,")
    found = removed(pruner, {cut.name: half_of(cut) for cut in pruner.cuts}, images())
    assert max(found.apart) < CLOSE


def test_numbers_that_no_layer_writes() -> None:
    pruner = bench_of(Written("half").eval(), images())
    assert refused(pruner) == {"three": "it meets numbers that no layer writes"}
    assert [cut.name for cut in pruner.cuts] == ["one", "two"]


class Averaged(nn.Module):
    """A forward that divides by how many units there are."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.out = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.one(x))
        return self.out(F.relu(self.two(x / x.shape[-1])))


def test_a_forward_that_counts_its_units() -> None:
    x = torch.randn(3, 6, generator=torch.Generator().manual_seed(1))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        pruner = bench_of(Averaged().eval(), x)
    try_out(pruner, x)
    assert pruner.refused == {
        "one": "with fewer units the model computes something else; its forward counts them"
    }
    assert [cut.name for cut in pruner.cuts] == ["two"]


def plain_norm(maps: Tensor, places: list[int], size: int, alpha: float, beta: float) -> Tensor:
    """Response normalisation of some units, one after the other, by their places of before."""
    rows = []
    for unit, place in enumerate(places):
        low, high = place - size // 2, place + (size - 1) // 2
        near = [k for k, other in enumerate(places) if low <= other <= high]
        squares = maps[:, near].square().sum(1) * alpha / size
        rows.append(maps[:, unit] / (1 + squares) ** beta)
    return torch.stack(rows, 1)


class Normalised(nn.Module):
    def __init__(self, norm: nn.Module, shared: bool = False) -> None:
        super().__init__()
        self.one, self.norm, self.two = nn.Conv2d(3, 9, 3), norm, nn.Conv2d(9, 9, 3)
        self.out, self.shared = nn.Linear(9, 5), shared

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.two(self.norm(F.relu(self.one(x)))))
        return self.out((self.norm(x) if self.shared else x).mean((2, 3)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [3, 4, 5])
def test_units_keep_their_neighbours(size: int, dtype: torch.dtype) -> None:
    model = Normalised(nn.LocalResponseNorm(size, alpha=2.0, beta=0.6)).eval().to(dtype)
    inputs = images().to(dtype)
    pruner = bench_of(model, inputs)
    gone, kept = np.array([1, 4, 5]), [0, 2, 3, 6, 7, 8]
    found = removed(pruner, {"one": gone}, inputs)
    with torch.no_grad():
        maps = F.relu(model.one(inputs))[:, kept]
        wanted = plain_norm(maps, kept, size, 2.0, 0.6)
        torch.testing.assert_close(found.cut.norm(maps), wanted)
        conv = F.conv2d(wanted, model.two.weight[:, kept], model.two.bias)
        scores = model.out(F.relu(conv).mean((2, 3)))
    torch.testing.assert_close(found.module, scores)
    torch.testing.assert_close(found.graph, scores)


def test_who_is_within_whose_window() -> None:
    assert window(torch.tensor([0, 2, 3]), 3).int().tolist() == [[1, 0, 0], [0, 1, 1], [0, 1, 1]]
    # An even window reaches further down than up, as PyTorch has it.
    assert window(torch.arange(3), 2).int().tolist() == [[1, 0, 0], [1, 1, 0], [0, 1, 1]]


def test_the_family_s_own_normalisation_of_one_layer_stays_in_its_mode() -> None:
    model = Normalised(ResponseNorm(radius=2, alpha=0.5))
    model.norm.eval()
    _, found = halved(model)
    assert max(found.apart) < CLOSE
    assert not found.cut.norm.training
    assert found.cut.training
    assert type(found.cut.norm).__name__ == "WindowedResponseNorm"


def test_a_normalisation_outside_of_a_module() -> None:
    class Functional(Normalised):
        def forward(self, x: Tensor) -> Tensor:
            x = F.local_response_norm(F.relu(self.one(x)), 3, alpha=0.5)
            return self.out(F.relu(self.two(x)).mean((2, 3)))

    pruner = bench_of(Functional(nn.Identity()).eval(), images())
    with pytest.raises(CannotCut, match=r"outside of a module.*use torch\.nn\.LocalResponseNorm"):
        removed(pruner, {"one": np.array([0])}, images())
    try_out(pruner, images())
    assert [cut.name for cut in pruner.cuts] == ["two"]
    assert "has no place for the units' neighbours" in pruner.refused["one"]


def test_a_normalisation_of_several_layers() -> None:
    pruner = bench_of(Normalised(nn.LocalResponseNorm(3, alpha=0.5), shared=True).eval(), images())
    gone = {cut.name: half_of(cut) for cut in pruner.cuts}
    with pytest.raises(CannotCut, match="'norm' normalises several layers, each of which keeps"):
        removed(pruner, gone, images())
    try_out(pruner, images())
    assert pruner.cuts == ()
    assert all("several layers" in why for why in pruner.refused.values())


def test_instance_normalisation_without_weights_is_told_its_units() -> None:
    model = nn.Sequential(
        *(nn.Conv2d(3, 8, 3), nn.InstanceNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(128, 5))
    )
    _, found = halved(model.eval())
    assert max(found.apart) < CLOSE
    assert found.cut[1].num_features == 4


class Transposed(nn.Module):
    """A weight that writes units and, turned, reads them."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.bias = nn.Linear(6, 8), nn.Parameter(torch.zeros(6))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.one(x)) @ self.one.weight + self.bias


class Embedded(nn.Module):
    """A table that is also the layer of scores."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(10, 8)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(torch.tanh(self.table(x)), self.table.weight).mean(1)


@pytest.mark.parametrize("model", [Transposed(), Embedded()])
def test_a_weight_that_also_writes_is_not_fitted_anew(model: nn.Module) -> None:
    x = torch.arange(12).view(2, 6) % 10
    x = x if isinstance(model, Embedded) else x / 10 - 0.5
    pruner, found = halved(model.eval(), x)
    (cut,) = pruner.cuts
    assert [(read.refits, read.why) for read in cut.reads] == [
        (False, "its weights are those of several calls")
    ]
    assert max(found.apart) < CLOSE
    whole = sum(p.numel() for p in found.cut.parameters())
    assert pruner.sizes().both([4])[0] == whole


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_convolutions_of_any_dimension_and_transposed_ones(dimensions: int) -> None:
    conv = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dimensions - 1]
    back = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[dimensions - 1]
    norm = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[dimensions - 1]
    model = nn.Sequential(
        *(conv(2, 6, 3, padding=1), norm(6), nn.PReLU(6), back(6, 8, 2, 2, bias=False), nn.Tanh()),
        *(conv(8, 4, 1), nn.Flatten(), nn.Linear(4 * 6**dimensions, 5)),
    )
    x = torch.randn(2, 2, *[3] * dimensions, generator=torch.Generator().manual_seed(0))
    pruner, found = halved(model.eval(), x)
    assert [cut.units for cut in pruner.cuts] == [6, 8, 4]
    assert max(found.apart) < CLOSE
    assert (found.cut[0].out_channels, found.cut[3].in_channels, found.cut[3].out_channels) == (
        *(3, 3, 4),
    )
    assert found.cut[2].num_parameters == 3


def test_a_weight_with_a_norm_of_its_own_is_left_or_cut_right() -> None:
    model = nn.Sequential(parametrizations.weight_norm(nn.Linear(6, 8)), nn.ReLU(), nn.Linear(8, 5))
    x = torch.randn(3, 6, generator=torch.Generator().manual_seed(1))
    pruner = bench_of(model.eval(), x)
    try_out(pruner, x)
    for cut in pruner.cuts:
        found = removed(pruner, {cut.name: half_of(cut)}, x)
        assert max(found.apart) < CLOSE
    assert all(pruner.refused.values())
