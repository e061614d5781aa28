"""Where a model's own code turns the batch size into a plain number, which fixes it."""

from __future__ import annotations

import ast
import inspect
import linecache
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from torch import nn


@dataclass(frozen=True)
class Length:
    """A call such as ``len(x)``: its text, where it is, and what to write instead."""

    text: str
    file: str
    line: int
    instead: str


def lengths_before(places: Iterable[tuple[str, int]]) -> Iterator[Length]:
    """The calls in the functions that these lines are in, up to the lines: earliest first."""
    for file, line in places:
        inside = [f for f in _functions(file) if f.lineno <= line <= (f.end_lineno or line)]
        if inside:
            innermost = max(inside, key=lambda function: function.lineno)
            yield from (one for one in _lengths(file, innermost) if one.line <= line)


def lengths_in(model: nn.Module) -> Iterator[Length]:
    """The calls in the ``forward`` of every module, outermost module first."""
    for kind in dict.fromkeys(type(module) for module in model.modules()):
        code = getattr(inspect.unwrap(kind.forward), "__code__", None)
        if code is not None and not kind.__module__.startswith("torch."):
            last = max((line for *_, line in code.co_lines() if line), default=code.co_firstlineno)
            yield from lengths_before([(code.co_filename, last)])


@cache
def _functions(file: str) -> tuple[ast.FunctionDef, ...]:
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except SyntaxError:  # no source of Python
        return ()
    return tuple(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def _lengths(file: str, function: ast.FunctionDef) -> list[Length]:
    """``len(x)`` of an argument x, and ``int(...)`` of its sizes, in order of lines."""
    names = {one.arg for one in (*function.args.args, *function.args.kwonlyargs)} - {"self"}
    found = []
    for node in ast.walk(function):
        if not isinstance(node, ast.Call) or len(node.args) != 1:
            continue
        called, (given,) = ast.unparse(node.func), node.args
        if called == "len" and isinstance(given, ast.Name) and given.id in names:
            instead = f"{given.id}.shape[0]"
        elif called == "int" and ast.unparse(given) in {
            text for name in names for text in (f"{name}.shape[0]", f"{name}.size(0)")
        }:
            instead = ast.unparse(given)
        else:
            continue
        found.append(Length(ast.unparse(node), file, node.lineno, instead))
    return sorted(found, key=lambda one: one.line)
