"""Weights that are made of others, batches that are not in front, groups that are single units."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from removal import rounding_of
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

import frivolous as fv


def drawn(make: Callable[[], nn.Module], *shape: int) -> tuple[nn.Module, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make().eval(), torch.randn(80, *shape)


class Mean(nn.Module):
    def __init__(self, *axes: int) -> None:
        super().__init__()
        self.axes = axes

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(self.axes)


def same(
    model: nn.Module,
    thin: Any,
    x: Tensor,
    silence: Callable[[nn.Module, Any], None],
    rounding: float | None = None,
) -> None:
    """Hold a thinner module against a copy of the model, units that went silenced by hand."""
    rounding = rounding_of(model, x) if rounding is None else rounding
    silent = copy.deepcopy(model)
    with torch.no_grad():
        silence(silent, thin.kept)
        wanted, given = silent(x), thin.model(x)
    assert float((wanted - given).abs().max()) <= 16 * rounding
    assert any(
        len(kept) < before
        for kept, before in zip(thin.kept.values(), thin.report.sites.before, strict=False)
    )


def gone(kept: np.ndarray, units: int) -> Tensor:
    return torch.as_tensor(np.setdiff1d(np.arange(units), kept))


def weight_normed() -> nn.Module:
    normed = parametrizations.weight_norm(nn.Conv1d(12, 10, 3))
    return nn.Sequential(
        nn.Conv1d(2, 12, 3), nn.ReLU(), normed, nn.ReLU(), Mean(-1), nn.Linear(10, 3)
    )


def test_of_a_weight_normed_convolution_units_go_and_what_it_reads_stays() -> None:
    model, x = drawn(weight_normed, 2, 20)
    thin = fv.compress(model, x, units=0.7, method="random")

    def silence(silent: nn.Module, kept: Any) -> None:
        lost = gone(kept["2"], 10)
        silent[2].parametrizations.weight.original0[lost] = 0.0
        silent[2].bias[lost] = 0.0

    same(model, thin, x, silence)
    reasons = thin.report.sites.set_index("site").reason
    assert reasons["0"].startswith("'conv1d' has weights that are computed from others; make")
    assert thin.model[2].weight.shape == (len(thin.kept["2"]), 12, 3)


def test_dense_readers_with_weight_norm_say_why_units_stay() -> None:
    model, x = drawn(
        lambda: nn.Sequential(
            nn.Linear(8, 24), nn.ReLU(), parametrizations.weight_norm(nn.Linear(24, 3))
        ),
        8,
    )
    with pytest.raises(
        fv.errors.FrivolousError, match=r"0 \(1 layer\): 'linear' has weights that are"
    ):
        fv.compress(model, x, units=0.5)


def test_masks_of_pruning_go_with_the_units_and_their_readers_are_not_fitted() -> None:
    model, x = drawn(
        lambda: nn.Sequential(
            nn.Linear(8, 24), nn.ReLU(), nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 3)
        ),
        8,
    )
    prune.ln_structured(model[2], "weight", 0.5, n=2, dim=0)
    thin = fv.compress(model, x, units=0.6, method="random")
    first, second = thin.kept.values()
    assert thin.model[2].weight_mask.shape == (len(second), len(first))
    assert (thin.model[2].in_features, thin.model[2].out_features) == (len(first), len(second))

    def silence(silent: nn.Module, kept: Any) -> None:
        for layer, name, own in ((0, "weight", first), (2, "weight_orig", second)):
            lost = gone(own, 24 if layer == 0 else 16)
            getattr(silent[layer], name)[lost] = 0.0
            silent[layer].bias[lost] = 0.0

    same(model, thin, x, silence)


class Autocast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.out = nn.Linear(8, 24), nn.Linear(24, 16), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            x = self.b(self.a(x).relu()).relu()
        return self.out(x.float())


def test_layers_under_autocast_are_fitted_as_others() -> None:
    model, x = drawn(Autocast, 8)
    thin = fv.compress(model, x, keep={"a": 9, "b": 12}, method="random")

    def silence(silent: nn.Module, kept: Any) -> None:
        for name, units in (("a", 24), ("b", 16)):
            layer = silent.get_submodule(name)
            layer.weight[gone(kept[name], units)] = 0.0
            layer.bias[gone(kept[name], units)] = 0.0

    with torch.no_grad():
        digit = torch.finfo(torch.bfloat16).eps * float(model(x).abs().max())
    same(model, thin, x, silence, digit)
    fitted = fv.compress(model, x, keep={"a": 9}, method="joint")
    kept = torch.as_tensor(fitted.kept["a"])
    assert not torch.equal(fitted.model.b.weight, model.b.weight[:, kept])


class Members(nn.Module):
    """Four networks side by side: the batch is the second axis."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.randn(4, 8, 12))
        self.b = nn.Parameter(torch.randn(4, 12, 3))

    def forward(self, x: Tensor) -> Tensor:
        return torch.bmm(torch.bmm(x.expand(4, -1, -1), self.a).relu(), self.b).mean(0)


