"""What is asked of the library for one network, and what came of it."""

from __future__ import annotations

import contextlib
import importlib
import random
import re
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

import frivolous as fv
from frivolous.compression import running
from frivolous.compression.workbench import Workbench
from frivolous.errors import FrivolousError
from fuzzing.given import Given, batch_of, given, scores_of, some_of
from fuzzing.masked import Place, masked, places_of, values_of
from fuzzing.networks import Drawn, built, drawn
from fuzzing.untouched import Picture

BATCHES = (1, 3, 5)
REMOVING = ("random", "magnitude")
"""Methods that only remove: what they give back is the network with units masked."""
FITTING = ("joint", "joint", "refactor", "prune", "interpolative", "frame-potential")
"""Methods that fit what reads the units left: what they give back is the network of no mask."""
SHARES = [{"parameters": 0.8}, {"units": 0.6}, {"flops": 0.8}, {"tolerance": 0.5}, {"tolerance": 0}]
TRACED, MEASURED, COMPRESSED = "trace", "measure", "compress"


@dataclass
class Outcome:
    """What came of one network.

    ``outcome`` is right, left (some layers, with reasons), refused (with one clear line, in
    ``refusals``), wrong or raw (an error that is not the library's own). ``unchecked`` names sites
    whose value the oracle did not find among those of the plain forward.
    """

    seed: int
    outcome: str = "right"
    blocks: list[str] = field(default_factory=list)
    form: str = ""
    faults: list[dict[str, str]] = field(default_factory=list)
    refusals: dict[str, str] = field(default_factory=dict)
    left: int = 0
    sites: int = 0
    unchecked: list[str] = field(default_factory=list)
    removed: str = "no"
    method: str = ""
    seconds: float = 0.0
    folder: str = ""

    def as_row(self) -> dict[str, Any]:
        """The outcome as plain data."""
        return asdict(self)


class Wrong(Exception):
    """A value that is not the oracle's."""


class TooLong(BaseException):
    """A network took longer than allowed."""


@contextlib.contextmanager
def quickly(again: bool) -> Iterator[None]:
    """Spare what is asked of one network several times and takes the most time.

    Reports time a module once, since the fuzz asks for no latency. A module is exported once and
    what came of it is read by every verb, unless it is to be exported ``again`` by each: nine tenths
    of all time would be ``torch.export``'s.
    """
    tracing = importlib.import_module("frivolous.network.trace")
    known: dict[Any, Any] = {}
    export = tracing._exported

    def once(model: nn.Module, *given: Any, **options: Any) -> Any:
        def shape(leaf: Any) -> Any:
            return (leaf.shape[1:], leaf.dtype) if isinstance(leaf, Tensor) else leaf

        key = id(model), repr(tree_map(shape, (given, options)))
        if key not in known:  # the model stays alive with its key
            known[key] = model, export(model, *given, **options)
        return known[key][1]

    with patched(running, REPEATS=1, SECONDS=0.0):
        if again:
            yield
            return
        with patched(tracing, _exported=once):
            yield


@contextlib.contextmanager
def patched(module: Any, **values: Any) -> Iterator[None]:
    """Other values for some names of a module, for a while."""
    kept = {name: getattr(module, name) for name in values}
    try:
        vars(module).update(values)
        yield
    finally:
        vars(module).update(kept)


