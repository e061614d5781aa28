"""Options are named once: the record, the Python function and the flags of a verb agree."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from collections.abc import Callable
from typing import Any, NotRequired, get_origin, get_type_hints

import pytest
import torch
from torch import nn

import frivolous as fv
from frivolous.compression.config import CompressionConfig
from frivolous.compression.result import ReportFacts
from frivolous.measurement.config import MeasurementConfig
from frivolous.measures import AS_WRITTEN
from frivolous.measures.unit_kinds import Thresholds
from saying import sayer

#: verb -> its record, its function, and the fields that have no flag made of them.
VERBS: dict[str, tuple[type[Any], Callable[..., Any], set[str]]] = {
    "measure": (MeasurementConfig, fv.measure, {"thresholds", "protocol"}),
    "compress": (CompressionConfig, fv.compress, {"keep"}),
}
#: arguments of a function that are no options.
OTHERS = {"model", "data", "held_out", "progress"}
FLAGS = {
    "measure": {"--data", "--weights", "--out", "--json", "--no-json"},
    "compress": {"--data", "--weights", "--out", "--json", "--no-json", "--held-out", "--keep"}
    | {"--onnx", "--no-onnx"},
}


def defaults(record: type[Any]) -> dict[str, Any]:
    return {field.name: getattr(record(), field.name) for field in dataclasses.fields(record)}


@pytest.mark.parametrize("verb", VERBS)
def test_a_function_takes_the_fields_of_its_record_with_their_defaults(verb: str) -> None:
    record, function, _ = VERBS[verb]
    parameters = inspect.signature(function).parameters.values()
    taken = {p.name: p.default for p in parameters if p.name not in OTHERS}
    if verb == "measure":
        assert taken.pop("protocol") == AS_WRITTEN == record().conventions
        assert record().limits == Thresholds()
        taken["protocol"] = None
    assert taken == defaults(record)


@pytest.mark.parametrize("verb", VERBS)
def test_flags_are_the_fields_each_with_its_help(
    verb: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    record, _, without = VERBS[verb]
    monkeypatch.setenv("COLUMNS", "200")
    said = sayer(monkeypatch, capfd)(verb, "--help")
    named = {name: value for name, value in defaults(record).items() if name not in without}
    flags = {f"--{name.replace('_', '-')}" for name in named}
    switches = {f"--no-{n.replace('_', '-')}" for n, value in named.items() if value is False}
    found = set(re.findall(r"(?<![\w-])--[a-z-]+", said.out)) - {"--help"}
    assert found == flags | switches | FLAGS[verb]
    text = " ".join(re.sub("[│╭╮╰╯─]", " ", said.out).split())
    for name in named:
        (help_text,) = re.findall(rf"^        {name}: (.*)$", record.__doc__, re.MULTILINE)
        assert help_text.split(".")[0] in text


def test_a_tolerance_is_that_of_the_protocol_unless_given() -> None:
    protocol = dataclasses.replace(AS_WRITTEN, tolerance=0.3)
    assert MeasurementConfig(protocol=protocol).conventions == protocol
    assert MeasurementConfig(protocol=protocol, tolerance=0.1).facts["tolerance"] == 0.1


def test_facts_hold_what_was_asked_for() -> None:
    x = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    asked = {"grain": "position", "replacement": "mean", "tolerance": 0.1, "seed": 3}
    asked |= {"joint_tolerance": None, "unit_examples": 5, "intervals": "exact"}
    facts = fv.measure(model, x, **asked).facts
    assert {name: facts[name] for name in asked} == asked
    assert json.loads(json.dumps(MeasurementConfig(**asked).facts)).items() <= facts.items()
    report = fv.compress(model, x, keep={"0": 3}, method="magnitude", seed=4).report
    config = CompressionConfig(keep={"0": 3}, method="magnitude", seed=4)
    assert config.facts.items() <= report.facts.items()
    assert config.facts["amount"] == {"0": 3}


def test_a_report_has_the_facts_of_its_type() -> None:
    hints = get_type_hints(ReportFacts, include_extras=True)
    always = {name for name, hint in hints.items() if get_origin(hint) is not NotRequired}
    x = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    assert fv.compress(model, x, units=0.5).report.facts.keys() == always
    labelled = fv.compress(model, (x, torch.arange(40) % 3), units=0.5).report.facts.keys()
    assert labelled == hints.keys() - {"labels_before"}
