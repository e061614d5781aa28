"""Models as they are passed: wrapped, compiled, with any signature, and kinds that are refused."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

import frivolous as fv
from frivolous.cli import main
from frivolous.errors import BadArgument, FrivolousError
from frivolous.network import trace
from frivolous.network.module.wrappers import unwrap


def plain(seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 3))


def data(examples: int = 60) -> Tensor:
    return torch.randn(examples, 8, generator=torch.Generator().manual_seed(1))


def unwanted(*_: Any) -> Any:
    raise AssertionError("nothing is to be compiled")


def compiled(module: Any) -> Any:
    return torch.compile(module, backend=unwanted)


@pytest.fixture
def process_group() -> Iterator[None]:
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


WRAPPERS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "compiled": compiled,
    "parallel": nn.DataParallel,
    "distributed": nn.parallel.DistributedDataParallel,
    "averaged": AveragedModel,
    "twice": lambda module: compiled(nn.DataParallel(module)),
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_a_transparent_wrapper_is_measured_as_the_module_inside(name, process_group) -> None:
    model, x = plain(), data()
    wrapper = WRAPPERS[name](model)
    alone, found = fv.measure(model, x), fv.measure(wrapper, x)
    assert found.table.equals(alone.table)
    assert found.units.equals(alone.units)
    net = trace(wrapper, x[:2])
    assert [site.name for site in net.sites] == ["0"]
    inner = wrapper.module if name == "averaged" else model  # which is a copy
    assert net.state["0.weight"].data_ptr() == inner[0].weight.data_ptr()


@pytest.mark.parametrize("name", WRAPPERS)
def test_weights_go_by_the_names_of_the_wrapper_and_of_the_module(name, process_group) -> None:
    x, other = data(), plain(seed=5)
    net = trace(WRAPPERS[name](plain()), x[:2])
    with torch.no_grad():
        expected = other(x)
    for state in (other.state_dict(), WRAPPERS[name](other).state_dict()):
        assert torch.equal(net.with_weights(state)(x), expected)
    with pytest.raises(BadArgument, match="has no '0.weight'"):
        net.with_weights({"base.0.weight": other[0].weight})


@pytest.mark.parametrize("name", WRAPPERS)
def test_what_is_compressed_and_loaded_is_the_module_inside(name, process_group, tmp_path) -> None:
    model, x = plain(), data()
    thin = fv.compress(WRAPPERS[name](model), x, keep={"0": 5})
    alone = fv.compress(model, x, keep={"0": 5})
    assert type(thin.model) is nn.Sequential
    with torch.no_grad():
        assert torch.equal(thin.model(x), alone.model(x))
        thin.save(tmp_path)
        loaded = fv.load_compressed(tmp_path, WRAPPERS[name](plain()))
        assert torch.equal(loaded(x), alone.model(x))


class Inside(nn.Module):
    """Wrappers around parts of a model, and a function that is compiled."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.c = nn.Linear(8, 12), nn.DataParallel(nn.Linear(9, 3))
        self.b = compiled(nn.Sequential(nn.Linear(12, 9), nn.ReLU()))
        self.act = compiled(torch.relu)

    def forward(self, x: Tensor) -> Tensor:
        return self.c(self.b(self.act(self.a(x))))


def test_wrappers_of_parts_keep_their_names_and_are_not_compiled() -> None:
    model, x = Inside(), data()
    before = dict(vars(model.b)), dict(vars(model.c))
    found = fv.measure(model, x)
    assert found.table.site.unique().tolist() == ["a", "b._orig_mod.0", "all"]
    assert (dict(vars(model.b)), dict(vars(model.c))) == before
    by_hand = model.c.module(model.b._orig_mod(model.a(x).relu()))
    torch.testing.assert_close(trace(model, x[:2])(x), by_hand.detach())
    thin = fv.compress(model, x, keep={"a": 4, "b._orig_mod.0": 3}).model
    assert thin.b._orig_mod[0].weight.shape == (3, 4)