class Case:
    """One network with its data, asked one thing after another."""

    def __init__(self, seed: int, folder: Path | None) -> None:
        self.net: Drawn = drawn(seed)
        self.data: Given = given(self.net)
        self.model, self.plain = built(self.net), built(self.net).eval()
        self.found = Outcome(seed, blocks=self.net.blocks, form=self.data.form)
        self.rng = random.Random(f"checks {seed}")
        self.folder = folder
        self.inputs = batch_of(self.net, 5, seed + 2)
        self.rounding = self._rounding()

    # Plain forwards.

    def scores(self, module: nn.Module, inputs: Any) -> Tensor:
        """The scores of a module."""
        return scores_of(self.net, module, inputs)

    def _rounding(self) -> float:
        """Rounding of the scores, as a share of the largest: measured against float64."""
        if self.net.float64:
            return 1e-4 if "mixed types" in self.net.blocks else 1e-9
        exact = Drawn(**{**vars(self.net), "float64": True})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ours = self.scores(self.plain, self.inputs).double()
            try:
                inputs = _double(self.inputs)
                theirs = self.scores(built(exact).eval(), inputs)
            except RuntimeError:  # a layer that is float64 already, or 16 bits by autocast
                return 1e-3
        return 20 * float((ours - theirs).abs().max() / theirs.abs().max()) + 1e-5

    def same(self, ours: Tensor, theirs: Tensor, what: str) -> None:
        """Refuse values that differ by more than rounding."""
        if ours.shape != theirs.shape:
            raise Wrong(f"{what}: shape {tuple(ours.shape)}, not {tuple(theirs.shape)}")
        apart = float((ours.double() - theirs.double()).abs().max())
        size = max(float(theirs.abs().max()), 1e-3)
        if not apart <= self.rounding * size:
            raise Wrong(f"{what}: {apart:.3g} apart of {size:.3g} (rounding {self.rounding:.1e})")

    # Asking.

    def asked(self, what: str, work: Callable[[], Any]) -> Any:
        """Do it; keep a refusal, a wrong value or a raw error. What it gives, or None."""
        picture = Picture(self.model)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return work()
        except FrivolousError as refusal:
            self.found.refusals[what] = str(refusal)[:1500]
            if "\n" in str(refusal):
                self.fault(what, "wrong", "a message of several lines", str(refusal))
        except Wrong as wrong:
            self.fault(what, "wrong", str(wrong), "")
        except Exception as error:  # noqa: BLE001 - any error that is not the library's own is raw
            text = f"{type(error).__name__}: {error}"
            self.fault(what, "raw", text, traceback.format_exc())
        finally:
            changed = picture.changes()
            if changed:
                self.fault(
                    what, "wrong", f"the user's module changed: {', '.join(changed[:4])}", ""
                )
        return None

    def fault(self, check: str, kind: str, message: str, trace: str) -> None:
        """Keep a fault."""
        message = " ".join(message.split())[:400]
        row = {"check": check, "kind": kind, "message": message, "trace": trace[-2500:]}
        self.found.faults.append(row)

    # The checks.

    def read(self) -> Any:
        """Trace; the graph gives what the module gives, for batches of 1, 3 and 5."""
        network = fv.trace(
            self.model, some_of(self.inputs, 0, 2), output=self.net.output, residual=True
        )
        for size in BATCHES:
            inputs = some_of(self.inputs, 0, size)
            self.same(network(inputs), self.scores(self.plain, inputs), f"graph, batch of {size}")
        self.found.sites = len(network.sites)
        return network

    def located(self, network: Any) -> dict[str, list[Place]]:
        """Where each site is in the plain forward: silencing it there does what the graph does."""
        values = values_of(self.plain_scores)
        _, activities = network.activities(self.inputs)
        found: dict[str, list[Place]] = {}
        for site in network.sites:
            activity = activities[site.name]
            places = places_of(activity, site.axis, values, max(self.rounding, 1e-9))
            if not places:
                self.found.unchecked.append(site.name)
                continue
            keep_U = torch.tensor([self.rng.random() < 0.6 for _ in range(site.width)])
            shape = [1] * activity.dim()
            shape[site.axis] = -1
            ours = network.run(
                self.inputs, {site.name: lambda v, k=keep_U, s=shape: v * k.to(v.dtype).view(s)}
            )
            faults, good = [], []
            for place in places:
                theirs = masked(self.plain_scores, {place: keep_U})
                try:
                    self.same(ours, theirs, f"site '{site.name}' silenced")
                    good.append(place)
                except Wrong as wrong:
                    faults.append(wrong)
            if not good:
                raise faults[0]
            found[site.name] = good
        return found

    def plain_scores(self) -> Tensor:
        """The plain module's scores of the batch that is looked at."""
        return self.scores(self.plain, self.inputs)

    def measured(self) -> Any:
        """Measure cheaply."""
        found = fv.measure(
            self.model,
            self.data.data,
            output=self.net.output,
            joint_tolerance=self.rng.choice([0.02, None]),
            unit_examples=self.rng.choice([None, 10]),
            residual=self.rng.random() < 0.3,
            grain=self.rng.choice(["channel", "channel", "position"]),
            batch_size=self.rng.choice([16, 256]),
        )
        assert found.summary()
        return found

    def compressed(self, network: Any) -> Any:
        """Compress by a budget drawn at random; drawn again where the budget cannot be had."""
        rng, last = self.rng, None
        method = rng.choice(REMOVING if rng.random() < 0.75 else FITTING)
        cuts = [
            cut for cut in Workbench(self.model, network, self.net.output).cuts if cut.units > 1
        ]
        chosen = [cut for cut in cuts if rng.random() < 0.7] or cuts
        keep = {cut.name: rng.randint(1, cut.units - (cut.units > 1)) for cut in chosen}
        for _ in range(6):
            kind = "keep" if keep and rng.random() < 0.9 else "share"
            budget: dict[str, Any] = {"keep": dict(keep)}
            if kind == "share":
                budget = rng.choice(
                    [{"parameters": 0.8}, {"units": 0.6}, {"flops": 0.8}, {"tolerance": 0.5}]
                )
            self.found.method = f"{method}, {next(iter(budget))}"
            try:
                return fv.compress(
                    self.model, self.data.data, output=self.net.output, method=method,
                    seed=self.net.seed, **budget,
                )  # fmt: skip
            except FrivolousError as error:
                last = error
                about = re.match(r"`keep` (?:names|has .* units for) '([^']*)'", str(error))
                if about:
                    keep.pop(about[1], None)
                elif not re.match(
                    r"`(parameters|flops|units|latency)` is|.* held-out examples cannot", str(error)
                ):
                    raise
        assert last is not None
        raise last

    def removed(self, thin: Any, network: Any, places: dict[str, list[Place]]) -> None:
        """What is given back is the plain network with the units that went masked."""
        module = thin.model.eval()
        masks: dict[Place, Tensor] = {}
        unknown = []
        for site in network.sites:
            if site.name not in thin.kept:
                continue
            kept = torch.as_tensor(thin.kept[site.name], dtype=torch.long)
            if len(kept) == site.width:
                continue
            keep_U = torch.zeros(site.width).index_fill(0, kept, 1.0)
            if site.name in places:
                masks[places[site.name][0]] = keep_U
            else:
                unknown.append(site.name)
        if unknown:
            self.found.removed = "not checked"
            return
        if masks and not self.found.method.startswith(REMOVING):
            self.found.removed = "fitted"
            return
        self.found.removed = "checked" if masks else "nothing went"
        whole = masked(self.plain_scores, masks)
        self.same(self.scores(module, self.inputs), whole, "units removed against units masked")

    def returned(self, thin: Any) -> None:
        """The module that is given back: its class and names, its mode, batches of 1, 3 and 5."""
        if {m.training for m in thin.model.modules()} != {m.training for m in self.model.modules()}:
            raise Wrong("the thinner module is in another mode than the original")
        module = thin.model.eval()
        whole = self.scores(module, self.inputs)
        for size in BATCHES:
            ours = self.scores(module, some_of(self.inputs, 0, size))
            self.same(ours, whole[:size], f"thinner module, batch of {size}")
        kinds = [
            {n: type(m).__qualname__ for n, m in q.named_modules()} for q in (self.model, module)
        ]
        if kinds[0] != kinds[1]:
            raise Wrong(f"classes differ: {set(kinds[0].items()) ^ set(kinds[1].items())}")
        if self.found.method.endswith("tolerance") and not thin.report.facts["amount"]:
            after, before = (self.scores(q, self.data.inputs) for q in (module, self.plain))
            apart, size = float((after - before).abs().max()), float(before.abs().max())
            if not apart <= max(1e-4, self.rounding) * max(size, 1.0):
                raise Wrong(f"tolerance 0: scores {apart:.3g} apart of {size:.3g}")
        names = [set(q.state_dict()) for q in (self.model, module)]
        if names[0] != names[1]:
            raise Wrong(f"names of the state differ: {sorted(names[0] ^ names[1])[:4]}")

    def told(self, thin: Any, network: Any) -> None:
        """The report names every layer, gives reasons, and counts what changed."""
        text = str(thin.report)
        writers = {w for site in network.sites if site.name in text for w in site.writers}
        missing = [
            name
            for name, module in self.model.named_modules()
            if isinstance(module, LAYERS)
            and name.partition(".")[0] not in self.net.heads
            and f"{name}.weight" not in writers
            and not re.search(rf"{re.escape(name)}\b", text)
        ]
        if missing:
            raise Wrong(f"the report does not name {', '.join(missing[:4])}")
        self._counted(thin)

    def _counted(self, thin: Any) -> None:
        facts, module = thin.report.facts, thin.model.eval()
        before = self.scores(self.plain, self.data.inputs)
        after = self.scores(module, self.data.inputs)
        top = before.double().topk(2, 1).values
        sure = (top[:, 0] - top[:, 1]) > self.rounding * float(before.abs().max())
        changed = int((before.argmax(1) != after.argmax(1)).sum())
        loose = int((~sure).sum())
        others = self.data.examples - int(facts["held_out"])
        if not changed - others - loose <= facts["changed"] <= changed + loose:
            raise Wrong(
                f"the report says {facts['changed']} of {facts['held_out']} labels changed; of all "
                f"{self.data.examples} there are {changed}"
            )

    def saved(self, thin: Any) -> None:
        """Write what a fresh process will load."""
        assert self.folder is not None
        folder = self.folder / str(self.net.seed)
        thin.save(folder / "thin")
        torch.save(
            {"inputs": self.inputs, "scores": self.scores(thin.model.eval(), self.inputs)},
            folder / "scores.pt",
        )
        self.found.folder = str(folder)

    def curve_by_hand(self, network: Any, found: Any, places: dict[str, list[Place]]) -> None:
        """One count of an ablation curve is that of a plain loop over the examples."""
        if found.facts["grain"] != "channel" or found.facts["replacement"] != "zero":
            return
        from frivolous.ablation import permutation

        curves = found.curves[found.curves.site.isin(list(places)) & (found.curves.fraction > 0)]
        if not len(curves):
            return
        row = curves.iloc[self.rng.randrange(len(curves))]
        site = network.site(row.site)
        depth = next((s.depth for s in fv.trace(
            self.model, some_of(self.inputs, 0, 2), output=self.net.output,
            residual=found.table.site.nunique() - 1 == len(network.sites),
        ).sites if s.name == row.site), site.depth)  # fmt: skip
        gone = permutation(site.width, found.facts["seed"], int(row.draw), depth)[
            : int(row.ablated)
        ]
        keep_U = torch.ones(site.width).index_fill(0, gone, 0.0)
        if found.facts["examples"] != self.data.examples:
            return  # a loader that leaves out the last batch

        def whole() -> Tensor:
            return self.scores(self.plain, self.data.inputs)

        # All examples at once: other operations may run for another number of them.
        activity = network.activities(self.data.inputs, [row.site])[1][row.site]
        there = places_of(activity, site.axis, values_of(whole), max(self.rounding, 1e-9))
        if not there:
            return
        before, after = whole(), masked(whole, {there[0]: keep_U})
        top = after.double().topk(2, 1).values
        loose = int((top[:, 0] - top[:, 1] <= self.rounding * float(after.abs().max())).sum())
        count = int((before.argmax(1) == after.argmax(1)).sum())
        if abs(count - row.unchanged * self.data.examples) > loose + 0.01:
            raise Wrong(
                f"'{row.site}' at {row.fraction:.2f}: {row.unchanged:.4f} unchanged of "
                f"{self.data.examples}, by hand {count}"
            )


