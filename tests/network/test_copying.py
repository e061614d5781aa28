"""Copies of modules stand apart from the original, also where ``copy.deepcopy`` refuses."""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict, deque
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import weight_norm
from torch.nn.utils.parametrizations import spectral_norm

import frivolous as fv
from frivolous.errors import FrivolousError
from frivolous.network.module.copying import CannotCopy, copy_module


class Refusing(nn.Linear):
    def __deepcopy__(self, memo: Any) -> Any:
        raise RuntimeError("not to be copied")


class Cache:
    """An object of the user's own."""

    def __init__(self) -> None:
        self.lock, self.kept = threading.Lock(), torch.ones(2)


class Holding(nn.Module):
    """Everything that has no copy, and a weight of which a part is shared."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.a, self.out, self.tied = Refusing(8, 12), nn.Linear(12, 3), nn.Linear(8, 12)
        self.tied.weight = self.a.weight
        self.register_buffer("scale", torch.ones(12))
        self.alias = self.scale
        self.lock, self.file = threading.Lock(), file.open("w")
        self.places = (n for n in range(3))
        self.cache, self.itself = Cache(), [self, {"out": self.out}]
        self.last = deque([threading.Lock(), torch.zeros(2)], maxlen=2)
        self.pair = (threading.Lock(), self.out)

    def forward(self, x: Tensor) -> Tensor:
        self.features = (self.a(x) + self.tied(x)).relu() * self.scale
        self.named = OrderedDict(seen=self.features)
        return self.out(self.features)


@pytest.fixture
def held(tmp_path: Path) -> Any:
    model = Holding(tmp_path / "file")
    model(data())
    with pytest.raises(RuntimeError, match="not to be copied|leaves"):
        copy.deepcopy(model)
    yield model
    model.file.close()


def data(examples: int = 60) -> Tensor:
    return torch.randn(examples, 8, generator=torch.Generator().manual_seed(1))


def picture(module: nn.Module) -> list[Any]:
    """Every attribute of every module by identity, and what tensors hold."""
    tensors = [t for m in module.modules() for t in vars(m).values() if isinstance(t, Tensor)]
    return [
        {name: id(value) for m in module.modules() for name, value in vars(m).items()},
        [(id(t), t._version) for t in (*module.parameters(), *module.buffers(), *tensors)],
        [m.training for m in module.modules()],
    ]


def test_a_copy_computes_the_same_and_shares_no_tensor(held) -> None:
    twin = copy_module(held)
    assert torch.equal(twin(data()), held(data()))
    ours, theirs = ({t.data_ptr() for t in m.state_dict().values()} for m in (held, twin))
    assert len(ours) == len(theirs)
    assert ours.isdisjoint(theirs)
    with torch.no_grad():
        expected = held(data())
        for tensor in (*twin.parameters(), *twin.buffers()):
            tensor.zero_()
        assert torch.equal(held(data()), expected)


def test_what_is_shared_inside_stays_shared_inside(held) -> None:
    twin = copy_module(held)
    assert twin.tied.weight is twin.a.weight
    assert twin.alias is twin.scale
    assert twin.itself[0] is twin
    assert twin.itself[1]["out"] is twin.pair[1] is twin.out
    assert [name for name, _ in twin.named_modules()] == [name for name, _ in held.named_modules()]
    assert list(twin.state_dict()) == list(held.state_dict())


def test_what_has_no_copy_is_the_originals_and_the_rest_is_not(held) -> None:
    twin = copy_module(held)
    assert twin.lock is held.lock
    assert twin.file is held.file
    assert twin.places is held.places
    assert twin.pair[0] is held.pair[0]
    assert twin.last is not held.last
    assert twin.last.maxlen == 2
    assert twin.last[0] is held.last[0]
    assert twin.cache is not held.cache
    assert twin.cache.lock is held.cache.lock
    assert twin.cache.kept is not held.cache.kept
    assert type(twin.a) is Refusing
    assert twin.named["seen"] is twin.features
    assert twin.features is not held.features
    assert not twin.features.requires_grad


def test_copying_leaves_the_original_as_it_is(held) -> None:
    held.out.train(False)
    held.a.weight.requires_grad_(False)
    before = picture(held)
    twin = copy_module(held)
    assert picture(held) == before
    assert [m.training for m in twin.modules()] == before[2]
    assert not twin.a.weight.requires_grad
    assert twin.out.weight.requires_grad


def test_what_deepcopy_copies_is_its_copy() -> None:
    graph = torch.fx.symbolic_trace(nn.Sequential(nn.Linear(8, 3), nn.ReLU()))
    assert torch.equal(copy_module(graph)(data()), graph(data()))


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
@pytest.mark.parametrize("norm", [weight_norm, spectral_norm])
def test_a_computed_weight_follows_the_copys_own_parameters(norm: Any) -> None:
    model = nn.Sequential(norm(nn.Linear(8, 12)), nn.ReLU(), nn.Linear(12, 3))
    model(data())
    model.eval()
    twin = copy_module(model)
    with torch.no_grad():
        assert torch.equal(twin(data()), model(data()))
        expected = model(data())
        for parameter in twin.parameters():
            parameter.mul_(2).add_(0.1)
        assert torch.equal(model(data()), expected)
        model.load_state_dict(twin.state_dict())
        assert not torch.equal(model(data()), expected)
        assert torch.equal(twin(data()), model(data()))


class Uncopied(Tensor):
    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in {Tensor.clone, Tensor.__deepcopy__}:
            raise RuntimeError("no copies of this")
        return super().__torch_function__(func, types, args, kwargs or {})


def test_a_parameter_without_a_copy_is_named() -> None:
    model = nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 3))
    model[0].weight = nn.Parameter(torch.ones(12, 8).as_subclass(Uncopied))
    with pytest.raises(CannotCopy) as caught:
        copy_module(model)
    assert str(caught.value) == (
        "`model` cannot be copied: Sequential.0.weight, a Uncopied of shape (12, 8), has no copy "
        "(RuntimeError: no copies of this). Keep it as a plain tensor."
    )


def test_a_failure_to_copy_is_not_told_as_one_to_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(module: nn.Module) -> nn.Module:
        raise CannotCopy("`model` cannot be copied.")

    monkeypatch.setattr("frivolous.compression.surgery.module.copy_module", refused)
    with pytest.raises(FrivolousError, match=r"^`model` cannot be copied\.$"):
        fv.compress(nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 3)), data(), units=0.5)


def test_it_is_compressed_saved_loaded_and_exported(held, tmp_path: Path) -> None:
    before = picture(held)
    thin = fv.compress(held, data(), keep={"a": 5})
    assert thin.model.a.out_features == thin.model.tied.out_features == 5
    thin.save(tmp_path / "thin")
    loaded = fv.load_compressed(tmp_path / "thin", held)
    assert torch.equal(loaded(data()), thin.model(data()))
    thin.export_onnx(tmp_path / "thin.onnx", data(2))
    assert picture(held) == before
    assert held.a.out_features == 12
