"""Reading leaves nothing behind, and says in one line why it could not read."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from frivolous.errors import BadArgument, NotTraceable
from frivolous.network import trace


def picture(model: nn.Module) -> dict[str, Any]:
    """Everything of a model that reading it might change."""
    hooks = [name for name in vars(nn.Module()) if "hooks" in name]
    return {
        "state": {k: (v.data_ptr(), v.clone()) for k, v in model.state_dict().items()},
        "parameters": [(id(p), p.requires_grad, p.grad, p.device) for p in model.parameters()],
        "modules": [
            (id(m), m.training, sorted(vars(m)), [len(getattr(m, name)) for name in hooks])
            for m in model.modules()
        ],
    }


def same(before: dict[str, Any], after: dict[str, Any]) -> bool:
    state = before.pop("state"), after.pop("state")
    return before == after and all(
        state[0][name][0] == state[1][name][0] and torch.equal(state[0][name][1], state[1][name][1])
        for name in state[0].keys() | state[1].keys()
    )


def test_nothing_is_left_on_the_model(case) -> None:
    model, inputs = case
    nothing_is_left(model.train(), inputs)


@pytest.mark.parametrize("mode", ["eval", "mixed"])
def test_nothing_is_left_whatever_the_mode(mode, build) -> None:
    model, inputs = build("preresnet")
    if mode == "mixed":
        next(model.children()).train()
    nothing_is_left(model, inputs)


def nothing_is_left(model: nn.Module, inputs: Tensor) -> None:
    first = next(model.parameters())
    first.requires_grad_(False)
    hook = model.register_forward_hook(lambda *_: None)
    before = picture(model)
    random = torch.get_rng_state()
    net = trace(model, inputs)
    net(inputs)
    for site in net.sites:
        net.onward(site.name, net.until(site.name, inputs))
    assert same(before, picture(model))
    assert torch.equal(random, torch.get_rng_state())
    hook.remove()


def test_a_model_in_training_mode_gives_evaluation_numbers(case) -> None:
    model, inputs = case
    with torch.no_grad():
        expected = model(inputs)
    assert torch.equal(trace(model.train(), inputs)(inputs), expected)


def test_a_frozen_model_is_read(case) -> None:
    model, inputs = case
    model.requires_grad_(False)
    with torch.no_grad():
        assert torch.equal(trace(model, inputs)(inputs), model(inputs))


@pytest.mark.parametrize("name", ["mlp", "lenet", "preresnet"])
def test_operations_taken_apart_are_read_the_same(name, known, monkeypatch) -> None:
    """Normalisation, dropout and flattening, of which an export has other names when it is."""
    model, inputs, net = known(name)
    reading = import_module("frivolous.network.trace")  # the package has a function of that name
    monkeypatch.setattr(reading, "_readable", lambda exported: False)
    apart = trace(model, inputs)
    assert apart.sites == net.sites
    assert [step.op for step in apart.program.steps] != [step.op for step in net.program.steps]
    assert torch.equal(apart(inputs), net(inputs))
    for site in net.sites:
        stopped = [one.until(site.name, inputs) for one in (apart, net)]
        assert torch.equal(stopped[0].value, stopped[1].value)


class Failing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.bn, self.calls = nn.Linear(4, 4), nn.BatchNorm1d(4), 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.cache = self.bn(self.fc(x))
        return self.fc(self.cache[:, :3])


def test_nothing_is_left_after_an_error_inside_forward() -> None:
    model = Failing().train()
    before = picture(model)
    with pytest.raises(NotTraceable) as caught:
        trace(model, torch.zeros(2, 4))
    assert same(before, picture(model))
    assert model.calls == 0
    assert not hasattr(model, "cache")
    message = str(caught.value)
    assert message.startswith("`model` (Failing) cannot be read at test_trace.py:")
    assert "(`return self.fc(self.cache[:, :3])`)" in message
    assert "Check that `model(example_inputs)` runs in evaluation mode" in message
    assert "\n" not in message


class Choosing(Failing):
    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:
            return self.fc(x)
        return x


def test_a_decision_on_numbers_is_explained(capfd) -> None:
    with pytest.raises(NotTraceable) as caught:
        trace(Choosing(), torch.zeros(2, 4))
    message = str(caught.value)
    assert "(`if x.sum() > 0:`): the computation depends on the numbers in a tensor" in message
    assert "Choose with `torch.where`" in message
    assert capfd.readouterr() == ("", "")


class FixedView(Failing):
    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.view(3, -1))


class FixedZeros(Failing):
    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x) + torch.zeros(3, 4)


class Looping(Failing):
    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.fc(example) for example in x])


@pytest.mark.parametrize(
    ("model", "op", "line"),
    [
        (FixedView, "view", "return self.fc(x.view(3, -1))"),
        (FixedZeros, "add", "return self.fc(x) + torch.zeros(3, 4)"),
        (Looping, "unbind", "return torch.stack([self.fc(example) for example in x])"),
    ],
)
def test_a_fixed_batch_is_refused_with_the_line_that_fixes_it(model, op, line) -> None:
    with pytest.raises(NotTraceable) as caught:
        trace(model(), torch.zeros(3, 4))
    message = str(caught.value)
    assert message.startswith(f"the batch size is fixed at 3 by '{op}' at test_trace.py:")
    assert f"(`{line}`)" in message
    assert "Take the size from the input, e.g. `x.flatten(1)`" in message


class Number(Failing):
    def forward(self, x: Tensor) -> Any:
        return 3


def test_an_output_that_is_no_tensor_is_refused_with_a_remedy() -> None:
    with pytest.raises(NotTraceable, match=r"`model` \(Number\) returns int without .*Wrap it in"):
        trace(Number(), torch.zeros(2, 4))


class AlwaysDropping(Failing):
    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.dropout(x))


def test_random_numbers_in_evaluation_mode_are_refused() -> None:
    with pytest.raises(NotTraceable, match="draws random numbers .*return self.fc.F.dropout.x"):
        trace(AlwaysDropping(), torch.zeros(2, 4))


def test_what_draws_random_numbers_in_training_alone_is_read() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.RReLU(), nn.Dropout(), nn.Linear(4, 2))
    inputs = torch.randn(3, 4)
    net = trace(model, inputs)
    with torch.no_grad():
        assert torch.equal(net(inputs), model.eval()(inputs))


def test_batch_statistics_in_evaluation_mode_are_refused() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4, track_running_stats=False))
    with pytest.raises(NotTraceable, match="normalisation of '1' uses the statistics of the batch"):
        trace(model, torch.zeros(2, 4))


def test_instance_statistics_are_each_examples_own() -> None:
    model = nn.Sequential(nn.Conv1d(2, 3, 1), nn.InstanceNorm1d(3), nn.ReLU(), nn.Conv1d(3, 2, 1))
    inputs = torch.randn(3, 2, 5)
    net = trace(model, inputs)
    with torch.no_grad():
        assert torch.equal(net(inputs), model(inputs))
    assert [site.name for site in net.sites] == ["0"]


class Counting(nn.Module):
    """Changes a buffer and its input in place, and computes a part under its own no_grad."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(()))
        self.register_buffer("scale", torch.full((4,), 2.0), persistent=False)
        self.fc, self.out, self.shift = nn.Linear(4, 4), nn.Linear(4, 2), torch.ones(4)

    def forward(self, x: Tensor) -> Tensor:
        self.seen += 1
        with torch.no_grad():
            x = x.mul_(self.scale) + self.shift
        x = self.fc(x)
        x[:, 1:].relu_()
        return self.out(x)


def test_in_place_changes_stay_inside_the_computation() -> None:
    model, inputs = Counting(), torch.randn(5, 4)
    kept = inputs.clone()
    net = trace(model, inputs)
    output = net(inputs)
    assert torch.equal(inputs, kept)
    assert float(model.seen) == 0
    with torch.no_grad():
        assert torch.equal(output, model(kept.clone()))


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (torch.zeros(()), "its first axis is the batch"),
        (torch.zeros(0, 4), "needs at least one example"),
        ((torch.zeros(2, 4), 3), r"`example_inputs`\[1\] is of type int"),
        ({"x": "text"}, r"`example_inputs`\['x'\] is of type str"),
        ((torch.zeros(2, 4), torch.zeros(3, 4)), "have 2, 3 examples"),
        ({}, "`example_inputs` is empty"),
    ],
)
def test_examples_that_are_no_batch_are_named(example, message) -> None:
    with pytest.raises(BadArgument, match=message):
        trace(nn.Linear(4, 2), example)


def test_what_is_no_module_is_named() -> None:
    with pytest.raises(BadArgument, match="`model` is a torch.nn.Module; got function"):
        trace(F.relu, torch.zeros(2, 4))  # type: ignore[arg-type]
