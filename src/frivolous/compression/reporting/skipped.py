"""Layers that keep all their units, and why."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from frivolous.compression.pruner import Pruner
from frivolous.network.operations import CONVOLUTIONS, KNOWN, LOOKING_UP, MIXING
from frivolous.network.program import Ref, Step

LAYERS = {**MIXING, **LOOKING_UP}
UNKNOWN = "no layer is known that reads its units"


def skipped_layers(bench: Pruner) -> list[dict[str, Any]]:
    """Each reason why layers cannot be cut, with its layers: rows of ``reason`` and ``layers``.

    Layers are sites that cannot be cut, layers that write no site, and those that tracing
    skipped; the layer that gives the scores is not among them.
    """
    whys = {site.name: reason_of(site.name, bench) for site in bench.whole.sites}
    for step in _mixing(bench):
        name, why = _written(step, bench)
        whys.setdefault(name, why)
    for name, why in (*bench.whole.skipped, *_opaque(bench)):
        whys.setdefault(name, why)
    layers: dict[str, list[str]] = {}
    for name, why in whys.items():
        if why:
            layers.setdefault(why, []).append(name)
    return [{"reason": why, "layers": names} for why, names in layers.items()]


def cut_along(bench: Pruner) -> dict[str, str]:
    """Layers whose units go with a site of another name, such as a sum or a concatenation."""
    sites = {site.name for site in bench.whole.sites}
    found = {}
    for step in _mixing(bench):
        path, numbers = _units_of(step, bench)
        if numbers is None or path in sites:
            continue
        for cut in bench.cuts:
            if np.isin(numbers, cut.number_U).any():
                found[path] = cut.name
    return found


def reason_of(site: str, bench: Pruner) -> str:
    """Why a site's units all stay, whatever the budget; empty if some can go."""
    place = next((p for p, cut in enumerate(bench.cuts) if site in cut.places), None)
    if place is None:
        return bench.refused.get(site, "")
    cut = bench.cuts[place]
    least = bench.orders[place].least if bench.orders else 1
    if cut.units > least:
        return ""
    if cut.units > 1:
        return f"its {cut.units} units are the least that must stay"
    width = len(cut.places[site])
    return "it has one unit, which stays" if width == 1 else "its units only go all at once"


def _mixing(bench: Pruner) -> list[Step]:
    """The steps of layers and tables, without the one that gives the scores.

    A product of two values that depend on the inputs, such as a gate's, is no layer; nor is one of
    two weights.
    """
    program = bench.network.program
    fed, found = set(program.inputs), []
    for step in program.steps:
        if not fed.isdisjoint(step.needs):
            fed.add(step.index)
        if step.op in LAYERS and step.index != program.output:
            rule = LAYERS[step.op]
            pair = [step.args[rule.input], step.args[rule.weight]]
            reached = sum(isinstance(item, Ref) and item.index in fed for item in pair)
            if reached == 1 or step.op in LOOKING_UP:
                found.append(step)
    return found


def _opaque(bench: Pruner) -> list[tuple[str, str]]:
    """Layers whose operation is not known, such as a recurrent one, and what that is."""
    program, state = bench.network.program, bench.network.state
    found = []
    for step in program.steps:
        weights = [program.states[need] for need in step.needs if need in program.states]
        matrices = [name for name in weights if state[name].dim() > 1]
        if matrices and step.op not in KNOWN:
            path = matrices[0].rpartition(".")[0] or matrices[0]
            why = f"'{step.op}' is in none of the tables of operations that keep units apart"
            found.append((path, why))
    return found


def _units_of(step: Step, bench: Pruner) -> tuple[str, NDArray[np.int64] | None]:
    """A layer's name, and the ids of the units that it writes; None where they have none."""
    weight = step.args[LAYERS[step.op].weight]
    name = bench.network.program.states.get(weight.index) if isinstance(weight, Ref) else None
    path = name.removesuffix(".weight") if name else step.module or step.op
    along = bench.axes.along[step.index]
    return path, along[1 if step.op in CONVOLUTIONS else -1] if along else None


def _written(step: Step, bench: Pruner) -> tuple[str, str]:
    """A layer's name, and why none of the units that it writes can be removed."""
    path, numbers = _units_of(step, bench)
    if numbers is None:
        return path, "its units are not told apart from positions"
    cut = {number for cut in bench.cuts for number in cut.number_U.tolist()}
    if cut.intersection(numbers.tolist()):
        return path, ""
    held = [bench.axes.held[n] for n in numbers.tolist() if n in bench.axes.held]
    return path, held[0] if held else UNKNOWN
