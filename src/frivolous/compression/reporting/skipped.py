"""Layers that keep all their units, and why."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from frivolous.compression.pruner import Pruner
from frivolous.network.program import Ref, Step, needed
from frivolous.network.units.layers import layer_name, made_of

UNKNOWN = "no layer is known that reads its units"


def skipped_layers(pruner: Pruner) -> list[dict[str, Any]]:
    """Each reason why layers cannot be cut, with its layers: rows of ``reason`` and ``layers``.

    Layers are sites that cannot be cut, layers that write no site, and those that tracing
    skipped; the layer that gives the scores is not among them.
    """
    whys = {site.name: reason_of(site.name, pruner) for site in pruner.whole.sites}
    for step in _mixing(pruner):
        name, why = _written(step, pruner)
        whys.setdefault(name, why)
    for name, why in (*pruner.whole.skipped, *_opaque(pruner)):
        whys.setdefault(name, why)
    layers: dict[str, list[str]] = {}
    for name, why in whys.items():
        if why:
            layers.setdefault(why, []).append(name)
    return [{"reason": why, "layers": names} for why, names in layers.items()]


def cut_along(pruner: Pruner) -> dict[str, str]:
    """Layers whose units go with a site of another name, such as a sum or a concatenation."""
    sites = {site.name for site in pruner.whole.sites}
    found = {}
    for step in _mixing(pruner):
        path, numbers = _units_of(step, pruner)
        if numbers is None or path in sites:
            continue
        for cut in pruner.cuts:
            if np.isin(numbers, cut.number_U).any():
                found[path] = cut.name
    return found


def reason_of(site: str, pruner: Pruner) -> str:
    """Why a site's units all stay, whatever the budget; empty if some can go."""
    place = next((p for p, cut in enumerate(pruner.cuts) if site in cut.places), None)
    if place is None:
        return pruner.refused.get(site, "")
    cut = pruner.cuts[place]
    least = pruner.orders[place].least if pruner.orders else 1
    if cut.units > least:
        return ""
    if cut.units > 1:
        return f"its {cut.units} units are the least that must stay"
    width = len(cut.places[site])
    return "it has one unit, which stays" if width == 1 else "its units only go all at once"


def _mixing(pruner: Pruner) -> list[Step]:
    """The steps of layers and tables, without the one that gives the scores.

    A product of two values that depend on the inputs, such as a gate's, is no layer; nor is one of
    two weights.
    """
    program = pruner.network.program
    fed, found = program.fed(), []
    for step in program.steps:
        rule = step.operation.layer
        if rule is not None and step.index != program.output:
            pair = [step.args[rule.input], step.args[rule.weight]]
            reached = sum(isinstance(item, Ref) and item.index in fed for item in pair)
            if reached == 1 or step.operation.role == "table":
                found.append(step)
    return found


def _opaque(pruner: Pruner) -> list[tuple[str, str]]:
    """Layers whose operation is not known, such as a recurrent one, and what that is."""
    program, state = pruner.network.program, pruner.network.state
    fed, found = program.fed(), []
    for step in program.steps:
        weights = [program.states[need] for need in step.needs if need in program.states]
        matrices = [name for name in weights if state[name].dim() > 1]
        if matrices and not step.operation.known and step.index in fed:
            path = matrices[0].rpartition(".")[0] or matrices[0]
            why = f"'{step.op}' is in none of the tables of operations that keep units apart"
            found.append((path, why))
    return found


def _units_of(step: Step, pruner: Pruner) -> tuple[str, NDArray[np.int64] | None]:
    """A layer's name, and the ids of the units that it writes; None where they have none."""
    along = pruner.axes.along[step.index]
    return _name(step, pruner), along[step.layer.axis] if along else None


def _name(step: Step, pruner: Pruner) -> str:
    """A layer's path, or its weight's own name; also where the weight is worked out from others."""
    program, names = pruner.network.program, frozenset(pruner.network.state)
    weight = step.args[step.layer.weight]
    made: list[str] = []
    if isinstance(weight, Ref):
        sources = {need for part in needed(program.steps, {weight.index}) for need in part.needs}
        places = sorted({weight.index, *sources} & program.states.keys())
        made = [made_of(program.states[place], names) for place in places]
    return layer_name(step, made)


def _written(step: Step, pruner: Pruner) -> tuple[str, str]:
    """A layer's name, and why none of the units that it writes can be removed."""
    path, numbers = _units_of(step, pruner)
    if numbers is None:
        return path, "its units are not told apart from positions"
    cut = {number for cut in pruner.cuts for number in cut.number_U.tolist()}
    if cut.intersection(numbers.tolist()):
        return path, ""
    held = [pruner.axes.held[n] for n in numbers.tolist() if n in pruner.axes.held]
    return path, held[0] if held else UNKNOWN