class Queries(nn.Module):
    """A weight repeated for every example and read by a batched product."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.out = (
            nn.Linear(8, 12),
            nn.Parameter(torch.randn(1, 12, 5)),
            nn.Linear(5, 3),
        )

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.a(x[:, None].expand(-1, 4, -1)).relu()
        return self.out(torch.bmm(hidden, self.b.expand(x.shape[0], -1, -1)).mean(1))


@pytest.mark.parametrize("make", [Members, Queries])
@pytest.mark.parametrize("budget", [{"units": 0.5}, {"tolerance": 0.1}, {"tolerance": 0}])
def test_products_for_each_member_or_example(
    make: type[nn.Module], budget: dict[str, float]
) -> None:
    model, x = drawn(make, 8)
    thin = fv.compress(model, x, method="prune", held_out=x, **budget)
    lost = gone(thin.kept["a"], 12)

    def silence(silent: nn.Module, kept: Any) -> None:
        silent.b[:, lost] = 0.0

    if len(lost):
        same(model, thin, x, silence)
    assert thin.model.b.shape[1] == len(thin.kept["a"])
    table = fv.measure(model, x).table
    assert set(table.width[table.site == "a"]) == {12}


class Kernel(nn.Module):
    """One kernel for all channels."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.kernel = nn.Conv2d(3, 8, 3), nn.Parameter(torch.randn(1, 1, 3, 3))
        self.b, self.out = nn.Conv2d(8, 6, 1), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.conv2d(self.a(x).relu(), self.kernel.expand(8, 1, 3, 3), groups=8)
        return self.out(self.b(x).relu().mean((2, 3)))


def test_a_kernel_expanded_over_channels_leaves_them_with_the_reason() -> None:
    model, x = drawn(Kernel, 3, 8, 8)
    thin = fv.compress(model, x, units=0.8, method="random")
    reasons = thin.report.sites.set_index("site").reason
    assert reasons["a"].startswith("'conv2d' has weights that are computed from others")
    assert len(thin.kept["b"]) < 6


@pytest.mark.parametrize("times", [1, 2])
def test_a_depthwise_transposed_convolution_loses_a_group_with_each_unit(times: int) -> None:
    model, x = drawn(
        lambda: nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.ReLU(),
            nn.ConvTranspose2d(8, 8 * times, 4, 2, 1, groups=8), nn.ReLU(),
            nn.Conv2d(8 * times, 6, 1), nn.ReLU(), Mean(2, 3), nn.Linear(6, 3),
        ),
        3, 8, 8,
    )  # fmt: skip
    thin = fv.compress(model, x, keep={"0": 5}, method="random")
    kept = thin.kept["0"]
    assert len(kept) == 5
    np.testing.assert_array_equal(
        thin.kept["2"], (kept[:, None] * times + np.arange(times)).ravel()
    )
    up = thin.model[2]
    assert (up.in_channels, up.out_channels, up.groups) == (5, 5 * times, 5)

    def silence(silent: nn.Module, _: Any) -> None:
        for tensor in (silent[0].weight, silent[0].bias):
            tensor[gone(kept, 8)] = 0.0
        silent[2].bias[gone(thin.kept["2"], 8 * times)] = 0.0

    same(model, thin, x, silence)


def test_the_estimates_of_a_parametrised_weight_are_left_alone_in_training_too() -> None:
    model, x = drawn(
        lambda: nn.Sequential(
            nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 10), nn.ReLU(),
            parametrizations.spectral_norm(nn.Linear(10, 3)),
        ),
        8,
    )  # fmt: skip
    model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    thin = fv.compress(model, x, keep={"0": 7}, method="random").model
    assert all(torch.equal(before[name], own) for name, own in model.state_dict().items())
    assert thin.training
    for name, tensor in thin.state_dict().items():
        if name.startswith("4."):
            assert torch.equal(tensor, before[name]), name


class Branches(nn.Module):
    """Units of which only some are read a second time: sizes depend on which go, not how many."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 4), nn.Linear(8, 8)
        self.c, self.out = nn.Linear(4, 30), nn.Linear(8 + 30, 3)

    def forward(self, x: Tensor) -> Tensor:
        first, both = self.a(x), self.b(x)
        both = (both + torch.cat([first, first.square()], 1)).relu()
        return self.out(torch.cat([both, self.c(first.relu()).relu()], 1))


@pytest.mark.parametrize("share", [0.9, 0.7, 0.5, 0.35])
@pytest.mark.parametrize("method", ["prune", "random", "joint"])
def test_a_share_of_parameters_is_that_of_the_module(share: float, method: str) -> None:
    model, x = drawn(Branches, 8)
    thin = fv.compress(model, x, parameters=share, method=method)
    before, after = (sum(p.numel() for p in m.parameters()) for m in (model, thin.model))
    assert after <= share * before
    whole = thin.report.whole.set_index("quantity")
    assert whole.loc["parameters", "after"] == after
    products = sum(p.numel() for n, p in thin.model.named_parameters() if p.dim() == 2)
    assert whole.loc["multiply-adds", "after"] == products


class Sorted(nn.Module):
    """Layers whose weights are worked out, read by what works on all units together."""

    def __init__(self) -> None:
        super().__init__()
        self.plain = nn.Linear(8, 12)
        self.cast = nn.Linear(12, 6)
        self.kept = nn.utils.parametrizations.weight_norm(nn.Linear(6, 10))
        self.out = nn.Linear(10, 3)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            h = self.cast(self.plain(x).relu()).relu()
        return self.out(self.kept(h.float().sort(1).values).relu())


class Inside(nn.Module):
    """The same inside a module that has other layers too."""

    def __init__(self) -> None:
        super().__init__()
        self.part, self.out = Sorted(), nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.part(x))


@pytest.mark.parametrize(("kind", "path"), [(Sorted, ""), (Inside, "part.")])
def test_layers_that_are_left_have_their_own_names(kind: type[nn.Module], path: str) -> None:
    """Not that of the module around them; what only works a weight out is no layer."""
    model, x = drawn(kind, 8)
    thin = fv.compress(model, x, keep={f"{path}kept": 7}, method="random")
    left = {name: one["reason"] for one in thin.report.facts["left"] for name in one["layers"]}
    assert re.search("'sort'", left.pop(f"{path}cast"))
    assert not [name for name in left if "weight" in name or name == f"{path}kept"]
    assert len(thin.kept[f"{path}kept"]) == 7
