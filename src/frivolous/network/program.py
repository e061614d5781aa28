"""An exported graph as a list of steps, and the loop that runs any part of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind

from frivolous.network.operations import OPERATIONS, UNKNOWN, Mixing, Operation

Values = dict[int, Any]
Edit = Callable[[Tensor], Tensor]

VIEWS = (torch.ops.aten.view.default, torch.ops.aten._unsafe_view.default)
SIZES = (torch.SymInt, torch.SymFloat, torch.SymBool)


@dataclass(frozen=True)
class Ref:
    """A reference to the value of another step, in a template of arguments."""

    index: int


@dataclass(frozen=True)
class Step:
    """One operation: ``index`` is its place in the graph, ``args`` a template with ``Ref`` in it.

    ``op`` is the operation's name (``"conv2d"``), ``module`` the path of the module that called it,
    ``line`` the line of the model's source.
    """

    index: int
    op: str
    target: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    needs: tuple[int, ...]
    module: str
    line: str

    @property
    def operation(self) -> Operation:
        """What is known of the operation."""
        return OPERATIONS.get(self.op, UNKNOWN)

    @property
    def layer(self) -> Mixing:
        """Where a layer has its input, its weight and its units."""
        found = self.operation.layer
        assert found is not None
        return found

    def argument(self, place: int, name: str, default: Any = None) -> Any:
        """An argument by its place or its name."""
        return self.args[place] if len(self.args) > place else self.kwargs.get(name, default)

    def arguments(self) -> dict[str, Any]:
        """All arguments by name, with the defaults of those that are not given."""
        schema = getattr(self.target, "_schema", None)
        given = {one.name: one.default_value for one in schema.arguments} if schema else {}
        return {**given, **dict(zip(given, self.args, strict=False)), **self.kwargs}

    def reading(self, instead: Mapping[int, int]) -> Step:
        """The same operation on other values: those that are keys of ``instead`` are replaced."""

        def renewed(leaf: Any) -> Any:
            return Ref(instead.get(leaf.index, leaf.index)) if type(leaf) is Ref else leaf

        args, kwargs = mapped(self.args, renewed), mapped(self.kwargs, renewed)
        needs = tuple(instead.get(need, need) for need in self.needs)
        return replace(self, args=args, kwargs=kwargs, needs=needs)


@dataclass(frozen=True)
class Plan:
    """Steps to run in order, each with the values that no later step reads."""

    steps: tuple[tuple[Step, tuple[int, ...]], ...]
    alive: tuple[int, ...]  # what is left when the last step has run


@dataclass(frozen=True)
class Program:
    """The whole computation: steps in order, and what the placeholders stand for.

    ``shapes`` has the sizes of each value that is a tensor: numbers, or expressions in the size of
    the batch. ``sizes`` has the values that are such expressions; they are computed from the
    batch at hand and never carried over, so that a value of one batch can be continued in another.
    """

    steps: tuple[Step, ...]
    states: Mapping[int, str]  # value -> name in the state
    inputs: tuple[int, ...]
    keywords: tuple[str, ...]  # of the inputs, or () where they are positional
    constants: Mapping[int, Any]
    sizes: Mapping[int, Any]
    shapes: Mapping[int, tuple[Any, ...]]
    dtypes: Mapping[int, torch.dtype]
    output: int
    outermost: Mapping[int, int] = field(default_factory=dict)  # see ``batch_axis``
    _sizes_of: dict[int, Values] = field(default_factory=dict, repr=False, compare=False)

    def sizes_of(self, batch: int) -> Values:
        """Every size that depends on the batch, for a batch of this many examples."""
        if batch not in self._sizes_of:
            self._sizes_of[batch] = {
                index: _number(expression, batch) for index, expression in self.sizes.items()
            }
        return self._sizes_of[batch]

    def known(self, state: Mapping[str, Tensor], batch: int) -> Values:
        """Every value that neither a step nor an input gives, for a batch of this size."""
        states = {index: state[name] for index, name in self.states.items()}
        return {**states, **self.constants, **self.sizes_of(batch)}

    def computed(self, state: Mapping[str, Tensor], index: int, batch: int = 1) -> Tensor:
        """A value that no input reaches, such as a weight made of several parameters."""
        plan = self.plan(needed(self.steps, {index}), [index])
        found: Tensor = execute(plan, self.known(state, batch), {})[index]
        return found

    def fed(self) -> frozenset[int]:
        """Values that depend on the inputs; weights, and what is computed from them, do not."""
        fed = set(self.inputs)
        for step in self.steps:
            if not fed.isdisjoint(step.needs):
                fed.add(step.index)
        return frozenset(fed)

    def of_the_batch(self) -> frozenset[int]:
        """Values that depend on the batch size and on no input: repeated tables, masks, zeros."""
        fed, sized = self.fed(), set(self.sizes)
        for step in self.steps:
            if step.index not in fed and not sized.isdisjoint(step.needs):
                sized.add(step.index)
        return frozenset(sized.difference(self.sizes))

    def shape_of(self, index: int, batch: int) -> tuple[int, ...]:
        """The shape of a value for a batch of this many examples."""
        return tuple(
            size if isinstance(size, int) else int(_number(size, batch))
            for size in self.shapes[index]
        )

    def batch_axis(self, index: int) -> int | None:
        """The axis of the examples; None for a value that is the same for every batch.

        The batch may share its axis with other factors if it is the outermost one (``outermost``).
        Raises ``LookupError`` for a value whose examples are along no such axis.
        """
        if index in self.outermost:
            return self.outermost[index]
        sizes = self.shapes[index]
        symbolic = [axis for axis, size in enumerate(sizes) if not isinstance(size, int)]
        if not symbolic:
            return None
        if len(symbolic) == 1 and sizes[symbolic[0]].is_Symbol:
            return symbolic[0]
        raise LookupError(index)

    def plan(self, steps: Iterable[Step], keep: Iterable[int]) -> Plan:
        """The steps with each value's last reader, values named in ``keep`` being kept."""
        steps, kept = tuple(steps), frozenset(keep)
        fixed = self.states.keys() | self.constants.keys() | self.sizes.keys()
        last: dict[int, int] = {}
        for place, step in enumerate(steps):
            for index in (*step.needs, step.index):
                if index not in kept and index not in fixed:
                    last[index] = place
        dying: list[list[int]] = [[] for _ in steps]
        for index, place in last.items():
            dying[place].append(index)
        pairs = tuple((step, tuple(ends)) for step, ends in zip(steps, dying, strict=True))
        return Plan(pairs, tuple(sorted(kept)))

    def on(self, device: torch.device) -> Program:
        """The same program with every device in it replaced."""
        steps = tuple(
            replace(
                step,
                args=mapped(step.args, lambda leaf: _moved(leaf, device)),
                kwargs=mapped(step.kwargs, lambda leaf: _moved(leaf, device)),
            )
            for step in self.steps
        )
        constants = {
            index: value.to(device) if isinstance(value, Tensor) else value
            for index, value in self.constants.items()
        }
        return replace(self, steps=steps, constants=constants)