LAYERS = (
    nn.Linear, nn.Bilinear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d,
    nn.ConvTranspose3d, nn.Embedding, nn.EmbeddingBag, nn.RNNBase, nn.RNNCellBase,
)  # fmt: skip


def _double(inputs: Any) -> Any:
    if isinstance(inputs, dict):
        return {name: _double(part) for name, part in inputs.items()}
    if isinstance(inputs, tuple):
        return tuple(_double(part) for part in inputs)
    return inputs.double() if inputs.is_floating_point() else inputs


def ask(
    seed: int, folder: Path | None = None, *, measure: bool = True, again: bool | None = None
) -> Outcome:
    """Ask everything of the network of a seed; what is to be loaded again goes into ``folder``.

    ``again`` has every verb export the module anew: by default for each tenth network.
    """
    began = time.perf_counter()
    case = Case(seed, folder)
    found = case.found
    with quickly(seed % 10 == 0 if again is None else again):
        network = case.asked(TRACED, case.read)
        places = network and case.asked("sites", lambda: case.located(network))
        thin = network and case.asked(COMPRESSED, lambda: case.compressed(network))
        if thin:
            case.asked("returned", lambda: case.returned(thin))
            if places is not None:
                case.asked("removed", lambda: case.removed(thin, network, places))
            case.asked("report", lambda: case.told(thin, network))
            if folder is not None:
                case.asked("save", lambda: case.saved(thin))
        if measure and TRACED not in found.refusals:
            table = case.asked(MEASURED, case.measured)
            if table is not None and places:
                case.asked("curve", lambda: case.curve_by_hand(network, table, places))
    if thin:
        found.left = int((thin.report.sites.reason != "").sum()) + len(network.skipped)
    kinds = {fault["kind"] for fault in found.faults}
    found.outcome = (
        "raw" if "raw" in kinds else "wrong" if kinds else "refused" if found.refusals
        else "left" if found.left else "right"
    )  # fmt: skip
    found.seconds = round(time.perf_counter() - began, 2)
    return found
