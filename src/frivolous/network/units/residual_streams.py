"""Find residual streams: values that blocks add to and pass on, whose units all of them share.

A sum is residual if one term was computed from the other: in x + mlp(norm(x)) the second term
depends on x through layers. The stream is the chain of such sums, as in a transformer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from frivolous.network.operations import ACTIVATIONS
from frivolous.network.program import Program, Ref, Step
from frivolous.network.units.dataflow import LAYERS, Reading


@dataclass(frozen=True)
class View:
    """How a value shows a stream: ``value`` is the stream's, ``start`` the sum where it began.

    ``activated`` where an activation lies between, which makes the units the reader's own.
    """

    value: int
    start: int
    activated: bool = False


@dataclass(frozen=True)
class Streams:
    """The views of streams by value, the values that a later sum adds to, and the sums."""

    views: Mapping[int, View]
    carried: frozenset[int]
    sums: frozenset[int]

    def shared(self, value: int) -> View | None:
        """The stream that a value shows, perhaps normalised but not activated; else None."""
        view = self.views.get(value)
        return None if view is None or view.activated else view


def find_streams(program: Program, reading: Reading) -> Streams:
    """Find every residual sum and follow the values that show its stream."""
    above: dict[int, int] = {}  # value -> the set of all values upstream, as bits of one integer
    sums: set[int] = set()
    carried: set[int] = set()
    steps = {step.index: step for step in program.steps}
    for step in program.steps:
        bits = 1 << step.index
        for need in step.needs:
            bits |= above.get(need, 1 << need)
        above[step.index] = bits
        kept = _kept(step, steps, reading, above)
        if kept is not None:
            sums.add(step.index)
            carried.add(kept)
    views: dict[int, View] = {}
    activated: set[int] = set()
    for step in program.steps:
        view = _view(step, views, activated, sums, carried, reading)
        if view is not None:
            views[step.index] = view
    handed_on = {index for index in carried if index in views and views[index].value == index}
    return Streams(views, frozenset(handed_on), frozenset(sums))


def _kept(
    step: Step, steps: Mapping[int, Step], reading: Reading, above: Mapping[int, int]
) -> int | None:
    """The value that a sum adds to, where the other term was computed from it by layers."""
    terms = [arg.index for arg in step.args[:2] if isinstance(arg, Ref)]
    if step.op != "add" or len(terms) != 2 or not reading.fed.issuperset(terms):
        return None
    for kept, added in (terms, terms[::-1]):
        root = _root(kept, steps, reading)
        layers = reading.writers.get(added) or (added,)
        behind = any(layer != root and above.get(layer, 0) >> root & 1 for layer in layers)
        if root in steps and behind:
            return root
    return None


def _root(index: int, steps: Mapping[int, Step], reading: Reading) -> int:
    """The value that a term of a sum is, before copies and rearrangements."""
    while index in steps and reading.kinds[index] == "passing":
        fed = [need for need in steps[index].needs if need in reading.fed]
        if len(fed) != 1 or fed[0] not in steps:
            break
        index = fed[0]
    return index


def _view(
    step: Step,
    views: Mapping[int, View],
    activated: set[int],
    sums: set[int],
    carried: set[int],
    reading: Reading,
) -> View | None:
    """How a step's value shows a stream; adds to ``activated`` what is behind an activation."""
    index, kind = step.index, reading.kinds[step.index]
    if index in sums:
        return View(index, index)
    if kind in LAYERS or kind not in {"tail", "passing"}:
        return View(index, index) if index in carried else None
    seen = [views[need] for need in step.needs if need in views]
    if step.op in ACTIVATIONS or not activated.isdisjoint(step.needs):
        activated.add(index)
        return View(seen[0].value, seen[0].start, True) if seen else None
    if index in carried:
        return View(index, seen[0].start if seen else index)
    return seen[0] if seen else None