def execute(plan: Plan, values: Values, edits: Mapping[int, Edit]) -> Values:
    """Run a plan on ``values`` (changed in place) and return them; edits replace what they name."""
    for step, dying in plan.steps:
        args = mapped(step.args, lambda leaf: values[leaf.index] if type(leaf) is Ref else leaf)
        kwargs = mapped(step.kwargs, lambda leaf: values[leaf.index] if type(leaf) is Ref else leaf)
        value = step.target(*args, **kwargs)
        if step.index in edits:
            value = edits[step.index](value)
        values[step.index] = value
        for index in dying:
            values.pop(index, None)
    return values


def read_program(exported: ExportedProgram, keywords: tuple[str, ...] = ()) -> Program:
    """The steps of an exported program that its output depends on.

    ``keywords`` are the names of its inputs, in their order, where they have any.
    """
    signature = exported.graph_signature
    nodes = list(exported.graph.nodes)
    number = {node: index for index, node in enumerate(nodes)}
    named = {node.name: index for node, index in number.items()}
    states, constants, inputs = {}, {}, []
    for spec in signature.input_specs:
        index = named[spec.arg.name]
        if spec.kind == InputKind.USER_INPUT:
            inputs.append(index)
        elif spec.kind == InputKind.PARAMETER or (
            spec.kind == InputKind.BUFFER and spec.persistent
        ):
            states[index] = str(spec.target)
        else:
            constants[index] = exported.constants[str(spec.target)]
    for node in nodes:
        if node.op == "get_attr":
            constants[number[node]] = getattr(exported.graph_module, node.target)
    output = next(
        named[spec.arg.name]
        for spec in signature.output_specs
        if spec.kind == OutputKind.USER_OUTPUT
    )
    shapes, dtypes, sizes = {}, {}, {}
    for node, index in number.items():
        value = node.meta.get("val")
        if isinstance(value, Tensor):
            shapes[index] = tuple(_expression(size) for size in value.shape)
            dtypes[index] = value.dtype
        elif isinstance(value, SIZES):
            sizes[index] = value.node.expr
    called = [
        _step(node, number)
        for node in nodes
        if node.op == "call_function" and number[node] not in sizes
    ]
    return Program(
        needed(called, {output}),
        states,
        tuple(inputs),
        keywords,
        constants,
        sizes,
        shapes,
        dtypes,
        output,
    )


