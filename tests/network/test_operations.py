"""The table of operations: every engine has a rule for each row, and PyTorch has the names."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch

from frivolous.compression.coupling.rules import COUPLING
from frivolous.compression.surgery.graph import THINNING
from frivolous.network.operations import OPERATIONS, UNKNOWN, Kind, Operation
from frivolous.network.units.propagation import LAYOUTS

#: Operations that are not PyTorch's: Python's own, and steps that the library puts in.
OWN = ("getitem", "response_norm", "arrange")
ATEN = [name for name in OPERATIONS if name not in OWN]


def schemas(name: str) -> list[Any]:
    """The signatures of an operation, one for each overload."""
    packet = getattr(torch.ops.aten, name)
    return [getattr(packet, overload)._schema for overload in packet.overloads()]


def followed(row: Operation) -> bool:
    """Whether it is known which axes of the result hold units: layers and products write anew."""
    return row.kind in LAYOUTS or row.layer is not None or bool(row.factors)


def test_what_is_measured_can_be_coupled_or_the_row_says_why_not() -> None:
    for name, row in OPERATIONS.items():
        assert followed(row) != bool(row.no_layout), name
        assert (row.kind in COUPLING) != bool(row.no_coupling), name
        assert row.role in {"tail", "passing"} or row.kind not in LAYOUTS, name
        assert (row.role == "unknown") == bool(row.no_layout), name


def test_every_rule_and_every_kind_is_of_some_operation() -> None:
    kinds = {row.kind for row in OPERATIONS.values()}
    assert kinds | {UNKNOWN.kind} == set(get_args(Kind))
    assert {*LAYOUTS, *COUPLING, *THINNING} <= kinds


@pytest.mark.parametrize("name", ATEN)
def test_names_are_those_of_pytorch(name: str) -> None:
    assert hasattr(torch.ops.aten, name)


@pytest.mark.parametrize("name", [name for name, row in OPERATIONS.items() if row.dims])
def test_an_operation_works_along_as_many_axes_as_pytorch_takes_sizes(name: str) -> None:
    taken = [argument for argument in schemas(name)[0].arguments if argument.N]
    sides = 2 if "_pad" in name else 1  # a border has one size before and one behind
    assert {argument.N for argument in taken} == {sides * OPERATIONS[name].dims}


def test_all_that_pools_or_convolves_says_along_how_many_axes() -> None:
    kinds = {"pool", "average_pool", "border_pad", "convolution"}
    found = [name for name, row in OPERATIONS.items() if row.kind in kinds and not row.dims]
    assert found == ["convolution"]  # whose weight says it


@pytest.mark.parametrize("name", [name for name, row in OPERATIONS.items() if row.layer])
def test_layers_have_input_weight_and_bias_where_pytorch_has_them(name: str) -> None:
    rule = OPERATIONS[name].layer
    assert rule is not None
    names = [argument.name for argument in schemas(name)[0].arguments]
    assert names[rule.input] in {"input", "self", "mat1", "indices"}
    assert names[rule.weight] in {"weight", "mat2", "other"}
    if name == "addmm":
        assert rule.bias == names.index("self")
    elif name != "embedding":
        assert names[rule.bias : rule.bias + 1] in ([], ["bias"])


@pytest.mark.parametrize("name", [name for name, row in OPERATIONS.items() if row.factors])
def test_factors_are_tensors(name: str) -> None:
    for place in OPERATIONS[name].factors:
        assert str(schemas(name)[0].arguments[place].type) == "Tensor"


@pytest.mark.parametrize("name", [n for n, r in OPERATIONS.items() if r.kind == "convolution"])
@pytest.mark.parametrize("groups", [1, 4])
def test_groups_are_read_from_where_pytorch_has_them(name: str, groups: int) -> None:
    arguments = schemas(name)[0].arguments
    given = {"groups": groups, "transposed": True}
    args = [given.get(argument.name, argument.default_value) for argument in arguments]
    transposed = "transpose" in name or name == "convolution"
    assert OPERATIONS[name].grouping(args) == (transposed, groups)
    if name != "convolution":
        assert OPERATIONS[name].grouping(args[:3]) == (transposed, 1)