def test_a_module_compiled_in_place_is_read_without_compiling() -> None:
    model, x = plain(), data()
    expected = model(x).detach()
    model.compile(backend=unwanted)
    model[0].compile(backend=unwanted)
    call = model._compiled_call_impl
    assert torch.equal(trace(model, x[:2])(x), expected)
    assert fv.compress(model, x, keep={"0": 5}).model[0].out_features == 5
    assert model._compiled_call_impl is call


class Base(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 12), nn.Linear(12, 3)

    def joined(self, *inputs: Tensor) -> Tensor:
        return self.b(sum(self.a(x) * 2**k for k, x in enumerate(inputs)).relu())


class Adapted(nn.Module):
    """As adapters wrap a model: everything is handed on."""

    def __init__(self) -> None:
        super().__init__()
        self.base_model = plain()

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        return self.base_model(*args, **kwargs)


class Several(Base):
    def forward(self, *xs: Tensor, scale: float = 1.0, **kw: Tensor) -> Tensor:
        return self.joined(*xs) * scale


class Keywords(Base):
    def forward(self, **kw: Tensor) -> Tensor:
        return self.joined(kw["u"], kw["v"])


class FirstAndRest(Base):
    def forward(self, u: Tensor, *rest: Tensor, **kw: Tensor) -> Tensor:
        return self.joined(u, *rest)


class KeywordOnly(Base):
    def forward(self, u: Tensor | None = None, *, v: Tensor) -> Tensor:
        return self.joined(v if u is None else u, v)


def partial() -> nn.Module:
    model = Several()
    model.forward = functools.partial(model.forward, scale=2.0)
    return model


SIGNATURES: dict[str, tuple[Callable[[], nn.Module], tuple[str, ...]]] = {
    "one": (Adapted, ()),
    "one by keyword": (Adapted, ("input",)),
    "any number": (Several, ("", "")),
    "any keywords": (Keywords, ("v", "u")),
    "first and rest": (FirstAndRest, ("", "")),
    "keyword only": (KeywordOnly, ("v", "u")),
    "partial": (partial, ()),
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_any_signature_is_read(name: str) -> None:
    build, names = SIGNATURES[name]
    model = build().eval()
    parts = [data(40) * (k + 1) for k in range(max(1, len(names)))]
    inputs: Any = parts[0] if len(parts) == 1 else tuple(parts)
    if any(names):
        inputs = dict(zip(names, parts, strict=True))
    with torch.no_grad():
        expected = model(**inputs) if any(names) else model(*parts)
    net = trace(model, inputs)
    assert torch.equal(net(inputs), expected)
    assert [site.name for site in net.sites] == ["base_model.0" if "one" in name else "a"]
    assert {site.name for site in net.sites} <= dict(model.named_modules()).keys()
    assert net.with_weights(model.state_dict())(inputs).equal(expected)
    batch = (inputs, None) if isinstance(inputs, tuple) else inputs
    found = fv.measure(model, [batch], joint_tolerance=None)
    assert found.facts["examples"] == 40


def quantized() -> nn.Module:
    model = plain()
    model[0] = torch.ao.nn.quantized.dynamic.Linear(8, 12)
    return model


SCRIPT = "TorchScript, which cannot be read as a graph of layers. Pass the Python module"
REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "scripted": (lambda: torch.jit.script(plain()), f"`model` (RecursiveScriptModule) is {SCRIPT}"),
    "traced": (
        lambda: torch.jit.trace(plain(), data(2)),
        f"`model` (TopLevelTracedModule) is {SCRIPT}",
    ),
    "scripted inside": (
        lambda: nn.Sequential(torch.jit.script(plain()), nn.Dropout()),
        f"'0' in `model` (Sequential) is {SCRIPT}",
    ),
    "wrapped and scripted": (
        lambda: nn.DataParallel(torch.jit.script(plain())),
        f"`model` (RecursiveScriptModule) is {SCRIPT}",
    ),
    "quantized": (quantized, "'0' in `model` (Sequential) is a quantized Linear"),
    "lazy": (
        lambda: nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.Linear(4, 2)),
        "'0' in `model` (Sequential) has parameters without sizes yet. Run it on a batch once",
    ),
    "exported": (
        lambda: torch.export.export(plain(), (data(2),)),
        "`model` is an ExportedProgram; it must be a torch.nn.Module",
    ),
    "a class": (lambda: nn.Linear, "`model` is a torch.nn.Module; got type. Pass an instance"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*quantize_per_tensor:UserWarning")
def test_what_cannot_be_read_is_refused_at_the_door(name: str, tmp_path) -> None:
    build, message = REFUSED[name]
    model, x = build(), data()
    modes = []
    if isinstance(model, nn.Module):
        model.train()
        modes = [module.training for module in model.modules()]
    fv.compress(plain(), x, keep={"0": 5}).save(tmp_path)
    verbs: dict[str, Callable[[], Any]] = {
        "measure": lambda: fv.measure(model, x),
        "compress": lambda: fv.compress(model, x),
        "trace": lambda: trace(model, x[:2]),
    }
    if isinstance(model, nn.Module):
        verbs["load"] = lambda: fv.load_compressed(tmp_path, model)
    for verb, call in verbs.items():
        with pytest.raises(FrivolousError) as caught:
            call()
        text = str(caught.value).replace("`build`", "`model`")
        assert text.startswith(message), verb
        assert "\n" not in text
    if isinstance(model, nn.Module):
        assert [module.training for module in model.modules()] == modes == [True] * len(modes)


def test_a_graph_module_is_read_like_any_other() -> None:
    model, x = plain(), data()
    graph = torch.fx.symbolic_trace(model)
    assert fv.measure(graph, x).table.equals(fv.measure(model, x).table)
    assert fv.compress(graph, x, keep={"0": 5}).model.get_submodule("0").out_features == 5


def test_a_lazy_model_is_read_once_it_has_sizes() -> None:
    model = nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.Linear(4, 2))
    model(data(2))
    assert [site.width for site in trace(model, data(2)).sites] == [4]