def needed(steps: Sequence[Step], outputs: Iterable[int]) -> tuple[Step, ...]:
    """The steps that these values depend on, in order."""
    wanted, kept = set(outputs), []
    for step in reversed(steps):
        if step.index in wanted:
            wanted.update(step.needs)
            kept.append(step)
    return tuple(reversed(kept))


def _step(node: fx.Node, number: Mapping[fx.Node, int]) -> Step:
    def refer(leaf: Any) -> Any:
        return Ref(number[leaf]) if isinstance(leaf, fx.Node) else leaf

    target: Any = node.target
    packet = getattr(target, "_overloadpacket", None)
    op = packet.__name__ if packet is not None else getattr(target, "__name__", str(target))
    if op == "clone" and not node.kwargs:
        target = _itself  # nothing in a functional graph writes to a value, so none needs a copy
    if target in VIEWS:
        target = torch.ops.aten.reshape.default  # an edited value has another layout in memory
    stack = node.meta.get("nn_module_stack") or {}
    path = str(next(reversed(stack.values()))[0]) if stack else ""
    return Step(
        index=number[node],
        op=op,
        target=target,
        args=mapped(tuple(node.args), refer),
        kwargs=mapped(dict(node.kwargs), refer),
        needs=tuple(dict.fromkeys(number[other] for other in node.all_input_nodes)),
        module=path.split("@")[0],
        line=str(node.meta.get("stack_trace") or ""),
    )


def _itself(value: Tensor) -> Tensor:
    return value


def mapped(template: Any, leaf: Callable[[Any], Any]) -> Any:
    """A template of arguments with every leaf of its tuples, lists and dicts mapped."""
    if isinstance(template, tuple):
        return tuple([mapped(item, leaf) for item in template])
    if isinstance(template, list):
        return [mapped(item, leaf) for item in template]
    if isinstance(template, dict):
        return {key: mapped(item, leaf) for key, item in template.items()}
    return leaf(template)


def _moved(leaf: Any, device: torch.device) -> Any:
    return device if isinstance(leaf, torch.device) else leaf


def _expression(size: Any) -> Any:
    if isinstance(size, torch.SymInt) and not size.node.expr.is_number:
        return size.node.expr
    return int(size)


def _number(expression: Any, batch: int) -> Any:
    value = expression.subs(dict.fromkeys(expression.free_symbols, batch))
    if value.is_Boolean:
        return bool(value)
    return int(value) if value.is_integer else float(value)