def test_a_class_of_ones_own_with_a_wrappers_name_is_no_wrapper() -> None:
    class DataParallel(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = plain()

        def forward(self, x: Tensor) -> Tensor:
            return self.module(x) * 2

    model = DataParallel()
    assert unwrap(model) is model
    assert torch.equal(trace(model, data(2))(data()), model(data()).detach())


class Unclearable(dict):
    """A container whose content cannot be taken out."""

    def clear(self) -> None:
        raise RuntimeError("no")


def test_every_module_is_put_back_even_where_one_fails() -> None:
    model = plain().train()
    model[0].held = Unclearable(key=1)
    with pytest.raises(RuntimeError, match="^no$"):
        trace(model, data(2))
    assert all(module.training for module in model.modules())
    assert "forward" not in vars(model)


class Listing(nn.Module):
    """Containers that a forward fills."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.seen, self.named, self.kinds = nn.Linear(8, 3), [1], {"a": 1}, {"a"}

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x)
        self.named["x"] = x
        self.kinds.add("x")
        return self.fc(x)


def test_containers_hold_what_they_held() -> None:
    model = Listing()
    held = model.seen, model.named, model.kinds
    trace(model, data(2))
    assert (model.seen, model.named, model.kinds) == ([1], {"a": 1}, {"a"})
    assert held[0] is model.seen
    assert held[1] is model.named


def test_the_command_line_refuses_torchscript_in_one_line(tmp_path, capsys, monkeypatch) -> None:
    (tmp_path / "scripted.py").write_text(
        "import torch, warnings\nwarnings.simplefilter('ignore')\n"
        "net, x = torch.jit.script(torch.nn.Linear(8, 3)), torch.zeros(20, 8)\n"
    )
    place = f"{tmp_path}/scripted.py"
    for verb in ("measure", "compress"):
        words = [verb, f"{place}:net", "--data", f"{place}:x", "--out", str(tmp_path / "out")]
        monkeypatch.setattr("sys.argv", ["frivolous", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        assert SCRIPT in " ".join(capsys.readouterr().err.split())
